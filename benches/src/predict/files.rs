//! Files through `fs`: a whole small file, a page of an open one, by one task and by many.
//!
//! Everything read is in memory. Ours and the bare call take turns in one task of ours; tokio reads
//! in a task of its own runtime, and there ours is measured once more, as a program of tokio's
//! would use it. compio is io_uring with its own runtime on one thread, which is all that it has.

use std::future::Future;
use std::os::fd::AsRawFd;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use compio::io::AsyncReadAt;

use crate::harness::{Plan, Samples, ns_each};
use crate::peer::Peer;
use crate::report::{Bar, Row, Side, Unit};
use crate::workload::{PAGE, Page, cached_file};

const CHUNK: usize = 200;
const TASKS: usize = 64;

/// A file of one page, all in memory, that goes when this does.
struct Small(PathBuf);

impl Small {
    fn new() -> Small {
        let path = std::env::temp_dir().join(format!("threadlet-bench-fs-{}", std::process::id()));
        std::fs::write(&path, [7; PAGE]).expect("room for a small file");
        Small(path)
    }
}

impl Drop for Small {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

/// Nanoseconds each for `count` calls.
async fn each<F: Future<Output = usize>>(count: usize, mut call: impl FnMut(usize) -> F) -> f64 {
    let begin = Instant::now();
    for nth in 0..count {
        assert_eq!(call(nth).await, PAGE);
    }
    ns_each(begin.elapsed(), count)
}

pub(crate) fn whole(plan: &Plan) -> Vec<Row> {
    let small = Small::new();
    let path: &'static Path = Box::leak(small.0.clone().into_boxed_path());
    let chunks = plan.size(40, 2);
    let [mut ours, mut bare, mut tokio, mut inside] = [(); 4].map(|()| Samples::default());
    for _ in 0..plan.rounds(9) {
        let both = plan.runtime().run(async move {
            let mut both = Vec::new();
            for _ in 0..chunks {
                threadlet::task::yield_now().await;
                let ours = each(CHUNK, |_| async {
                    threadlet::fs::read(path).await.expect("it is there").len()
                });
                let ours = ours.await;
                threadlet::task::yield_now().await;
                let bare =
                    each(CHUNK, |_| async { std::fs::read(path).expect("it is there").len() });
                both.push((ours, bare.await));
            }
            both
        });
        let (one, other): (Vec<_>, Vec<_>) = both.into_iter().unzip();
        ours.push(Samples::from_iter(one).median());
        bare.push(Samples::from_iter(other).median());
        let (theirs, mine) = plan.tokio().run(async move {
            let theirs = each(chunks * CHUNK / 10, |_| async {
                tokio::fs::read(path).await.expect("it is there").len()
            });
            let theirs = theirs.await;
            let mine = each(chunks * CHUNK / 4, |_| async {
                threadlet::fs::read(path).await.expect("it is there").len()
            });
            (theirs, mine.await)
        });
        tokio.push(theirs);
        inside.push(mine);
    }
    vec![
        ratio(
            "a cached 4 KiB file: fs::read / std::fs::read",
            Bar::AtMost(1.3),
            ("ours", &ours),
            ("std", &bare),
        ),
        ratio(
            "a cached 4 KiB file: tokio::fs::read / fs::read",
            Bar::AtLeast(5.0),
            ("tokio", &tokio),
            ("ours", &ours),
        ),
        ratio(
            "inside tokio: tokio::fs::read / fs::read",
            Bar::AtLeast(5.0),
            ("tokio", &tokio),
            ("ours inside tokio", &inside),
        ),
    ]
}

pub(crate) fn read_at(plan: &Plan) -> Vec<Row> {
    let chunks = plan.size(100, 4);
    let [mut ours, mut bare, mut uring] = [(); 3].map(|()| Samples::default());
    for _ in 0..plan.rounds(9) {
        let both = plan.runtime().run(async move {
            let mut both = Vec::new();
            let std = cached_file();
            let file = threadlet::fs::File::from_std(std.try_clone().expect("a second handle"));
            let (mut mine, mut page) = (Page::new(), Page::new());
            for _ in 0..chunks {
                threadlet::task::yield_now().await;
                let begin = Instant::now();
                for nth in 0..CHUNK {
                    let read = file.read_at(&mut mine.0, place(nth)).await;
                    assert_eq!(read.expect("the page is there"), PAGE);
                }
                let ours = ns_each(begin.elapsed(), CHUNK);
                threadlet::task::yield_now().await;
                let begin = Instant::now();
                for nth in 0..CHUNK {
                    let read = std.read_at(&mut page.0, place(nth));
                    assert_eq!(read.expect("the page is there"), PAGE);
                }
                both.push((ours, ns_each(begin.elapsed(), CHUNK)));
            }
            both
        });
        let (one, other): (Vec<_>, Vec<_>) = both.into_iter().unzip();
        ours.push(Samples::from_iter(one).median());
        bare.push(Samples::from_iter(other).median());
        uring.push(reads_of_compio(chunks * CHUNK / 10));
    }
    vec![
        ratio(
            "a cached page: File::read_at / pread",
            Bar::AtMost(1.2),
            ("ours", &ours),
            ("pread", &bare),
        ),
        ratio(
            "a cached page: compio / File::read_at",
            Bar::AtLeast(1.2),
            ("compio", &uring),
            ("ours", &ours),
        ),
    ]
}

fn place(nth: usize) -> u64 {
    (nth % 64 * PAGE) as u64
}

/// Nanoseconds a read, one after the other.
fn reads_of_compio(count: usize) -> f64 {
    let runtime = compio::runtime::Runtime::new().expect("io_uring");
    runtime.block_on(async {
        let std = cached_file();
        let path = format!("/proc/self/fd/{}", std.as_raw_fd());
        let file = compio::fs::File::open(path).await.expect("it is there");
        let mut page: &'static mut [u8; PAGE] = &mut Box::leak(Page::new()).0;
        let begin = Instant::now();
        for nth in 0..count {
            let compio::BufResult(read, back) = file.read_at(page, place(nth)).await;
            assert_eq!(read.expect("the page is there"), PAGE);
            page = back;
        }
        ns_each(begin.elapsed(), count)
    })
}

/// Sixty-four tasks at once.
pub(crate) fn many(plan: &Plan) -> Vec<Row> {
    let count = plan.size(400, 20);
    let [mut ours, mut theirs] = [(); 2].map(|()| Samples::default());
    for _ in 0..plan.rounds(9) {
        ours.push(all_tasks(&plan.runtime(), count, || {
            let file = threadlet::fs::File::from_std(cached_file());
            async move {
                let mut page = Page::new();
                for nth in 0..count {
                    let read = file.read_at(&mut page.0, place(nth)).await;
                    assert_eq!(read.expect("the page is there"), PAGE);
                }
            }
        }));
        theirs.push(all_tasks(&plan.tokio(), count, || {
            let file = Arc::new(cached_file());
            async move {
                let mut page = Page::new();
                for nth in 0..count {
                    let file = file.clone();
                    let read = tokio::task::spawn_blocking(move || {
                        let read = file.read_at(&mut page.0, place(nth));
                        assert_eq!(read.expect("the page is there"), PAGE);
                        page
                    });
                    page = read.await.expect("the closure ends well");
                }
            }
        }));
    }
    vec![ratio(
        "64 tasks read cached pages: spawn_blocking / File::read_at",
        Bar::AtLeast(4.0),
        ("spawn_blocking", &theirs),
        ("ours", &ours),
    )]
}

/// Nanoseconds a call, where each of the tasks makes `count`.
fn all_tasks<P: Peer, F>(runtime: &P, count: usize, task: impl Fn() -> F) -> f64
where
    F: Future<Output = ()> + Send + 'static,
{
    let tasks: Vec<F> = (0..TASKS).map(|_| task()).collect();
    let took: Duration = runtime.run(async move {
        let begin = Instant::now();
        let tasks: Vec<_> = tasks.into_iter().map(P::spawn).collect();
        for task in tasks {
            task.await;
        }
        begin.elapsed()
    });
    ns_each(took, TASKS * count)
}

pub(super) fn ratio(
    what: &'static str,
    bar: Bar,
    over: (&'static str, &Samples),
    under: (&'static str, &Samples),
) -> Row {
    let side = |(name, samples)| Side::new(name, Unit::Ns, samples);
    Row::quotient(what, bar, side(over), side(under))
}
