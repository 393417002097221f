//! What a record says, and how that is three words: the time with the kind, the task (or the seat), and
//! the place with one number more and a value, which is a length as a rule. Where the last two are
//! large, the value has a fourth word for itself.

use std::time::Duration;

use crate::observe::backtrace::Backtrace;
use crate::observe::site::{MAX_SITES, Site};
use crate::protocol::Cause;
use crate::protocol::record::Writer;
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

/// In the byte of the kind: the record is three words.
const SHORT: u64 = 0x80;
const KIND: u64 = 0x7F;

/// How many bits of the last word of a short record are the value (nearly five hours of nanoseconds),
/// the number more, and the site (all rows of the table).
const VALUE_BITS: u32 = 44;
const MORE_BITS: u32 = 8;
const SITE_BITS: u32 = 12;
const _: () = assert!(VALUE_BITS + MORE_BITS + SITE_BITS == u64::BITS);
const _: () = assert!(MAX_SITES <= 1 << SITE_BITS);

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
    /// In place: the one for each poll and the one for each wake are half constants.
    #[inline(always)]
    pub(super) fn write(self, writer: &Writer<'_>) {
        let Entry { kind, at, task, site, more, value } = self;
        // Two years of nanoseconds beside the kind.
        let first = at << 8 | kind as u64;
        let (site, more) = (u64::from(site), u64::from(more));
        if value < 1 << VALUE_BITS && more < 1 << MORE_BITS && site < 1 << SITE_BITS {
            let last = (value << MORE_BITS | more) << SITE_BITS | site;
            writer.push([first | SHORT, task, last]);
        } else {
            writer.push([first, task, more << 32 | site, value]);
        }
    }

    /// Those that stand in so many words, which this program has written.
    pub(super) fn all(words: &[u64]) -> impl Iterator<Item = Entry> {
        let mut rest = words;
        std::iter::from_fn(move || {
            let (entry, behind) = Entry::first(rest)?;
            rest = behind;
            Some(entry)
        })
    }

    /// The first, and what stands behind it. `None`: there is none.
    fn first(words: &[u64]) -> Option<(Entry, &[u64])> {
        let first = *words.first()?;
        let kind = Kind::ALL.into_iter().find(|kind| *kind as u64 == first & KIND)?;
        let at = first >> 8;
        match *words {
            [_, task, last, ref rest @ ..] if first & SHORT != 0 => {
                let site = (last & ((1 << SITE_BITS) - 1)) as u32;
                let more = (last >> SITE_BITS & ((1 << MORE_BITS) - 1)) as u32;
                let value = last >> (SITE_BITS + MORE_BITS);
                Some((Entry { kind, at, task, site, more, value }, rest))
            }
            [_, task, place, value, ref rest @ ..] => {
                let (site, more) = (place as u32, (place >> 32) as u32);
                Some((Entry { kind, at, task, site, more, value }, rest))
            }
            _ => None,
        }
    }

    /// When it ends.
    pub(super) fn end(&self) -> u64 {
        match self.kind {
            Kind::Poll | Kind::Call | Kind::Core | Kind::Wait => self.at.saturating_add(self.value),
            Kind::Wake | Kind::Late | Kind::Seen | Kind::Stall => self.at,
        }
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
    use crate::protocol::record::Chunks;

    #[test]
    fn what_is_packed_is_unpacked() {
        let (mut written, chunks) = (Vec::new(), Chunks::of(1));
        let writer = Writer::new(&chunks, 1);
        for kind in Kind::ALL {
            let (at, task) = (u64::MAX >> 8, u64::MAX);
            let short = Entry { kind, at, task, site: 4095, more: 255, value: (1 << 44) - 1 };
            let long = [
                Entry { value: 1 << 44, ..short },
                Entry { more: 256, ..short },
                Entry { site: 4096, ..short },
                Entry { site: u32::MAX, more: u32::MAX, value: u64::MAX, ..short },
            ];
            for entry in [short].into_iter().chain(long) {
                entry.write(&writer);
                written.push(entry);
            }
        }
        let words = chunks.read(0).expect("it is written").words;
        assert_eq!(words.len(), Kind::ALL.len() * (3 + 4 * 4));
        assert_eq!(Entry::all(&words).collect::<Vec<_>>(), written);
        for none in [&[][..], &[0; 4], &[99; 4], &words[..2]] {
            assert_eq!(Entry::all(none).next(), None);
        }
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
