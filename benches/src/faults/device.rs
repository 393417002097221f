//! A file in memory on a slow device: some pages are there, a touch of the others waits for it.
//!
//! The file is an anonymous mapping whose faults `userfaultfd` sends to us (those from user mode,
//! which an ordinary user may have). A thread answers them as a disk with a queue would: each
//! request takes [`LATENCY`], [`DEPTH`] of them are under way at once, the others wait, first in
//! first out. The thread's processor time is not counted as the runtime's.
//!
//! The first [`HOT`] pages are always there. The others form a ring: each is used once, in turn,
//! and long before its turn comes again it is dropped. So a cold look-up always waits, from the
//! first second of a run to the last.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, Read};
use std::os::fd::{AsRawFd, FromRawFd};
use std::ptr::NonNull;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crate::sys::thread::{cpu_time_of, tid};

/// How long the device needs for a page.
pub(crate) const LATENCY: Duration = Duration::from_millis(2);
/// How many pages it fetches at once.
pub(crate) const DEPTH: usize = 32;

const PAGE: usize = 4096;
const WORDS: usize = PAGE / size_of::<u64>();
/// How many pages are always in memory.
pub(crate) const HOT: u32 = 1024;
/// Cold pages are dropped by so many at once, so that dropping costs next to nothing.
const CHUNK: u32 = 1024;
const CHUNKS: u32 = 8;
const PAGES: u32 = HOT + CHUNKS * CHUNK;

/// The mapped file.
#[derive(Debug)]
pub(crate) struct Store {
    pages: NonNull<u64>,
    next_cold: AtomicU32,
}

// SAFETY: a mapping belongs to the process, and nobody but the kernel writes to it.
unsafe impl Send for Store {}
// SAFETY: as above; whoever reads a page twice reads the same.
unsafe impl Sync for Store {}

impl Store {
    fn map() -> io::Result<Store> {
        let (access, kind) = (libc::PROT_READ, libc::MAP_PRIVATE | libc::MAP_ANONYMOUS);
        let length = PAGES as usize * PAGE;
        // SAFETY: a new mapping, wherever there is room.
        let pages = unsafe { libc::mmap(std::ptr::null_mut(), length, access, kind, -1, 0) };
        if pages == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        let pages = NonNull::new(pages.cast()).expect("not mapped at null");
        Ok(Store { pages, next_cold: AtomicU32::new(0) })
    }

    /// The next page that is not in memory.
    pub(crate) fn cold_page(&self) -> u32 {
        // Ordering: only the number matters.
        HOT + self.next_cold.fetch_add(1, Ordering::Relaxed) % (PAGES - HOT)
    }

    /// The look-up: adds up the words of a page. Blocks in the kernel while the page is not there.
    pub(crate) fn sum(&self, page: u32) -> u64 {
        assert!(page < PAGES, "a page of the file");
        let first = page as usize * WORDS;
        (first..first + WORDS).fold(0, |sum: u64, word| sum.wrapping_add(self.word(word)))
    }

    fn word(&self, word: usize) -> u64 {
        // SAFETY: the one caller stays within the mapping.
        let word = unsafe { self.pages.add(word) };
        // SAFETY: it is mapped for reading; a page that is not there is filled before this returns.
        unsafe { word.read_volatile() }
    }

    fn address(&self, page: u32) -> u64 {
        self.pages.as_ptr() as u64 + u64::from(page) * PAGE as u64
    }

    /// Takes the pages of a chunk out of memory.
    fn drop_chunk(&self, chunk: u32) -> io::Result<()> {
        let start = self.address(HOT + chunk % CHUNKS * CHUNK) as *mut libc::c_void;
        let length = CHUNK as usize * PAGE;
        // SAFETY: pages of our mapping, read only through `word`, which waits until they are back.
        match unsafe { libc::madvise(start, length, libc::MADV_DONTNEED) } {
            0 => Ok(()),
            _ => Err(io::Error::last_os_error()),
        }
    }
}

impl Drop for Store {
    fn drop(&mut self) {
        let length = PAGES as usize * PAGE;
        // SAFETY: our own mapping, and no reference to it is left.
        let _gone = unsafe { libc::munmap(self.pages.as_ptr().cast(), length) };
    }
}

/// What is in a page.
fn content(page: u32) -> [u64; WORDS] {
    std::array::from_fn(|word| u64::from(page) * 0x9E37_79B9 + word as u64)
}

/// What [`Store::sum`] must answer.
pub(crate) fn right_sum(page: u32) -> u64 {
    let words = WORDS as u64;
    u64::from(page) * 0x9E37_79B9 * words + words * (words - 1) / 2
}

/// The device, which is a thread.
#[derive(Debug)]
pub(crate) struct Device {
    pub(crate) store: Arc<Store>,
    stop: Arc<AtomicBool>,
    thread: JoinHandle<io::Result<Duration>>,
}

impl Device {
    pub(crate) fn start() -> io::Result<Device> {
        let store = Arc::new(Store::map()?);
        let faults = Faults::of(&store)?;
        for page in 0..HOT {
            faults.answer(store.address(page), &content(page))?;
        }
        let stop = Arc::new(AtomicBool::new(false));
        let (mapped, stopped) = (store.clone(), stop.clone());
        let thread = std::thread::Builder::new()
            .name("device".to_owned())
            .spawn(move || serve(&mapped, &faults, &stopped))?;
        Ok(Device { store, stop, thread })
    }

