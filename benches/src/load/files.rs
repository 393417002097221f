//! compio's comparison of file systems, built anew: 4 KiB at a time, one after the other, from and
//! to a file that is in memory, at places drawn at random: std, compio (io_uring), `spawn_blocking`,
//! `tokio::fs`, `async-fs`, and ours. Each in its own runtime and in one task; the buffer goes back
//! and forth where it has to be given away.

use std::fs::File;
use std::io::SeekFrom;
use std::os::fd::AsRawFd;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use compio::io::{AsyncReadAt, AsyncWriteAt};
use futures_lite::{AsyncReadExt as _, AsyncSeekExt as _, AsyncWriteExt as _};
use tokio::io::{AsyncReadExt as _, AsyncSeekExt as _, AsyncWriteExt as _};

use crate::harness::{Plan, in_turns, ns_each};
use crate::peer::Peer;
use crate::report::{Bar, Row, Side, Unit};
use crate::workload::{Draw, PAGE, Page};

const PAGES: usize = 4096;

/// A file of 16 MiB that is in memory, until this is dropped.
struct Cached {
    path: PathBuf,
    file: Arc<File>,
}

impl Cached {
    fn new() -> Cached {
        let path = std::env::temp_dir().join(format!("threadlet-bench-rw-{}", std::process::id()));
        std::fs::write(&path, vec![7; PAGES * PAGE]).expect("room for a file");
        let file = File::options().read(true).write(true).open(&path).expect("the file just made");
        Cached { path, file: Arc::new(file) }
    }
}

impl Drop for Cached {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.path);
    }
}

/// Whether pages are read or written.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Does {
    Reads,
    Writes,
}

use Does::{Reads, Writes};

fn place(draw: &mut Draw) -> u64 {
    (draw.next() as usize % PAGES * PAGE) as u64
}

fn call(file: &File, does: Does, page: &mut [u8; PAGE], at: u64) {
    let done = match does {
        Reads => file.read_at(page, at),
        Writes => file.write_at(page, at),
    };
    assert_eq!(done.expect("the page is there"), PAGE);
}

/// A side of the comparison: nanoseconds for each of `count`.
struct Sides<'a> {
    plan: &'a Plan,
    cached: &'a Cached,
    does: Does,
    count: usize,
}

impl Sides<'_> {
    fn std(&self) -> f64 {
        let (mut draw, mut page) = (Draw::new(0), Page::new());
        let begin = Instant::now();
        (0..self.count)
            .for_each(|_| call(&self.cached.file, self.does, &mut page.0, place(&mut draw)));
        ns_each(begin.elapsed(), self.count)
    }

    fn ours(&self) -> f64 {
        let file =
            threadlet::fs::File::from_std(self.cached.file.try_clone().expect("a second handle"));
        let (does, count) = (self.does, self.count);
        self.plan.runtime().run(async move {
            let (mut draw, mut page) = (Draw::new(0), Page::new());
            let begin = Instant::now();
            for _ in 0..count {
                let at = place(&mut draw);
                let done = match does {
                    Reads => file.read_at(&mut page.0, at).await,
                    Writes => file.write_at(&page.0, at).await,
                };
                assert_eq!(done.expect("the page is there"), PAGE);
            }
            ns_each(begin.elapsed(), count)
        })
    }

    fn compio(&self) -> f64 {
        let path = format!("/proc/self/fd/{}", self.cached.file.as_raw_fd());
        compio::runtime::Runtime::new().expect("io_uring").block_on(async {
            let mut options = compio::fs::OpenOptions::new();
            let file = options.read(true).write(true).open(path).await;
            let mut file = file.expect("it is there");
            let mut draw = Draw::new(0);
            let mut page = vec![7; PAGE];
            let begin = Instant::now();
            for _ in 0..self.count {
                let at = place(&mut draw);
                let compio::BufResult(done, back) = match self.does {
                    // A vector that is full has no room to read to.
                    Reads => {
                        page.clear();
                        file.read_at(page, at).await
                    }
                    Writes => file.write_at(page, at).await,
                };
                assert_eq!(done.expect("the page is there"), PAGE);
                page = back;
            }
            ns_each(begin.elapsed(), self.count)
        })
    }

    fn spawn_blocking(&self) -> f64 {
        let (file, does, count) = (self.cached.file.clone(), self.does, self.count / 10);
        self.plan.tokio().run(async move {
            let (mut draw, mut page) = (Draw::new(0), Page::new());
            let begin = Instant::now();
            for _ in 0..count {
                let (file, at) = (file.clone(), place(&mut draw));
                let done = tokio::task::spawn_blocking(move || {
                    call(&file, does, &mut page.0, at);
                    page
                });
                page = done.await.expect("the closure ends well");
            }
            ns_each(begin.elapsed(), count)
        })
    }
}

