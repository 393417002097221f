//! What a record says, and how that is four words: the time with the kind, the task (or the seat), the
//! place with one number more, and a value, which is a length as a rule.

use std::time::Duration;

use crate::observe::backtrace::Backtrace;
use crate::observe::site::Site;
use crate::protocol::Cause;
use crate::protocol::record::Record;
use crate::sys::whereabouts::Doing;

/// What a record is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Kind {
    Poll = 1,
    Call,
    Core,
    Wait,
    Wake,
    Late,
    Seen,
    Stall,
}

impl Kind {
    const ALL: [Kind; 8] = [
        Kind::Poll,
        Kind::Call,
        Kind::Core,
        Kind::Wait,
        Kind::Wake,
        Kind::Late,
        Kind::Seen,
        Kind::Stall,
    ];
}

/// One record. What `task`, `more` and `value` are, the methods of `Pen` say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) kind: Kind,
    /// When it begins, in nanoseconds since the recorder did.
    pub(super) at: u64,
    pub(super) task: u64,
    /// The row of a site; 0: of none.
    pub(super) site: u32,
    pub(super) more: u32,
    pub(super) value: u64,
}

impl Entry {
    #[inline]
    pub(super) fn pack(self) -> Record {
        // Two years of nanoseconds beside the kind.
        let first = self.at << 8 | self.kind as u64;
        [first, self.task, u64::from(self.more) << 32 | u64::from(self.site), self.value]
    }

    /// When it ends.
    pub(super) fn end(&self) -> u64 {
        match self.kind {
            Kind::Poll | Kind::Call | Kind::Core | Kind::Wait => self.at.saturating_add(self.value),
            Kind::Wake | Kind::Late | Kind::Seen | Kind::Stall => self.at,
        }
    }

    /// `None`: it is none that this program writes.
    pub(super) fn unpack([first, task, place, value]: Record) -> Option<Entry> {
        let kind = Kind::ALL.into_iter().find(|kind| *kind as u64 == first & 0xFF)?;
        let (site, more) = (place as u32, (place >> 32) as u32);
        Some(Entry { kind, at: first >> 8, task, site, more, value })
    }
}

/// How a call ran, or why a core was lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum How {
    /// Its thread kept the core, though it took long.
    Kept,
    /// Its thread had no core to lose.
    Coreless,
    /// The core was handed over.
    Lost(Cause),
}

impl How {
    pub(super) fn number(self) -> u32 {
        match self {
            How::Kept => 1,
            How::Coreless => 2,
            How::Lost(cause) => 3 + cause as u32,
        }
    }

    pub(super) fn of(number: u32) -> Option<How> {
        match number {
            0 => None,
            1 => Some(How::Kept),
            2 => Some(How::Coreless),
            more => Cause::ALL.into_iter().find(|c| *c as u32 == more - 3).map(How::Lost),
        }
    }

    pub(super) fn word(self) -> &'static str {
        match self {
            How::Kept => "kept its core",
            How::Coreless => "without a core",
            How::Lost(Cause::Blocked) => "blocked",
            How::Lost(Cause::Hog) => "computed for long",
            How::Lost(Cause::Predicted) => "handed over first",
            How::Lost(Cause::Rescued) => "rescued",
        }
    }
}

/// What somebody who looks at a thread has seen.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Seen<'a> {
    pub(crate) tid: i32,
    pub(crate) task: u64,
    pub(crate) site: Option<&'static Site>,
    /// For how long its poll has lasted.
    pub(crate) lasts: Duration,
    pub(crate) doing: Doing,
    /// The function of the kernel in which it waits.
    pub(crate) channel: &'a str,
    /// That is longer than it may.
    pub(crate) stalls: bool,
    /// The functions of the program that it is in.
    pub(crate) backtrace: &'a Backtrace,
}

const RUNNING: u16 = u16::MAX;
const FAULT: u16 = u16::MAX - 1;
const ASLEEP: u16 = u16::MAX - 2;

/// For how long in microseconds, which system call, and where in the kernel.
pub(super) fn pack_seen(lasts: Duration, doing: Doing, channel: u16) -> u64 {
    let lasts = u32::try_from(lasts.as_micros()).unwrap_or(u32::MAX);
    let doing = match doing {
        Doing::Running => RUNNING,
        Doing::Fault => FAULT,
        Doing::Asleep => ASLEEP,
        Doing::Call(number) => number.min(ASLEEP - 1),
    };
    u64::from(channel) << 48 | u64::from(doing) << 32 | u64::from(lasts)
}

pub(super) fn unpack_seen(value: u64) -> (Duration, Doing, u16) {
    let lasts = Duration::from_micros((value as u32).into());
    let doing = match (value >> 32) as u16 {
        RUNNING => Doing::Running,
        FAULT => Doing::Fault,
        ASLEEP => Doing::Asleep,
        number => Doing::Call(number),
    };
    (lasts, doing, (value >> 48) as u16)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_packed_is_unpacked() {
        for kind in Kind::ALL {
            let (at, task, value) = (u64::MAX >> 8, u64::MAX, u64::MAX - 1);
            let entry = Entry { kind, at, task, site: 4095, more: u32::MAX, value };
            assert_eq!(Entry::unpack(entry.pack()), Some(entry));
        }
        assert_eq!(Entry::unpack([0; 4]), None);
        assert_eq!(Entry::unpack([99; 4]), None);
        for how in [How::Kept, How::Coreless].into_iter().chain(Cause::ALL.map(How::Lost)) {
            assert_eq!(How::of(how.number()), Some(how));
        }
        assert_eq!((How::of(0), How::of(99)), (None, None));
        let lasts = Duration::from_micros(u32::MAX.into());
        for doing in [Doing::Running, Doing::Fault, Doing::Asleep, Doing::Call(453)] {
            assert_eq!(unpack_seen(pack_seen(lasts, doing, 77)), (lasts, doing, 77));
        }
        assert_eq!(unpack_seen(pack_seen(Duration::MAX, Doing::Running, 0)).0, lasts);
    }
}