    /// Stops it, when nobody looks up anything any longer; returns what processor time it took.
    pub(crate) fn stop(self) -> io::Result<Duration> {
        // Ordering: a hint; the thread is joined.
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join().expect("the device does not panic")
    }
}

/// Answers faults until it is stopped.
fn serve(store: &Store, faults: &Faults, stop: &AtomicBool) -> io::Result<Duration> {
    let mut under_way = VecDeque::<(Instant, u32)>::new();
    let mut arrived = Vec::new();
    // Ordering: a hint, see `stop`.
    while !stop.load(Ordering::Relaxed) {
        let idle = Duration::from_millis(20);
        let next = under_way.front().map(|(due, _)| due.saturating_duration_since(Instant::now()));
        faults.wait(next.unwrap_or(idle))?;
        faults.take(&mut arrived)?;
        let now = Instant::now();
        for address in arrived.drain(..) {
            let page = ((address - store.address(0)) / PAGE as u64) as u32;
            // It begins when the one that was `DEPTH` places before it is done.
            let free = under_way.len().checked_sub(DEPTH).map(|before| under_way[before].0);
            under_way.push_back((free.unwrap_or(now).max(now) + LATENCY, page));
            if (page - HOT).is_multiple_of(CHUNK) {
                store.drop_chunk((page - HOT) / CHUNK + CHUNKS / 2)?;
            }
        }
        while under_way.front().is_some_and(|(due, _)| *due <= now) {
            let (_, page) = under_way.pop_front().expect("looked at a line above");
            faults.answer(store.address(page), &content(page))?;
        }
    }
    cpu_time_of(tid())
}

/// Only faults from user mode: an ordinary user may have that.
const USER_MODE_ONLY: libc::c_int = 1;
const API: u64 = 0xAA;
const EVENT_PAGEFAULT: u8 = 0x12;
const MESSAGE: usize = 32;

/// `_IOWR(0xAA, number, size)`, as most architectures write it.
const fn io_read_write(number: u32, size: usize) -> u32 {
    3 << 30 | (size as u32) << 16 | 0xAA << 8 | number
}

const IOC_API: u32 = io_read_write(0x3F, 24);
const IOC_REGISTER: u32 = io_read_write(0x00, 32);
const IOC_COPY: u32 = io_read_write(0x03, 40);

/// The descriptor through which the faults of a store come.
#[derive(Debug)]
struct Faults(File);

impl Faults {
    fn of(store: &Store) -> io::Result<Faults> {
        let flags = libc::O_CLOEXEC | libc::O_NONBLOCK | USER_MODE_ONLY;
        // SAFETY: one number.
        let fd = unsafe { libc::syscall(libc::SYS_userfaultfd, flags) };
        if fd < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: the kernel has just made it for us.
        let faults = Faults(unsafe { File::from_raw_fd(fd as i32) });
        faults.control(IOC_API, &mut [API, 0, 0])?;
        // Faults for missing pages (1) in this range; the last word is the kernel's.
        let length = u64::from(PAGES) * PAGE as u64;
        faults.control(IOC_REGISTER, &mut [store.address(0), length, 1, 0])?;
        Ok(faults)
    }

    fn control<const N: usize>(&self, operation: u32, words: &mut [u64; N]) -> io::Result<()> {
        let fd = self.0.as_raw_fd();
        // SAFETY: the operation's size says how many words it reads and writes.
        match unsafe { libc::ioctl(fd, operation as _, words.as_mut_ptr()) } {
            0 => Ok(()),
            _ => Err(io::Error::last_os_error()),
        }
    }

    /// Waits for a fault, but not longer than `limit`.
    fn wait(&self, limit: Duration) -> io::Result<()> {
        let mut fd = libc::pollfd { fd: self.0.as_raw_fd(), events: libc::POLLIN, revents: 0 };
        let limit = libc::timespec {
            tv_sec: limit.as_secs() as libc::time_t,
            tv_nsec: libc::c_long::from(limit.subsec_nanos() as i32),
        };
        // SAFETY: one descriptor, as said, and both outlive the call; the signal mask may be null.
        match unsafe { libc::ppoll(&raw mut fd, 1, &raw const limit, std::ptr::null()) } {
            -1 => Err(io::Error::last_os_error()),
            _ => Ok(()),
        }
    }

    /// Takes the addresses of all faults that have come.
    fn take(&self, addresses: &mut Vec<u64>) -> io::Result<()> {
        let mut messages = [0; 64 * MESSAGE];
        let length = match (&self.0).read(&mut messages) {
            Ok(length) => length,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => 0,
            Err(error) => return Err(error),
        };
        for message in messages[..length].chunks_exact(MESSAGE) {
            assert_eq!(message[0], EVENT_PAGEFAULT);
            let address = message[16..24].try_into().expect("eight bytes");
            addresses.push(u64::from_ne_bytes(address));
        }
        Ok(())
    }

    /// Fills a page, and wakes who waits for it.
    fn answer(&self, address: u64, content: &[u64; WORDS]) -> io::Result<()> {
        let source = content.as_ptr() as u64;
        match self.control(IOC_COPY, &mut [address, source, PAGE as u64, 0, 0]) {
            // It is there already: two have asked for it.
            Err(error) if error.raw_os_error() == Some(libc::EEXIST) => Ok(()),
            answer => answer,
        }
    }
}