/// Both have a place in the file, which they seek, and a buffer of their own; what was written is
/// flushed, so that it is in the file. A macro, because the traits have the same names only.
macro_rules! seeking {
    ($name:ident, $runtime:ident, $file:ty, $from:expr) => {
        impl Sides<'_> {
            fn $name(&self) -> f64 {
                let std = self.cached.file.try_clone().expect("a second handle");
                let (does, count) = (self.does, self.count / 10);
                self.plan.$runtime().run(async move {
                    let mut file: $file = $from(std);
                    let (mut draw, mut page) = (Draw::new(0), Page::new());
                    let begin = Instant::now();
                    for _ in 0..count {
                        file.seek(SeekFrom::Start(place(&mut draw))).await.expect("a place in it");
                        if does == Reads {
                            file.read_exact(&mut page.0).await.expect("the page is there");
                        } else {
                            file.write_all(&page.0).await.expect("the page is there");
                            file.flush().await.expect("it can be written");
                        }
                    }
                    ns_each(begin.elapsed(), count)
                })
            }
        }
    };
}

seeking!(tokio_fs, tokio, tokio::fs::File, tokio::fs::File::from_std);
seeking!(async_fs, smol, async_fs::File, async_fs::File::from);

fn compared(plan: &Plan, does: Does, words: [&'static str; 5]) -> Vec<Row> {
    let cached = Cached::new();
    let sides = Sides { plan, cached: &cached, does, count: plan.size(20_000, 200) };
    let [std, ours, compio, spawned, tokio, smol] = in_turns(
        plan.rounds(9),
        [
            &mut || sides.std(),
            &mut || sides.ours(),
            &mut || sides.compio(),
            &mut || sides.spawn_blocking(),
            &mut || sides.tokio_fs(),
            &mut || sides.async_fs(),
        ],
    );
    let side = |name, samples| Side::new(name, Unit::Ns, samples);
    let over_std =
        |what, bar, name, samples| Row::quotient(what, bar, side(name, samples), side("std", &std));
    vec![
        over_std(words[0], Bar::AtMost(1.05), "ours", &ours),
        over_std(words[1], Bar::Open, "compio", &compio),
        over_std(words[2], Bar::Open, "spawn_blocking", &spawned),
        over_std(words[3], Bar::Open, "tokio::fs", &tokio),
        over_std(words[4], Bar::Open, "async-fs", &smol),
    ]
}

pub(crate) fn run(plan: &Plan) -> Vec<Row> {
    let reads = [
        "4 KiB read at random from a cached file: ours / std",
        "the same read: compio / std",
        "the same read: spawn_blocking / std",
        "the same read: tokio::fs, with a seek / std",
        "the same read: async-fs, with a seek / std",
    ];
    let writes = [
        "4 KiB written at random to a cached file: ours / std",
        "the same write: compio / std",
        "the same write: spawn_blocking / std",
        "the same write: tokio::fs, with a seek / std",
        "the same write: async-fs, with a seek / std",
    ];
    let mut rows = compared(plan, Reads, reads);
    rows.extend(compared(plan, Writes, writes));
    rows
}
