//! A closure that does nothing, sent off by a thread that is in no runtime, and waited for.
//!
//! The executor is the same few lines for both: it parks the thread until the future wakes it. What
//! is measured is the way to another thread and back.

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::thread::Thread;
use std::time::Instant;

use crate::harness::{Plan, Samples, ns_each};
use crate::report::{Bar, Row};

use super::files::ratio;

struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

fn wait<F: Future>(future: F) -> F::Output {
    let mut future = pin!(future);
    let waker = Waker::from(Arc::new(Unpark(std::thread::current())));
    let mut cx = Context::from_waker(&waker);
    loop {
        match future.as_mut().poll(&mut cx) {
            Poll::Ready(output) => return output,
            Poll::Pending => std::thread::park(),
        }
    }
}

fn each<F: Future<Output = usize>>(count: usize, call: impl Fn(usize) -> F) -> f64 {
    let begin = Instant::now();
    for nth in 0..count {
        assert_eq!(wait(call(nth)), nth);
    }
    ns_each(begin.elapsed(), count)
}

/// The global runtime chooses its detector itself, so both columns show the same.
pub(crate) fn run(plan: &Plan) -> Vec<Row> {
    let count = plan.size(5_000, 100);
    let [mut ours, mut theirs] = [(); 2].map(|()| Samples::default());
    for _ in 0..plan.rounds(11) {
        ours.push(each(count, |nth| threadlet::unblock(move || nth)));
        theirs.push(each(count, |nth| blocking::unblock(move || nth)));
    }
    vec![ratio(
        "from a foreign executor: unblock / blocking::unblock",
        Bar::AtMost(1.0),
        ("ours", &ours),
        ("blocking", &theirs),
    )]
}
