//! The clock of a driver, which a test can stop. (`clock_off` stands here without the feature.)
//!
//! While it stands, nothing moves it but `advance` and a *jump*: the driver, about to wait, sets it
//! to the next deadline instead, if nobody is *busy*. Busy is
//!
//! 1. the thread with the core, until it comes to the driver: it asks here, so it is not;
//! 2. a thread that has lost its core and finishes its call, or the rest of that poll: it holds a
//!    permit, of which the driver is told when it asks (`is_quiet`);
//! 3. a root future that another thread polls, from the moment it is woken ([`Awake`]);
//! 4. a task that is queued, which whoever queued it has unparked the driver for;
//! 5. a socket that is ready.
//!
//! Each of 2 and 3 that ends may have queued a task, woken a root or made a socket ready first. So
//! the driver looks at 2 and 3 first, at the sockets second, and whether it was unparked last: what
//! came before the end of 2 or 3 is seen by one of these. And each that ends unparks the driver,
//! which then looks again: while it waits for them, it waits without bound.
//!
//! A task that yields while the clock stands is woken when the driver would wait or jump: all
//! others have had their turn then, on whatever thread. (Where some are always ready, it is woken
//! after a few looks in passing.)

use std::sync::atomic::{AtomicBool, AtomicU8, AtomicUsize, Ordering};
use std::task::Waker;
use std::time::{Duration, Instant};

use super::Handle;
use crate::primitive::{Mutex, quietly};

/// Some clock has been stopped, of whatever runtime: until then nobody need ask which one is his.
static ANY: AtomicBool = AtomicBool::new(false);

/// Whether the time may be another than that of the system.
#[inline]
pub(crate) fn any_was_stopped() -> bool {
    // Ordering: Relaxed. Whoever has to see the clock stand has seen it stop.
    ANY.load(Ordering::Relaxed)
}

/// What somebody asked of a clock that it cannot do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refused {
    /// It is to stop, and stands.
    Stands,
    /// It is to move or to go on, and it goes.
    Goes,
    /// There is no such time.
    TooFar,
}

#[derive(Debug)]
pub(super) struct Clock {
    /// Written under the lock.
    stands: AtomicBool,
    /// Root futures that somebody waits for.
    roots: AtomicUsize,
    /// Of those, the ones that are awake.
    awake: AtomicUsize,
    time: Mutex<Time>,
    /// Who yields, and for how many more looks of a driver that does not come to rest.
    yielding: Mutex<Vec<(Waker, u32)>>,
}

#[derive(Clone, Copy, Debug)]
enum Time {
    /// The system's.
    Real,
    /// It stands at this.
    At(Instant),
    /// It was this when the system's was that.
    From(Instant, Instant),
}

impl Time {
    fn at(self, now: Instant) -> Instant {
        match self {
            Time::Real => now,
            Time::At(time) => time,
            Time::From(time, then) => time + now.saturating_duration_since(then),
        }
    }
}

impl Clock {
    pub(super) fn new() -> Self {
        Clock {
            stands: AtomicBool::new(false),
            roots: AtomicUsize::new(0),
            awake: AtomicUsize::new(0),
            time: Mutex::new(Time::Real),
            yielding: Mutex::new(Vec::new()),
        }
    }

    /// What the clock shows when the system's shows `now`.
    pub(super) fn at(&self, now: Instant) -> Instant {
        if any_was_stopped() { self.time.lock().at(now) } else { now }
    }

    pub(super) fn stands(&self) -> bool {
        // Ordering: a hint. Whoever changes it unparks the driver behind that.
        self.stands.load(Ordering::Relaxed)
    }

    /// Whether no root is awake, and there is one. (With nobody in `block_on`, time would go on for
    /// tasks that nobody waits for, as fast as they sleep.)
    pub(super) fn is_quiet(&self) -> bool {
        // Ordering: Acquire. Partner: the Release in `Awake`: what that root did is seen.
        self.awake.load(Ordering::Acquire) == 0 && self.roots.load(Ordering::Relaxed) > 0
    }

