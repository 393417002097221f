//! The driver: sockets and timers of one runtime.
//!
//! - [`Driver`] is exclusive: who holds it may turn it, that is wait for sockets, the earliest
//!   timer and [`Handle::unpark`]. It belongs to nobody for long: the scheduler gives it to a
//!   worker that goes idle, so some thread always has it while nothing else is to do.
//! - [`Handle`] is shared: it registers sources and timers, unparks, and expires timers for workers
//!   too busy to turn the driver.
//!
//! It waits in epoll, by way of mio, from the first source on, and then has three descriptors.
//! Before that it has none, and waits on a futex: many a runtime never sees a socket.
//!
//! Turning calls no waker. It collects those that are due, and the thread wakes them after it has
//! put the driver back: a task that blocks its thread never keeps the driver with it.
//!
//! Locks: the table of sources, the waiters of a source (taken under the former when an event is
//! dispatched), a poller that no driver has taken yet (under the former as well), the timers. None
//! is held while waiting and none while user code (a waker) runs.
//!
//! `protocol::parking` proves that no unpark, no earlier timer and no first source is slept
//! through, `scheduled_io` that no readiness is lost.

mod bytes;
#[cfg_attr(not(feature = "test-util"), path = "clock_off.rs")]
mod clock;
mod descriptor;
mod evented;
mod ready;
mod scheduled_io;
#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;
mod timers;

pub(crate) use self::bytes::TCP;
#[cfg(feature = "test-util")]
pub(crate) use self::clock::Refused;
pub(crate) use self::clock::{Awake, any_was_stopped};
pub(crate) use self::descriptor::Descriptor;
pub(crate) use self::evented::Evented;
pub use self::ready::{Interest, Ready};
pub(crate) use self::scheduled_io::{Direction, ReadyEvent};
pub(crate) use self::timers::{TimerKey, TimersOf};

use std::fmt;
use std::io;
use std::os::fd::{AsRawFd, RawFd};
use std::sync::OnceLock;
use std::task::Waker;
use std::time::{Duration, Instant};

use mio::event::Source;
use mio::unix::SourceFd;
use mio::{Events, Poll, Registry, Token};
use slab::Slab;

use self::clock::Clock;
use self::scheduled_io::ScheduledIo;
use self::timers::Timers;
use crate::primitive::{Arc, Mutex};
use crate::protocol::parking::{Begin, Means, Notify, Parking};
use crate::sys;

/// The token of the eventfd behind [`Handle::unpark`]; no slab grows that far.
const UNPARK: Token = Token(usize::MAX);

/// How many events one turn takes from the kernel; the rest stays there for the next.
const EVENTS: usize = 1024;

/// The runtime of a timer or a socket has shut down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Gone;

/// What an I/O operation returns once the runtime is gone.
fn gone() -> io::Error {
    io::Error::other(RuntimeGone)
}

/// The error inside.
#[derive(Debug)]
pub(crate) struct RuntimeGone;

impl fmt::Display for RuntimeGone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the threadlet runtime that this socket belongs to has been shut down")
    }
}

impl std::error::Error for RuntimeGone {}

/// The exclusive half: whoever holds it may wait for events.
#[derive(Debug)]
pub(crate) struct Driver {
    /// From the first turn on that finds one.
    poller: Option<Poller>,
    shared: Arc<Shared>,
}

/// What the holder of the driver waits in once there is a source.
#[derive(Debug)]
struct Poller {
    poll: Poll,
    events: Events,
}

/// What others need of the poller.
#[derive(Debug)]
struct Access {
    registry: Registry,
    waker: mio::Waker,
    /// Until the driver takes it.
    poller: Mutex<Option<Poller>>,
}

/// The shared half. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Handle {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    /// From the first source on. Filled under the lock of `sources`.
    access: OnceLock<Access>,
    parking: Parking,
    clock: Clock,
    timers: Timers,
    sources: Mutex<Sources>,
}

/// The registered sources; a source's token is its place in the slab. A place may be used again
/// while a thread still holds an event of its former tenant: the new one then sees a readiness that
/// is not true, which costs it one `WouldBlock`.
#[derive(Debug)]
struct Sources {
    slab: Slab<Arc<ScheduledIo>>,
    shut_down: bool,
}

/// Makes the driver of so many seats, and its handle.
pub(crate) fn new(seats: usize) -> (Driver, Handle) {
    let sources = Sources { slab: Slab::new(), shut_down: false };
    let shared = Arc::new(Shared {
        access: OnceLock::new(),
        parking: Parking::new(),
        clock: Clock::new(),
        timers: Timers::new(seats),
        sources: Mutex::new(sources),
    });
    (Driver { poller: None, shared: shared.clone() }, Handle { shared })
}

impl Access {
    /// Makes a poller. Fails if the process is out of descriptors.
    fn new() -> io::Result<Self> {
        let poll = Poll::new()?;
        let registry = poll.registry().try_clone()?;
        let waker = mio::Waker::new(&registry, UNPARK)?;
        let poller = Poller { poll, events: Events::with_capacity(EVENTS) };
        Ok(Access { registry, waker, poller: Mutex::new(Some(poller)) })
    }
}

