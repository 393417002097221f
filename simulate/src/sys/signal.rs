//! There are none: no run is watched for people.

use std::io;
use std::os::fd::{AsRawFd, RawFd};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

#[derive(Debug)]
pub(crate) struct Bell(());

impl Bell {
    pub(crate) fn new() -> io::Result<Bell> {
        Err(io::ErrorKind::Unsupported.into())
    }

    pub(crate) fn take(&self) -> io::Result<()> {
        Err(io::ErrorKind::WouldBlock.into())
    }

    pub(crate) fn ring(&self) {}
}

impl AsRawFd for Bell {
    fn as_raw_fd(&self) -> RawFd {
        unreachable!("there is no bell")
    }
}

#[derive(Debug)]
pub(crate) struct Watch(());

pub(crate) fn watch_by_flag(
    _signal: libc::c_int,
    _bell: Arc<Bell>,
    _flag: Arc<AtomicBool>,
) -> io::Result<Watch> {
    Err(io::ErrorKind::Unsupported.into())
}
