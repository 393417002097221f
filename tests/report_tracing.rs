//! The feature `tracing`: a `threadlet!` that is a plain call for want of a runtime says so, once
//! for each place.

mod support;

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use support::foreign_block_on;
use threadlet::runtime::Builder;
use threadlet::threadlet;
use tracing::field::{Field, Visit};
use tracing::{Event, Metadata, Subscriber, span};

static LINES: Mutex<Vec<u64>> = Mutex::new(Vec::new());
static OTHERS: AtomicUsize = AtomicUsize::new(0);

/// Keeps the lines that are spoken of.
struct Listener;

impl Subscriber for Listener {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target() == "threadlet"
    }

    fn new_span(&self, _: &span::Attributes<'_>) -> span::Id {
        span::Id::from_u64(1)
    }

    fn record(&self, _: &span::Id, _: &span::Record<'_>) {}
    fn record_follows_from(&self, _: &span::Id, _: &span::Id) {}
    fn enter(&self, _: &span::Id) {}
    fn exit(&self, _: &span::Id) {}

    fn event(&self, event: &Event<'_>) {
        event.record(&mut Line);
    }
}

struct Line;

impl Visit for Line {
    fn record_u64(&mut self, field: &Field, value: u64) {
        assert_eq!(field.name(), "line");
        LINES.lock().unwrap().push(value);
    }

    fn record_debug(&mut self, _: &Field, _: &dyn std::fmt::Debug) {
        OTHERS.fetch_add(1, Ordering::Relaxed);
    }
}

fn lines() -> Vec<u64> {
    std::mem::take(&mut *LINES.lock().unwrap())
}

#[test]
fn a_plain_call_says_so_once() {
    tracing::subscriber::set_global_default(Listener).unwrap();
    let place = u64::from(line!()) + 1;
    let call = async || threadlet!(7);
    // In runtimes of ours: guarded, nested, and the root future, which is known to be plain.
    let runtime = Builder::new_multi_thread().worker_threads(1).build().unwrap();
    runtime.block_on(call());
    runtime.block_on(runtime.spawn(async { threadlet!(threadlet::run(|| ())) })).unwrap();
    let entered = runtime.enter();
    foreign_block_on(call());
    drop(entered);
    assert_eq!(lines(), []);
    // In none.
    for _ in 0..3 {
        assert_eq!(foreign_block_on(call()), 7);
    }
    assert_eq!(lines(), [place]);
    foreign_block_on(async { threadlet!(8) });
    assert_eq!(lines().len(), 1, "each place for itself");
    assert!(OTHERS.load(Ordering::Relaxed) >= 2, "with a text");
}