impl Driver {
    /// Waits for at most `max` (`None`: until something happens) for I/O, the earliest timer or
    /// [`Handle::unpark`], and appends the wakers that are due to `ready`, timers first.
    ///
    /// It may return early with nothing (a signal, an unpark that came late); the caller looks at
    /// its queues and turns again. `Some(ZERO)` never blocks and leaves a pending unpark pending.
    pub(crate) fn turn(&mut self, max: Option<Duration>, ready: &mut Vec<Waker>) -> io::Result<()> {
        self.turn_or_jump(max, ready, || false)
    }

    /// The same. If the clock stands, it jumps to the earliest timer, instead of waiting for it,
    /// when nobody is busy: `is_quiet` says that no thread of the runtime is.
    pub(crate) fn turn_or_jump(
        &mut self,
        max: Option<Duration>,
        ready: &mut Vec<Waker>,
        is_quiet: impl Fn() -> bool,
    ) -> io::Result<()> {
        let means = self.means();
        let waits = max != Some(Duration::ZERO) && self.shared.parking.begin(means) == Begin::Wait;
        let result = if waits {
            let result = if self.shared.clock.stands() {
                self.wait_or_jump(max, is_quiet)
            } else {
                let timeout = self.timeout(max);
                self.wait(timeout)
            };
            self.shared.parking.end();
            result
        } else {
            self.wait(Some(Duration::ZERO))
        };
        self.shared.clock.end_yields(waits, ready);
        // Timers come first, and they come even if epoll failed.
        self.shared.timers.expire(self.shared.now(), ready);
        if result.is_ok() {
            self.dispatch(ready);
        }
        result
    }

    /// D0 of `parking`: takes the poller, if there is one by now.
    fn means(&mut self) -> Means {
        if self.poller.is_none() {
            self.poller = self.shared.access.get().and_then(|access| access.poller.lock().take());
        }
        if self.poller.is_some() { Means::Poller } else { Means::Futex }
    }

    /// D3 of `parking`: how long to wait, as the timers are *after* the waiting was announced.
    fn timeout(&self, max: Option<Duration>) -> Option<Duration> {
        let next = self.shared.timers.next_deadline();
        let next = next.map(|deadline| deadline.saturating_duration_since(self.shared.now()));
        match (max, next) {
            (Some(max), Some(next)) => Some(max.min(next)),
            (max, next) => max.or(next),
        }
    }

    /// D3 and D4 while the clock stands: no timer bounds the wait. In the order that `clock` tells.
    fn wait_or_jump(
        &mut self,
        max: Option<Duration>,
        is_quiet: impl Fn() -> bool,
    ) -> io::Result<()> {
        if self.shared.clock.anyone_yields() {
            return self.wait(Some(Duration::ZERO));
        }
        let next = self.shared.timers.earliest();
        let is_due = next.is_some_and(|next| next <= self.shared.now());
        let to = next.filter(|_| self.shared.clock.is_quiet() && is_quiet());
        if is_due || to.is_some() {
            self.wait(Some(Duration::ZERO))?;
            if let Some(to) = to.filter(|_| !self.has_events() && self.shared.parking.is_waiting())
            {
                self.shared.clock.jump(to);
            }
            return Ok(());
        }
        self.wait(max)
    }

    fn has_events(&self) -> bool {
        self.poller.as_ref().is_some_and(|poller| !poller.events.is_empty())
    }

    /// D4 of `parking`, by the means of this turn.
    fn wait(&mut self, timeout: Option<Duration>) -> io::Result<()> {
        match &mut self.poller {
            Some(poller) => poller.wait(timeout),
            None => {
                if timeout != Some(Duration::ZERO) {
                    self.shared.parking.sleep(timeout);
                }
                Ok(())
            }
        }
    }

    fn dispatch(&self, ready: &mut Vec<Waker>) {
        let Some(Poller { events, .. }) = &self.poller else { return };
        if events.is_empty() {
            return;
        }
        let sources = self.shared.sources.lock();
        for event in events {
            // No entry: the eventfd, or a source that was deregistered meanwhile.
            let Some(io) = sources.slab.get(event.token().0) else { continue };
            io.record(Ready::from_mio(event), ready);
        }
    }
}

impl Poller {
    /// Fills `events`. A signal ends the wait early.
    ///
    /// The timeout of `epoll_wait` is whole milliseconds. So a bounded wait is `ppoll` on the epoll
    /// descriptor itself, in nanoseconds; it consumes nothing, the events are fetched after it.
    fn wait(&mut self, timeout: Option<Duration>) -> io::Result<()> {
        self.events.clear();
        let timeout = match timeout {
            Some(bound) if !bound.is_zero() => {
                match sys::poll::ppoll_in(self.poll.as_raw_fd(), Some(bound)) {
                    Ok(true) => Some(Duration::ZERO),
                    Ok(false) => return Ok(()),
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => return Ok(()),
                    Err(error) => return Err(error),
                }
            }
            other => other,
        };
        match self.poll.poll(&mut self.events, timeout) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => Ok(()),
            result => result,
        }
    }
}

