//! Where a thread that sleeps is in the program, without stopping it (feature `backtrace`).
//!
//! | module | what it knows |
//! |---|---|
//! | `stack` | the return addresses on the stack of a thread that sleeps (`stack_off` stands there without the feature, and on other processors) |
//! | `names` | the functions and lines of addresses |
//!
//! `docs/internals/backtrace.md` tells how, and when not.

#[cfg(all(feature = "backtrace", target_arch = "x86_64"))]
mod names;
#[cfg(all(feature = "backtrace", target_arch = "x86_64"))]
mod stack;
#[cfg(not(all(feature = "backtrace", target_arch = "x86_64")))]
#[path = "stack_off.rs"]
mod stack;
#[cfg(all(feature = "backtrace", target_arch = "x86_64"))]
mod tables;

use std::fmt;

/// So many functions stand in a line.
const SHOWN: usize = 32;

/// The functions of the program that a thread was in when it was looked at, asleep: see
/// [`TaskInfo::backtrace`](crate::runtime::TaskInfo::backtrace).
///
/// It holds addresses, and is small. Its `Display` looks up their names and is a line, innermost
/// first: `deep (src/deep.rs:7) < caller (src/main.rs:12)`. Those of the runtime itself that poll the
/// task are left out. The first look-up in a program reads its debug information, which may take a
/// second, and waits for the drive if that is not in memory.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Backtrace {
    /// Return addresses, but for the first, innermost first.
    addresses: Vec<usize>,
}

/// One function of a [`Backtrace`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Frame {
    /// Where in memory its code goes on. Functions that were compiled into each other share it.
    pub address: usize,
    /// Its name, where the program has its symbols.
    pub function: Option<String>,
    /// The file, where debug information is there.
    pub file: Option<String>,
    /// The line there.
    pub line: Option<u32>,
}

impl Backtrace {
    /// Of a thread of this process. Empty if it runs, or has moved while it was looked at, or nothing
    /// can be known of it.
    pub(crate) fn of(tid: i32) -> Backtrace {
        Backtrace { addresses: stack::addresses(tid) }
    }

    /// Nothing is known: without the feature `backtrace`, on other processors than x86-64, of a thread
    /// that computes, of one that woke while it was looked at, or where procfs does not tell.
    pub fn is_empty(&self) -> bool {
        self.addresses.is_empty()
    }

    /// Looks up the functions, innermost first, without those of the runtime that poll the task.
    pub fn frames(&self) -> Vec<Frame> {
        stack::frames(&self.addresses)
    }
}

impl fmt::Debug for Backtrace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list()
            .entries(self.addresses.iter().map(|address| format!("{address:#x}")))
            .finish()
    }
}

impl fmt::Display for Backtrace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (nth, frame) in self.frames().iter().enumerate() {
            let before = if nth == 0 { "" } else { " < " };
            if nth == SHOWN {
                return write!(f, "{before}...");
            }
            write!(f, "{before}{frame}")?;
        }
        Ok(())
    }
}

impl fmt::Display for Frame {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.function {
            Some(name) => f.write_str(name)?,
            None => write!(f, "{:#x}", self.address)?,
        }
        match (&self.file, self.line) {
            (Some(file), Some(line)) => write!(f, " ({file}:{line})"),
            (Some(file), None) => write!(f, " ({file})"),
            (None, _) => Ok(()),
        }
    }
}
