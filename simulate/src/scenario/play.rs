//! What a task does, and what is known of it.

use std::future::{Future, poll_fn};
use std::kernel;
use std::panic::Location;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use std::note;

use super::plan::{How, Step, US, Work};
use crate::call::gate::{AtCap, Options, Pass, gate};
use crate::call::in_place::{in_place, spawn_call, turn};
use crate::call::region::run_at;
use crate::context;
use crate::observe::site::Site;
use crate::runtime::{Handle, spawn_on};
use crate::spawned::{JoinHandle, Origin};
use crate::time::sleep;

/// Places that make calls. What they learn is taken back before each run.
pub(super) static SITES: [Site; 3] =
    [Site::new(file!(), 1, 1, "a"), Site::new(file!(), 2, 1, "b"), Site::new(file!(), 3, 1, "c")];

/// Where all tasks are spawned.
pub(super) static PLACE: &Location<'static> = Location::caller();

/// What all tasks of a run know.
pub(super) struct Cast {
    pub(super) flags: Vec<Flag>,
    /// Futures made, and dropped; closures accepted, and run.
    pub(super) made: AtomicUsize,
    pub(super) dropped: AtomicUsize,
    pub(super) accepted: AtomicUsize,
    pub(super) ran: AtomicUsize,
}

#[derive(Default)]
pub(super) struct Flag {
    state: Mutex<(bool, Vec<Waker>)>,
    changed: Condvar,
}

impl Flag {
    pub(super) fn raise(&self) {
        let wakers = {
            let mut state = self.state.lock().unwrap();
            state.0 = true;
            std::mem::take(&mut state.1)
        };
        self.changed.notify_all();
        wakers.into_iter().for_each(Waker::wake);
    }

    /// Blocks the calling thread.
    fn wait(&self) {
        let mut state = self.state.lock().unwrap();
        while !state.0 {
            state = self.changed.wait(state).unwrap();
        }
    }

    fn poll(&self, cx: &mut Context<'_>) -> Poll<()> {
        let mut state = self.state.lock().unwrap();
        if state.0 {
            return Poll::Ready(());
        }
        state.1.push(cx.waker().clone());
        Poll::Pending
    }
}

/// Of one task, in its future.
struct Life {
    cast: Arc<Cast>,
    on_stage: AtomicBool,
    name: String,
}

impl Life {
    fn new(cast: &Arc<Cast>, name: String) -> Self {
        cast.made.fetch_add(1, Ordering::Relaxed);
        Life { cast: cast.clone(), on_stage: AtomicBool::new(false), name }
    }

    /// Done by one thread at a time.
    fn act<R>(&self, what: &dyn std::fmt::Debug, f: impl FnOnce() -> R) -> R {
        note(|| format!("task {}: {what:?}", self.name));
        assert!(!self.on_stage.swap(true, Ordering::Relaxed), "two threads poll one task");
        let answer = f();
        assert!(self.on_stage.swap(false, Ordering::Relaxed), "two threads poll one task");
        note(|| format!("task {}: done", self.name));
        answer
    }
}

impl Drop for Life {
    fn drop(&mut self) {
        note(|| format!("task {} is gone", self.name));
        self.cast.dropped.fetch_add(1, Ordering::Relaxed);
    }
}

fn do_work(work: Work) {
    match work {
        Work::None => {}
        Work::Blocks(us) => kernel::block(us * US),
        Work::Computes(us) => kernel::compute(us * US),
    }
}

pub(super) type Boxed = Pin<Box<dyn Future<Output = usize> + Send>>;

/// A task; its result is how many steps it has done.
pub(super) fn play(cast: Arc<Cast>, name: String, steps: Vec<Step>) -> Boxed {
    let life = Life::new(&cast, name);
    Box::pin(async move {
        for (nth, step) in steps.iter().enumerate() {
            let life = &life;
            match step {
                Step::Yield => yield_now().await,
                Step::Sleep(us) => sleep(Duration::from_micros(*us)).await,
                Step::Call(site, work, How::Plain) => {
                    in_place(&SITES[*site], || life.act(step, || do_work(*work))).await;
                }
                Step::Call(site, work, How::Sync) => {
                    run_at(&SITES[*site], Pass::Free, || life.act(step, || do_work(*work)));
                }
                Step::Call(site, work, how) => {
                    let options = match how {
                        How::WillBlock => Options { will_block: true, at_cap: AtCap::Wait },
                        _ => Options { will_block: false, at_cap: AtCap::Inline },
                    };
                    let pass = turn(gate(&SITES[*site], options).await);
                    run_at(&SITES[*site], pass, || life.act(step, || do_work(*work)));
                }
                Step::CallUntil(site, flag) => {
                    let wait = || life.act(step, || cast.flags[*flag].wait());
                    in_place(&SITES[*site], wait).await;
                }
                Step::Unmarked(work) => life.act(step, || do_work(*work)),
                Step::Raise(flag) => life.act(step, || cast.flags[*flag].raise()),
                Step::Wait(flag) => poll_fn(|cx| cast.flags[*flag].poll(cx)).await,
                Step::Detach(child) => {
                    let name = format!("{}.{nth}", life.name);
                    drop(spawn(&Handle::current(), play(cast.clone(), name, child.clone())));
                }
                Step::Spawn(child, aborts) => {
                    let name = format!("{}.{nth}", life.name);
                    let all = child.len();
                    let child = spawn(&Handle::current(), play(cast.clone(), name, child.clone()));
                    if let Some(us) = aborts {
                        sleep(Duration::from_micros(*us)).await;
                        child.abort();
                    }
                    match child.await {
                        Ok(done) => assert_eq!(done, all, "a task does all its steps"),
                        Err(error) => {
                            assert!(error.is_cancelled() && (aborts.is_some() || ends()), "{error}")
                        }
                    }
                }
                Step::SpawnBlocking(work) => {
                    let child = spawn_blocking(&cast, *work);
                    if let Err(error) = child.await {
                        assert!(ends(), "{error}");
                    }
                }
            }
        }
        steps.len()
    })
}

/// Whether the runtime of the calling task is being shut down.
fn ends() -> bool {
    Handle::current().shared.is_shutdown()
}

async fn yield_now() {
    let mut yielded = false;
    poll_fn(|cx| {
        if std::mem::replace(&mut yielded, true) {
            return Poll::Ready(());
        }
        context::yields();
        cx.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

/// How many tasks were spawned by threads that are no runtime's.
pub(super) static HINTLESS: AtomicUsize = AtomicUsize::new(0);

fn count_hintless() {
    if context::with(|thread| thread.is_none()) {
        HINTLESS.fetch_add(1, Ordering::Relaxed);
    }
}

pub(super) fn spawn(handle: &Handle, task: Boxed) -> JoinHandle<usize> {
    count_hintless();
    spawn_on(&handle.shared, task, Origin::at(PLACE))
}

fn spawn_blocking(cast: &Arc<Cast>, work: Work) -> JoinHandle<()> {
    count_hintless();
    let handle = Handle::current();
    let mine = cast.clone();
    let call = move || {
        note(|| format!("spawn_blocking: {work:?}"));
        mine.ran.fetch_add(1, Ordering::Relaxed);
        do_work(work);
    };
    let child = spawn_call(&handle.shared, call, Origin::at(PLACE));
    // One that finds the flag up may have been refused.
    if !handle.shared.is_shutdown() {
        cast.accepted.fetch_add(1, Ordering::Relaxed);
    }
    child
}
