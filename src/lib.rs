//! An async runtime in which a blocking call runs right here, and costs a thread only if it
//! really blocks.
//!
//! ```
//! use std::os::unix::fs::FileExt;
//! use threadlet::threadlet;
//!
//! async fn head(path: &str) -> std::io::Result<Vec<u8>> {
//!     let file = threadlet!(std::fs::File::open(path))?;
//!     let mut page = vec![0; 4096];
//!     // Runs right here, and borrows. If it has to wait for the disk, this worker's other tasks
//!     // go on, on a spare thread.
//!     let n = threadlet!(file.read_at(&mut page, 0))?;
//!     page.truncate(n);
//!     Ok(page)
//! }
//!
//! #[threadlet::main]
//! async fn main() {
//!     let hosts = threadlet::spawn(head("/etc/hosts")).await.unwrap();
//!     println!("{} bytes", hosts.unwrap().len());
//! }
//! ```
//!
//! The tutorial, and pages on choosing a call, on files, observing, tuning, testing, and on coming
//! from tokio or smol, stand in `docs/guide/` of the repository.
//!
//! # A tour
//!
//! | where | what |
//! |---|---|
//! | [`threadlet!`], [`run`] | a call in place: in async code, and deep in synchronous code |
//! | [`Group`] | a bound on the calls that use one resource at once; [`Saturated`] is what a call gets that would not wait |
//! | [`task`] | [`spawn`] and the handles of tasks; [`spawn_blocking`](task::spawn_blocking) for a call beside the task, [`yield_now`](task::yield_now); [`JoinSet`](task::JoinSet) for many; [`LocalSet`](task::LocalSet) for what is not `Send`; [`Builder`](task::Builder) for names; [`task_local!`](macro@task_local) |
//! | [`macro@main`], [`macro@test`], [`block_on`] | ways into a runtime |
//! | [`runtime`] | to build one by hand ([`Builder`](runtime::Builder)), to hold one ([`Runtime`](runtime::Runtime), [`Handle`](runtime::Handle)), and to look into it ([`Metrics`](runtime::Metrics), [`Report`](runtime::Report)) |
//! | [`time`] | [`sleep`](time::sleep()), [`timeout`](time::timeout()), [`interval`](time::interval()) |
//! | [`net`] | TCP, UDP, Unix sockets, pipes |
//! | [`io`] | the standard input and outputs; readiness of any descriptor |
//! | [`signal`], [`process`] | signals; children |
//! | [`fs`] | files by the names of `tokio::fs`, in any executor |
//! | [`aio`] | many operations on files at once, freely ordered, with barriers |
//! | [`unblock()`], [`Unblock`] | closures, readers, writers and iterators that block, in any executor |
//! | [`report`] | which line of the program blocks, how often, and for how long |
//!
//! # Which call to use
//!
//! | call | use it when |
//! |---|---|
//! | [`threadlet!(expr)`](threadlet) | you are in async code, and the task has nothing better to do than to wait for this call. It borrows. When too many threads are blocked already, it waits for its turn. |
//! | [`run(\|\| expr)`](run) | the call is deep in synchronous code. The same, but it does not wait for its turn. |
//! | [`task::spawn_blocking`] | the *rest of your task* has to go on meanwhile (`select!`, `join!`, `timeout`), or the closure computes for long. |
//! | nothing | you do not know that it blocks. Such a poll is *rescued*, some milliseconds later, and counted. |
//!
//! # What is guarded
//!
//! A call is *guarded* if another thread takes over the worker's other tasks when it blocks. That
//! is so in spawned tasks.
//!
//! The future that is given to `block_on` is called the *root future*; the body of
//! [`#[threadlet::main]`](main) is one. What holds for it depends on the runtime:
//!
//! * In a *multi-thread* runtime the thread that polls the root future is no worker. A call there
//!   is a plain call, and nobody takes anything over: all tasks go on as it is, and only the root
//!   future waits. If it should not wait, spawn the call.
//! * In a *current-thread* runtime ([`block_on`], [`#[threadlet::test]`](macro@test)) the root
//!   future is guarded: while it is in a call that blocks, the tasks go on, on another thread. They
//!   share its thread only until the first of them makes a call through [`threadlet!`],
//!   [`task::spawn_blocking`] or [`fs`]: before that call is made, all tasks go to another thread,
//!   for good, and the root future has this one to itself. What blocks without that ([`run`], or a
//!   call that says nothing) holds up the root future once; then the tasks have gone, too.
//!
//! # What ends a call
//!
//! Nothing but its return. While a call blocks, its task does nothing else, and what the task polls
//! beside it waits, too: the other branches of a `join!` or `select!`, the limit of a `timeout`.
//! [`abort`](task::JoinHandle::abort) and [`timeout`](time::timeout()) take effect at the next
//! `.await` that has to wait. [`task::spawn_blocking`] makes a task of the call; then the *wait*
//! for it can be ended, and the call goes on alone.
//!
//! # How a block is noticed
//!
//! By the kernel's own records of context switches where they are allowed, and elsewhere by a
//! thread that looks now and then: see [`runtime::Detector`]. The environment variable
//! `THREADLET_DETECTOR` (`auto`, `perf`, `monitor`, `off`) overrides what the program has chosen.
//! `THREADLET_REPORT=1` prints at exit which line of the program has blocked.
//!
//! # What it tells of a program
//!
//! | you want to know | look at |
//! |---|---|
//! | which lines block, and what to do about each | [`report`], [`Report`](runtime::Report); `THREADLET_REPORT=1`, or `=report.html` for a page |
//! | which threads are in a call now | [`Handle::blocked`](runtime::Handle::blocked) |
//! | what each task is doing now | [`Handle::tasks`](runtime::Handle::tasks), [`Builder::tell_on_signal`](runtime::Builder::tell_on_signal) |
//! | what lasts too long, while it does | [`Builder::stall_after`](runtime::Builder::stall_after); `THREADLET_STALL=100ms` |
//! | what came before that | [`Builder::flight_recorder`](runtime::Builder::flight_recorder); `THREADLET_RECORDER=16M` |
//! | figures, for Prometheus and OpenTelemetry | [`Handle::metrics`](runtime::Handle::metrics), [`write_prometheus`](runtime::Metrics::write_prometheus), [`families`](runtime::Metrics::families) |
//! | why a test fails now and then | `Builder::deterministic`, by the feature `test-util` |
//!
//! # Features
//!
//! None is on by default.
//!
//! * `tokio1`: [`fs::File`], the streams of [`net`] and their halves, those of [`io`] and
//!   [`process`], and [`Unblock`] have the I/O traits of tokio 1 beside those of futures-io.
//! * `hyper1`: what hyper 1 asks of a runtime, in the module `hyper1`, and its I/O traits on the
//!   streams of [`net`].
//! * `axum`: `axum::serve` for routers of axum 0.8, with a graceful stop.
//! * `tower-http`: `tower_http::Backend`, the files of `ServeDir` of tower-http 0.7.
//! * `bytes`: the sockets have `try_read_buf` and its kin, which fill buffers of the crate `bytes`;
//!   `tokio1` and `hyper1` bring it.
//! * `backtrace`: what lasts too long is told with the functions of the program that its thread is in, and
//!   [`Handle::tasks`](runtime::Handle::tasks) has them ([`Backtrace`](runtime::Backtrace)): of threads that
//!   sleep, on x86-64.
//! * `test-util`: a test can stop the clock of a current-thread runtime: `time::pause`,
//!   `time::advance`, `time::resume`, `Builder::start_paused`, and `start_paused = true` in the
//!   attributes. Timers then take no time. And tests that replay: `Builder::deterministic`, and `seed = 7`
//!   in the attribute of a test; streams and sockets in memory, `io::duplex` and `net::sim`.
//! * `tracing`: the crate `tracing` is told of each task, by the spans and events that tokio-console
//!   reads; of each hand-off, by an event of the target `threadlet::block`; and, once for its place
//!   in the source, of a [`threadlet!`] that is a plain call because its thread is in no runtime.
//! * `raw`: shows what [`fs`] and [`aio`] are made of, without any promise.
#![cfg_attr(docsrs, feature(doc_cfg))]
#![deny(unsafe_code)]

