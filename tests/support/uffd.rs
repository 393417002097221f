//! A page whose first touch sleeps in the kernel until it is told otherwise.

use std::fs::File;
use std::io::{self, Read};
use std::os::fd::{AsRawFd, FromRawFd};
use std::ptr::NonNull;

/// Only faults from user mode: an ordinary user may have that.
const USER_MODE_ONLY: libc::c_int = 1;
const API: u64 = 0xAA;
const EVENT_PAGEFAULT: u8 = 0x12;

/// `_IOWR(0xAA, number, size)`, as most architectures write it.
const fn io_read_write(number: u32, size: usize) -> u32 {
    3 << 30 | (size as u32) << 16 | 0xAA << 8 | number
}

const IOC_API: u32 = io_read_write(0x3F, 24);
const IOC_REGISTER: u32 = io_read_write(0x00, 32);
const IOC_ZEROPAGE: u32 = io_read_write(0x04, 32);

/// One page that is not there yet.
#[derive(Debug)]
pub(crate) struct LatePage {
    faults: File,
    page: NonNull<u8>,
    size: usize,
}

// SAFETY: a page of memory and a descriptor, neither of which belongs to a thread.
unsafe impl Send for LatePage {}
// SAFETY: as above; the page is only read.
unsafe impl Sync for LatePage {}

impl LatePage {
    /// Maps a page, and asks for its faults.
    pub(crate) fn new() -> io::Result<LatePage> {
        let flags = libc::O_CLOEXEC | USER_MODE_ONLY;
        // SAFETY: one number.
        let fd = unsafe { libc::syscall(libc::SYS_userfaultfd, flags) };
        if fd < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: the kernel has just made it for us.
        let faults = unsafe { File::from_raw_fd(fd as i32) };
        let size = 4096;
        let (access, kind) = (libc::PROT_READ, libc::MAP_PRIVATE | libc::MAP_ANONYMOUS);
        // SAFETY: a new mapping, wherever there is room.
        let page = unsafe { libc::mmap(std::ptr::null_mut(), size, access, kind, -1, 0) };
        if page == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        let page = NonNull::new(page.cast()).expect("not mapped at null");
        let late = LatePage { faults, page, size };
        late.control(IOC_API, &mut [API, 0, 0])?;
        // Faults for missing pages (1) in this range; the last word is the kernel's.
        late.control(IOC_REGISTER, &mut [page.as_ptr() as u64, size as u64, 1, 0])?;
        Ok(late)
    }

    fn control<const N: usize>(&self, operation: u32, words: &mut [u64; N]) -> io::Result<()> {
        let fd = self.faults.as_raw_fd();
        // SAFETY: the operation's size says how many words it reads and writes.
        match unsafe { libc::ioctl(fd, operation as _, words.as_mut_ptr()) } {
            0 => Ok(()),
            _ => Err(io::Error::last_os_error()),
        }
    }

    /// Reads the page: sleeps until [`answer`](Self::answer).
    pub(crate) fn touch(&self) -> u8 {
        // SAFETY: mapped for reading, and never written.
        unsafe { self.page.as_ptr().read_volatile() }
    }

    /// Takes the message that somebody has touched the page.
    pub(crate) fn fault_seen(&self) -> io::Result<()> {
        let mut message = [0; 32];
        (&self.faults).read_exact(&mut message)?;
        assert_eq!(message[0], EVENT_PAGEFAULT);
        Ok(())
    }

    /// Gives the page its content, zeros, and wakes who waits for it.
    pub(crate) fn answer(&self) -> io::Result<()> {
        self.control(IOC_ZEROPAGE, &mut [self.page.as_ptr() as u64, self.size as u64, 0, 0])
    }
}

impl Drop for LatePage {
    fn drop(&mut self) {
        // SAFETY: our own mapping, and no reference to it is left.
        let _gone = unsafe { libc::munmap(self.page.as_ptr().cast(), self.size) };
    }
}
