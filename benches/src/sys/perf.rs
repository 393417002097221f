//! A bare perf event that notes when its thread leaves a CPU and comes back: no reader, no policy.

use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::ptr::{self, NonNull};
use std::sync::atomic::{Ordering, fence};
use std::time::Duration;

use super::{check, nanosleep};

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
const IOC_DISABLE: libc::c_ulong = 0x2401;

/// Where the first page of a ring has the number of bytes written so far.
const HEAD: usize = 1024;

/// The kernel writes a header of eight bytes for each OUT and each IN, and no more.
const RECORD_BYTES: u64 = 8;

/// An OUT record and an IN record: with this watermark a wake-up falls on every OUT but the first.
pub(crate) const PAIR_BYTES: u32 = 16;

/// What a record says of a thread that left its CPU because it went to sleep.
const OUT: u16 = 1 << 13;
const OUT_PREEMPTED: u16 = 1 << 14;

/// A perf event that tells who polls it when the thread that opened it goes to sleep.
#[derive(Debug)]
pub(crate) struct SwitchEvent {
    fd: OwnedFd,
    ring: NonNull<u8>,
    page: usize,
}

// SAFETY: the descriptor is a number, and the mapping belongs to the process.
unsafe impl Send for SwitchEvent {}
// SAFETY: the mapping is only read, by volatile loads; it is the kernel that writes.
unsafe impl Sync for SwitchEvent {}

impl SwitchEvent {
    /// Opens an event on the calling thread, enables it, and blocks, so that with a watermark of a
    /// pair the next block is the first to be told.
    pub(crate) fn open(watermark: u32) -> io::Result<SwitchEvent> {
        let fd = open_fd(watermark)?;
        // SAFETY: takes a number, touches no memory.
        let page = unsafe { libc::sysconf(libc::_SC_PAGESIZE) } as usize;
        // Read-only means overwrite: nobody has to drain it.
        // SAFETY: a new mapping at a place of the kernel's choice takes nobody's memory away.
        let ring = unsafe {
            let (protection, sharing) = (libc::PROT_READ, libc::MAP_SHARED);
            libc::mmap(ptr::null_mut(), 2 * page, protection, sharing, fd.as_raw_fd(), 0)
        };
        if ring == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        let ring = NonNull::new(ring.cast()).expect("the kernel never chooses address zero");
        let event = SwitchEvent { fd, ring, page };
        event.enable()?;
        nanosleep(Duration::from_micros(1));
        Ok(event)
    }

    /// By the thread that is watched, while it runs.
    pub(crate) fn enable(&self) -> io::Result<()> {
        self.control(IOC_ENABLE)
    }

    /// By the thread that is watched, while it runs.
    pub(crate) fn disable(&self) -> io::Result<()> {
        self.control(IOC_DISABLE)
    }

    fn control(&self, operation: libc::c_ulong) -> io::Result<()> {
        // SAFETY: the operations take a number and touch no memory.
        check(unsafe { libc::ioctl(self.fd.as_raw_fd(), operation as _, 0) }).map(drop)
    }

    pub(crate) fn raw_fd(&self) -> RawFd {
        self.fd.as_raw_fd()
    }

    /// Whether the thread that is watched sleeps now: its last record is an OUT, and nobody
    /// preempted it.
    pub(crate) fn sleeps(&self) -> bool {
        let head = self.word(HEAD);
        // Ordering: the kernel moves the head when the record is written, and this fence keeps the
        // look at the record behind that at the head.
        fence(Ordering::Acquire);
        if head == 0 {
            return false;
        }
        let offset = (head - RECORD_BYTES) as usize & (self.page - 1);
        let header = self.word(self.page + offset).to_ne_bytes();
        // Ordering: keeps the second look at the head behind that at the record; where it has not
        // moved, the record was the last.
        fence(Ordering::Acquire);
        let misc = u16::from_ne_bytes([header[4], header[5]]);
        self.word(HEAD) == head && misc & (OUT | OUT_PREEMPTED) == OUT
    }

    /// The eight bytes at an offset of the mapping.
    fn word(&self, offset: usize) -> u64 {
        assert!(offset.is_multiple_of(8) && offset < 2 * self.page);
        // SAFETY: within the two pages that are mapped, see above.
        let place = unsafe { self.ring.add(offset) };
        // SAFETY: aligned, see above, mapped as long as `self`, and every pattern is a number.
        unsafe { place.cast::<u64>().read_volatile() }
    }
}

impl Drop for SwitchEvent {
    fn drop(&mut self) {
        // SAFETY: the mapping made in `open`, of which nobody has a reference.
        let _always_works = unsafe { libc::munmap(self.ring.as_ptr().cast(), 2 * self.page) };
    }
}

fn open_fd(watermark: u32) -> io::Result<OwnedFd> {
    let attr = Attr {
        kind: TYPE_SOFTWARE,
        size: size_of::<Attr>() as u32,
        config: COUNT_SW_DUMMY,
        flags: DISABLED | EXCLUDE_KERNEL | EXCLUDE_HV | WATERMARK | CONTEXT_SWITCH,
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
    let fd = check(fd as libc::c_int)?;
    // SAFETY: the kernel has just given this descriptor to us alone.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}
