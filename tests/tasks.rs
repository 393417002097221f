//! Tasks, their handles, and the life of a runtime.

use std::cell::Cell;
use std::future::Future;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::time::{Duration, Instant};

use futures::channel::oneshot;
use threadlet::runtime::{Builder, Cause, Handle, Runtime};
use threadlet::{task, threadlet, time};

/// Far more than any of this takes; a test that gets there has found a bug.
const LIMIT: Duration = Duration::from_secs(30);

fn cores(count: usize) -> Runtime {
    Builder::new_multi_thread().worker_threads(count).build().unwrap()
}

#[track_caller]
fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let start = Instant::now();
    while !holds() {
        assert!(start.elapsed() < LIMIT, "{what}");
        std::thread::sleep(Duration::from_millis(1));
    }
}

#[track_caller]
fn in_time<F: Future>(runtime: &Runtime, what: &str, future: F) -> F::Output {
    let done = runtime.block_on(async { time::timeout(LIMIT, future).await });
    done.unwrap_or_else(|_| panic!("{what}: {:#?}", runtime.metrics()))
}

/// Says when it is dropped.
struct Dropped(Arc<AtomicUsize>);

impl Drop for Dropped {
    fn drop(&mut self) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

fn dropped() -> (Dropped, Arc<AtomicUsize>) {
    let count = Arc::new(AtomicUsize::new(0));
    (Dropped(count.clone()), count)
}

#[test]
fn a_dropped_handle_detaches() {
    let runtime = cores(1);
    let (sender, receiver) = oneshot::channel();
    drop(runtime.spawn(async {
        task::yield_now().await;
        sender.send(3).unwrap();
    }));
    assert_eq!(in_time(&runtime, "it runs on", receiver).unwrap(), 3);
}

/// A task that is aborted before it has started never starts; its future is dropped all the same.
#[test]
fn abort_before_the_start() {
    let runtime = cores(1);
    let (sender, receiver) = mpsc::channel::<()>();
    // Without a hand-off the second task cannot start.
    let busy = Builder::new_current_thread().build().unwrap();
    let ran = Arc::new(AtomicBool::new(false));
    let (guard, count) = dropped();
    let mine = ran.clone();
    let never = busy.spawn(async move {
        let _guard = guard;
        mine.store(true, Ordering::SeqCst);
    });
    never.abort();
    assert_eq!(count.load(Ordering::SeqCst), 0, "nobody is there to drop it yet");
    let error = busy.block_on(never).unwrap_err();
    assert!(error.is_cancelled() && !error.is_panic());
    assert_eq!(count.load(Ordering::SeqCst), 1);
    assert!(!ran.load(Ordering::SeqCst));
    drop((sender, receiver, runtime));
}

#[test]
fn abort_while_it_waits() {
    let runtime = cores(1);
    let (guard, count) = dropped();
    let waiting = runtime.spawn(async move {
        let _guard = guard;
        std::future::pending::<()>().await;
    });
    let handle = waiting.abort_handle();
    assert_eq!(handle.id(), waiting.id());
    assert!(!handle.is_finished() && !waiting.is_finished());
    let id = waiting.id();
    handle.abort();
    handle.abort();
    let error = in_time(&runtime, "abort", waiting).unwrap_err();
    assert!(error.is_cancelled());
    assert_eq!(error.id(), id);
    assert_eq!(error.to_string(), format!("task {id} was cancelled"));
    assert_eq!(count.load(Ordering::SeqCst), 1, "the future goes before the handle returns");
    assert!(handle.is_finished());
}

/// A call that has started runs to its end, and so does the rest of that poll; the next await is
/// the last.
#[test]
fn abort_during_a_region() {
    let runtime = cores(1);
    let (open, gate) = mpsc::channel::<()>();
    let (entered, after) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
    let (says, counts) = (entered.clone(), after.clone());
    let blocked = runtime.spawn(async move {
        threadlet!({
            says.store(true, Ordering::SeqCst);
            gate.recv().unwrap()
        });
        counts.fetch_add(1, Ordering::SeqCst);
        task::yield_now().await;
        counts.fetch_add(10, Ordering::SeqCst);
    });
    until("it blocks", || entered.load(Ordering::SeqCst));
    blocked.abort();
    std::thread::sleep(Duration::from_millis(10));
    assert!(!blocked.is_finished(), "a call that has started is not interrupted");
    open.send(()).unwrap();
    assert!(in_time(&runtime, "abort", blocked).unwrap_err().is_cancelled());
    assert_eq!(after.load(Ordering::SeqCst), 1);
    until("the permit comes back", || runtime.metrics().permits_free == 512);
}

#[test]
fn abort_after_the_end_keeps_the_result() {
    let runtime = cores(1);
    let done = runtime.spawn(async { 5 });
    until("it ends", || done.is_finished());
    done.abort();
    assert!(done.abort_handle().is_finished());
    assert_eq!(in_time(&runtime, "the result", done).unwrap(), 5);
}

/// A worker looked whether the task was aborted, then ran it; between the two came the abort, whose
/// wake did nothing because the task was still queued. The task waited for ever, and so did whoever
/// waited for it.
#[test]
fn an_abort_is_never_lost() {
    let runtime = cores(2);
    for round in 0..3000_u32 {
        let (sender, receiver) = oneshot::channel::<()>();
        let waiting = runtime.spawn(async move {
            task::yield_now().await;
            let _ = receiver.await;
        });
        for _ in 0..(round % 64) * 8 {
            std::hint::spin_loop();
        }
        waiting.abort();
        let result = in_time(&runtime, "abort", waiting);
        assert!(result.unwrap_err().is_cancelled());
        drop(sender);
    }
}

#[test]
fn a_panic_is_a_join_error() {
    let runtime = cores(1);
    let literal = in_time(&runtime, "panic", runtime.spawn(async { panic!("a literal") }));
    let error: task::JoinError = literal.map(|(): ()| ()).unwrap_err();
    assert!(error.is_panic() && !error.is_cancelled());
    assert_eq!(error.to_string(), format!("task {} panicked: a literal", error.id()));
    assert_eq!(*error.into_panic().downcast::<&str>().unwrap(), "a literal");
    let n = 7;
    let formatted = runtime.spawn(async move {
        if n == 7 {
            panic!("with {n}");
        }
    });
    let error = in_time(&runtime, "panic", formatted).unwrap_err();
    assert!(format!("{error:?}").contains("panicked: with 7"), "{error:?}");
    assert_eq!(*error.try_into_panic().unwrap().downcast::<String>().unwrap(), "with 7");
    let strange = runtime.spawn(async { std::panic::panic_any(3_u8) });
    let error = in_time(&runtime, "panic", strange).unwrap_err();
    assert_eq!(error.to_string(), format!("task {} panicked", error.id()));
    let aborted = runtime.spawn(std::future::pending::<()>());
    aborted.abort();
    let error = in_time(&runtime, "abort", aborted).unwrap_err();
    assert!(error.try_into_panic().unwrap_err().is_cancelled());
}

#[test]
fn a_handle_may_be_polled_by_reference_and_again() {
    let runtime = cores(1);
    let (sender, receiver) = oneshot::channel::<u8>();
    let mut waiting = runtime.spawn(async { receiver.await.unwrap() });
    runtime.block_on(async {
        assert!(time::timeout(Duration::from_millis(5), &mut waiting).await.is_err());
        sender.send(4).unwrap();
        assert_eq!(time::timeout(LIMIT, &mut waiting).await.unwrap().unwrap(), 4);
    });
}

/// A task that yields lets each of the others have a turn: a yield goes to the end of the queue, not
/// into the LIFO slot.
#[test]
fn a_yield_is_fair() {
    let runtime = Builder::new_current_thread().build().unwrap();
    let turns = Arc::new(Mutex::new(Vec::new()));
    let tasks: Vec<_> = (0..4)
        .map(|who| {
            let turns = turns.clone();
            runtime.spawn(async move {
                for _ in 0..50 {
                    turns.lock().unwrap().push(who);
                    task::yield_now().await;
                }
            })
        })
        .collect();
    runtime.block_on(async {
        for task in tasks {
            task.await.unwrap();
        }
    });
    let turns = turns.lock().unwrap();
    for (nth, eight) in turns.windows(8).enumerate().take(150) {
        for who in 0..4 {
            assert!(eight.contains(&who), "{who} has no turn in {eight:?} at {nth}");
        }
    }
}

#[test]
fn a_plain_thread_spawns_through_a_handle() {
    let runtime = cores(2);
    let handle = runtime.handle().clone();
    let threads: Vec<_> = (0..4_u64)
        .map(|thread| {
            let handle = handle.clone();
            std::thread::spawn(move || {
                let tasks: Vec<_> = (0..500).map(|n| handle.spawn(async move { n })).collect();
                handle.block_on(async {
                    let mut sum = thread;
                    for task in tasks {
                        sum += task.await.unwrap();
                    }
                    sum
                })
            })
        })
        .collect();
    let sum: u64 = threads.into_iter().map(|thread| thread.join().unwrap()).sum();
    assert_eq!(sum, 4 * (499 * 500 / 2) + 6);
}

/// Outside any runtime there is a global one for calls that block.
#[test]
fn spawn_blocking_works_outside_any_runtime() {
    assert!(Handle::try_current().is_err());
    let call = task::spawn_blocking(|| std::thread::current().name().map(str::to_owned));
    let name = threadlet::block_on(call).unwrap();
    assert_eq!(name.as_deref(), Some("threadlet-global"));
    assert!(Handle::try_current().is_err());
    let panics = task::spawn_blocking(|| panic!("there"));
    assert!(threadlet::block_on(panics).unwrap_err().is_panic());
}

#[test]
fn the_runtime_entered_last_is_the_current_one() {
    let name = |name: &str| {
        Builder::new_multi_thread().worker_threads(1).thread_name(name).build().unwrap()
    };
    let (first, second) = (name("first"), name("second"));
    let where_am_i = || {
        let runs = task::spawn(async { std::thread::current().name().unwrap().to_owned() });
        Handle::current().block_on(runs).unwrap()
    };
    let outer = first.enter();
    assert_eq!(where_am_i(), "first");
    {
        let _inner = second.enter();
        assert_eq!(where_am_i(), "second");
        assert_eq!(first.block_on(async { where_am_i() }), "first");
        assert_eq!(where_am_i(), "second");
    }
    assert_eq!(where_am_i(), "first");
    // Inside a task it is the task's, unless another is entered.
    let handle = second.handle().clone();
    let inside = first.spawn(async move {
        let _guard = handle.enter();
        where_am_i()
    });
    assert_eq!(in_time(&first, "nested", inside).unwrap(), "second");
    drop(outer);
    assert!(Handle::try_current().is_err());
    let unknown = std::panic::catch_unwind(|| task::spawn(async {})).unwrap_err();
    let text = unknown.downcast_ref::<String>().unwrap();
    assert!(text.contains("no threadlet runtime"), "{text}");
}

/// After the storm everything is where it was.
#[test]
fn at_rest_the_figures_add_up() {
    let (cap, min_spare) = (5, 2);
    let runtime = Builder::new_multi_thread()
        .worker_threads(2)
        .max_async_threads(cap)
        .min_spare_threads(min_spare)
        .thread_keep_alive(Duration::from_millis(5))
        .thread_name("figures")
        .build()
        .unwrap();
    let tasks: Vec<_> = (0..200)
        .map(|nth| {
            runtime.spawn(async move {
                task::yield_now().await;
                threadlet!(std::thread::sleep(Duration::from_micros(nth % 7 * 50)));
                time::sleep(Duration::from_micros(300)).await;
            })
        })
        .collect();
    for task in tasks {
        in_time(&runtime, "tasks end", task).unwrap();
    }
    until("all is at rest", || {
        let now = runtime.metrics();
        now.async_threads == 0 && now.tasks_alive == 0 && now.spares == min_spare
    });
    let now = runtime.metrics();
    assert_eq!((now.permits_free, now.gate_waiters, now.injector_depth), (cap, 0, 0));
    assert_eq!((now.workers, now.regions), (2, 200));
    let handed = now.handoffs_blocked + now.handoffs_hog + now.handoffs_predicted;
    assert_eq!(now.spare_wakeups, handed + now.handoffs_rescued);
    assert!(now.async_threads_peak <= cap + 1);
    let sites = runtime.handle().sites();
    let site = sites.iter().find(|site| site.text.contains("nth % 7")).unwrap();
    assert_eq!((site.file, site.calls), (file!(), 200));
    assert_eq!(site.inline + site.handed_over, site.calls);
    assert!(site.handed_over > 0 && site.longest_block > Duration::ZERO);
    // The threads that are: two with a core, the spares, and those that watch.
    until("threads running + spare = spawned", || threads_named("figures") == 2 + min_spare);
}

fn threads_named(name: &str) -> usize {
    std::fs::read_dir("/proc/self/task")
        .unwrap()
        .filter_map(|entry| std::fs::read_to_string(entry.ok()?.path().join("comm")).ok())
        .filter(|comm| comm.trim_end() == name)
        .count()
}

#[test]
fn the_blocked_are_listed_with_site_and_place() {
    let runtime = cores(1);
    let (sender, receiver) = mpsc::channel::<()>();
    let before = Instant::now();
    let place = line!() + 1;
    let blocked = runtime.spawn(async move {
        threadlet!(receiver.recv()).unwrap();
    });
    let site_line = place + 1;
    until("it is listed", || !runtime.handle().blocked().is_empty());
    let list = runtime.handle().blocked();
    let site = list[0].site.expect("it said so");
    assert_eq!((site.file(), site.line(), site.text()), (file!(), site_line, "receiver.recv()"));
    assert_eq!(list[0].spawned_at.as_deref(), Some(format!("{}:{place}", file!()).as_str()));
    assert_eq!(list[0].task, Some(blocked.id()));
    assert_eq!(list[0].cause, Cause::Blocked);
    assert!(list[0].since.unwrap() >= before);
    sender.send(()).unwrap();
    in_time(&runtime, "it returns", blocked).unwrap();
    until("nobody is listed", || runtime.handle().blocked().is_empty());
}

/// Hooks are called on the threads they speak of; one that panics does no harm.
#[test]
fn hooks_are_called_and_may_panic() {
    let counts: [Arc<AtomicUsize>; 3] = Default::default();
    let [starts, stops, hand_offs] = counts.clone();
    let runtime = Builder::new_multi_thread()
        .worker_threads(1)
        .min_spare_threads(1)
        .on_thread_start(move || {
            starts.fetch_add(1, Ordering::SeqCst);
            panic!("on purpose, at the start of a thread");
        })
        .on_thread_stop(move || {
            stops.fetch_add(1, Ordering::SeqCst);
            panic!("on purpose, at the end of a thread");
        })
        .on_hand_off(move |cause| {
            assert!(matches!(cause, Cause::Blocked | Cause::Predicted), "{cause:?}");
            hand_offs.fetch_add(1, Ordering::SeqCst);
            panic!("on purpose, at a hand-off");
        })
        .build()
        .unwrap();
    for _ in 0..3 {
        let (sender, receiver) = mpsc::channel::<()>();
        let blocked = runtime.spawn(async move { threadlet!(receiver.recv()).unwrap() });
        let other = runtime.spawn(async move { sender.send(()).unwrap() });
        in_time(&runtime, "others go on", other).unwrap();
        in_time(&runtime, "it returns", blocked).unwrap();
    }
    let announced = in_time(
        &runtime,
        "announced",
        runtime.spawn(async {
            threadlet!(will_block; std::thread::sleep(Duration::from_millis(1)));
        }),
    );
    announced.unwrap();
    let [starts, stops, hand_offs] = counts;
    let seen = runtime.metrics();
    assert!(seen.handoffs_blocked >= 3);
    until("each hand-off is told", || {
        hand_offs.load(Ordering::SeqCst) as u64 == runtime.metrics().spare_wakeups
    });
    assert!(starts.load(Ordering::SeqCst) >= 2);
    drop(runtime);
    assert_eq!(starts.load(Ordering::SeqCst), stops.load(Ordering::SeqCst));
}

#[test]
fn threads_have_their_name() {
    let runtime = Builder::new_multi_thread()
        .worker_threads(2)
        .min_spare_threads(1)
        .thread_name("my-own-name")
        .build()
        .unwrap();
    until("two workers and a spare", || threads_named("my-own-name") == 3);
    drop(runtime);
    assert_eq!(threads_named("my-own-name"), 0);
}

#[test]
fn spares_retire_to_the_least() {
    let runtime = Builder::new_multi_thread()
        .worker_threads(1)
        .min_spare_threads(2)
        .thread_keep_alive(Duration::from_millis(20))
        .thread_name("retire")
        .build()
        .unwrap();
    for _ in 0..2 {
        let (senders, calls): (Vec<_>, Vec<_>) = (0..12)
            .map(|_| {
                let (sender, receiver) = mpsc::channel::<()>();
                (sender, runtime.spawn_blocking(move || receiver.recv().is_err()))
            })
            .unzip();
        until("twelve are blocked", || runtime.metrics().async_threads == 12);
        assert!(threads_named("retire") >= 13);
        drop(senders);
        for call in calls {
            assert!(in_time(&runtime, "calls return", call).unwrap());
        }
        until("spares retire", || threads_named("retire") == 3);
        assert_eq!(runtime.metrics().spares, 2);
    }
}

/// A higher cap serves those that wait at once; a lower one takes nothing away.
#[test]
fn the_cap_can_be_changed_while_it_is_used() {
    let runtime =
        Builder::new_multi_thread().worker_threads(2).max_async_threads(2).build().unwrap();
    let (senders, calls): (Vec<_>, Vec<_>) = (0..8)
        .map(|_| {
            let (sender, receiver) = mpsc::channel::<()>();
            (sender, runtime.spawn(async move { threadlet!(will_block; receiver.recv()).is_err() }))
        })
        .unzip();
    // The other six are at the gate, but for one per core that had passed it when the last permit
    // went: it stalls its core.
    until("the cap is reached", || {
        let now = runtime.metrics();
        now.async_threads >= 2 && now.permits_free == 0 && now.gate_waiters >= 4
    });
    runtime.set_max_async_threads(5);
    until("others are served", || {
        let now = runtime.metrics();
        now.async_threads == 5 && now.gate_waiters == 3
    });
    runtime.set_max_async_threads(1);
    assert_eq!((runtime.metrics().async_threads, runtime.metrics().permits_free), (5, 0));
    drop(senders);
    for call in calls {
        assert!(in_time(&runtime, "calls return", call).unwrap());
    }
    until("one permit is left", || runtime.metrics().permits_free == 1);
    assert!(std::panic::catch_unwind(|| cores(1).set_max_async_threads(0)).is_err());
}

thread_local!(static MARK: Cell<u32> = const { Cell::new(0) });

/// In a runtime of one core tasks run in `block_on`, on its thread; after a hand-off they go on
/// elsewhere, and the future in `block_on` stays.
#[test]
fn one_core_runs_in_block_on_and_moves_when_it_blocks() {
    let runtime = Builder::new_current_thread().build().unwrap();
    let ran = Arc::new(AtomicBool::new(false));
    let mine = ran.clone();
    let early = runtime.spawn(async move { mine.store(true, Ordering::SeqCst) });
    std::thread::sleep(Duration::from_millis(20));
    assert!(!ran.load(Ordering::SeqCst), "nobody is in `block_on`");
    MARK.set(7);
    runtime.block_on(async {
        early.await.unwrap();
        assert_eq!(MARK.get(), 7);
        let here = task::spawn(async { MARK.get() });
        assert_eq!(here.await.unwrap(), 7, "a task runs on the thread in `block_on`");
    });
    // A second visit finds the core again.
    assert_eq!(runtime.block_on(async { task::spawn(async { MARK.get() }).await.unwrap() }), 7);
    let (sender, receiver) = mpsc::channel();
    let other = runtime.spawn(async move {
        time::sleep(Duration::from_millis(2)).await;
        sender.send(MARK.get()).unwrap();
    });
    let seen = runtime.block_on(async {
        let seen = threadlet!(receiver.recv()).unwrap();
        assert_eq!(MARK.get(), 7, "the future in `block_on` stays with its thread");
        other.await.unwrap();
        seen
    });
    assert_eq!(seen, 0, "the other task went on on another thread");
    // From here on the core lives on a spare: tasks run without anybody in `block_on`.
    let alone = runtime.spawn(async {});
    until("it runs by itself", || alone.is_finished());
    assert_eq!(runtime.block_on(async { task::spawn(async { 3 }).await.unwrap() }), 3);
}

/// A spawn from another thread came while the thread in `block_on` was on its way out, and found a
/// core that had just gone home.
#[test]
fn a_spawn_may_meet_the_end_of_block_on() {
    let runtime = Builder::new_current_thread().build().unwrap();
    let over = AtomicBool::new(false);
    let spawned = AtomicUsize::new(0);
    let ran = Arc::new(AtomicUsize::new(0));
    std::thread::scope(|scope| {
        let handle = runtime.handle().clone();
        let (over, spawned, counts) = (&over, &spawned, ran.clone());
        scope.spawn(move || {
            while !over.load(Ordering::SeqCst) {
                let counts = counts.clone();
                spawned.fetch_add(1, Ordering::SeqCst);
                handle.spawn(async move {
                    counts.fetch_add(1, Ordering::SeqCst);
                });
                std::thread::yield_now();
            }
        });
        for round in 0..2000 {
            runtime.block_on(async move {
                if round % 4 == 0 {
                    time::sleep(Duration::from_micros(50)).await;
                } else {
                    task::yield_now().await;
                }
            });
        }
        over.store(true, Ordering::SeqCst);
    });
    let all = spawned.load(Ordering::SeqCst);
    runtime.block_on(async {
        while ran.load(Ordering::SeqCst) < all {
            time::sleep(Duration::from_millis(1)).await;
        }
    });
}

#[test]
fn shutdown_drops_futures_and_cancels_handles() {
    let runtime = cores(2);
    let handle = runtime.handle().clone();
    let (guard, count) = dropped();
    let mut guard = Some(guard);
    let waiting = runtime.spawn({
        let guard = guard.take();
        async move {
            let _guard = guard;
            std::future::pending::<()>().await;
        }
    });
    let sleeping = runtime.spawn(time::sleep(Duration::from_secs(3600)));
    let done = runtime.spawn(async { 8 });
    until("one is done", || done.is_finished());
    drop(runtime);
    assert_eq!(count.load(Ordering::SeqCst), 1, "the future is gone when the runtime is");
    let late = handle.spawn(async { panic!("it must not run") });
    threadlet::block_on(async {
        assert!(waiting.await.unwrap_err().is_cancelled());
        assert!(sleeping.await.unwrap_err().is_cancelled());
        assert_eq!(done.await.unwrap(), 8);
        let late: Result<(), _> = late.await;
        assert!(late.unwrap_err().is_cancelled(), "a spawn after the shutdown is cancelled");
    });
    assert_eq!(handle.metrics().tasks_alive, 0);
}

/// A plain thread that spawns while the runtime goes: each task runs or is cancelled. One that was
/// put into the queue after everybody had left stayed there.
#[test]
fn a_spawn_may_meet_the_shutdown() {
    for _ in 0..200 {
        let runtime = cores(1);
        let handle = runtime.handle().clone();
        let go = Arc::new(AtomicBool::new(false));
        let says = go.clone();
        let spawner = std::thread::spawn(move || {
            let mut handles = Vec::new();
            for nth in 0..50 {
                handles.push(handle.spawn(async move { nth }));
                says.store(true, Ordering::SeqCst);
            }
            handles
        });
        until("it has begun", || go.load(Ordering::SeqCst));
        drop(runtime);
        let handles = spawner.join().unwrap();
        threadlet::block_on(async {
            for (nth, handle) in handles.into_iter().enumerate() {
                match time::timeout(LIMIT, handle).await.expect("it runs or is cancelled") {
                    Ok(value) => assert_eq!(value, nth),
                    Err(error) => assert!(error.is_cancelled()),
                }
            }
        });
    }
}

/// Dropped by one of its own tasks, the runtime cannot wait for itself: it does not, and ends.
#[test]
fn a_runtime_may_be_dropped_inside_a_task() {
    for runtime in [cores(1), cores(2)] {
        let handle = runtime.handle().clone();
        let (guard, count) = dropped();
        runtime.spawn(async move {
            let _guard = guard;
            std::future::pending::<()>().await;
        });
        let (give, take) = oneshot::channel::<Runtime>();
        let dropper = runtime.spawn(async move { drop(take.await.unwrap()) });
        assert!(give.send(runtime).is_ok());
        until("futures are dropped", || count.load(Ordering::SeqCst) == 1);
        until("the dropper ends", || dropper.is_finished());
        until("no task is left", || handle.metrics().tasks_alive == 0);
    }
}

/// Bounded, whatever still blocks.
#[test]
fn shutdown_timeout_is_bounded() {
    let runtime = cores(1);
    let (sender, receiver) = mpsc::channel::<()>();
    let blocked = runtime.spawn(async move { threadlet!(receiver.recv()).unwrap() });
    until("it blocks", || runtime.metrics().async_threads == 1);
    let start = Instant::now();
    runtime.shutdown_timeout(Duration::from_millis(20));
    let took = start.elapsed();
    assert!(took >= Duration::from_millis(20) && took < LIMIT, "{took:?}");
    assert!(!blocked.is_finished());
    sender.send(()).unwrap();
    // The poll that was in the call runs to its end.
    until("it ends by itself", || blocked.is_finished());
    assert!(threadlet::block_on(blocked).is_ok());
}
