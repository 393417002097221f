//! A thread's context-switch event, with its ring.

use std::fmt;
use std::io;
use std::kernel;
use std::os::fd::BorrowedFd;
use std::time::Duration;

pub(crate) const RECORD_SWITCH: u32 = 14;
pub(crate) const MISC_SWITCH_OUT: u16 = kernel::OUT;
pub(crate) const MISC_SWITCH_OUT_PREEMPT: u16 = kernel::OUT_PREEMPT;
pub(crate) const RECORD_LENGTH: u64 = 8;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    Open,
    Map,
    Control,
}

#[derive(Debug)]
pub(crate) struct StepError {
    pub(crate) step: Step,
    pub(crate) error: io::Error,
}

impl fmt::Display for StepError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}: {}", self.step, self.error)
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct RecordHeader {
    pub(crate) kind: u32,
    pub(crate) misc: u16,
    pub(crate) size: u16,
}

#[derive(Debug)]
pub(crate) struct SwitchEvent(usize);

impl SwitchEvent {
    pub(crate) fn open(watermark: u32) -> Result<SwitchEvent, StepError> {
        let refused = || {
            let error = io::Error::from_raw_os_error(libc::EMFILE);
            StepError { step: Step::Open, error }
        };
        kernel::open_ring(watermark.into()).map(SwitchEvent).ok_or_else(refused)
    }

    pub(crate) fn enable(&self) -> io::Result<()> {
        kernel::enable_ring(self.0, true);
        Ok(())
    }

    pub(crate) fn disable(&self) -> io::Result<()> {
        kernel::enable_ring(self.0, false);
        Ok(())
    }

    pub(crate) fn head(&self) -> u64 {
        kernel::ring_head(self.0)
    }

    pub(crate) fn header_before(&self, position: u64) -> RecordHeader {
        let misc = kernel::ring_record(self.0, position);
        RecordHeader { kind: RECORD_SWITCH, misc, size: RECORD_LENGTH as u16 }
    }

    pub(crate) fn as_fd(&self) -> BorrowedFd<'_> {
        super::epoll::stands_for(kernel::Watched::Ring(self.0))
    }
}

impl Drop for SwitchEvent {
    fn drop(&mut self) {
        kernel::close_ring(self.0);
    }
}

#[derive(Debug)]
pub(crate) enum Trial {
    Works,
    Refused(StepError),
    Killed(i32),
    Late,
    Untried(io::Error),
}

pub(crate) fn try_in_child(_watermark: u32, _limit: Duration) -> Trial {
    unreachable!("there is no filter")
}