impl Handle {
    /// Whether both belong to one driver.
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.shared, &other.shared)
    }

    /// Ends the current wait of the driver, or the next one if nobody waits. Costs no system call
    /// if nobody waits or somebody else has just done it.
    pub(crate) fn unpark(&self) {
        self.shared.finish(self.shared.parking.notify());
    }

    /// Whether there is a poller to look at, which is from the first source on.
    pub(crate) fn has_poller(&self) -> bool {
        self.shared.access.get().is_some()
    }

    /// What the clock shows.
    pub(crate) fn now(&self) -> Instant {
        self.shared.now()
    }

    /// Appends the wakers of the timers due, `now` by the system's clock, for workers too busy to
    /// turn the driver. One atomic load if nothing is due.
    pub(crate) fn expire(&self, now: Instant, ready: &mut Vec<Waker>) {
        self.shared.timers.expire(self.shared.clock.at(now), ready);
    }

    /// By how much the latest timer that fired came too late, if it did, since this was last asked.
    pub(crate) fn take_late(&self) -> Option<Duration> {
        self.shared.timers.take_late()
    }

    /// The earliest deadline. A hint: it may change at any time.
    #[cfg(test)]
    pub(crate) fn next_deadline(&self) -> Option<Instant> {
        self.shared.timers.earliest()
    }

    /// Shuts the driver down, and wakes whoever holds it. From now on I/O operations fail, and no
    /// timer can be registered. Returns the wakers of all who wait, which are foreign code.
    #[must_use = "they are to be woken"]
    pub(crate) fn shutdown(&self) -> Vec<Waker> {
        let mut wakers = self.shared.timers.shut_down();
        self.shared.clock.end_yields(true, &mut wakers);
        {
            let mut sources = self.shared.sources.lock();
            sources.shut_down = true;
            for (_, io) in &sources.slab {
                io.shut_down(&mut wakers);
            }
        }
        self.unpark();
        wakers
    }

    #[cfg(test)]
    pub(crate) fn is_shut_down(&self) -> bool {
        self.shared.timers.is_shut_down()
    }

    fn register(
        &self,
        source: &mut impl Source,
        interest: Interest,
        ready: Ready,
    ) -> io::Result<(usize, Arc<ScheduledIo>)> {
        let io = Arc::new(ScheduledIo::new(ready));
        let (key, access) = {
            let mut sources = self.shared.sources.lock();
            if sources.shut_down {
                return Err(gone());
            }
            let access = self.shared.access(&mut sources)?;
            (sources.slab.insert(io.clone()), access)
        };
        // The place is filled before epoll knows the source: no event finds it empty.
        if let Err(error) = access.registry.register(source, Token(key), interest.to_mio()) {
            self.release(key);
            return Err(error);
        }
        Ok((key, io))
    }

    /// For more than before. What holds by then is told as well.
    fn register_again(&self, fd: RawFd, key: usize, interest: Interest) -> io::Result<()> {
        let access = self.shared.access.get().expect("a registered source has been registered");
        access.registry.reregister(&mut SourceFd(&fd), Token(key), interest.to_mio())
    }

    /// Both owners of the waiters go with the source, this table and the `Evented`, and with them
    /// the wakers left behind: a task that holds its own socket is not kept alive by its own waker.
    fn deregister(&self, source: &mut impl Source, key: usize) -> io::Result<()> {
        let access = self.shared.access.get().expect("a registered source has been registered");
        let result = access.registry.deregister(source);
        self.release(key);
        result
    }

    fn release(&self, key: usize) {
        let io = self.shared.sources.lock().slab.remove(key);
        drop(io);
    }

    #[cfg(test)]
    pub(crate) fn timer_count(&self) -> usize {
        self.shared.timers.len()
    }

    #[cfg(test)]
    pub(crate) fn source_count(&self) -> usize {
        self.shared.sources.lock().slab.len()
    }
}

impl Shared {
    /// What a source is registered with; the first one makes it. If it cannot be made, that is the
    /// error of this one source, and the next one tries again.
    ///
    /// The driver is told under the lock of the sources: whoever finds the poller made can count on
    /// that, wherever the thread that made it may have been held up.
    fn access(&self, _sources: &mut Sources) -> io::Result<&Access> {
        if let Some(access) = self.access.get() {
            return Ok(access);
        }
        let made = Access::new()?;
        let notify = self.parking.bring_poller(|| drop(self.access.set(made)));
        self.finish(notify);
        Ok(self.access.get().expect("it has just been set"))
    }

    fn now(&self) -> Instant {
        self.clock.at(Instant::now())
    }

    /// U2 of `parking`, where it is not the futex.
    fn finish(&self, notify: Notify) {
        match notify {
            Notify::Nothing | Notify::Woken => {}
            Notify::WakePoller => {
                let access = self.access.get().expect("the driver waits in its poller");
                // The eventfd can only fail if the process is beyond repair; a driver that waits
                // without bound would then never return.
                access.waker.wake().expect("the eventfd of the driver can be written");
            }
        }
    }
}
