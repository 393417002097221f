//! The state of one thread.

use std::io;
use std::kernel;

#[derive(Debug)]
pub(crate) struct ThreadStat(i32);

fn unreadable() -> io::Error {
    io::Error::from_raw_os_error(libc::EMFILE)
}

impl ThreadStat {
    pub(crate) fn open(tid: i32) -> io::Result<ThreadStat> {
        kernel::is_asleep(tid).map(|_| ThreadStat(tid)).ok_or_else(unreadable)
    }

    pub(crate) fn state(&self) -> io::Result<u8> {
        let asleep = kernel::is_asleep(self.0).ok_or_else(unreadable)?;
        Ok(if asleep { b'S' } else { b'R' })
    }
}
