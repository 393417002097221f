//! `std::sync::mpsc`: as much of it as is used.

pub use ::std::sync::mpsc::{RecvError, SendError};

use std::collections::VecDeque;
use std::sync::Arc;

use super::{Condvar, Mutex, PoisonError};

#[derive(Debug)]
struct Channel<T> {
    state: Mutex<State<T>>,
    changed: Condvar,
}

#[derive(Debug)]
struct State<T> {
    queue: VecDeque<T>,
    senders: usize,
    receives: bool,
}

/// As the standard library's.
#[derive(Debug)]
pub struct Sender<T>(Arc<Channel<T>>);

/// As the standard library's.
#[derive(Debug)]
pub struct Receiver<T>(Arc<Channel<T>>);

/// As the standard library's.
pub fn channel<T>() -> (Sender<T>, Receiver<T>) {
    let state = State { queue: VecDeque::new(), senders: 1, receives: true };
    let channel = Arc::new(Channel { state: Mutex::new(state), changed: Condvar::new() });
    (Sender(channel.clone()), Receiver(channel))
}

impl<T> Channel<T> {
    fn change<R>(&self, f: impl FnOnce(&mut State<T>) -> R) -> R {
        let answer = f(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner));
        self.changed.notify_all();
        answer
    }
}

impl<T> Sender<T> {
    /// # Errors
    ///
    /// The value, if nobody receives it.
    pub fn send(&self, value: T) -> Result<(), SendError<T>> {
        self.0.change(|state| {
            if !state.receives {
                return Err(SendError(value));
            }
            state.queue.push_back(value);
            Ok(())
        })
    }
}

impl<T> Clone for Sender<T> {
    fn clone(&self) -> Self {
        self.0.change(|state| state.senders += 1);
        Sender(self.0.clone())
    }
}

impl<T> Drop for Sender<T> {
    fn drop(&mut self) {
        self.0.change(|state| state.senders -= 1);
    }
}

impl<T> Receiver<T> {
    /// # Errors
    ///
    /// If nothing is there, and nothing will come.
    pub fn recv(&self) -> Result<T, RecvError> {
        let mut state = self.0.state.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            if let Some(value) = state.queue.pop_front() {
                return Ok(value);
            }
            if state.senders == 0 {
                return Err(RecvError);
            }
            state = self.0.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }
}

impl<T> Drop for Receiver<T> {
    fn drop(&mut self) {
        self.0.change(|state| state.receives = false);
    }
}
