//! How a runtime is made.

use std::io;
use std::ops::{Deref, DerefMut};
use std::time::Duration;

use super::{LocalOptions, LocalRuntime, Runtime};

/// Makes a runtime, as [tokio's](https://docs.rs/tokio/1.54/tokio/runtime/struct.Builder.html).
///
/// It shows threadlet's own builder by `Deref`, for the options that only that one has.
#[derive(Debug)]
pub struct Builder {
    ours: threadlet::runtime::Builder,
    io: bool,
    time: bool,
}

/// Options that ours has by the same name.
macro_rules! options {
    ($($(#[$doc:meta])* $name:ident($($arg:ident: $type:ty)?);)+) => {$(
        $(#[$doc])*
        #[track_caller]
        pub fn $name(&mut self $(, $arg: $type)?) -> &mut Self {
            self.ours.$name($($arg)?);
            self
        }
    )+};
}

/// The same, with the message of tokio's panic for 0.
macro_rules! checked {
    ($($(#[$doc:meta])* $name:ident($type:ty): $message:literal;)+) => {$(
        $(#[$doc])*
        ///
        /// # Panics
        ///
        /// If it is 0.
        #[track_caller]
        pub fn $name(&mut self, value: $type) -> &mut Self {
            assert!(value > 0, $message);
            self.ours.$name(value);
            self
        }
    )+};
}

/// The same for functions to be called.
macro_rules! callbacks {
    ($($(#[$doc:meta])* $name:ident;)+) => {$(
        $(#[$doc])*
        pub fn $name<F>(&mut self, f: F) -> &mut Self
        where
            F: Fn() + Send + Sync + 'static,
        {
            self.ours.$name(f);
            self
        }
    )+};
}

impl Builder {
    /// Tasks run on the thread in `block_on`, until one of them makes a call that may block.
    #[must_use]
    pub fn new_current_thread() -> Builder {
        Builder::of(threadlet::runtime::Builder::new_current_thread())
    }

    /// Tasks run on threads of their own.
    #[must_use]
    pub fn new_multi_thread() -> Builder {
        Builder::of(threadlet::runtime::Builder::new_multi_thread())
    }

    fn of(ours: threadlet::runtime::Builder) -> Builder {
        crate::part::take();
        Builder { ours, io: false, time: false }
    }

    /// Makes it.
    pub fn build(&mut self) -> io::Result<Runtime> {
        self.ours.without(!self.io, !self.time).build().map(Runtime::around)
    }

    /// Makes one whose tasks stay on the thread that makes it.
    pub fn build_local(&mut self, options: LocalOptions) -> io::Result<LocalRuntime> {
        self.ours.without(!self.io, !self.time).build_local(options).map(LocalRuntime::around)
    }

    /// With timers and sockets.
    pub fn enable_all(&mut self) -> &mut Self {
        self.enable_io().enable_time()
    }

    /// With sockets, children and signals: without them whoever asks for one panics.
    pub fn enable_io(&mut self) -> &mut Self {
        self.io = true;
        self
    }

    /// With timers: without them whoever asks for one panics.
    pub fn enable_time(&mut self) -> &mut Self {
        self.time = true;
        self
    }

    options! {
        /// The size of a stack, in bytes.
        thread_stack_size(bytes: usize);
        /// After how long without work a thread ends that nobody needs.
        thread_keep_alive(duration: Duration);
    }

    checked! {
        /// How many threads run tasks.
        worker_threads(usize): "Worker threads cannot be set to 0";
        /// How many threads may be blocked at once.
        max_blocking_threads(usize): "Max blocking threads cannot be set to 0";
        /// Without effect: timers and sockets are looked at by time.
        event_interval(u32): "event_interval must be greater than 0";
        /// Without effect: the queue of others is looked at by time.
        global_queue_interval(u32): "global_queue_interval must be greater than 0";
        /// Without effect: all of them are taken.
        max_io_events_per_tick(usize): "max_io_events_per_tick must be non-zero";
        /// Without effect: all of them are taken.
        max_io_events_per_busy_tick(usize): "max_io_events_per_busy_tick must be non-zero";
    }

    /// The clock stands still until the runtime has nothing else to do. For tests.
    #[cfg(feature = "test-util")]
    pub fn start_paused(&mut self, paused: bool) -> &mut Self {
        self.ours.start_paused(paused);
        self
    }

    /// The name of the threads.
    pub fn thread_name(&mut self, name: impl Into<String>) -> &mut Self {
        self.ours.thread_name(name);
        self
    }

    /// The name of the next thread.
    pub fn thread_name_fn<F>(&mut self, f: F) -> &mut Self
    where
        F: Fn() -> String + Send + Sync + 'static,
    {
        self.ours.thread_name_fn(f);
        self
    }

    /// The name of the runtime.
    ///
    /// # Panics
    ///
    /// If it is empty.
    #[track_caller]
    pub fn name(&mut self, name: impl Into<String>) -> &mut Self {
        let name = name.into();
        assert!(!name.trim().is_empty(), "runtime name shouldn't be empty");
        self.ours.name(name);
        self
    }

    callbacks! {
        /// Called by each thread when it starts.
        on_thread_start;
        /// Called by each thread before it ends.
        on_thread_stop;
        /// Called by each thread before it sleeps.
        on_thread_park;
        /// Called by each thread when it wakes.
        on_thread_unpark;
    }
}

impl Deref for Builder {
    type Target = threadlet::runtime::Builder;

    fn deref(&self) -> &threadlet::runtime::Builder {
        &self.ours
    }
}

impl DerefMut for Builder {
    fn deref_mut(&mut self) -> &mut threadlet::runtime::Builder {
        &mut self.ours
    }
}
