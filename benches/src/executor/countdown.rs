//! How a workload knows that all of its tasks have ended.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use futures::channel::oneshot;

/// Counts down; whoever reaches zero sends.
pub(super) struct Countdown {
    left: AtomicUsize,
    done: std::sync::Mutex<Option<oneshot::Sender<()>>>,
}

impl Countdown {
    pub(super) fn new(count: usize) -> (Arc<Countdown>, oneshot::Receiver<()>) {
        let (done, waits) = oneshot::channel();
        let done = std::sync::Mutex::new(Some(done));
        (Arc::new(Countdown { left: AtomicUsize::new(count), done }), waits)
    }

    pub(super) fn one_less(&self) {
        if self.left.fetch_sub(1, Ordering::AcqRel) == 1 {
            let done = self.done.lock().expect("nobody panics under it").take();
            done.expect("zero is reached once").send(()).expect("somebody waits");
        }
    }
}
