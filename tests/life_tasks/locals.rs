//! `LocalSet` and `LocalRuntime`: tasks that stay on one thread.

use std::cell::{Cell, RefCell};
use std::future::pending;
use std::rc::Rc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;
use std::thread::{self, ThreadId};
use std::time::Duration;

use futures::channel::oneshot;
use threadlet::runtime::{Builder, Handle, LocalOptions, LocalRuntime, Runtime};
use threadlet::task::{self, LocalSet, spawn_local};
use threadlet::{threadlet, time};

use super::support::{build, detectors, within};
use super::{LIMIT, cores, dropped};

fn here() -> ThreadId {
    thread::current().id()
}

/// Both kinds of runtime, under each detector.
fn each(test: impl Fn(&Runtime)) {
    for detector in detectors() {
        for mut builder in [Builder::new_current_thread(), Builder::new_multi_thread()] {
            test(&build(builder.worker_threads(1), detector));
        }
    }
}

/// The heart of it: whatever blocks, and whoever takes the core, a task of a set is polled on its
/// own thread, and the other kind of task goes on meanwhile.
#[test]
fn a_local_task_stays_though_its_call_blocks() {
    within(LIMIT, || {
        each(|runtime| {
            let (set, mine) = (LocalSet::new(), here());
            set.block_on(runtime, async move {
                let polls = Rc::new(Cell::new(0));
                for round in 0..3 {
                    let (sender, receiver) = mpsc::channel();
                    let polls = polls.clone();
                    let local = spawn_local(async move {
                        assert_eq!(here(), mine);
                        task::yield_now().await;
                        assert_eq!(here(), mine);
                        // Another task, which is `Send`, ends the wait: it runs elsewhere.
                        drop(task::spawn(async move {
                            time::sleep(Duration::from_millis(2)).await;
                            sender.send(round).unwrap();
                        }));
                        let got = threadlet!(receiver.recv_timeout(LIMIT)).unwrap();
                        assert_eq!(here(), mine);
                        time::sleep(Duration::from_millis(1)).await;
                        assert_eq!(here(), mine);
                        polls.set(polls.get() + 1);
                        got
                    });
                    assert_eq!(local.await.unwrap(), round);
                    assert_eq!(here(), mine);
                }
                assert_eq!(polls.get(), 3);
            });
        });
    });
}

/// Also where the core has gone to another thread before.
#[test]
fn a_set_runs_on_a_thread_without_a_core() {
    within(LIMIT, || {
        let (set, mine) = (LocalSet::new(), here());
        let runtime = Builder::new_current_thread().build().unwrap();
        runtime.block_on(async { task::spawn_blocking(|| ()).await.unwrap() });
        let local = set.spawn_local(async move {
            for _ in 0..100 {
                let elsewhere = task::spawn(async { here() }).await.unwrap();
                assert_ne!(elsewhere, mine, "the core has gone");
                assert_eq!(here(), mine);
            }
        });
        set.block_on(&runtime, local).unwrap();
    });
}

#[test]
fn a_set_is_ready_when_its_last_task_has_ended() {
    within(LIMIT, || {
        let order = Rc::new(RefCell::new(Vec::new()));
        let set = LocalSet::new();
        for number in 0..3 {
            let order = order.clone();
            drop(set.spawn_local(async move {
                order.borrow_mut().push(number);
                let inner = order.clone();
                drop(spawn_local(async move {
                    time::sleep(Duration::from_millis(1)).await;
                    inner.borrow_mut().push(10 + number);
                }));
            }));
        }
        assert!(order.borrow().is_empty(), "nobody polls it");
        threadlet::block_on(set);
        let mut order = order.take();
        assert_eq!(order[..3], [0, 1, 2]);
        order.sort_unstable();
        assert_eq!(order, [0, 1, 2, 10, 11, 12]);
    });
}

