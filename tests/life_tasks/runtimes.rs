//! Runtimes: which is current, what they tell of themselves, their threads and limits.

use std::cell::Cell;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, mpsc};
use std::time::{Duration, Instant};

use threadlet::runtime::{Builder, Cause, Handle};
use threadlet::{task, threadlet, time};

use super::cores;
use super::support::{Barrier, in_time, os, threads_named, wait_until};

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
    // Short blocks a busy machine may miss; not those of these few.
    let barrier = Barrier::default();
    let tasks: Vec<_> = (0..200)
        .map(|nth| {
            let barrier = barrier.clone();
            runtime.spawn(async move {
                task::yield_now().await;
                threadlet!(match nth {
                    0..3 => barrier.block(),
                    _ => std::thread::sleep(Duration::from_micros(nth % 7 * 50)),
                });
                time::sleep(Duration::from_micros(300)).await;
            })
        })
        .collect();
    wait_until("a block is seen", || {
        let now = runtime.metrics();
        barrier.blocked() == 3 && now.handoffs_blocked + now.handoffs_predicted > 0
    });
    barrier.let_go(3);
    for task in tasks {
        in_time(&runtime, "tasks end", task).unwrap();
    }
    wait_until("all is at rest", || {
        let now = runtime.metrics();
        now.async_threads == 0 && now.tasks_alive == 0 && now.spares == min_spare
    });
    let now = runtime.metrics();
    assert_eq!((now.permits_free, now.gate_waiters, now.injector_depth), (cap, 0, 0));
    assert_eq!((now.workers, now.regions), (2, 200));
    let handed = now.handoffs_blocked + now.handoffs_hog + now.handoffs_predicted;
    // What the sentinel hears of it takes for itself.
    let heard = now.sentinel_wakeups;
    assert!(now.spare_wakeups <= handed + now.handoffs_rescued);
    assert!(now.spare_wakeups + heard >= handed + now.handoffs_rescued);
    assert!(now.async_threads_peak <= cap + 1);
    let sites = runtime.handle().sites();
    let site = sites.iter().find(|site| site.text.contains("nth % 7")).unwrap();
    assert_eq!((site.file, site.calls), (file!(), 200));
    assert_eq!(site.inline + site.handed_over, site.calls);
    assert!(site.handed_over > 0 && site.longest_block > Duration::ZERO);
    // The threads that are: two with a core, the spares, and perhaps the sentinel.
    let known = 2 + min_spare;
    wait_until("threads running + spare = spawned", || {
        (known..=known + 1).contains(&threads_named("figures"))
    });
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
    // Where no spare is there yet its core is stalled with it first, and it has no `since`.
    let mut list = Vec::new();
    wait_until("it is listed, and its core is gone", || {
        list = runtime.handle().blocked();
        list.first().is_some_and(|blocked| blocked.since.is_some())
    });
    let site = list[0].site.expect("it said so");
    assert_eq!((site.file(), site.line(), site.text()), (file!(), site_line, "receiver.recv()"));
    assert_eq!(list[0].spawned_at.as_deref(), Some(format!("{}:{place}", file!()).as_str()));
    assert_eq!(list[0].task, Some(blocked.id()));
    assert_eq!(list[0].cause, Cause::Blocked);
    assert!(list[0].since.unwrap() >= before);
    sender.send(()).unwrap();
    in_time(&runtime, "it returns", blocked).unwrap();
    wait_until("nobody is listed", || runtime.handle().blocked().is_empty());
}

/// Hooks are called on the threads they speak of; one that panics does no harm.
#[test]
fn hooks_are_called_and_may_panic() {
    let counts: [Arc<AtomicUsize>; 3] = Default::default();
    let [starts, stops, handoffs] = counts.clone();
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
        .on_handoff(move |cause| {
            assert!(matches!(cause, Cause::Blocked | Cause::Predicted), "{cause:?}");
            handoffs.fetch_add(1, Ordering::SeqCst);
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
    let [starts, stops, handoffs] = counts;
    let seen = runtime.metrics();
    assert!(seen.handoffs_blocked >= 3);
    wait_until("each hand-off is told", || {
        let now = runtime.metrics();
        handoffs.load(Ordering::SeqCst) as u64 == now.handoffs_blocked + now.handoffs_predicted
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
    wait_until("two workers and a spare", || threads_named("my-own-name") == 3);
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
        wait_until("twelve are blocked", || runtime.metrics().async_threads == 12);
        assert!(threads_named("retire") >= 13);
        drop(senders);
        for call in calls {
            assert!(in_time(&runtime, "calls return", call).unwrap());
        }
        wait_until("spares retire", || threads_named("retire") == 3);
        assert_eq!(runtime.metrics().spares, 2);
    }
}

/// A higher cap serves those that wait at once; a lower one takes nothing away.
/// A child that is to die with its parent dies with the thread that started it.
#[test]
fn a_thread_whose_child_lives_does_not_retire() {
    const NAME: &str = "with-children";
    let runtime = Builder::new_multi_thread()
        .worker_threads(2)
        .min_spare_threads(1)
        .thread_keep_alive(Duration::from_millis(50))
        .thread_name(NAME)
        .build()
        .unwrap();
    let barrier = Barrier::default();
    let tasks: Vec<_> = (0..8)
        .map(|_| {
            let barrier = barrier.clone();
            runtime.spawn(async move {
                let child = os::child_that_dies_with_its_thread();
                threadlet!(barrier.block());
                child
            })
        })
        .collect();
    wait_until("all of them block", || barrier.blocked() == tasks.len());
    barrier.let_go(tasks.len());
    let mut children: Vec<_> =
        tasks.into_iter().map(|task| runtime.block_on(task).unwrap()).collect();
    std::thread::sleep(Duration::from_millis(500));
    for child in &mut children {
        assert!(child.try_wait().unwrap().is_none(), "a child has died with its thread");
    }
    assert!(threads_named(NAME) >= children.len());
    for child in &mut children {
        child.kill().unwrap();
        child.wait().unwrap();
    }
    wait_until("the others retire", || threads_named(NAME) <= 3);
}

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
    wait_until("the cap is reached", || {
        let now = runtime.metrics();
        now.async_threads >= 2 && now.permits_free == 0 && now.gate_waiters >= 4
    });
    runtime.set_max_async_threads(5);
    wait_until("others are served", || {
        let now = runtime.metrics();
        now.async_threads == 5 && now.gate_waiters == 3
    });
    runtime.set_max_async_threads(1);
    assert_eq!((runtime.metrics().async_threads, runtime.metrics().permits_free), (5, 0));
    drop(senders);
    for call in calls {
        assert!(in_time(&runtime, "calls return", call).unwrap());
    }
    wait_until("one permit is left", || runtime.metrics().permits_free == 1);
    assert!(std::panic::catch_unwind(|| cores(1).set_max_async_threads(0)).is_err());
}

thread_local!(static MARK: Cell<u32> = const { Cell::new(0) });

/// In a current-thread runtime tasks run in `block_on`, on its thread; after a hand-off they go on
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
    wait_until("it runs by itself", || alone.is_finished());
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
