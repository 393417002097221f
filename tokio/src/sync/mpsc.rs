//! Channels of many senders, as [`tokio::sync::mpsc`](https://docs.rs/tokio/1.54/tokio/sync/mpsc/).
//!
//! tokio's own, but for the sender of a bounded channel: [`Sender::send_timeout`] is by our timer.

use std::fmt;
use std::time::Duration;

pub use real::sync::mpsc::*;
use real::sync::mpsc::{self as theirs};

use crate::adapt::forward;

use self::error::{SendError, SendTimeoutError, TrySendError};

/// A channel with room for `buffer` messages.
///
/// # Panics
///
/// If `buffer` is 0, or larger than a semaphore can count.
#[track_caller]
pub fn channel<T>(buffer: usize) -> (Sender<T>, Receiver<T>) {
    let (sender, receiver) = theirs::channel(buffer);
    (Sender(sender), receiver)
}

/// Sends into a bounded channel.
pub struct Sender<T>(theirs::Sender<T>);

impl<T> Sender<T> {
    /// Sends, when there is room before `timeout` is over.
    ///
    /// # Cancel safety
    ///
    /// As that of [`send`](theirs::Sender::send): dropped, the message is not sent.
    pub async fn send_timeout(
        &self,
        value: T,
        timeout: Duration,
    ) -> Result<(), SendTimeoutError<T>> {
        match crate::time::timeout(timeout, self.0.reserve()).await {
            Ok(Ok(permit)) => {
                permit.send(value);
                Ok(())
            }
            Ok(Err(_closed)) => Err(SendTimeoutError::Closed(value)),
            Err(_elapsed) => Err(SendTimeoutError::Timeout(value)),
        }
    }

    /// Sends from synchronous code. Within a task it holds up that task alone.
    pub fn blocking_send(&self, value: T) -> Result<(), SendError<T>> {
        threadlet::run(|| self.0.blocking_send(value))
    }

    /// Waits for room, and keeps it.
    pub async fn reserve_owned(self) -> Result<OwnedPermit<T>, SendError<()>> {
        self.0.reserve_owned().await.map(OwnedPermit)
    }

    /// Keeps room, if there is any.
    pub fn try_reserve_owned(self) -> Result<OwnedPermit<T>, TrySendError<Self>> {
        self.0.try_reserve_owned().map(OwnedPermit).map_err(|error| match error {
            TrySendError::Full(sender) => TrySendError::Full(Sender(sender)),
            TrySendError::Closed(sender) => TrySendError::Closed(Sender(sender)),
        })
    }

    forward! { "sync/mpsc/struct.Sender.html"
        async fn send(&self, value: T) -> Result<(), SendError<T>>;
        async fn closed(&self);
        async fn reserve(&self) -> Result<Permit<'_, T>, SendError<()>>;
        async fn reserve_many(&self, n: usize) -> Result<PermitIterator<'_, T>, SendError<()>>;
        fn try_send(&self, message: T) -> Result<(), TrySendError<T>>;
        fn try_reserve(&self) -> Result<Permit<'_, T>, TrySendError<()>>;
        fn try_reserve_many(&self, n: usize) -> Result<PermitIterator<'_, T>, TrySendError<()>>;
        fn is_closed(&self) -> bool;
        fn capacity(&self) -> usize;
        fn max_capacity(&self) -> usize;
        fn strong_count(&self) -> usize;
        fn weak_count(&self) -> usize;
    }

    /// Whether both send into one channel.
    pub fn same_channel(&self, other: &Self) -> bool {
        self.0.same_channel(&other.0)
    }

    /// A sender that does not keep the channel open.
    pub fn downgrade(&self) -> WeakSender<T> {
        WeakSender(self.0.downgrade())
    }
}

impl<T> Clone for Sender<T> {
    fn clone(&self) -> Self {
        Sender(self.0.clone())
    }
}

impl<T> fmt::Debug for Sender<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A sender that does not keep the channel open.
pub struct WeakSender<T>(theirs::WeakSender<T>);

impl<T> WeakSender<T> {
    /// A sender, if the channel is open.
    pub fn upgrade(&self) -> Option<Sender<T>> {
        self.0.upgrade().map(Sender)
    }

    forward! { "sync/mpsc/struct.WeakSender.html"
        fn strong_count(&self) -> usize;
        fn weak_count(&self) -> usize;
    }
}

impl<T> Clone for WeakSender<T> {
    fn clone(&self) -> Self {
        WeakSender(self.0.clone())
    }
}

impl<T> fmt::Debug for WeakSender<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Room for a message, with the sender.
pub struct OwnedPermit<T>(theirs::OwnedPermit<T>);

impl<T> OwnedPermit<T> {
    /// Sends.
    pub fn send(self, value: T) -> Sender<T> {
        Sender(self.0.send(value))
    }

    /// Gives the room back.
    pub fn release(self) -> Sender<T> {
        Sender(self.0.release())
    }

    /// Whether both are of one channel.
    pub fn same_channel(&self, other: &Self) -> bool {
        self.0.same_channel(&other.0)
    }

    /// Whether both are of one channel.
    pub fn same_channel_as_sender(&self, sender: &Sender<T>) -> bool {
        self.0.same_channel_as_sender(&sender.0)
    }
}

impl<T> fmt::Debug for OwnedPermit<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
