//! A perf event that notes when its thread leaves a CPU and comes back, and the ring it writes to.
//!
//! This module knows the kernel's interface and no policy; what the records mean for a region is
//! said in `detect::ring`. The event is a software dummy that counts nothing: it exists for its
//! `PERF_RECORD_SWITCH` records. It asks for no kernel samples, so `perf_event_paranoid = 2` lets
//! anybody have it, for threads of their own.
//!
//! The ring is two pages: the header with the head, and one page of records. It is mapped for
//! reading only, which the kernel takes to mean *overwrite*: it never waits for a reader.
//!
//! A forked child does not have the mapping (the kernel says so already; we say it again with
//! `MADV_DONTFORK`). Reading a ring there is a `SIGSEGV`, and its descriptor, which the child does
//! have, would still be the parent's event. So a child forgets its rings without touching them.

use std::fmt;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::process;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU64, Ordering, fence};
use std::time::{Duration, Instant};

use super::{check, check_long, thread};

/// The head of `perf_event_attr`, as long as the kernel's first version of it (64 bytes). It has
/// all we set; newer kernels take the missing rest as zero.
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

const _: () = assert!(size_of::<Attr>() == 64, "PERF_ATTR_SIZE_VER0");

const TYPE_SOFTWARE: u32 = 1;
const COUNT_SW_DUMMY: u64 = 9;
const OPEN_CLOEXEC: libc::c_ulong = 1 << 3;

/// The bits of `Attr::flags`, in the order of the C bit field.
const DISABLED: u64 = 1 << 0;
const EXCLUDE_KERNEL: u64 = 1 << 5;
const EXCLUDE_HV: u64 = 1 << 6;
const WATERMARK: u64 = 1 << 14;
const CONTEXT_SWITCH: u64 = 1 << 26;

/// `_IO('$', 0)`; a few architectures write "no argument" differently.
const IOC_ENABLE: u32 = if cfg!(any(
    target_arch = "mips64",
    target_arch = "mips64r6",
    target_arch = "powerpc64",
    target_arch = "sparc64"
)) {
    0x2000_2400
} else {
    0x2400
};
const IOC_DISABLE: u32 = IOC_ENABLE + 1;

/// Where the header page keeps the head and the place of the data.
const DATA_HEAD_OFFSET: usize = 1024;

/// The type of the records we asked for.
pub(crate) const RECORD_SWITCH: u32 = 14;
/// In `misc`: the thread left the CPU. Without it: it came back.
pub(crate) const MISC_SWITCH_OUT: u16 = 1 << 13;
/// In `misc`, beside [`MISC_SWITCH_OUT`]: it could have run on.
pub(crate) const MISC_SWITCH_OUT_PREEMPT: u16 = 1 << 14;
/// The length of a switch record without sample fields: a bare header.
pub(crate) const RECORD_LENGTH: u64 = 8;

/// What opening an event consists of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// `perf_event_open` itself.
    Open,
    /// Mapping the ring.
    Map,
    /// Enabling and disabling the event.
    Control,
}

/// Why there is no event: where it failed, and with what.
#[derive(Debug)]
pub(crate) struct StepError {
    pub(crate) step: Step,
    pub(crate) error: io::Error,
}

impl fmt::Display for StepError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let step = match self.step {
            Step::Open => "perf_event_open",
            Step::Map => "mmap of a perf ring",
            Step::Control => "ioctl on a perf event",
        };
        write!(f, "{step}: {}", self.error)
    }
}

/// The header every record begins with; for our records it is all there is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct RecordHeader {
    pub(crate) kind: u32,
    pub(crate) misc: u16,
    pub(crate) size: u16,
}

/// One thread's context-switch event with its mapped ring.
#[derive(Debug)]
pub(crate) struct SwitchEvent {
    // Declared first, so unmapped before the descriptor is closed.
    ring: Mapping,
    fd: OwnedFd,
}

