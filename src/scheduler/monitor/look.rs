//! When a core is to be taken: what is seen of its thread, for how long.
//!
//! A thread is blocked if its core's word is the same on two looks and then, for that suspect only,
//! its state says that it sleeps: from its ring if that is armed and believed, else from
//! `/proc/self/task/TID/stat`. (The word alone would take a long computation for a block; the
//! thread's CPU clock would take a wait for a CPU for one.) The word is loaded before the state is
//! read, and the retake compares with that same word: a thread that has moved on is never robbed.
//! So the second look is for economy, not for safety, and there is none where it would cost more than it
//! spares. In a call of a site that has blocked of late (a warm one) the first look is enough: most blocks
//! of a tenth of a millisecond are over before a second one comes. So it is in any call after a long pause,
//! when a state costs little beside the wait for another look; and for a poll it is enough then to look
//! again soon.
//!
//! A computation need not leave the word alone: each task that it wakes or spawns changes it, and
//! each call that ends. There the same call, or the same poll, on two looks is what counts.
//!
//! | what it sees | for at least | then |
//! |---|---|---|
//! | a region, asleep, the word the same | a second look; at a warm site, or after a long pause, none | handed over: blocked |
//! | a poll outside any region, asleep, the word the same | `rescue_after`, and 400 us more where the sentinel hears of it | handed over: rescued |
//! | the same, where nearly all such polls sleep on and there is no sentinel | no second look, but for one in sixteen (`shared::rescues`) | handed over: rescued |
//! | a call, running, the call the same | `hog_after` | handed over: hog |
//! | a poll, running, the poll the same | 10 ms | handed over: rescued |

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use super::seen::{Call, LookedAt, call_of};
use super::state::States;
use crate::primitive::failpoint::fail_point;
use crate::protocol::Cause;
use crate::protocol::core::{SlotId, State, Suspect, Word};
use crate::protocol::pool::{Claim, Retake};
use crate::shared::Shared;
use crate::shared::slot::Slot;

/// A pause so long that reading a thread's state at the first look costs nothing beside it.
const LONG: Duration = Duration::from_micros(400);

/// A poll that did not say so may compute for so long.
const UNMARKED_HOG: Duration = Duration::from_millis(10);

/// By how much longer a poll has slept, if its thread's ring is armed, before the monitor acts.
const SENTINEL_FIRST: Duration = Duration::from_micros(400);

/// How often the core of such a poll is tried to be taken while its word keeps changing.
const LONG_TRIES: u32 = 4;

/// How soon it is claimed again if there was no permit, or no spare.
const LONG_AGAIN: Duration = Duration::from_millis(4);

/// What one look led to.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Found {
    Nothing,
    /// A poll that has not said so computes, or waits for a CPU, for longer than from one look to the
    /// next: there is time.
    Computes,
    /// To be looked at again, and soon.
    Suspect,
    Blocked,
}

/// All seats, as the monitor sees them.
pub(super) struct Watch<'a> {
    shared: &'a Arc<Shared>,
    looks: Vec<LookedAt>,
    states: States,
}

impl<'a> Watch<'a> {
    pub(super) fn new(shared: &'a Arc<Shared>) -> Self {
        let looks = shared.seats.iter().map(|_| LookedAt::default()).collect();
        Watch { shared, looks, states: States::default() }
    }

    /// All seats sleep: nothing that was seen counts any more, and no file is kept open.
    pub(super) fn forget(&mut self) {
        self.states.forget();
    }

    /// `paused`: for so long since the last look.
    pub(super) fn look_at_all(&mut self, paused: Duration) -> Found {
        let now = Instant::now();
        let looks = (0..self.looks.len()).map(|seat| self.look(seat, now, paused));
        looks.max().unwrap_or(Found::Nothing)
    }

