//! What a source is asked for, and what it is: the public `Interest` and `Ready`.

use std::fmt;
use std::ops;

/// What one wants to know of a source: whether it can be read, written, and so on.
///
/// Interests are put together with `|`.
///
/// # Examples
///
/// ```
/// use threadlet::io::Interest;
///
/// let both = Interest::READABLE | Interest::WRITABLE;
/// assert!(both.is_readable() && both.is_writable());
/// assert_eq!(both.remove(Interest::WRITABLE), Some(Interest::READABLE));
/// ```
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Interest(u8);

/// What a source is, as far as the kernel has told: a set of states.
///
/// It is a hint. An operation may still say `WouldBlock`, which clears the state.
///
/// # Examples
///
/// ```
/// use threadlet::io::Ready;
///
/// let ready = Ready::READABLE | Ready::READ_CLOSED;
/// assert!(ready.is_readable() && ready.is_read_closed() && !ready.is_writable());
/// assert_eq!(ready - Ready::READ_CLOSED, Ready::READABLE);
/// ```
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Ready(u8);

impl Interest {
    /// Bytes, a connection, or the end.
    pub const READABLE: Interest = Interest(1);

    /// Room to write, or the end of it.
    pub const WRITABLE: Interest = Interest(1 << 1);

    /// An error condition. It also comes where nobody asks for it.
    pub const ERROR: Interest = Interest(1 << 2);

    /// Something urgent (`EPOLLPRI`): out-of-band data of a socket, a changed file of sysfs.
    pub const PRIORITY: Interest = Interest(1 << 3);

    /// Whether [`READABLE`](Self::READABLE) is in it.
    pub const fn is_readable(self) -> bool {
        self.0 & Self::READABLE.0 != 0
    }

    /// Whether [`WRITABLE`](Self::WRITABLE) is in it.
    pub const fn is_writable(self) -> bool {
        self.0 & Self::WRITABLE.0 != 0
    }

    /// Whether [`ERROR`](Self::ERROR) is in it.
    pub const fn is_error(self) -> bool {
        self.0 & Self::ERROR.0 != 0
    }

    /// Whether [`PRIORITY`](Self::PRIORITY) is in it.
    pub const fn is_priority(self) -> bool {
        self.0 & Self::PRIORITY.0 != 0
    }

    /// Both, as `|` does it.
    #[must_use]
    pub const fn add(self, other: Interest) -> Interest {
        Interest(self.0 | other.0)
    }

    /// What is left without `other`; `None` if that is nothing.
    #[must_use]
    pub const fn remove(self, other: Interest) -> Option<Interest> {
        match self.0 & !other.0 {
            0 => None,
            rest => Some(Interest(rest)),
        }
    }

    /// For the registration. Errors are reported in any case, and mio has no word for nothing.
    pub(super) fn to_mio(self) -> mio::Interest {
        let names = [
            (self.is_readable(), mio::Interest::READABLE),
            (self.is_writable(), mio::Interest::WRITABLE),
            (self.is_priority(), mio::Interest::PRIORITY),
        ];
        let asked = names.into_iter().filter_map(|(asked, name)| asked.then_some(name));
        asked.reduce(|all, name| all | name).unwrap_or(mio::Interest::READABLE)
    }

    /// The states that somebody with this interest waits for: an end is an answer, too.
    pub(super) const fn mask(self) -> Ready {
        let mut mask = Ready::EMPTY.0;
        if self.is_readable() {
            mask |= Ready::READABLE.0 | Ready::READ_CLOSED.0;
        }
        if self.is_writable() {
            mask |= Ready::WRITABLE.0 | Ready::WRITE_CLOSED.0;
        }
        if self.is_priority() {
            mask |= Ready::PRIORITY.0 | Ready::READ_CLOSED.0;
        }
        if self.is_error() {
            mask |= Ready::ERROR.0;
        }
        Ready(mask)
    }
}

impl ops::BitOr for Interest {
    type Output = Self;

    fn bitor(self, other: Self) -> Self {
        self.add(other)
    }
}

impl ops::BitOrAssign for Interest {
    fn bitor_assign(&mut self, other: Self) {
        *self = self.add(other);
    }
}

