//! Twins of what stands around the table.

/// Descriptors of our own: there are none.
pub(crate) mod duplicates {
    use std::ffi::c_int;

    #[derive(Debug)]
    pub(crate) struct Duplicate(c_int);

    impl Duplicate {
        pub(crate) fn of(_fd: c_int) -> Option<Duplicate> {
            None
        }

        pub(crate) fn number(&self) -> c_int {
            self.0
        }
    }
}

/// The pump: each job has a thread of its own.
pub(crate) mod engine {
    use std::cell::RefCell;

    use loom::thread;

    thread_local! {
        /// Those of the model that this thread explores.
        static THREADS: RefCell<Vec<thread::JoinHandle<()>>> = const { RefCell::new(Vec::new()) };
    }

    #[derive(Debug)]
    pub(crate) struct Engine;

    impl Engine {
        pub(crate) fn submit(&self, job: impl FnOnce() + Send + 'static) {
            let thread = thread::spawn(job);
            THREADS.with_borrow_mut(|threads| threads.push(thread));
        }
    }

    pub(crate) fn is_submitting() -> bool {
        false
    }

    /// Waits until all jobs are done, and those that they bring.
    pub(crate) fn join_all() {
        while let Some(thread) = THREADS.with_borrow_mut(Vec::pop) {
            thread.join().unwrap();
        }
    }
}

pub(crate) mod list {
    #[derive(Debug)]
    pub(crate) struct List;
}

pub(crate) mod notify {
    use super::list::List;
    use crate::sys::{Event, Outcome};

    pub(crate) fn tell(_: &Event, _: Option<&List>, _: Outcome, _in_call: bool) {}
}

/// One process per model.
pub(crate) mod process {
    use std::cell::Cell;

    use super::engine::Engine;
    use crate::queue::Queue;
    use crate::table::Table;

    #[derive(Debug)]
    pub(crate) struct Process {
        pub(crate) table: Table,
        pub(crate) engine: Engine,
        pub(crate) queue: Queue,
    }

    thread_local! {
        static PROCESS: Cell<Option<&'static Process>> = const { Cell::new(None) };
    }

    impl Process {
        /// In each run anew. (It is little, and never freed.)
        pub(crate) fn begin() -> &'static Process {
            let process = Box::leak(Box::new(Process {
                table: Table::new(),
                engine: Engine,
                queue: Queue::new(),
            }));
            PROCESS.set(Some(process));
            process
        }

        pub(crate) fn existing() -> Option<&'static Process> {
            PROCESS.get()
        }

        pub(crate) fn is_own(&self) -> bool {
            true
        }
    }
}

/// The bells, of two waiters at most: the steps of `suspend.rs`.
pub(crate) mod suspend {
    use std::cell::RefCell;

    use loom::sync::atomic::{AtomicBool, AtomicUsize, Ordering, fence};
    use std::sync::Arc;

    use loom::sync::{Condvar, Mutex};

    #[derive(Debug)]
    struct Bell {
        address: AtomicUsize,
        would_lead: AtomicBool,
        rung: Mutex<bool>,
        rings: Condvar,
    }

    thread_local! {
        /// Those of the model that this thread explores, and as many as take part.
        static BELLS: RefCell<Vec<Arc<Bell>>> = const { RefCell::new(Vec::new()) };
    }

    pub(crate) fn begin(count: usize) {
        let bell = || Bell {
            address: AtomicUsize::new(0),
            would_lead: AtomicBool::new(false),
            rung: Mutex::new(false),
            rings: Condvar::new(),
        };
        BELLS.set((0..count).map(|_| Arc::new(bell())).collect());
    }

    pub(crate) fn end() {
        BELLS.set(Vec::new());
    }

    fn bells() -> Vec<Arc<Bell>> {
        BELLS.with_borrow(Clone::clone)
    }

    impl Bell {
        fn ring(&self) {
            *self.rung.lock().unwrap() = true;
            self.rings.notify_one();
        }
    }

    pub(crate) fn finished(address: usize) {
        let bells = bells();
        if !bells.is_empty() {
            fence(Ordering::SeqCst);
        }
        for bell in bells.iter().filter(|bell| bell.address.load(Ordering::Relaxed) == address) {
            bell.ring();
        }
    }

    pub(crate) fn pass_on() -> bool {
        let bells = bells();
        let one = bells.iter().find(|bell| bell.would_lead.load(Ordering::Relaxed));
        one.inspect(|bell| bell.ring()).is_some()
    }

    pub(crate) fn anyone_hurries() -> bool {
        false
    }

    /// Sleeps until it is rung, unless there is no need by then.
    pub(crate) fn follow(index: usize, address: usize, is_needless: impl Fn() -> bool) {
        let bell = bells()[index].clone();
        *bell.rung.lock().unwrap() = false;
        bell.would_lead.store(true, Ordering::Relaxed);
        bell.address.store(address, Ordering::Relaxed);
        fence(Ordering::SeqCst);
        if !is_needless() {
            let mut rung = bell.rung.lock().unwrap();
            while !*rung {
                rung = bell.rings.wait(rung).unwrap();
            }
        }
        bell.would_lead.store(false, Ordering::Relaxed);
        bell.address.store(0, Ordering::Relaxed);
    }
}

pub(crate) mod hints {
    use std::ffi::c_int;

    pub(crate) struct Hints;

    pub(crate) static DIRECT_READS: Hints = Hints;
    pub(crate) static DIRECT_WRITES: Hints = Hints;

    impl Hints {
        pub(crate) fn refused(&self, _fd: c_int) {}
    }
}
