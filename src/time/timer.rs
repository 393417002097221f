//! One deadline, registered with the driver while it is waited for.

use std::task::{Context, Poll};

use super::Instant;
use super::traced::Traced;
use crate::context;
use crate::coop;
use crate::driver::{TimerKey, TimersOf};

/// What `Sleep` and `Interval` are made of. It may be moved at any time.
#[derive(Debug)]
pub(super) struct Timer {
    deadline: Instant,
    /// Those of the driver, from the first poll on.
    timers: Option<TimersOf>,
    /// The entry in the driver's queue. It may have fired already.
    key: Option<TimerKey>,
    elapsed: bool,
    /// It was pending since it was last ready.
    waited: bool,
    /// What is told of it.
    traced: Traced,
}

impl Timer {
    pub(super) fn new(deadline: Instant, traced: Traced) -> Self {
        Self { deadline, timers: None, key: None, elapsed: false, waited: false, traced }
    }

    pub(super) fn of(deadline: Instant, timers: TimersOf) -> Self {
        let mut timer = Timer::new(deadline, Traced::default());
        timer.timers = Some(timers);
        timer
    }

    pub(super) fn deadline(&self) -> Instant {
        self.deadline
    }

    pub(super) fn is_elapsed(&self) -> bool {
        self.elapsed
    }

    /// Moves the deadline. A task that waits is woken at the new one, polled in between or not.
    pub(super) fn reset(&mut self, deadline: Instant) {
        self.deadline = deadline;
        self.elapsed = false;
        if let (Some(key), Some(timers)) = (self.key.take(), &self.timers) {
            // If it has fired, its task is being woken, will poll, and registers again.
            self.key = timers.reset(key, deadline.into_std());
        }
    }

    /// What is due counts into the budget, but it is refused once at most: whoever has waited, for
    /// the time or for others, has let them have their turn. So a limit beside a future that always
    /// spends the whole budget takes effect all the same.
    #[track_caller]
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let traced = std::mem::take(&mut self.traced);
        let polled = traced.poll(self, cx);
        self.traced = traced;
        polled
    }

    /// The same, and nobody is told.
    #[track_caller]
    pub(super) fn poll_untold(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let due = self.poll_due(cx);
        if due.is_pending() || (!self.waited && coop::poll_left(cx).is_pending()) {
            self.waited = true;
            return Poll::Pending;
        }
        self.waited = false;
        coop::spend(1);
        Poll::Ready(())
    }

    #[track_caller]
    fn poll_due(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        // Not `get_or_insert_with`: a closure would hide the caller's place from the panic.
        let timers = match &mut self.timers {
            Some(timers) => timers,
            empty => empty.insert(context::current_timers("a timer")),
        };
        if self.elapsed {
            return Poll::Ready(());
        }
        if timers.is_due(self.deadline.into_std()) {
            self.elapsed = true;
            if let Some(key) = self.key.take() {
                timers.remove(key);
            }
            return Poll::Ready(());
        }
        if let Some(key) = &self.key {
            if timers.update(key, cx.waker()) {
                return Poll::Pending;
            }
            // It was handed out between the look at the clock and here, or by a shutdown. Either
            // way a new entry is right: if the deadline has passed it fires at once.
        }
        match timers.insert(self.deadline.into_std(), cx.waker()) {
            Ok(key) => self.key = Some(key),
            Err(_gone) => {
                self.key = None;
                // For a task of that runtime the poll is the last, and it is dropped behind it. To
                // anything else (a root future) nobody would ever come.
                let ours = "the threadlet runtime that this timer belongs to has been shut down";
                assert!(
                    context::is_task_of(timers.driver()),
                    "{}",
                    context::words(context::Missing::Shutdown, ours)
                );
            }
        }
        Poll::Pending
    }
}

impl Drop for Timer {
    fn drop(&mut self) {
        if let (Some(key), Some(timers)) = (self.key.take(), &self.timers) {
            timers.remove(key);
        }
    }
}
