//! What a runtime costs that has nothing to do.
//!
//! The CPU time of the whole process over three seconds, as a share of one CPU: once with a runtime
//! in which nothing happens, and once with one in which eight threads are blocked in calls (each
//! reads from an empty socket) and nothing else happens. There is no peer: the bar is nothing. Some
//! time passes between the last event and the measurement, because the monitor slows down by and
//! by; a runtime that never comes to rest shows all the same.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::thread;
use std::time::{Duration, Instant};

use threadlet::runtime::Runtime;

use crate::harness::{Plan, Samples};
use crate::report::{Bar, Row, Side, Unit};
use crate::sys::process_cpu_time;

const BLOCKED: usize = 8;

/// Slower than this, they did not hand over.
const PATIENCE: Duration = Duration::from_secs(10);

pub(crate) fn run(plan: &Plan) -> Vec<Row> {
    let span = plan.size(Duration::from_secs(3), Duration::from_millis(400));
    let (mut idle, mut blocked) = (Samples::default(), Samples::default());
    for _ in 0..plan.rounds.unwrap_or(1) {
        idle.push(percent_of_a_cpu(span, &plan.runtime()));
        blocked.push(with_blocked_threads(span, &plan.runtime()));
    }
    vec![row("an idle runtime: CPU", &idle), row("8 blocked threads, nothing to do: CPU", &blocked)]
}

fn row(what: &'static str, percent: &Samples) -> Row {
    Row::median(what, Bar::Below(0.1), Side::new("ours", Unit::Percent, percent))
}

fn percent_of_a_cpu(span: Duration, _runtime: &Runtime) -> f64 {
    thread::sleep(Duration::from_millis(500));
    let (begin, used) = (Instant::now(), process_cpu_time());
    thread::sleep(span);
    (process_cpu_time() - used).as_secs_f64() / begin.elapsed().as_secs_f64() * 100.0
}

fn with_blocked_threads(span: Duration, runtime: &Runtime) -> f64 {
    let (mut ends, calls): (Vec<_>, Vec<_>) = (0..BLOCKED)
        .map(|_| {
            let (mut blocked, end) = UnixStream::pair().expect("a pair of sockets");
            (end, runtime.spawn_blocking(move || blocked.read_exact(&mut [0])))
        })
        .unzip();
    let begin = Instant::now();
    while runtime.metrics().async_threads < BLOCKED {
        assert!(begin.elapsed() < PATIENCE, "{:?}", runtime.metrics());
        thread::sleep(Duration::from_millis(1));
    }
    let percent = percent_of_a_cpu(span, runtime);
    assert_eq!(runtime.metrics().async_threads, BLOCKED, "they are blocked still");
    for end in &mut ends {
        end.write_all(&[1]).expect("the other end is open");
    }
    for call in calls {
        let read = runtime.block_on(call).expect("the call ends well");
        read.expect("one byte was written");
    }
    percent
}