/// `run_until` ends with its future; what is left goes on with the next.
#[test]
fn what_is_left_goes_on_later() {
    within(LIMIT, || {
        let runtime = cores(1);
        let (sender, receiver) = oneshot::channel::<u32>();
        let set = LocalSet::new();
        let task = set.spawn_local(async move { receiver.await.unwrap() });
        assert_eq!(set.block_on(&runtime, async { 7 }), 7);
        assert!(!task.is_finished());
        sender.send(8).unwrap();
        assert_eq!(set.block_on(&runtime, task).unwrap(), 8);
        assert_eq!(set.block_on(&runtime, async { spawn_local(async { 9 }).await }).unwrap(), 9);
    });
}

/// A wake from any thread at any time reaches the task.
#[test]
fn wakes_from_elsewhere_are_not_lost() {
    within(LIMIT, || {
        const ROUNDS: u32 = 2000;
        let runtime = cores(2);
        let set = LocalSet::new();
        let sum = Rc::new(Cell::new(0));
        set.block_on(&runtime, async {
            let locals: Vec<_> = (0..4)
                .map(|_| {
                    let sum = sum.clone();
                    spawn_local(async move {
                        for _ in 0..ROUNDS {
                            let (sender, receiver) = oneshot::channel();
                            drop(task::spawn(async { sender.send(1) }));
                            let one = receiver.await.unwrap();
                            sum.set(sum.get() + one);
                        }
                    })
                })
                .collect();
            for local in locals {
                local.await.unwrap();
            }
        });
        assert_eq!(sum.get(), 4 * ROUNDS);
    });
}

#[test]
fn a_set_that_is_always_busy_leaves_room_for_others() {
    within(LIMIT, || {
        let runtime = Builder::new_current_thread().build().unwrap();
        let set = LocalSet::new();
        let spins = Rc::new(Cell::new(0_u64));
        let count = spins.clone();
        drop(set.spawn_local(async move {
            loop {
                count.set(count.get() + 1);
                task::yield_now().await;
            }
        }));
        set.block_on(&runtime, async {
            let other = task::spawn(time::sleep(Duration::from_millis(2)));
            time::sleep(Duration::from_millis(2)).await;
            other.await.unwrap();
        });
        assert!(spins.get() > 0);
    });
}

#[test]
fn dropping_a_set_drops_its_tasks_here() {
    within(LIMIT, || {
        struct Spawns(ThreadId, Rc<Cell<u32>>);
        impl Drop for Spawns {
            fn drop(&mut self) {
                assert_eq!(here(), self.0);
                assert!(task::try_id().is_some());
                // What a destructor spawns is cancelled at once.
                assert!(spawn_local(async {}).is_finished());
                self.1.set(self.1.get() + 1);
            }
        }
        let runtime = cores(1);
        let gone = Rc::new(Cell::new(0));
        let set = LocalSet::new();
        let waits = |set: &LocalSet| {
            let guard = Spawns(here(), gone.clone());
            set.spawn_local(async move {
                let _guard = guard;
                pending::<()>().await;
            })
        };
        let polled = waits(&set);
        set.block_on(&runtime, task::yield_now());
        let fresh = waits(&set);
        let abort = polled.abort_handle();
        drop(set);
        assert_eq!(gone.get(), 2);
        for task in [polled, fresh] {
            assert!(runtime.block_on(task).unwrap_err().is_cancelled());
        }
        // A wake that comes too late, from another thread.
        thread::spawn(move || abort.abort()).join().unwrap();
    });
}

#[test]
fn a_local_task_is_aborted_from_anywhere() {
    within(LIMIT, || {
        let runtime = cores(1);
        let set = LocalSet::new();
        let (guard, gone) = dropped();
        let guard = (guard, Rc::new(()));
        let task = set.spawn_local(async move {
            let _guard = guard;
            pending::<()>().await;
        });
        let abort = task.abort_handle();
        let aborts = thread::spawn(move || {
            thread::sleep(Duration::from_millis(2));
            abort.abort();
        });
        assert!(set.block_on(&runtime, task).unwrap_err().is_cancelled());
        assert_eq!(gone.load(Ordering::SeqCst), 1);
        aborts.join().unwrap();
    });
}