    fn set(&self, change: impl FnOnce(Time) -> Result<Time, Refused>) -> Result<(), Refused> {
        let mut time = self.time.lock();
        *time = change(*time)?;
        self.stands.store(matches!(*time, Time::At(_)), Ordering::Relaxed);
        Ok(())
    }

    pub(super) fn anyone_yields(&self) -> bool {
        !self.yielding.lock().is_empty()
    }

    /// The driver looks: moves the wakers of those that have yielded for long enough into `ready`.
    /// `at_rest`: nothing is left to run.
    pub(super) fn end_yields(&self, at_rest: bool, ready: &mut Vec<Waker>) {
        if !any_was_stopped() {
            return;
        }
        let mut yielding = self.yielding.lock();
        yielding.iter_mut().for_each(|(_, looks)| *looks = looks.saturating_sub(1));
        let ended = yielding.extract_if(.., |(_, looks)| at_rest || *looks == 0);
        ready.extend(ended.map(|(waker, _)| waker));
    }

    /// It stands, and is set to a later time.
    pub(super) fn jump(&self, to: Instant) {
        // One that goes on by now was let go meanwhile.
        let _goes = self.set(|time| match time {
            Time::At(time) => Ok(Time::At(time.max(to))),
            _ => Err(Refused::Goes),
        });
    }
}

impl Handle {
    /// Stops the clock.
    pub(crate) fn stop_clock(&self) -> Result<(), Refused> {
        ANY.store(true, Ordering::Relaxed);
        self.shared.clock.set(|time| match time {
            Time::At(_) => Err(Refused::Stands),
            time => Ok(Time::At(time.at(Instant::now()))),
        })?;
        self.unpark();
        Ok(())
    }

    /// Before anybody uses it: it stands.
    pub(crate) fn begin_stopped(&self) {
        let _stands = self.stop_clock();
    }

    /// Lets it go on from where it stands.
    pub(crate) fn start_clock(&self) -> Result<(), Refused> {
        self.shared.clock.set(|time| match time {
            Time::At(time) => Ok(Time::From(time, Instant::now())),
            _ => Err(Refused::Goes),
        })?;
        self.unpark();
        Ok(())
    }

    /// Moves it on while it stands. What is due then is appended to `ready`.
    pub(crate) fn move_clock(&self, by: Duration, ready: &mut Vec<Waker>) -> Result<(), Refused> {
        self.shared.clock.set(|time| match time {
            Time::At(time) => time.checked_add(by).map(Time::At).ok_or(Refused::TooFar),
            _ => Err(Refused::Goes),
        })?;
        self.expire(Instant::now(), ready);
        Ok(())
    }

    /// Nobody but a timer, or `other`, has anything to do: it stands, and jumps to the earlier of them.
    /// `false`: there is neither. What is due then is appended to `ready`.
    pub(crate) fn jump_ahead(&self, other: Option<Instant>, ready: &mut Vec<Waker>) -> bool {
        let next = self.shared.timers.earliest().into_iter().chain(other).min();
        if let Some(to) = next {
            self.shared.clock.jump(to);
            self.expire(Instant::now(), ready);
        }
        next.is_some()
    }

    /// A task yields. `false`: the clock goes, and it yields in the ordinary way.
    pub(crate) fn yield_at(&self, waker: &Waker) -> bool {
        if !self.shared.clock.stands() {
            return false;
        }
        // Foreign code: not under the lock.
        let waker = waker.clone();
        self.shared.clock.yielding.lock().push((waker, LOOKS));
        // The driver may be at rest already; or the runtime has ended, and nobody comes.
        self.unpark();
        if self.shared.timers.is_shut_down() {
            let mut ready = Vec::new();
            self.shared.clock.end_yields(true, &mut ready);
            ready.into_iter().for_each(|waker| quietly(|| waker.wake()));
        }
        true
    }

    /// Somebody is busy no longer: if the clock stands, the driver looks again.
    #[inline]
    pub(crate) fn somebody_rests(&self) {
        if any_was_stopped() && self.shared.clock.stands() {
            self.unpark();
        }
    }
}

/// How many looks in passing a yield lasts at most.
const LOOKS: u32 = 8;

