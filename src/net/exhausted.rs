//! A listener that is out of descriptors.
//!
//! A server's loop mostly asks again at once when `accept` fails. As long as the process is out of
//! descriptors (or the system out of memory for sockets), that fails again at once, as the
//! connection waits on: the loop would take a whole CPU. So the `accept` after such an error waits
//! a moment first.

use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crate::time::sleep;

/// How long the `accept` after an error waits: twenty errors a second are no load, and a
/// connection that waits for a descriptor waits little longer.
const PAUSE: Duration = Duration::from_millis(50);

/// Whether the last `accept` has failed for want of something.
#[derive(Debug, Default)]
pub(super) struct Exhausted(AtomicBool);

impl Exhausted {
    /// Before an `accept`. Cancelled, the next one waits.
    pub(super) async fn pause(&self) {
        // Ordering: Relaxed. A hint; at worst two listeners' tasks wait, or one does not.
        if self.0.load(Ordering::Relaxed) {
            sleep(PAUSE).await;
            self.0.store(false, Ordering::Relaxed);
        }
    }

    /// Behind one.
    pub(super) fn note<T>(&self, accepted: io::Result<T>) -> io::Result<T> {
        if let Err(error) = &accepted {
            let wants = [libc::EMFILE, libc::ENFILE, libc::ENOBUFS, libc::ENOMEM];
            if error.raw_os_error().is_some_and(|number| wants.contains(&number)) {
                self.0.store(true, Ordering::Relaxed);
            }
        }
        accepted
    }
}