#[test]
fn a_panic_is_its_tasks_own() {
    within(LIMIT, || {
        let set = LocalSet::new();
        let answer = threadlet::block_on(set.run_until(async {
            let panics = spawn_local(async { panic!("on purpose") });
            let other = spawn_local(async { 7 });
            (panics.await.unwrap_err().is_panic(), other.await.unwrap())
        }));
        assert_eq!(answer, (true, 7));
    });
}

/// Who spawns on a set beside whoever polls it, on the same thread, wakes that one.
#[test]
fn a_task_from_beside_is_seen() {
    within(LIMIT, || {
        let set = LocalSet::new();
        let (sender, receiver) = oneshot::channel();
        let spawns = async {
            task::yield_now().await;
            let _guard = set.enter();
            spawn_local(async move { sender.send(7) }).detach();
        };
        // The one that polls the set has had its turn before.
        let both = futures::future::join(set.run_until(receiver), spawns);
        assert_eq!(threadlet::block_on(both).0, Ok(7));
    });
}

/// Also where another set is polled just then, and by one of its tasks.
#[test]
fn a_task_for_another_set_is_seen() {
    within(LIMIT, || {
        let (first, second) = (LocalSet::new(), LocalSet::new());
        let (sender, receiver) = oneshot::channel();
        let spawns = async {
            task::yield_now().await;
            first.spawn_local(async move { sender.send(7) }).detach();
        };
        // The first has had its turn when the second has its own.
        let both = futures::future::join(first.run_until(receiver), second.run_until(spawns));
        assert_eq!(threadlet::block_on(both).0, Ok(7));
    });
}

/// What is left after a turn has the next one, though nobody wakes the set for it.
#[test]
fn more_tasks_than_a_turn_has_all_run() {
    within(LIMIT, || {
        let (set, ran) = (LocalSet::new(), Rc::new(Cell::new(0)));
        for _ in 0..500 {
            let ran = ran.clone();
            set.spawn_local(async move { ran.set(ran.get() + 1) }).detach();
        }
        threadlet::block_on(set);
        assert_eq!(ran.get(), 500);
    });
}

/// What one of them uses up, the others have all the same.
#[test]
fn each_local_task_has_a_budget_of_its_own() {
    within(LIMIT, || {
        let set = LocalSet::new();
        let spent = set.spawn_local(async {
            let mut units = 0;
            while task::coop::has_budget_remaining() {
                task::coop::consume_budget().await;
                units += 1;
            }
            units
        });
        let other = set.spawn_local(async { task::coop::has_budget_remaining() });
        threadlet::block_on(set.run_until(async {
            let root = task::coop::has_budget_remaining();
            assert_eq!((spent.await.unwrap(), other.await.unwrap(), root), (128, true, true));
        }));
    });
}

/// The innermost counts, and each is left as it was entered.
#[test]
fn sets_within_sets() {
    within(LIMIT, || {
        let (outer, inner) = (LocalSet::new(), LocalSet::new());
        let name = |set: &LocalSet| set.id();
        assert_ne!(name(&outer), name(&inner));
        threadlet::block_on(outer.run_until(async {
            let first = inner.run_until(async { spawn_local(async { 1 }).await.unwrap() }).await;
            let guard = inner.enter();
            let waits = spawn_local(async { 2 });
            drop(guard);
            let second = spawn_local(async { 3 }).await.unwrap();
            assert!(!waits.is_finished(), "nobody polls the inner one");
            assert_eq!((first, second, inner.run_until(waits).await.unwrap()), (1, 3, 2));
        }));
        let words = |panic: Box<dyn std::any::Any + Send>| {
            panic.downcast_ref::<&str>().unwrap().to_string()
        };
        let outside = std::panic::catch_unwind(|| drop(spawn_local(async {}))).unwrap_err();
        assert!(words(outside).contains("outside of a `task::LocalSet`"));
        // A task that may move is in no set, also where a set is polled on the same thread.
        let runtime = Builder::new_current_thread().build().unwrap();
        let moves = outer
            .block_on(&runtime, async { task::spawn(async { drop(spawn_local(async {})) }).await });
        assert!(words(moves.unwrap_err().into_panic()).contains("a task of `task::spawn`"));
    });
}

