//! A runtime, or a part of it, that is asked for and is not there: who looks, and what is said.
//!
//! A library that stands before this crate has programs that know no other name than its own. It may
//! say the same in its own words, and may make runtimes that lack what its builder was not asked for.

use std::sync::OnceLock;

use super::with_shared;
use crate::shared::Without;

/// What is not there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Missing {
    /// The thread is in no runtime.
    Runtime,
    /// The runtime was made without sockets.
    Sockets,
    /// The runtime was made without timers.
    Timers,
    /// The runtime of a timer has been shut down.
    Shutdown,
}

static WORDS: OnceLock<fn(Missing) -> &'static str> = OnceLock::new();

/// Lets a library say in its own words, from here on, what is missing. The first that asks stays.
pub fn say(words: fn(Missing) -> &'static str) {
    WORDS.get_or_init(|| words);
}

/// The other library's words, or `ours`.
pub(crate) fn words(missing: Missing, ours: &str) -> &str {
    WORDS.get().map_or(ours, |words| words(missing))
}

/// For a library whose timers are bound to a runtime when they are made.
///
/// # Panics
///
/// Outside a runtime, and in one without timers.
#[track_caller]
pub fn demand_timers() {
    match without() {
        None => panic!("{}", words(Missing::Runtime, "a timer needs a threadlet runtime")),
        Some(without) if without.timers => {
            panic!("{}", words(Missing::Timers, "this runtime was made without timers"))
        }
        Some(_) => {}
    }
}

/// # Panics
///
/// In a runtime without sockets.
#[track_caller]
pub(super) fn demand_sockets() {
    if without().is_some_and(|without| without.sockets) {
        panic!("{}", words(Missing::Sockets, "this runtime was made without sockets"));
    }
}

fn without() -> Option<Without> {
    with_shared(|shared| shared.map(|shared| shared.config.without))
}