impl SwitchEvent {
    /// Opens an event on the calling thread, still disabled, whose ring wakes its pollers when
    /// more than `watermark` bytes were written since the last time.
    ///
    /// Allocates nothing and takes no lock: a forked child may call it.
    pub(crate) fn open(watermark: u32) -> Result<SwitchEvent, StepError> {
        let fd = open_fd(watermark).map_err(|error| StepError { step: Step::Open, error })?;
        let ring = Mapping::new(&fd).map_err(|error| StepError { step: Step::Map, error })?;
        Ok(SwitchEvent { ring, fd })
    }

    /// Starts the records. Called by the watched thread, while it runs.
    pub(crate) fn enable(&self) -> io::Result<()> {
        self.control(IOC_ENABLE)
    }

    /// Stops the records. Called by the watched thread, while it runs.
    pub(crate) fn disable(&self) -> io::Result<()> {
        self.control(IOC_DISABLE)
    }

    fn control(&self, operation: u32) -> io::Result<()> {
        // SAFETY: both operations take a number and touch no memory.
        let answer = unsafe { libc::ioctl(self.fd.as_raw_fd(), operation as _, 0) };
        check(answer).map(drop)
    }

    /// How many bytes were written since the ring was mapped.
    pub(crate) fn head(&self) -> u64 {
        // Ordering: the fence makes it an Acquire, which pairs with the kernel's barrier between a
        // record and the new head, so the record below the head is there to be read.
        let head = self.ring.head_word().load(Ordering::Relaxed);
        fence(Ordering::Acquire);
        head
    }

    /// The eight bytes that end at `position`, read as a header. They are current only if the head
    /// is still `position` afterwards; see `detect::ring`.
    pub(crate) fn header_before(&self, position: u64) -> RecordHeader {
        let bytes = self.ring.data_word(position.wrapping_sub(RECORD_LENGTH)).to_ne_bytes();
        RecordHeader {
            kind: u32::from_ne_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]),
            misc: u16::from_ne_bytes([bytes[4], bytes[5]]),
            size: u16::from_ne_bytes([bytes[6], bytes[7]]),
        }
    }
}