/// The root waits, and nobody has woken it.
const ASLEEP: u8 = 0;
/// It is polled.
const POLLED: u8 = 1;
/// It has been woken, and is polled soon, or again.
const WOKEN: u8 = 2;
/// It is polled no more.
const GONE: u8 = 3;

/// A root future, as the clock sees it: it counts while it is woken or polled.
#[derive(Debug)]
pub(crate) struct Awake {
    state: AtomicU8,
    driver: Handle,
}

impl Awake {
    /// Of a root that is about to be polled.
    pub(crate) fn new(driver: &Handle) -> Self {
        let awake = Awake { state: AtomicU8::new(WOKEN), driver: driver.clone() };
        awake.driver.shared.clock.roots.fetch_add(1, Ordering::Relaxed);
        awake.count();
        awake
    }

    fn count(&self) {
        self.driver.shared.clock.awake.fetch_add(1, Ordering::Relaxed);
    }

    fn discount(&self) {
        // Ordering: Release. Partner: the Acquire in `is_quiet`.
        self.driver.shared.clock.awake.fetch_sub(1, Ordering::Release);
        self.driver.somebody_rests();
    }

    /// By its waker, before its thread is woken.
    pub(crate) fn wake(&self) {
        // Before the change, so that there is no time in between; it may be one too many.
        self.count();
        // Ordering: AcqRel, here and below, each the partner of the others: whoever finds a state has
        // the count that was made for it, and takes none off before that.
        let change = |state| (state == ASLEEP || state == POLLED).then_some(WOKEN);
        let before = self.state.fetch_update(Ordering::AcqRel, Ordering::Acquire, change);
        if before != Ok(ASLEEP) {
            self.discount();
        }
    }

    /// Before a poll.
    pub(crate) fn begin(&self) {
        if self.state.swap(POLLED, Ordering::AcqRel) == ASLEEP {
            self.count();
        }
    }

    /// Behind a poll, or another one follows.
    pub(crate) fn end(&self) {
        let change =
            self.state.compare_exchange(POLLED, ASLEEP, Ordering::AcqRel, Ordering::Acquire);
        if change.is_ok() {
            self.discount();
        }
    }

    /// It is polled no more.
    pub(crate) fn close(&self) {
        let before = self.state.swap(GONE, Ordering::AcqRel);
        if before != GONE {
            self.driver.shared.clock.roots.fetch_sub(1, Ordering::Relaxed);
        }
        if matches!(before, POLLED | WOKEN) {
            self.discount();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// It counts once, however often it is woken, and though it is polled without that.
    #[test]
    fn a_root_counts_while_it_is_woken_or_polled() {
        let (_driver, handle) = super::super::new(1);
        let clock = &handle.shared.clock;
        let is_busy = || !clock.is_quiet();
        let root = Awake::new(&handle);
        assert!(is_busy(), "it is about to be polled");
        root.begin();
        root.wake();
        root.end();
        assert!(is_busy(), "it was woken in its poll");
        root.begin();
        root.end();
        assert!(!is_busy());
        root.wake();
        root.wake();
        assert!(is_busy());
        root.begin();
        root.end();
        assert!(!is_busy());
        root.begin();
        assert!(is_busy(), "its thread polls it for another reason");
        let other = Awake::new(&handle);
        root.end();
        assert!(is_busy(), "there is another");
        other.close();
        assert!(!is_busy());
        root.wake();
        root.close();
        root.close();
        root.wake();
        assert_eq!(
            (clock.awake.load(Ordering::SeqCst), clock.roots.load(Ordering::SeqCst)),
            (0, 0)
        );
    }

    #[test]
    fn a_clock_that_stands_is_set_to_no_earlier_time() {
        let clock = Clock::new();
        let start = Instant::now();
        let hour = Duration::from_secs(3600);
        ANY.store(true, Ordering::Relaxed);
        clock.jump(start + hour);
        assert!(clock.at(start) < start + hour, "it goes");
        clock.set(|_| Ok(Time::At(start))).unwrap();
        clock.jump(start + hour);
        clock.jump(start);
        assert_eq!(clock.at(start), start + hour);
    }
}
