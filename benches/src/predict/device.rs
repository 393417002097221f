//! Random reads of 4 KiB that go to the device (`O_DIRECT`), thirty-two at once: in tasks of ours,
//! in plain threads, and by io_uring.
//!
//! All sides read the same file, at places drawn by the same generator, for the same time; CPU time
//! is that of the whole process. A read here nearly always blocks, so ours pays for a thread each,
//! as the plain threads do; the question is what it pays beside.

use std::fs::File;
use std::io::Write;
use std::os::fd::AsRawFd;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use compio::io::AsyncReadAt;
use threadlet::threadlet;

use crate::harness::{Plan, Samples};
use crate::peer::Peer;
use crate::report::{Bar, Row, Side as Measured, Unit};
use crate::sys;
use crate::workload::{Draw, PAGE, Page};

const DEPTH: usize = 32;
const SIZE: usize = 256 << 20;

/// What all readers of a side share.
struct Work {
    file: File,
    over: AtomicBool,
    reads: AtomicU64,
}

impl Work {
    fn new(file: &File) -> Arc<Work> {
        let file = file.try_clone().expect("a second handle");
        Arc::new(Work { file, over: AtomicBool::new(false), reads: AtomicU64::new(0) })
    }

    fn is_over(&self) -> bool {
        self.over.load(Ordering::Relaxed)
    }

    fn read(&self, page: &mut Page, place: u64) {
        let read = self.file.read_at(&mut page.0, place).expect("the page is there");
        assert_eq!(read, PAGE);
    }
}

/// Any page of the file.
fn place(draw: &mut Draw) -> u64 {
    (draw.next() as usize % (SIZE / PAGE) * PAGE) as u64
}

/// A file that is on the device, written once, opened past the cache. It has no name.
fn direct_file() -> File {
    let path = std::env::temp_dir().join(format!("threadlet-bench-io-{}", std::process::id()));
    let mut file = File::create(&path).expect("a file in the directory for temporary files");
    let block: Vec<u8> = (0..1 << 20).map(|nth: u32| nth.wrapping_mul(0x9E37_79B9) as u8).collect();
    for _ in 0..SIZE >> 20 {
        file.write_all(&block).expect("room for 256 MiB");
    }
    file.sync_all().expect("the device takes it");
    let direct = File::options().read(true).custom_flags(libc::O_DIRECT).open(&path);
    std::fs::remove_file(&path).expect("the file just made");
    direct.expect("a file system that knows O_DIRECT")
}

#[derive(Default)]
struct Side {
    /// Reads a second.
    rate: Samples,
    /// CPU microseconds a read.
    cpu: Samples,
}

impl Side {
    /// Runs `readers` for a while; they count, and end when it is over.
    fn measure(&mut self, file: &File, length: Duration, readers: impl FnOnce(Arc<Work>)) {
        let work = Work::new(file);
        let (cpu, begin) = (sys::process_cpu_time(), Instant::now());
        let mine = work.clone();
        let timer = std::thread::spawn(move || {
            std::thread::sleep(length);
            mine.over.store(true, Ordering::Relaxed);
        });
        readers(work.clone());
        let (took, cpu) = (begin.elapsed(), sys::process_cpu_time() - cpu);
        timer.join().expect("it sleeps well");
        let reads = work.reads.load(Ordering::Relaxed) as f64;
        self.rate.push(reads / took.as_secs_f64());
        self.cpu.push(cpu.as_secs_f64() * 1e6 / reads);
    }
}

pub(crate) fn run(plan: &Plan) -> Vec<Row> {
    let file = direct_file();
    let length = plan.size(Duration::from_millis(1000), Duration::from_millis(50));
    let [mut ours, mut threads, mut uring] = [(); 3].map(|()| Side::default());
    for _ in 0..plan.rounds(7) {
        let runtime = plan.runtime();
        ours.measure(&file, length, |work| in_tasks(&runtime, work));
        drop(runtime);
        threads.measure(&file, length, in_threads);
        uring.measure(&file, length, by_uring);
    }
    let rate = |name, side: &Side| Measured::new(name, Unit::PerSecond, &side.rate);
    let cpu = |name, side: &Side| Measured::new(name, Unit::Us, &side.cpu);
    let rates =
        |what, bar, name, peer| Row::quotient(what, bar, rate("ours", &ours), rate(name, peer));
    let cpus =
        |what, bar, name, peer| Row::quotient(what, bar, cpu("ours", &ours), cpu(name, peer));
    vec![
        rates(
            "random direct 4 KiB reads, 32 tasks: reads/s, ours / 32 threads",
            Bar::AtLeast(0.95),
            "threads",
            &threads,
        ),
        cpus("the same: CPU a read, ours / 32 threads", Bar::AtMost(1.4), "threads", &threads),
        rates("the same: reads/s, ours / io_uring", Bar::AtLeast(0.9), "io_uring", &uring),
        cpus("the same: CPU a read, ours / io_uring", Bar::Open, "io_uring", &uring),
    ]
}

fn in_tasks(runtime: &threadlet::runtime::Runtime, work: Arc<Work>) {
    runtime.run(async move {
        let reader = |task: usize| {
            let work = work.clone();
            threadlet::spawn(async move {
                let (mut draw, mut page, mut reads) = (Draw::new(task), Page::new(), 0);
                while !work.is_over() {
                    let place = place(&mut draw);
                    threadlet!(work.read(&mut page, place));
                    reads += 1;
                }
                work.reads.fetch_add(reads, Ordering::Relaxed);
            })
        };
        let tasks: Vec<_> = (0..DEPTH).map(reader).collect();
        for task in tasks {
            task.await.expect("it reads well");
        }
    });
}

fn in_threads(work: Arc<Work>) {
    let reader = |task: usize| {
        let work = work.clone();
        std::thread::spawn(move || {
            let (mut draw, mut page, mut reads) = (Draw::new(task), Page::new(), 0);
            while !work.is_over() {
                work.read(&mut page, place(&mut draw));
                reads += 1;
            }
            work.reads.fetch_add(reads, Ordering::Relaxed);
        })
    };
    let threads: Vec<_> = (0..DEPTH).map(reader).collect();
    for thread in threads {
        thread.join().expect("it reads well");
    }
}

fn by_uring(work: Arc<Work>) {
    compio::runtime::Runtime::new().expect("io_uring").block_on(async move {
        let path = format!("/proc/self/fd/{}", work.file.as_raw_fd());
        let mut options = compio::fs::OpenOptions::new();
        let file = options.read(true).custom_flags(libc::O_DIRECT as _).open(path).await;
        let file = file.expect("it is there");
        let reader = |task: usize| {
            let (work, file) = (work.clone(), file.clone());
            compio::runtime::spawn(async move {
                let (mut draw, mut reads) = (Draw::new(task), 0);
                let mut page: &'static mut [u8; PAGE] = &mut Box::leak(Page::new()).0;
                while !work.is_over() {
                    let compio::BufResult(read, back) = file.read_at(page, place(&mut draw)).await;
                    assert_eq!(read.expect("the page is there"), PAGE);
                    page = back;
                    reads += 1;
                }
                work.reads.fetch_add(reads, Ordering::Relaxed);
            })
        };
        let tasks: Vec<_> = (0..DEPTH).map(reader).collect();
        for task in tasks {
            let _ = task.await;
        }
    });
}