impl AsFd for SwitchEvent {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

fn open_fd(watermark: u32) -> io::Result<OwnedFd> {
    if size_of::<usize>() < 8 {
        // The head has 64 bits and sits in a page we cannot write: no atomic load of it exists.
        return Err(io::ErrorKind::Unsupported.into());
    }
    let flags = DISABLED | EXCLUDE_KERNEL | EXCLUDE_HV | WATERMARK | CONTEXT_SWITCH;
    let attr = Attr {
        kind: TYPE_SOFTWARE,
        size: size_of::<Attr>() as u32,
        config: COUNT_SW_DUMMY,
        // Bit fields fill from the other end where the bytes do.
        flags: if cfg!(target_endian = "big") { flags.reverse_bits() } else { flags },
        wakeup_watermark: watermark,
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
    let fd = check_long(fd)? as libc::c_int;
    // SAFETY: the kernel has just given this descriptor to us alone.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// The two mapped pages.
#[derive(Debug)]
struct Mapping {
    base: NonNull<u8>,
    page: usize,
    /// The process that has the mapping; a forked child has a copy of this struct and no pages.
    process: u32,
}

// SAFETY: the pages belong to the process, not to a thread; nothing here writes to them, and they
// are unmapped only by the one drop.
unsafe impl Send for Mapping {}
// SAFETY: through a shared reference the pages are only read, the head with an atomic load and the
// data with a volatile one; the kernel is the only writer, from outside the program.
unsafe impl Sync for Mapping {}

impl Mapping {
    fn new(fd: &OwnedFd) -> io::Result<Mapping> {
        // SAFETY: takes a number, touches no memory.
        let page = unsafe { libc::sysconf(libc::_SC_PAGESIZE) } as usize;
        let length = 2 * page;
        // SAFETY: a new mapping at a place of the kernel's choice takes nobody's memory away.
        let base = unsafe {
            let (protection, sharing) = (libc::PROT_READ, libc::MAP_SHARED);
            libc::mmap(std::ptr::null_mut(), length, protection, sharing, fd.as_raw_fd(), 0)
        };
        if base == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        let base = NonNull::new(base.cast::<u8>()).expect("the kernel never chooses address zero");
        let mapping = Mapping { base, page, process: process::id() };
        // SAFETY: the range is the mapping just made; the advice concerns forks only.
        let advice = unsafe { libc::madvise(base.as_ptr().cast(), length, libc::MADV_DONTFORK) };
        check(advice)?;
        Ok(mapping)
    }

    fn head_word(&self) -> &AtomicU64 {
        // SAFETY: the offset lies within the first page.
        let head = unsafe { self.base.add(DATA_HEAD_OFFSET) };
        // SAFETY: eight-aligned, mapped as long as `self`, and only ever loaded here, with
        // `Relaxed`: of read-only memory no other atomic access is defined.
        unsafe { AtomicU64::from_ptr(head.as_ptr().cast()) }
    }

    /// The eight bytes at `position`, which wraps around in the data page.
    fn data_word(&self, position: u64) -> u64 {
        assert_eq!(position % RECORD_LENGTH, 0, "records are multiples of eight bytes");
        let offset = self.page + (position & (self.page as u64 - 1)) as usize;
        // SAFETY: the offset lies within the second page.
        let word = unsafe { self.base.add(offset) };
        // SAFETY: aligned (see the assertion; pages are) and mapped as long as `self`. Volatile,
        // because the kernel may write there at any time; every pattern of bits is a `u64`.
        unsafe { word.cast::<u64>().read_volatile() }
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        if process::id() != self.process {
            // In a forked child something else may live at this address by now.
            return;
        }
        // SAFETY: the two pages mapped by `new`, of which no reference outlives `self`.
        let _always_works = unsafe { libc::munmap(self.base.as_ptr().cast(), 2 * self.page) };
    }
}

/// How a child fared that tried everything an event needs.
#[derive(Debug)]
pub(crate) enum Trial {
    /// All of it worked.
    Works,
    /// A system call answered with an error.
    Refused(StepError),
    /// A signal ended the child: `SIGSYS`, from a filter that kills.
    Killed(i32),
    /// The child gave no answer in time and was killed.
    Late,
    /// There was no child, or nobody could say what became of it.
    Untried(io::Error),
}

/// Opens, maps, enables and disables an event in a child process, which may die of it.
///
/// The child is made by a bare `clone` without an exit signal: no fork handlers run, no `SIGCHLD`
/// is sent, and a `wait` for "any child" elsewhere in the program does not take it from us. It
/// makes system calls only, allocates nothing and leaves with `_exit`.
pub(crate) fn try_in_child(watermark: u32, limit: Duration) -> Trial {
    // SAFETY: all arguments zero means a copy of the process that goes on right here, on a copy
    // of this stack; the branch below allocates nothing and never returns.
    let pid = match check_long(unsafe { libc::syscall(libc::SYS_clone, 0, 0, 0, 0, 0) }) {
        Ok(0) => child_tries(watermark),
        Ok(pid) => pid as libc::pid_t,
        Err(error) => return Trial::Untried(error),
    };
    let deadline = Instant::now() + limit;
    loop {
        match reap(pid, libc::WNOHANG) {
            Ok(Some(status)) => return read_status(status),
            Ok(None) if Instant::now() < deadline => {
                thread::nanosleep(Duration::from_micros(200));
            }
            Ok(None) => break,
            Err(error) => return Trial::Untried(error),
        }
    }
    // SAFETY: the child is ours and not yet reaped, so the number is still its own.
    let _certain = unsafe { libc::kill(pid, libc::SIGKILL) };
    while reap(pid, 0).is_err_and(|error| error.kind() == io::ErrorKind::Interrupted) {}
    Trial::Late
}

/// Asks for the child's end. `__WALL`, because it has no exit signal.
fn reap(pid: libc::pid_t, flags: libc::c_int) -> io::Result<Option<libc::c_int>> {
    let mut status = 0;
    // SAFETY: `status` is ours to write.
    let answer = unsafe { libc::waitpid(pid, &raw mut status, libc::__WALL | flags) };
    check(answer).map(|reaped| (reaped == pid).then_some(status))
}

/// The exit code is the step in the upper two bits and the error number, as far as it fits, below;
/// zero is success.
fn child_tries(watermark: u32) -> ! {
    // A death by SIGSYS shall neither run a handler of the program nor leave a core file.
    // SAFETY: the child has its own table of handlers.
    unsafe { libc::signal(libc::SIGSYS, libc::SIG_DFL) };
    // SAFETY: takes numbers only.
    unsafe { libc::prctl(libc::PR_SET_DUMPABLE, 0, 0, 0, 0) };
    let control = |error| StepError { step: Step::Control, error };
    let answer = SwitchEvent::open(watermark)
        .and_then(|event| event.enable().and_then(|()| event.disable()).map_err(control));
    let code = match answer {
        Ok(()) => 0,
        Err(StepError { step, error }) => {
            (step as i32) << 6 | error.raw_os_error().unwrap_or(libc::EINVAL).clamp(1, 63)
        }
    };
    // SAFETY: ends the child without running anything of the program's.
    unsafe { libc::_exit(code) }
}

fn read_status(status: libc::c_int) -> Trial {
    if libc::WIFSIGNALED(status) {
        return Trial::Killed(libc::WTERMSIG(status));
    }
    let code = libc::WEXITSTATUS(status);
    let step = match code >> 6 {
        0 => Step::Open,
        1 => Step::Map,
        _ => Step::Control,
    };
    match code & 63 {
        0 => Trial::Works,
        errno => Trial::Refused(StepError { step, error: io::Error::from_raw_os_error(errno) }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_child_that_may_works() {
        match SwitchEvent::open(16) {
            Ok(_) => assert!(matches!(try_in_child(16, Duration::from_secs(20)), Trial::Works)),
            Err(here) => match try_in_child(16, Duration::from_secs(20)) {
                Trial::Refused(there) => assert_eq!(there.to_string(), here.to_string()),
                other => panic!("refused here ({here}), but there {other:?}"),
            },
        }
    }

    #[test]
    fn a_child_without_time_is_killed() {
        // With no time at all the child may still win the race; then it has an answer.
        let trial = try_in_child(16, Duration::ZERO);
        assert!(!matches!(trial, Trial::Untried(_)), "{trial:?}");
    }

    #[test]
    fn exit_codes_tell_step_and_error() {
        let status = |code: i32| code << 8;
        assert!(matches!(read_status(status(0)), Trial::Works));
        assert!(matches!(read_status(libc::SIGSYS), Trial::Killed(libc::SIGSYS)));
        let Trial::Refused(refused) = read_status(status(1 << 6 | libc::EPERM)) else {
            panic!("an exit code other than zero is a refusal");
        };
        assert_eq!(refused.step, Step::Map);
        assert_eq!(refused.error.raw_os_error(), Some(libc::EPERM));
    }

    #[test]
    fn an_event_that_was_never_enabled_writes_nothing() {
        let Ok(event) = SwitchEvent::open(16) else { return };
        thread::nanosleep(Duration::from_millis(1));
        assert_eq!(event.head(), 0);
        event.enable().unwrap();
        thread::nanosleep(Duration::from_millis(1));
        event.disable().unwrap();
        let head = event.head();
        assert!(head >= 2 * RECORD_LENGTH);
        assert_eq!(head % (2 * RECORD_LENGTH), 0);
        assert_eq!(
            event.header_before(head),
            RecordHeader { kind: RECORD_SWITCH, misc: 0, size: 8 }
        );
        thread::nanosleep(Duration::from_millis(1));
        assert_eq!(event.head(), head);
    }
}