#[cfg(not(target_os = "linux"))]
compile_error!(
    "threadlet works on Linux (5.11 or later) only: it finds blocked threads by what that kernel \
     tells of them"
);

// From the bottom up; a room names only those before it here (`tests/layers.rs`).
#[allow(unsafe_code, reason = "the one seam to the operating system")]
mod sys;

mod primitive;

mod protocol;

mod coop;

#[cfg_attr(not(feature = "test-util"), path = "replay/off.rs")]
mod replay;

mod detect;

#[cfg_attr(not(feature = "raw"), allow(unreachable_pub, reason = "the feature `raw` shows it"))]
mod syslet;

mod driver;

mod observe;

mod spawned;

mod shared;

mod context;

mod scheduler;

mod call;

pub mod runtime;

mod unblock;

pub mod task;

pub mod time;

pub mod net;

pub mod io;

pub mod signal;

pub mod process;

pub mod fs;

pub mod aio;

#[cfg(feature = "hyper1")]
pub mod hyper1;
#[cfg(feature = "tokio1")]
mod tokio1;

#[cfg(feature = "axum")]
pub mod axum;
#[cfg(feature = "tower-http")]
pub mod tower_http;

pub use threadlet_macros::{main, test};

pub use self::call::gate::Saturated;
pub use self::call::group::Group;
pub use self::call::macros::run;
pub use self::runtime::{block_on, report};
pub use self::task::spawn;
pub use self::unblock::{Unblock, Unblocked, unblock};

