//! What there is one of per process, and what a fork does to it.

use std::ptr;
use std::sync::atomic::{AtomicBool, AtomicPtr, AtomicU32, Ordering};

use crate::engine::Engine;
use crate::kept;
use crate::suspend;
use crate::table::Table;
use crate::user;

/// The unfinished requests, and who runs them. Made at the first request that is not answered at once.
#[derive(Debug)]
pub(crate) struct State {
    pub(crate) table: Table,
    pub(crate) engine: Engine,
    pid: u32,
}

static STATE: AtomicPtr<State> = AtomicPtr::new(ptr::null_mut());

/// How many forks lie between this process and the first one. (A child that was forked before there was
/// anything to forget is of its parent's.)
///
/// Ordering: Relaxed; it changes where there is one thread.
static GENERATION: AtomicU32 = AtomicU32::new(0);

impl State {
    pub(crate) fn get() -> &'static State {
        State::existing().unwrap_or_else(State::make)
    }

    #[allow(unsafe_code, reason = "made here, and never freed")]
    pub(crate) fn existing() -> Option<&'static State> {
        // SAFETY: null, or made by `make` and never freed.
        unsafe { STATE.load(Ordering::Acquire).as_ref() }
    }

    /// False in the child of a `vfork`, which runs in the memory of its parent.
    pub(crate) fn is_own(&self) -> bool {
        self.pid == std::process::id()
    }

    #[cold]
    fn make() -> &'static State {
        static REGISTERED: AtomicBool = AtomicBool::new(false);
        if !REGISTERED.swap(true, Ordering::Relaxed) {
            user::on_fork_in_child(forget);
        }
        let state =
            State { table: Table::new(), engine: Engine::default(), pid: std::process::id() };
        let made: &'static State = Box::leak(Box::new(state));
        let place = ptr::from_ref(made).cast_mut();
        match STATE.compare_exchange(ptr::null_mut(), place, Ordering::AcqRel, Ordering::Acquire) {
            Ok(_) => made,
            // Another thread was first; what is lost is small, and lost once.
            Err(_) => State::get(),
        }
    }
}

/// In the child of a fork. What the parent had is not freed: a thread that is not there any more may
/// have held a lock of it.
extern "C" fn forget() {
    STATE.store(ptr::null_mut(), Ordering::Relaxed);
    GENERATION.fetch_add(1, Ordering::Relaxed);
    suspend::forget();
    kept::forget();
}

/// Tells requests of this process from those of its parents.
pub(crate) fn generation() -> u32 {
    GENERATION.load(Ordering::Relaxed)
}
