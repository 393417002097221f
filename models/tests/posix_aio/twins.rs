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
    use crate::table::Table;

    #[derive(Debug)]
    pub(crate) struct Process {
        pub(crate) table: Table,
        pub(crate) engine: Engine,
        pub(crate) queue: Queue,
    }

    /// The kernel's queue, which is in no hurry.
    #[derive(Debug)]
    pub(crate) struct Queue;

    impl Queue {
        pub(crate) fn hurry(&self) {}
        pub(crate) fn calm(&self) {}
        pub(crate) fn call_keeper(&self) {}
    }

    thread_local! {
        static PROCESS: Cell<Option<&'static Process>> = const { Cell::new(None) };
    }

    impl Process {
        /// In each run anew. (It is little, and never freed.)
        pub(crate) fn begin() -> &'static Process {
            let process =
                Box::leak(Box::new(Process { table: Table::new(), engine: Engine, queue: Queue }));
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

pub(crate) mod suspend {
    pub(crate) fn finished(_address: usize) {}
}
