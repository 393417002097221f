//! What a builder is told and a runtime tells, by tokio's names.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use threadlet::runtime::{Builder, Handle, RuntimeFlavor};
use threadlet::{task, time};

use super::cores;
use super::support::{in_time, threads_named, wait_until};

#[test]
fn options_that_mean_nothing_here_are_taken() {
    let runtime = Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .enable_io()
        .enable_time()
        .event_interval(7)
        .global_queue_interval(7)
        .max_io_events_per_tick(7)
        .max_io_events_per_busy_tick(7)
        .build()
        .unwrap();
    in_time(&runtime, "a timer", time::sleep(Duration::from_millis(1)));
    let zero = |f: fn(&mut Builder)| {
        std::panic::catch_unwind(|| f(&mut Builder::new_multi_thread())).is_err()
    };
    assert!(zero(|builder| drop(builder.global_queue_interval(0).build())));
    assert!(zero(|builder| drop(builder.max_io_events_per_busy_tick(0).build())));
}

#[test]
fn a_runtime_has_a_number_a_name_and_a_flavor() {
    let named = Builder::new_multi_thread().worker_threads(1).name("queries").build().unwrap();
    let plain = Builder::new_current_thread().build().unwrap();
    assert_eq!((named.handle().name(), plain.handle().name()), (Some("queries"), None));
    assert_ne!(named.handle().id(), plain.handle().id());
    assert_eq!(named.handle().runtime_flavor(), RuntimeFlavor::MultiThread);
    assert_eq!(plain.handle().runtime_flavor(), RuntimeFlavor::CurrentThread);
    let inside = named.spawn(async { Handle::current().id() });
    assert_eq!(in_time(&named, "a task", inside).unwrap(), named.handle().id());
    assert!(Handle::try_current().unwrap_err().is_missing_context());
}

#[test]
fn each_thread_may_have_its_own_name() {
    let next = Arc::new(AtomicUsize::new(0));
    let mine = next.clone();
    let mut builder = Builder::new_multi_thread();
    builder.worker_threads(2).min_spare_threads(1).thread_name("common").thread_name_fn(
        move || match mine.fetch_add(1, Ordering::Relaxed) {
            0 => "own-first".to_owned(),
            1 => "own-\0-second".to_owned(),
            2 => panic!("on purpose"),
            _ => "own-rest".to_owned(),
        },
    );
    let runtime = builder.build().unwrap();
    wait_until("a worker and others", || {
        threads_named("own-first") == 1 && threads_named("own-rest") >= 1
    });
    assert_eq!(threads_named("common"), 0);
    drop(runtime);
    // Of the two, the one said last counts.
    let runtime = builder.thread_name("common").build().unwrap();
    wait_until("two workers and a spare", || threads_named("common") == 3);
    assert_eq!(threads_named("own-rest"), 0);
    drop(runtime);
}

/// Both kinds of runtime, with hooks that count.
fn with_hooks(builder: &mut Builder) -> (threadlet::runtime::Runtime, [Arc<AtomicUsize>; 2]) {
    let counts = [Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0))];
    let [parks, unparks] = counts.clone();
    builder.on_thread_park(move || {
        parks.fetch_add(1, Ordering::SeqCst);
    });
    builder.on_thread_unpark(move || {
        unparks.fetch_add(1, Ordering::SeqCst);
    });
    (builder.build().unwrap(), counts)
}

#[test]
fn a_worker_says_that_it_goes_to_sleep_and_that_it_wakes() {
    for mut builder in [Builder::new_current_thread(), Builder::new_multi_thread()] {
        let (runtime, [parks, unparks]) = with_hooks(builder.worker_threads(1));
        let task = runtime.spawn(time::sleep(Duration::from_millis(100)));
        in_time(&runtime, "a task", task).unwrap();
        assert!(parks.load(Ordering::SeqCst) >= 1);
        drop(runtime);
        let (parks, unparks) = (parks.load(Ordering::SeqCst), unparks.load(Ordering::SeqCst));
        assert!(unparks >= 1 && unparks <= parks, "{unparks} of {parks}");
    }
}

/// What the hook spawns or wakes is run, and the thread does not sleep on it.
#[test]
fn a_hook_before_sleep_may_make_work() {
    for mut builder in [Builder::new_current_thread(), Builder::new_multi_thread()] {
        for spawns in [true, false] {
            let (sender, receiver) = futures::channel::oneshot::channel();
            let (sender, once) = (Arc::new(Mutex::new(Some(sender))), AtomicBool::new(false));
            builder.worker_threads(1).on_thread_park(move || {
                if once.swap(true, Ordering::SeqCst) {
                    return;
                }
                let sender = sender.lock().unwrap().take().unwrap();
                match spawns {
                    true => drop(task::spawn(async move { sender.send(7) })),
                    false => sender.send(7).unwrap(),
                }
            });
            let runtime = builder.build().unwrap();
            let waits = runtime.spawn(receiver);
            assert_eq!(in_time(&runtime, "the hook's work is done", waits).unwrap(), Ok(7));
        }
    }
}

/// One that blocks holds up nobody, as anything that a user's code does.
#[test]
fn a_hook_before_sleep_may_block() {
    let (once, blocked) = (AtomicBool::new(false), Arc::new(AtomicBool::new(false)));
    let (release, released) = std::sync::mpsc::channel::<()>();
    let (released, tell) = (Mutex::new(released), blocked.clone());
    let runtime = Builder::new_multi_thread()
        .worker_threads(1)
        .on_thread_park(move || {
            if !once.swap(true, Ordering::SeqCst) {
                tell.store(true, Ordering::SeqCst);
                let _ = released.lock().unwrap().recv();
            }
        })
        .build()
        .unwrap();
    wait_until("the only worker is in the hook", || blocked.load(Ordering::SeqCst));
    let task = runtime.spawn(time::sleep(Duration::from_millis(1)));
    in_time(&runtime, "a task beside the hook", task).unwrap();
    drop(release);
}

#[test]
fn the_figures_of_a_worker() {
    for mut builder in [Builder::new_current_thread(), Builder::new_multi_thread()] {
        let runtime = builder.worker_threads(1).build().unwrap();
        let metrics = runtime.metrics();
        assert_eq!(metrics.num_workers(), 1);
        let task = runtime.spawn(async {
            let end = std::time::Instant::now() + Duration::from_millis(2);
            while std::time::Instant::now() < end {}
            time::sleep(Duration::from_millis(1)).await;
        });
        assert_eq!(metrics.num_alive_tasks(), 1);
        in_time(&runtime, "a task", task).unwrap();
        wait_until("it has gone", || metrics.num_alive_tasks() == 0);
        drop(runtime);
        assert!(metrics.worker_park_count(0) >= 1);
        assert_eq!(metrics.worker_park_unpark_count(0) % 2, 0, "none sleeps any more");
        assert!(metrics.worker_total_busy_duration(0) >= Duration::from_millis(2));
        assert!(std::panic::catch_unwind(|| metrics.worker_park_count(1)).is_err());
    }
    // A worker that has nothing to do sleeps, and that is told.
    let runtime = cores(1);
    wait_until("it sleeps", || runtime.metrics().worker_park_unpark_count(0) % 2 == 1);
    // Nobody is in `block_on`: what is spawned waits.
    let runtime = Builder::new_current_thread().build().unwrap();
    let task = runtime.spawn(async {});
    assert_eq!(runtime.metrics().global_queue_depth(), 1);
    task.abort();
}
