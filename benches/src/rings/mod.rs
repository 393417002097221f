//! What the detectors' tools cost on this kernel, and how soon an edge comes: the tables of the
//! page on detectors. It is the kernel that is measured, by bare calls; no runtime is built, and
//! there is no bar. It wants a machine that has nothing else to do.

mod costs;
mod edges;
mod trips;

use std::hint::spin_loop;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;
use std::thread::JoinHandle;
use std::time::Duration;

use crate::sys::epoll::Epoll;
use crate::sys::perf::SwitchEvent;
use crate::sys::thread::tid;

/// How long to measure.
#[derive(Clone, Copy, Debug, clap::Args)]
pub(crate) struct Options {
    /// A smoke run: shows that everything runs, not how fast
    #[arg(long)]
    quick: bool,
}

impl Options {
    fn count(self, full: usize) -> usize {
        if self.quick { full / 20 } else { full }
    }
}

pub(crate) fn run(options: Options) -> io::Result<()> {
    costs::run(options)?;
    trips::run(options)?;
    edges::run(options)
}

/// Ends threads that ask it now and then.
#[derive(Clone, Default)]
struct Stop(Arc<AtomicBool>);

impl Stop {
    // Ordering: a hint; who wants to see what the thread did joins it.
    fn set(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    fn is_set(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// A thread that computes, as a suspect does.
struct Computing {
    tid: i32,
    stop: Stop,
    thread: JoinHandle<()>,
}

impl Computing {
    fn start() -> Computing {
        let (tell, told) = mpsc::channel();
        let stop = Stop::default();
        let stopped = stop.clone();
        let thread = std::thread::spawn(move || {
            let _ = tell.send(tid());
            while !stopped.is_set() {
                spin_loop();
            }
        });
        Computing { tid: told.recv().expect("it tells"), stop, thread }
    }

    fn stop(self) {
        self.stop.set();
        self.thread.join().expect("it does not panic");
    }
}

/// A thread that waits for the edges of an event, as the sentinel does, and notes each.
struct Watcher {
    stop: Stop,
    thread: JoinHandle<io::Result<usize>>,
}

impl Watcher {
    /// `settle` is what the thread does to itself before it waits.
    fn start(
        event: Arc<SwitchEvent>,
        settle: impl FnOnce() -> io::Result<()> + Send + 'static,
        mut note: impl FnMut(&SwitchEvent) + Send + 'static,
    ) -> Watcher {
        let stop = Stop::default();
        let stopped = stop.clone();
        let thread = std::thread::spawn(move || {
            settle()?;
            // It goes before the event does: nobody removes a descriptor that is closed.
            let epoll = Epoll::watching(event.raw_fd())?;
            let mut edges = 0;
            while !stopped.is_set() {
                if epoll.wait(Duration::from_millis(20)) {
                    edges += 1;
                    note(&event);
                }
            }
            Ok(edges)
        });
        Watcher { stop, thread }
    }

    /// How many edges came.
    fn stop(self) -> io::Result<usize> {
        self.stop.set();
        self.thread.join().expect("the watcher does not panic")
    }
}
