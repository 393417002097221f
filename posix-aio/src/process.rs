//! What there is one of per process, and what a fork does to it.

use std::sync::atomic::{AtomicBool, Ordering};

use crate::duplicates;
use crate::engine::Engine;
use crate::generation;
use crate::queue::Queue;
use crate::suspend;
use crate::sys::{self, Leaked};
use crate::table::Table;

/// The unfinished requests, and who runs them. Made at the first request that is not answered at
/// once; by a thread that may be short of stack, so nothing large is made here.
#[derive(Debug)]
pub(crate) struct Process {
    pub(crate) table: Table,
    pub(crate) engine: Engine,
    pub(crate) queue: Queue,
    pid: u32,
}

static PROCESS: Leaked<Process> = Leaked::new();

impl Process {
    pub(crate) fn get() -> &'static Process {
        Process::existing().unwrap_or_else(Process::make)
    }

    pub(crate) fn existing() -> Option<&'static Process> {
        PROCESS.get()
    }

    /// False in the child of a `vfork`, which runs in the memory of its parent. (Behind a filter
    /// that is not asked.)
    pub(crate) fn is_own(&self) -> bool {
        sys::behind_filter() || self.pid == std::process::id()
    }

    #[cold]
    fn make() -> &'static Process {
        static REGISTERED: AtomicBool = AtomicBool::new(false);
        // Ordering: Relaxed, without a partner; it only decides who registers.
        if !REGISTERED.swap(true, Ordering::Relaxed) {
            sys::on_fork_in_child(forget);
        }
        let pid = if sys::behind_filter() { 0 } else { std::process::id() };
        let (table, engine, queue) = (Table::new(), Engine::new(), Queue::new());
        PROCESS.get_or_leak(Box::new(Process { table, engine, queue, pid }))
    }
}

/// In the child of a fork. What the parent had is not freed: a thread that is not there any more
/// may have held a lock of it.
extern "C" fn forget() {
    PROCESS.forget();
    generation::begin_next();
    suspend::forget();
    duplicates::forget();
}