    fn look(&mut self, seat: usize, now: Instant, paused: Duration) -> Found {
        let word = self.shared.pool.word(seat).load();
        let may_be_taken_soon = self.may_be_taken_soon();
        let looked = &mut self.looks[seat];
        let known = looked.word == Some(word);
        if !known && std::mem::take(&mut looked.asked) {
            let since = now.saturating_duration_since(looked.since.unwrap_or(now));
            learn(self.shared, since, false);
        }
        if word.state() != State::Lent {
            looked.word = Some(word);
            if known && word.state() == State::Taken {
                // Whoever retook the core has not woken the spare yet, and may have lost its CPU to
                // others in between, for as long as they like.
                self.shared.unpark(self.shared.slots.get(word.slot()));
            }
            return Found::Nothing;
        }
        let slot = self.shared.slots.get(word.slot());
        let call = call_of(word.slot(), slot);
        let in_region = call.is_some();
        let tick = self.shared.seats[seat].tick.load(Ordering::Relaxed);
        let poll_known = looked.poll.see(Some((word.slot(), tick)), now);
        let call_known = looked.call.see(call, now);
        if poll_known || call_known {
            if let Some(cause) = self.long(seat, slot, now) {
                return self.take_long(seat, word, cause);
            }
        }
        // A call is to be caught when it has computed for `hog_after`, and not long behind.
        let goes_on = match poll_known {
            false => Found::Nothing,
            true if in_region => Found::Suspect,
            true => Found::Computes,
        };
        let looked = &mut self.looks[seat];
        let known = known && looked.in_region == in_region && (call_known || !in_region);
        if !known {
            looked.word = Some(word);
            looked.in_region = in_region;
            looked.since = Some(now);
            looked.claimed = false;
            let warm = slot.site.get().is_some_and(|site| site.record().is_warm());
            let soon = if in_region { warm } else { may_be_taken_soon };
            if paused < LONG && !soon {
                return goes_on;
            }
            if !in_region && !soon {
                // To be seen asleep once more, and soon: at the next look after such a pause it
                // would be another poll.
                let suspect = self.shared.config.rescue
                    && self.states.is_asleep(self.shared, word.slot(), slot, Duration::ZERO);
                return if suspect { Found::Suspect } else { goes_on };
            }
        }
        if looked.claimed {
            return Found::Nothing;
        }
        let since = now.saturating_duration_since(looked.since.unwrap_or(now));
        slot.suspicion.raise(Suspect::Monitor);
        let found = self.take_blocked(seat, word, call, since);
        slot.suspicion.settle(Suspect::Monitor);
        match found {
            Some(found) => found,
            None if !known => goes_on,
            None if in_region || self.is_early(slot, since) => Found::Suspect,
            None => Found::Computes,
        }
    }

    /// Whether an unmarked poll has not gone on for long enough to be rescued if it sleeps.
    fn is_early(&self, slot: &Slot, since: Duration) -> bool {
        let config = &self.shared.config;
        // The sentinel hears of it at once, if it can; here is who looks when it does not.
        let armed = slot.armed.load(Ordering::Relaxed);
        let patience = config.rescue_after + if armed { SENTINEL_FIRST } else { Duration::ZERO };
        config.rescue && since < patience
    }

    /// The core is taken if its thread, under suspicion from here on, sleeps. `None`: it does not.
    fn take_blocked(
        &mut self,
        seat: usize,
        word: Word,
        call: Option<Call>,
        since: Duration,
    ) -> Option<Found> {
        let slot = self.shared.slots.get(word.slot());
        // Seen before anybody knew of a suspicion: once more.
        let moved =
            self.shared.pool.word(seat).load() != word || call_of(word.slot(), slot) != call;
        if moved {
            return None;
        }
        let cause = self.blocked(seat, slot, word.slot(), call.is_some(), since)?;
        if cause == Cause::Rescued {
            slot.computes.store(false, Ordering::Relaxed);
            self.shared.rescues.note(Instant::now());
        }
        let found = self.claim(seat, Claim { seat, seen: word, observed: word.slot(), cause });
        if cause == Cause::Rescued && found == Found::Blocked {
            slot.note_sleep();
        }
        Some(found)
    }

    /// Why the core, lent with the same word for `since` by the thread in `id`, should be taken, if
    /// that thread sleeps.
    fn blocked(
        &mut self,
        seat: usize,
        slot: &Slot,
        id: SlotId,
        in_region: bool,
        since: Duration,
    ) -> Option<Cause> {
        if in_region {
            let asleep = self.states.is_asleep(self.shared, id, slot, since);
            return asleep.then_some(Cause::Blocked);
        }
        let early = self.is_early(slot, since);
        if !self.shared.config.rescue || (early && !self.is_asked()) {
            return None;
        }
        let asleep = self.states.is_asleep(self.shared, id, slot, since);
        let (rescues, looked) = (&self.shared.rescues, &mut self.looks[seat]);
        if early && asleep {
            looked.asked |= !rescues.will_sleep_on();
            return (!looked.asked).then_some(Cause::Rescued);
        }
        if std::mem::take(&mut looked.asked) {
            learn(self.shared, since, asleep);
        }
        asleep.then_some(Cause::Rescued)
    }