impl fmt::Debug for Interest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = [
            (self.is_readable(), "READABLE"),
            (self.is_writable(), "WRITABLE"),
            (self.is_priority(), "PRIORITY"),
            (self.is_error(), "ERROR"),
        ];
        let mut separator = "";
        for (_, name) in names.into_iter().filter(|(is, _)| *is) {
            write!(f, "{separator}{name}")?;
            separator = " | ";
        }
        Ok(())
    }
}

impl Ready {
    /// Nothing.
    pub const EMPTY: Ready = Ready(0);

    /// There is something to read.
    pub const READABLE: Ready = Ready(1);

    /// There is room to write.
    pub const WRITABLE: Ready = Ready(1 << 1);

    /// Nothing more will come. Stays.
    pub const READ_CLOSED: Ready = Ready(1 << 2);

    /// Nothing more can be written. Stays.
    pub const WRITE_CLOSED: Ready = Ready(1 << 3);

    /// Something urgent is there.
    pub const PRIORITY: Ready = Ready(1 << 4);

    /// There is an error to be fetched.
    pub const ERROR: Ready = Ready(1 << 5);

    /// All of them.
    pub const ALL: Ready = Ready((1 << 6) - 1);

    /// Whether it is none of the states.
    pub fn is_empty(self) -> bool {
        self == Ready::EMPTY
    }

    /// Whether a read would not wait: there is something, or the end.
    pub fn is_readable(self) -> bool {
        !(self & Ready::READABLE).is_empty() || self.is_read_closed()
    }

    /// Whether a write would not wait: there is room, or nobody who reads.
    pub fn is_writable(self) -> bool {
        !(self & Ready::WRITABLE).is_empty() || self.is_write_closed()
    }

    /// Whether the reading direction has ended.
    pub fn is_read_closed(self) -> bool {
        !(self & Ready::READ_CLOSED).is_empty()
    }

    /// Whether the writing direction has ended.
    pub fn is_write_closed(self) -> bool {
        !(self & Ready::WRITE_CLOSED).is_empty()
    }

    /// Whether something urgent is there.
    pub fn is_priority(self) -> bool {
        !(self & Ready::PRIORITY).is_empty()
    }

    /// Whether there is an error.
    pub fn is_error(self) -> bool {
        !(self & Ready::ERROR).is_empty()
    }

    pub(super) const fn bits(self) -> u64 {
        self.0 as u64
    }

    pub(super) const fn from_bits(bits: u64) -> Ready {
        Ready(bits as u8 & Ready::ALL.0)
    }

    pub(super) fn from_mio(event: &mio::event::Event) -> Ready {
        let states = [
            (event.is_readable(), Ready::READABLE),
            (event.is_writable(), Ready::WRITABLE),
            (event.is_read_closed(), Ready::READ_CLOSED),
            (event.is_write_closed(), Ready::WRITE_CLOSED),
            (event.is_priority(), Ready::PRIORITY),
            (event.is_error(), Ready::ERROR),
        ];
        let states = states.into_iter().filter(|(is, _)| *is);
        states.fold(Ready::EMPTY, |all, (_, state)| all | state)
    }
}

impl ops::BitOr for Ready {
    type Output = Ready;

    fn bitor(self, other: Ready) -> Ready {
        Ready(self.0 | other.0)
    }
}

impl ops::BitOrAssign for Ready {
    fn bitor_assign(&mut self, other: Ready) {
        *self = *self | other;
    }
}

impl ops::BitAnd for Ready {
    type Output = Ready;

    fn bitand(self, other: Ready) -> Ready {
        Ready(self.0 & other.0)
    }
}

impl ops::Sub for Ready {
    type Output = Ready;

    fn sub(self, other: Ready) -> Ready {
        Ready(self.0 & !other.0)
    }
}

impl fmt::Debug for Ready {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ready")
            .field("is_readable", &self.is_readable())
            .field("is_writable", &self.is_writable())
            .field("is_read_closed", &self.is_read_closed())
            .field("is_write_closed", &self.is_write_closed())
            .field("is_error", &self.is_error())
            .field("is_priority", &self.is_priority())
            .finish()
    }
}