#[test]
fn local_tasks_have_numbers() {
    within(LIMIT, || {
        let set = LocalSet::new();
        threadlet::block_on(set.run_until(async {
            assert!(task::try_id().is_none());
            let local = spawn_local(async {
                let before = task::id();
                let inner = cores(1).block_on(async { task::try_id() });
                task::yield_now().await;
                (before, inner, task::id())
            });
            let id = local.id();
            assert_eq!(local.await.unwrap(), (id, None, id));
            let mut joined = task::JoinSet::new();
            joined.spawn_local(async { Rc::new(7) });
            joined.spawn_local_on(async { Rc::new(8) }, &set);
            let sum: u32 = joined.join_all().await.iter().map(|number| **number).sum();
            assert_eq!(sum, 15);
        }));
    });
}

/// In a local runtime every task stays, however it was spawned; calls are made elsewhere.
#[test]
fn all_tasks_of_a_local_runtime_stay() {
    within(LIMIT, || {
        let runtime = LocalRuntime::new().unwrap();
        let mine = here();
        let handle = runtime.handle().clone();
        let from_outside = thread::spawn(move || handle.spawn(async { here() })).join().unwrap();
        let early = runtime.spawn_local(async { here() });
        runtime.block_on(async move {
            let beat = Rc::new(Cell::new(0));
            let beats = beat.clone();
            let ticks = spawn_local(async move {
                loop {
                    beats.set(beats.get() + 1);
                    time::sleep(Duration::from_millis(1)).await;
                }
            });
            let call = task::spawn_blocking(|| {
                thread::sleep(Duration::from_millis(50));
                here()
            });
            assert_ne!(call.await.unwrap(), mine);
            assert!(beat.get() > 5, "the call has held up nobody");
            ticks.abort();
            assert_eq!(from_outside.await.unwrap(), mine);
            assert_eq!(early.await.unwrap(), mine);
            let nested = task::spawn(async {
                threadlet!(will_block; thread::sleep(Duration::from_millis(1)));
                (here(), spawn_local(async { here() }).await.unwrap())
            });
            assert_eq!(nested.await.unwrap(), (mine, mine));
            assert_eq!(Handle::current().spawn(async { here() }).await.unwrap(), mine);
        });
    });
}

#[test]
fn the_end_of_a_local_runtime() {
    within(LIMIT, || {
        static GONE: AtomicUsize = AtomicUsize::new(0);
        struct Counts(Rc<()>);
        impl Drop for Counts {
            fn drop(&mut self) {
                assert_eq!(Rc::strong_count(&self.0), 1);
                assert!(Handle::try_current().is_ok(), "a destructor may use the runtime");
                GONE.fetch_add(1, Ordering::SeqCst);
            }
        }
        let waits = |runtime: &LocalRuntime| {
            let counts = Counts(Rc::new(()));
            runtime.spawn_local(async move {
                let _counts = counts;
                pending::<()>().await;
            })
        };
        let runtime = LocalRuntime::new().unwrap();
        let (handle, polled) = (runtime.handle().clone(), waits(&runtime));
        runtime.block_on(task::yield_now());
        let fresh = waits(&runtime);
        drop(runtime);
        assert_eq!(GONE.load(Ordering::SeqCst), 2);
        assert!(polled.is_finished() && fresh.is_finished());
        assert!(handle.spawn(async {}).is_finished(), "cancelled at once");
        // A call that blocks is not waited for.
        let runtime = Builder::new_current_thread().build_local(LocalOptions::default()).unwrap();
        let (sender, receiver) = mpsc::channel::<()>();
        let call = runtime.spawn_blocking(move || receiver.recv());
        runtime.block_on(time::sleep(Duration::from_millis(5)));
        runtime.shutdown_background();
        drop((sender, call));
        let refused = Builder::new_multi_thread().build_local(LocalOptions::default()).unwrap_err();
        assert_eq!(refused.kind(), std::io::ErrorKind::InvalidInput);
    });
}