    /// Whether polls found asleep are asked how they go on: where rescues are frequent, and there is no
    /// sentinel that would ask.
    fn is_asked(&self) -> bool {
        !self.shared.detection.perf && self.shared.rescues.are_frequent()
    }

    /// Whether one look is enough for a poll that sleeps, but for the one in sixteen that is asked.
    fn may_be_taken_soon(&self) -> bool {
        self.is_asked() && self.shared.rescues.are_long()
    }

    /// Why the core should be taken, if the call has computed for `hog_after`, or the poll for the
    /// time that it may without saying so.
    fn long(&mut self, seat: usize, slot: &Slot, now: Instant) -> Option<Cause> {
        let config = &self.shared.config;
        let looked = &mut self.looks[seat];
        let taken = looked.long.is_some() && looked.long == looked.poll.key;
        if taken || looked.long_again.is_some_and(|at| now < at) {
            return None;
        }
        if looked.call.key.is_some() && looked.call.computes(slot, now, config.hog_after) {
            return Some(Cause::Hog);
        }
        let long = config.rescue && looked.poll.computes(slot, now, UNMARKED_HOG);
        long.then_some(Cause::Rescued)
    }

    /// A poll that computes for long, with or without saying so: its word may have changed since it
    /// was loaded, and that is no reason to let it go.
    fn take_long(&mut self, seat: usize, mut word: Word, cause: Cause) -> Found {
        let shared = self.shared;
        let LookedAt { poll, call, .. } = &self.looks[seat];
        let (poll, call) = (poll.key, call.key);
        let id = word.slot();
        let slot = shared.slots.get(id);
        let hog = cause == Cause::Hog;
        let mut found = Found::Suspect;
        slot.suspicion.raise(Suspect::Monitor);
        // Ordering: Relaxed. The thread reads it when its swap of the word has failed, behind ours.
        slot.computes.store(!hog, Ordering::Relaxed);
        for attempt in 0..LONG_TRIES {
            if hog && call_of(word.slot(), slot) != call {
                // It has left that call, before it could know of the suspicion.
                break;
            }
            if hog && attempt == 0 {
                // Now, not when it returns: others of its kind may start meanwhile.
                slot.site.get().inspect(|site| site.learn_hog());
                slot.mark_slow();
            }
            let claim = Claim { seat, seen: word, observed: word.slot(), cause };
            found = self.claim(seat, claim);
            word = shared.pool.word(seat).load();
            let tick = shared.seats[seat].tick.load(Ordering::Relaxed);
            if found != Found::Suspect
                || word.state() != State::Lent
                || Some((word.slot(), tick)) != poll
            {
                break;
            }
        }
        slot.suspicion.settle(Suspect::Monitor);
        let taken = found == Found::Blocked && !self.looks[seat].claimed;
        if taken {
            self.looks[seat].long = poll;
        } else if found == Found::Blocked {
            // The claim stands until the poll changes its word. Then there is to be another.
            self.looks[seat].long_again = Some(Instant::now() + LONG_AGAIN);
        }
        if found == Found::Suspect {
            slot.computes.store(false, Ordering::Relaxed);
            // Not of a core that somebody else has taken meanwhile, by a claim that stood on the list: that
            // has made the slices long, and by the mark the thread knows it.
            if hog && word.slot() == id {
                slot.unmark_slow();
            }
        }
        found
    }

    /// `Suspect`: the thread has moved on since.
    fn claim(&mut self, seat: usize, claim: Claim) -> Found {
        fail_point!("observed");
        let retake = self.shared.retake(claim, None);
        let looked = &mut self.looks[seat];
        looked.claimed = matches!(retake, Retake::NoPermit | Retake::NoSpare);
        if retake == Retake::Stale { Found::Suspect } else { Found::Blocked }
    }
}

/// What became of a poll that was asked, `since` so long ago. A look that comes late cannot tell whether
/// one that is awake by now slept on.
fn learn(shared: &Shared, since: Duration, asleep: bool) {
    if asleep || since < 2 * shared.config.rescue_after {
        shared.rescues.learn(asleep);
    }
}
