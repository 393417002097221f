//! A listener that is out of descriptors.
//!
//! A server's loop mostly asks again at once when `accept` fails. As long as the process is out of
//! descriptors (or the system out of memory for sockets), that fails again at once, as the
//! connection waits on: the loop would take a whole CPU. So the `accept` after such an error waits
//! a moment first.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use crate::driver::Handle;
use crate::primitive::Mutex;
use crate::time::{Sleep, sleep_by};

/// How long the `accept` after an error waits: twenty errors a second are no load, and a
/// connection that waits for a descriptor waits little longer.
const PAUSE: Duration = Duration::from_millis(50);

/// Whether the last `accept` has failed for want of something.
#[derive(Debug)]
pub(super) struct Exhausted {
    wants: AtomicBool,
    /// What `poll_pause` waits for: its callers have no future to keep it in.
    pause: Mutex<Option<Pin<Box<Sleep>>>>,
}

impl Exhausted {
    pub(super) fn new() -> Self {
        Exhausted { wants: AtomicBool::new(false), pause: Mutex::new(None) }
    }

    /// Before an `accept`. Cancelled, the next one waits.
    pub(super) async fn pause(&self, driver: &Handle) {
        // Ordering: Relaxed, here and below. A hint; at worst two listeners' tasks wait, or one does
        // not.
        if self.wants.load(Ordering::Relaxed) {
            sleep_by(driver, PAUSE).await;
            self.wants.store(false, Ordering::Relaxed);
        }
    }

    /// Before a `poll_accept`.
    pub(super) fn poll_pause(&self, driver: &Handle, cx: &mut Context<'_>) -> Poll<()> {
        if !self.wants.load(Ordering::Relaxed) {
            return Poll::Ready(());
        }
        // A poll clones the waker and drops another, which are foreign code: not under the lock.
        let pause = self.pause.lock().take();
        let mut pause = pause.unwrap_or_else(|| Box::pin(sleep_by(driver, PAUSE)));
        if pause.as_mut().poll(cx).is_pending() {
            let other = self.pause.lock().replace(pause);
            drop(other);
            return Poll::Pending;
        }
        self.wants.store(false, Ordering::Relaxed);
        Poll::Ready(())
    }

    /// Behind one.
    pub(super) fn note<T>(&self, accepted: io::Result<T>) -> io::Result<T> {
        if let Err(error) = &accepted {
            let wants = [libc::EMFILE, libc::ENFILE, libc::ENOBUFS, libc::ENOMEM];
            if error.raw_os_error().is_some_and(|number| wants.contains(&number)) {
                self.wants.store(true, Ordering::Relaxed);
            }
        }
        accepted
    }
}
