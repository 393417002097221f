//! Options of tokio's builder that mean little here, or nothing.

use std::sync::Arc;

use super::Builder;

impl Builder {
    /// Switches on what is always on here: timers and sockets. For programs written for tokio.
    ///
    /// # Examples
    ///
    /// ```
    /// use threadlet::runtime::Builder;
    ///
    /// # fn main() -> std::io::Result<()> {
    /// let runtime = Builder::new_current_thread().enable_all().build()?;
    /// # drop(runtime);
    /// # Ok(())
    /// # }
    /// ```
    pub fn enable_all(&mut self) -> &mut Self {
        self
    }

    /// Switches on sockets, which are always on here, and cost nothing before the first of them.
    pub fn enable_io(&mut self) -> &mut Self {
        self
    }

    /// Switches on timers, which are always on here.
    pub fn enable_time(&mut self) -> &mut Self {
        self
    }

    /// After how many polls tokio looks at timers and sockets. It has no effect: here that is a
    /// matter of time, too, and of whether somebody else has looked.
    pub fn event_interval(&mut self, _polls: u32) -> &mut Self {
        self
    }

    /// After how many polls tokio looks at the tasks that came from outside. It has no effect: here
    /// a worker takes a share of them with each of its regular looks.
    ///
    /// # Panics
    ///
    /// If it is 0, as there.
    #[track_caller]
    pub fn global_queue_interval(&mut self, polls: u32) -> &mut Self {
        assert!(polls > 0, "global_queue_interval is 0: it must be at least 1");
        self
    }

    /// How many events tokio takes from the kernel at once. It has no effect: here it is 1024, and
    /// the rest stays there for the next time.
    pub fn max_io_events_per_tick(&mut self, _events: usize) -> &mut Self {
        self
    }

    /// The same between polls. It has no effect.
    ///
    /// # Panics
    ///
    /// If it is 0, as in tokio.
    #[track_caller]
    pub fn max_io_events_per_busy_tick(&mut self, events: usize) -> &mut Self {
        assert!(events > 0, "max_io_events_per_busy_tick is 0: it must be at least 1");
        self
    }

    /// Times each poll of a task, for [`Metrics::poll_times`](super::Metrics::poll_times): a look
    /// at the clock, some 30 ns, or two. Where a thread takes one task after another from its own queue, a
    /// poll begins where the one before it ends. Default: no, and then a poll pays nothing.
    ///
    /// # Examples
    ///
    /// ```
    /// use threadlet::runtime::Builder;
    ///
    /// # fn main() -> std::io::Result<()> {
    /// let runtime = Builder::new_multi_thread().enable_metrics_poll_time_histogram().build()?;
    /// runtime.block_on(runtime.spawn(async {}))?;
    /// println!("{:?}", runtime.metrics().poll_times());
    /// # Ok(())
    /// # }
    /// ```
    pub fn enable_metrics_poll_time_histogram(&mut self) -> &mut Self {
        self.config.poll_times = true;
        self
    }

    /// Times tasks from when they are woken or spawned to their poll, for
    /// [`Metrics::schedule_latencies`](super::Metrics::schedule_latencies): two looks at the clock
    /// for each of those that are timed, which are at most 1,024 at once. Default: no.
    ///
    /// # Examples
    ///
    /// ```
    /// use threadlet::runtime::Builder;
    ///
    /// # fn main() -> std::io::Result<()> {
    /// let runtime = Builder::new_multi_thread().enable_metrics_schedule_latency_histogram().build()?;
    /// runtime.block_on(runtime.spawn(async {}))?;
    /// println!("{:?}", runtime.metrics().schedule_latencies());
    /// # Ok(())
    /// # }
    /// ```
    pub fn enable_metrics_schedule_latency_histogram(&mut self) -> &mut Self {
        self.config.schedule_latencies = true;
        self
    }

    /// The name of the runtime, for [`Handle::name`](super::Handle::name). Its threads have
    /// [another](Self::thread_name). Default: none.
    ///
    /// # Examples
    ///
    /// ```
    /// use threadlet::runtime::Builder;
    ///
    /// # fn main() -> std::io::Result<()> {
    /// let runtime = Builder::new_multi_thread().name("queries").build()?;
    /// assert_eq!(runtime.handle().name(), Some("queries"));
    /// # Ok(())
    /// # }
    /// ```
    pub fn name(&mut self, name: impl Into<String>) -> &mut Self {
        self.config.name = Some(name.into());
        self
    }

    /// Called for the name of each thread, in place of [`thread_name`](Self::thread_name): of the
    /// two, the one said last counts. A name with a NUL in it, and a panic, give the thread the
    /// name `threadlet`.
    ///
    /// Whoever starts the thread calls it, which is the one that looks after blocked threads as a
    /// rule: while it blocks, nobody does.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::sync::atomic::{AtomicUsize, Ordering};
    /// use threadlet::runtime::Builder;
    ///
    /// # fn main() -> std::io::Result<()> {
    /// let next = AtomicUsize::new(0);
    /// let runtime = Builder::new_multi_thread()
    ///     .thread_name_fn(move || format!("worker-{}", next.fetch_add(1, Ordering::Relaxed)))
    ///     .build()?;
    /// # drop(runtime);
    /// # Ok(())
    /// # }
    /// ```
    pub fn thread_name_fn<F>(&mut self, f: F) -> &mut Self
    where
        F: Fn() -> String + Send + Sync + 'static,
    {
        self.config.thread_name_fn = Some(Arc::new(f));
        self
    }

    /// Called before a thread with a core goes to sleep because there is nothing to run: each time,
    /// so it should be quick. What it wakes or spawns is run first. (The thread in `block_on` of a
    /// current-thread runtime is such a thread while it has the core.)
    ///
    /// # Examples
    ///
    /// ```
    /// use std::sync::Arc;
    /// use std::sync::atomic::{AtomicUsize, Ordering};
    /// use threadlet::runtime::Builder;
    ///
    /// # fn main() -> std::io::Result<()> {
    /// let parked = Arc::new(AtomicUsize::new(0));
    /// let count = parked.clone();
    /// let runtime = Builder::new_multi_thread()
    ///     .on_thread_park(move || {
    ///         count.fetch_add(1, Ordering::Relaxed);
    ///     })
    ///     .build()?;
    /// # drop(runtime);
    /// # Ok(())
    /// # }
    /// ```
    pub fn on_thread_park(&mut self, f: impl Fn() + Send + Sync + 'static) -> &mut Self {
        self.config.on_thread_park = Some(Arc::new(f));
        self
    }

    /// Called when such a thread has woken and has a core again.
    pub fn on_thread_unpark(&mut self, f: impl Fn() + Send + Sync + 'static) -> &mut Self {
        self.config.on_thread_unpark = Some(Arc::new(f));
        self
    }
}
