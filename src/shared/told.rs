//! What a runtime says on the standard error stream: a line each time, and seldom.

use std::io::{self, Write};
use std::time::Duration;

use super::Shared;
use super::slot::Slot;
use crate::observe::event;
use crate::observe::stall::Stall;
use crate::protocol::pool::PoolCounts;
use crate::sys::stderr;

/// How many threads are named in a line.
const NAMED: usize = 8;

impl Shared {
    /// No permit has come back for a while, and calls wait for one, or cores are blocked for want of
    /// one or of a thread.
    pub(crate) fn tell_of_saturation(&self, counts: &PoolCounts) {
        let (holders, stalled) = self.pool.blocked();
        let mut slots: Vec<_> = holders.into_iter().map(|(slot, _)| slot).collect();
        slots.extend(stalled.into_iter().map(|claim| claim.observed));
        let blocked = slots.len();
        let places = places(slots.into_iter().map(|slot| self.slots.get(slot)));
        let failure = self.spawn_failure.lock().clone();
        let text = match failure.filter(|_| counts.stalled_now > 0 && counts.free > 0) {
            Some(error) => format!(
                "{} cores are blocked, and no thread can be started to take them over ({error}); no \
                 blocked call has returned for a second; {blocked} threads are blocked{places} (raise \
                 the limit on threads: RLIMIT_NPROC, or pids.max of the control group?)",
                counts.stalled_now,
            ),
            None if blocked == 0 => return,
            None => format!(
                "{} calls wait for a permit (and {} cores are blocked with no permit to hand them \
                 over), and no blocked call has returned for a second; {blocked} threads are \
                 blocked{places} (raise `max_async_threads`?)",
                counts.gate, counts.stalled_now,
            ),
        };
        self.tell(&text);
    }

    /// Whoever has dropped the runtime has waited for its threads for a while.
    pub(crate) fn tell_of_waiting_end(&self) {
        let busy = |slot: &&Slot| slot.site.get().is_some() || slot.spawned_at.get().is_some();
        let slots: Vec<_> = self.slots.iter().map(|(_, slot)| slot).filter(busy).collect();
        let text = match slots.len() {
            0 => "a thread that runs no task (a destructor or a hook that blocks?)".to_owned(),
            1 => format!("a call or poll{}", places(slots.into_iter())),
            more => format!("{more} calls or polls{}", places(slots.into_iter())),
        };
        let advice = "`shutdown_timeout` and `shutdown_background` do not wait so long";
        self.tell(&format!(
            "the end of the runtime has waited for a second, for {text} ({advice})"
        ));
    }

    /// A poll or a call lasts too long. Whoever listens to `tracing` hears of it; nobody: a line.
    pub(crate) fn tell_of_stall(&self, stall: Stall) {
        let short = stall.to_string();
        let (line, name) = (self.line(&short), self.config.thread_name.clone());
        by_other(line, move || {
            if event::stalled(&stall) {
                return None;
            }
            let backtrace = &stall.backtrace;
            Some(match backtrace.is_empty() {
                true => format!("{name}: {short}\n"),
                false => format!("{name}: {short}; in the program: {backtrace}\n"),
            })
        });
    }

    /// Tasks are queued, and nothing has been polled for a while.
    pub(crate) fn tell_of_standstill(&self, lasts: Duration) {
        let busy = |slot: &&Slot| slot.spawned_at.get().is_some();
        let places = places(self.slots.iter().map(|(_, slot)| slot).filter(busy));
        let lasts = lasts.as_millis();
        self.tell(&format!(
            "tasks are queued, and none has been polled for {lasts} ms: each worker is in a poll{places}"
        ));
    }

    pub(crate) fn tell(&self, text: &str) {
        self.tell_lines(self.line(text));
    }

    /// Says what may be several lines, with their ends.
    pub(crate) fn tell_lines(&self, lines: String) {
        let copy = lines.clone();
        by_other(lines, || Some(copy));
    }

    fn line(&self, text: &str) -> String {
        format!("{}: {text}\n", self.config.thread_name)
    }
}

/// On a thread of its own: whoever reads our standard error may have stopped to, a subscriber of
/// `tracing` is foreign code, and the caller has other things to do. If there is no thread to be had,
/// the caller writes as much of `lines` as there is room for. `words` says what is written otherwise, if
/// anything needs to be.
fn by_other(lines: String, words: impl FnOnce() -> Option<String> + Send + 'static) {
    let thread = std::thread::Builder::new().name("threadlet-report".into());
    let told = thread.spawn(move || {
        if let Some(lines) = words() {
            let _ = io::stderr().write_all(lines.as_bytes());
        }
    });
    if told.is_err() {
        let _room = stderr::write_if_room(lines.as_bytes());
    }
}

/// Where these threads are, some of them: ", at PLACE, PLACE"; nothing if nobody knows.
fn places<'s>(slots: impl Iterator<Item = &'s Slot>) -> String {
    let mut places: Vec<String> = Vec::new();
    for slot in slots {
        let thread = slot.tid.load(std::sync::atomic::Ordering::Relaxed);
        let place = match (slot.site.get(), slot.spawned_at.get()) {
            (Some(site), _) => format!("{}:{} (thread {thread})", site.file(), site.line()),
            (None, Some(place)) => {
                format!("a task spawned at {}:{} (thread {thread})", place.file(), place.line())
            }
            (None, None) => continue,
        };
        if places.len() == NAMED {
            places.push("...".to_owned());
            break;
        }
        places.push(place);
    }
    if places.is_empty() { String::new() } else { format!(", at {}", places.join(", ")) }
}
