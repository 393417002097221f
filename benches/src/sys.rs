//! The few calls to the kernel that the standard library does not have: timer slack, CPU time, and
//! a bare perf event with its epoll.

use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::ptr::{self, NonNull};
use std::time::Duration;

fn check(answer: libc::c_int) -> io::Result<libc::c_int> {
    if answer < 0 { Err(io::Error::last_os_error()) } else { Ok(answer) }
}

/// Sets the slack of the calling thread's timers to 1 ns; threads started afterwards inherit it.
pub(crate) fn tighten_timers() -> io::Result<()> {
    let slack_ns: libc::c_ulong = 1;
    // SAFETY: the operation takes one number and touches no memory of ours.
    check(unsafe { libc::prctl(libc::PR_SET_TIMERSLACK, slack_ns, 0, 0, 0) }).map(drop)
}

/// The CPU time all threads of this process have used, those that have ended included.
pub(crate) fn process_cpu_time() -> Duration {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `time` is ours to write for the length of the call.
    let answer = unsafe { libc::clock_gettime(libc::CLOCK_PROCESS_CPUTIME_ID, &raw mut time) };
    assert_eq!(answer, 0, "every Linux has a CPU clock per process");
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

/// Sleeps in one system call, which is one block.
pub(crate) fn nanosleep(duration: Duration) {
    let time = libc::timespec {
        tv_sec: duration.as_secs() as libc::time_t,
        tv_nsec: libc::c_long::from(duration.subsec_nanos() as i32),
    };
    // SAFETY: `time` outlives the call; the place for the remaining time may be null.
    let _early = unsafe { libc::nanosleep(&raw const time, ptr::null_mut()) };
}

/// How many threads this process has.
pub(crate) fn threads() -> usize {
    std::fs::read_dir("/proc/self/task").map_or(0, Iterator::count)
}

/// The first version (64 bytes) of the kernel's `perf_event_attr`.
#[repr(C)]
#[derive(Default)]
struct Attr {
    kind: u32,
    size: u32,
    config: u64,
    sample_period: u64,
    sample_type: u64,
    read_format: u64,
    flags: u64,
    wakeup_watermark: u32,
    breakpoint_kind: u32,
    breakpoint_address: u64,
}

const TYPE_SOFTWARE: u32 = 1;
const COUNT_SW_DUMMY: u64 = 9;
const DISABLED: u64 = 1 << 0;
const EXCLUDE_KERNEL: u64 = 1 << 5;
const EXCLUDE_HV: u64 = 1 << 6;
const WATERMARK: u64 = 1 << 14;
const CONTEXT_SWITCH: u64 = 1 << 26;
const OPEN_CLOEXEC: libc::c_ulong = 1 << 3;
/// The same on every architecture that tier-1 Linux targets have.
const IOC_ENABLE: libc::c_ulong = 0x2400;

/// An OUT record and an IN record of eight bytes each: a wake-up falls on every OUT but the first.
const PAIR_BYTES: u32 = 16;

/// A perf event that tells who polls it when the thread that opened it goes to sleep. As bare as
/// it gets: no reader, no policy.
#[derive(Debug)]
pub(crate) struct SwitchEvent {
    fd: OwnedFd,
    ring: NonNull<libc::c_void>,
    ring_length: usize,
}

// SAFETY: the descriptor is a number, and the mapping belongs to the process; nothing in here
// reads or writes it, the kernel does.
unsafe impl Send for SwitchEvent {}

impl SwitchEvent {
    /// Opens an event on the calling thread, enables it, and blocks once, so that the next block
    /// is the first to be told.
    pub(crate) fn open() -> io::Result<SwitchEvent> {
        let attr = Attr {
            kind: TYPE_SOFTWARE,
            size: size_of::<Attr>() as u32,
            config: COUNT_SW_DUMMY,
            flags: DISABLED | EXCLUDE_KERNEL | EXCLUDE_HV | WATERMARK | CONTEXT_SWITCH,
            wakeup_watermark: PAIR_BYTES,
            ..Attr::default()
        };
        let (this_thread, any_cpu, no_group) = (0, -1, -1);
        // SAFETY: `attr` says its own size and outlives the call.
        let fd = unsafe {
            libc::syscall(
                libc::SYS_perf_event_open,
                &raw const attr,
                this_thread,
                any_cpu,
                no_group,
                OPEN_CLOEXEC,
            )
        };
        let fd = check(fd as libc::c_int)?;
        // SAFETY: the kernel has just given this descriptor to us alone.
        let fd = unsafe { OwnedFd::from_raw_fd(fd) };
        // SAFETY: takes a number, touches no memory.
        let page = unsafe { libc::sysconf(libc::_SC_PAGESIZE) } as usize;
        let ring_length = 2 * page;
        // Read-only means overwrite: nobody has to drain it.
        // SAFETY: a new mapping at a place of the kernel's choice takes nobody's memory away.
        let ring = unsafe {
            let (protection, sharing) = (libc::PROT_READ, libc::MAP_SHARED);
            libc::mmap(ptr::null_mut(), ring_length, protection, sharing, fd.as_raw_fd(), 0)
        };
        if ring == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        let ring = NonNull::new(ring).expect("the kernel never chooses address zero");
        let event = SwitchEvent { fd, ring, ring_length };
        // SAFETY: the operation takes a number and touches no memory.
        let answer = unsafe { libc::ioctl(event.fd.as_raw_fd(), IOC_ENABLE as _, 0) };
        check(answer)?;
        std::thread::sleep(Duration::from_micros(200));
        Ok(event)
    }

    pub(crate) fn raw_fd(&self) -> RawFd {
        self.fd.as_raw_fd()
    }
}

impl Drop for SwitchEvent {
    fn drop(&mut self) {
        // SAFETY: the mapping made in `open`, of which nobody has a reference.
        let _always_works = unsafe { libc::munmap(self.ring.as_ptr(), self.ring_length) };
    }
}

/// An epoll with one descriptor in it, edge-triggered.
#[derive(Debug)]
pub(crate) struct Epoll(OwnedFd);

impl Epoll {
    /// Watches `fd` for input.
    pub(crate) fn watching(fd: RawFd) -> io::Result<Epoll> {
        // SAFETY: takes a number, touches no memory.
        let epoll = check(unsafe { libc::epoll_create1(libc::EPOLL_CLOEXEC) })?;
        // SAFETY: the kernel has just given this descriptor to us alone.
        let epoll = Epoll(unsafe { OwnedFd::from_raw_fd(epoll) });
        let mut event =
            libc::epoll_event { events: (libc::EPOLLIN | libc::EPOLLET) as u32, u64: 0 };
        // SAFETY: `event` outlives the call, which only reads it.
        let answer = unsafe {
            libc::epoll_ctl(epoll.0.as_raw_fd(), libc::EPOLL_CTL_ADD, fd, &raw mut event)
        };
        check(answer)?;
        Ok(epoll)
    }

    /// Waits for an edge; `false` if none came in time.
    pub(crate) fn wait(&self, limit: Duration) -> bool {
        let mut event = libc::epoll_event { events: 0, u64: 0 };
        let limit_ms = limit.as_millis() as libc::c_int;
        // SAFETY: `event` is one place to write to, as said, and outlives the call.
        let answer = unsafe { libc::epoll_wait(self.0.as_raw_fd(), &raw mut event, 1, limit_ms) };
        answer == 1
    }
}
