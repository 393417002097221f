//! Sixty-four tasks that read cached pages while other programs want the processors, too.
//!
//! For each CPU three processes compute all the time, so that a worker has a quarter of one. It is
//! preempted again and again, in the middle of calls that do not block: whoever takes that for a
//! block hands over for nothing. Each task yields after some reads. All sides run for the same
//! time, in turns, and reads are counted.

use std::fs::File;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crate::harness::{Plan, Samples, in_turns};
use crate::peer::Peer;
use crate::report::{Bar, Row, Side, Unit};
use crate::workload::{PAGE, cached_file, read_page};

const TASKS: usize = 64;
/// Others for each CPU; with our worker four.
const OTHERS: usize = 3;
/// Reads between two yields.
const READS: usize = 16;

/// Other programs, until they are dropped.
struct Others(Vec<Child>);

impl Others {
    fn start(count: usize) -> Others {
        let start = |_| {
            let mut command = Command::new("sh");
            // It ends by itself if nobody is left to end it.
            command.args(["-c", "exec timeout 120 sh -c 'while :; do :; done'"]);
            command.stdin(Stdio::null()).spawn().expect("a shell can be started")
        };
        Others((0..count).map(start).collect())
    }
}

impl Drop for Others {
    fn drop(&mut self) {
        for child in &mut self.0 {
            // `timeout` passes a request to end on; it cannot pass on a kill.
            let id = child.id().to_string();
            let _ = Command::new("kill").arg(&id).status();
            let _ = child.wait();
        }
    }
}

/// Reads in a second, where each task makes `READS` and yields.
fn reads<P: Peer>(runtime: &P, length: Duration, some: fn(&File, usize, &mut [u8; PAGE])) -> f64 {
    let over = Arc::new(AtomicBool::new(false));
    let file = Arc::new(cached_file());
    let (count, took) = runtime.run(async move {
        let begin = Instant::now();
        let task = |_| {
            let (over, file) = (over.clone(), file.clone());
            P::spawn(async move {
                let (mut page, mut count) = ([0; PAGE], 0);
                while !over.load(Ordering::Relaxed) {
                    some(&file, count, &mut page);
                    count += READS;
                    P::yield_now().await;
                }
                count
            })
        };
        let tasks: Vec<_> = (0..TASKS).map(task).collect();
        P::sleep(length).await;
        over.store(true, Ordering::Relaxed);
        let mut count = 0;
        for task in tasks {
            count += task.await;
        }
        (count, begin.elapsed())
    });
    count as f64 / took.as_secs_f64()
}

fn plain(file: &File, from: usize, page: &mut [u8; PAGE]) {
    (from..from + READS).for_each(|nth| read_page(file, nth, page));
}

fn in_place(file: &File, from: usize, page: &mut [u8; PAGE]) {
    tokio::task::block_in_place(|| plain(file, from, page));
}

fn guarded(file: &File, from: usize, page: &mut [u8; PAGE]) {
    (from..from + READS).for_each(|nth| threadlet::run(|| read_page(file, nth, page)));
}

pub(crate) fn run(plan: &Plan) -> Vec<Row> {
    let length = plan.size(Duration::from_millis(800), Duration::from_millis(50));
    let (mut false_ones, mut wasted) = (Samples::default(), Samples::default());
    let others = Others::start(OTHERS * plan.workers);
    let [ours, bare, tokio] = in_turns(
        plan.rounds(9),
        [
            &mut || {
                let runtime = plan.runtime();
                let before = runtime.metrics();
                let rate = reads(&runtime, length, guarded);
                let after = runtime.metrics();
                let percent =
                    |count: u64| 100.0 * count as f64 / (after.regions - before.regions) as f64;
                false_ones.push(percent(after.handoffs_blocked - before.handoffs_blocked));
                wasted.push(percent(after.handoffs_wasted - before.handoffs_wasted));
                rate
            },
            &mut || reads(&plan.runtime(), length, plain),
            &mut || reads(&plan.tokio(), length, in_place),
        ],
    );
    drop(others);
    let side = |name, samples| Side::new(name, Unit::PerSecond, samples);
    let what = "64 tasks read cached pages, CPUs oversubscribed four times: time, guarded / bare";
    let row = Row::quotient(
        what,
        Bar::AtMost(1.2),
        side("bare, reads/s", &bare),
        side("guarded, reads/s", &ours),
    );
    let percent = |what, bar, samples| {
        Row::median(what, Bar::AtMost(bar), Side::new("ours", Unit::Percent, samples))
    };
    vec![
        row.beside(side("block_in_place for 16 reads, reads/s", &tokio)),
        percent("the same: calls that were handed over as blocked", 0.0, &false_ones),
        percent("the same: hand-offs that were for nothing, of all calls", 0.1, &wasted),
    ]
}