/// What [`fs`] and [`aio`] are made of, shown by the feature `raw`: without any promise that it
/// will be there, or be the same, in the next version.
#[cfg(feature = "raw")]
pub mod raw {
    #[doc(inline)]
    pub use crate::aio::pump::{Pump, Runner, Threads};
    #[doc(inline)]
    pub use crate::syslet::*;
}

/// What the macros of this crate expand to. Not for people.
#[doc(hidden)]
pub mod __private {
    pub use crate::call::gate::{AtCap, Options, Pass, gate};
    pub use crate::call::group::enter;
    pub use crate::call::in_place::turn;
    pub use crate::call::region::run_at;
    pub use crate::context::{Missing, demand_timers, say};
    pub use crate::coop::{Around, take_part};
    pub use crate::observe::site::Site;
    pub use crate::runtime::entry::Entry;
    #[cfg(feature = "test-util")]
    pub use crate::runtime::seeds::{Seeds, Verdict};
}

// What the README and the guide show is compiled, and run where it ends.
#[cfg(doctest)]
mod pages {
    #[doc = include_str!("../README.md")]
    mod readme {}
    #[doc = include_str!("../docs/guide/start.md")]
    mod start {}
    #[doc = include_str!("../docs/guide/choosing.md")]
    mod choosing {}
    #[doc = include_str!("../docs/guide/files.md")]
    mod files {}
    #[doc = include_str!("../docs/guide/network.md")]
    mod network {}
    #[doc = include_str!("../docs/guide/observing.md")]
    mod observing {}
    #[doc = include_str!("../docs/guide/recorder.md")]
    mod recorder {}
    #[doc = include_str!("../docs/guide/tuning.md")]
    mod tuning {}
    #[doc = include_str!("../docs/guide/shutdown.md")]
    mod shutdown {}
    #[doc = include_str!("../docs/guide/troubleshooting.md")]
    mod troubleshooting {}
    #[cfg(feature = "test-util")]
    #[doc = include_str!("../docs/guide/testing.md")]
    mod testing {}
    #[doc = include_str!("../docs/guide/from-tokio.md")]
    mod from_tokio {}
    #[doc = include_str!("../docs/guide/from-smol.md")]
    mod from_smol {}
}
