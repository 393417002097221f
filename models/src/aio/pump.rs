//! The twin in the models: each closure runs on a thread of its own, as soon or as late as loom
//! likes.

/// Runs closures.
#[derive(Debug)]
pub(crate) struct Pump;

impl Pump {
    pub(crate) fn submit(&self, job: impl FnOnce() + Send + 'static) {
        loom::thread::spawn(job);
    }
}
