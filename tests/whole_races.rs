//! Ten races, planted in small programs: a seed finds each, and is the same run each time; where the race
//! is mended, no seed finds anything (feature `test-util`).
//!
//! `THREADLET_SEEDS=10000 cargo test --features test-util --test whole_races -- --nocapture` is the long run,
//! and tells how long each took.

use std::collections::BTreeMap;
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering::SeqCst};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Instant;

use threadlet::runtime::{Builder, Handle, Runtime};
use threadlet::threadlet;
use threadlet::time::{Duration, sleep, timeout};

/// What a run comes to: what went wrong.
type Outcome = Result<(), String>;

/// A run of `program` under a seed, with at most `cap` calls blocked at once.
fn run<F: Future<Output = Outcome>>(cap: usize, seed: u64, program: F) -> (Outcome, Runtime) {
    let mut builder = Builder::new_current_thread();
    let builder = builder.deterministic(seed).max_async_threads(cap);
    let runtime = builder.build().expect("the runtime can be built");
    let ended = catch_unwind(AssertUnwindSafe(|| runtime.block_on(program)));
    let outcome = ended.unwrap_or_else(|payload| {
        let text = payload.downcast_ref::<String>().cloned();
        Err(text.unwrap_or_else(|| "a panic".to_owned()))
    });
    (outcome, runtime)
}

fn decisions(runtime: &Runtime) -> String {
    runtime.decisions().expect("the runtime replays")
}

/// Demands that some seed finds the race, and finds it again by the same decisions; and that none finds
/// anything where it is mended.
fn found<F: Future<Output = Outcome>>(name: &str, cap: usize, program: fn(bool) -> F) {
    let text = std::env::var("THREADLET_SEEDS").unwrap_or_default();
    let seeds: u64 = text.parse().unwrap_or(500);
    let bad = (0..seeds).find_map(|seed| {
        let (outcome, runtime) = run(cap, seed, program(false));
        outcome.is_err().then(|| (seed, outcome, decisions(&runtime)))
    });
    let (seed, outcome, before) = bad.unwrap_or_else(|| panic!("{name}: no seed finds it"));
    for _ in 0..2 {
        let (again, runtime) = run(cap, seed, program(false));
        assert_eq!((&again, decisions(&runtime)), (&outcome, before.clone()), "{name}, {seed}");
    }
    let start = Instant::now();
    for seed in 0..seeds {
        let (outcome, runtime) = run(cap, seed, program(true));
        assert!(outcome.is_ok(), "{name}, mended: {outcome:?}\n{}", decisions(&runtime));
    }
    let took = start.elapsed();
    println!("{name}: found by seed {seed}; mended, {seeds} seeds in {took:.1?}");
}

macro_rules! races {
    ($($name:ident: $cap:literal,)*) => {
        $(
            mod $name {
                #[test]
                fn is_found_and_replays_and_is_gone_where_it_is_mended() {
                    super::found(stringify!($name), $cap, super::$name);
                }
            }
        )*
    };
}

races! {
    check_then_act: 512,
    lost_update: 512,
    cancelled_in_the_middle: 512,
    timeout_versus_result: 512,
    two_locks: 512,
    message_partly_read: 512,
    order_of_spawns: 512,
    deadlock_at_the_cap: 1,
    notified_before_the_wait: 512,
    shutdown_versus_late_completion: 512,
}

fn demand(holds: bool, what: &str) -> Outcome {
    if holds { Ok(()) } else { Err(what.to_owned()) }
}

fn ms(count: u64) -> Duration {
    Duration::from_millis(count)
}

/// Two customers see that there is enough, and both take it.
async fn check_then_act(mended: bool) -> Outcome {
    let balance = Arc::new(Mutex::new(100));
    let take = |balance: Arc<Mutex<i64>>| async move {
        if mended {
            threadlet!({
                let mut balance = balance.lock().unwrap();
                if *balance >= 80 {
                    *balance -= 80;
                }
            });
        } else if threadlet!(*balance.lock().unwrap() >= 80) {
            threadlet!(*balance.lock().unwrap() -= 80);
        }
    };
    let both = [(); 2].map(|()| threadlet::spawn(take(balance.clone())));
    for one in both {
        one.await.unwrap();
    }
    demand(*balance.lock().unwrap() >= 0, "the balance is below zero")
}

/// What another has written meanwhile is overwritten.
async fn lost_update(mended: bool) -> Outcome {
    let counter = Arc::new(AtomicI64::new(0));
    let add = |counter: Arc<AtomicI64>| async move {
        if mended {
            threadlet!(counter.fetch_add(1, SeqCst));
        } else {
            let before = threadlet!(counter.load(SeqCst));
            counter.store(before + 1, SeqCst);
        }
    };
    let tasks = [(); 3].map(|()| threadlet::spawn(add(counter.clone())));
    for task in tasks {
        task.await.unwrap();
    }
    demand(counter.load(SeqCst) == 3, "one of three is lost")
}

/// A limit ends a transfer between its two halves.
async fn cancelled_in_the_middle(mended: bool) -> Outcome {
    let accounts = Arc::new([AtomicI64::new(100), AtomicI64::new(0)]);
    let transfer = {
        let accounts = accounts.clone();
        async move {
            threadlet!(accounts[0].fetch_sub(10, SeqCst));
            threadlet!(accounts[1].fetch_add(10, SeqCst));
        }
    };
    let limit = ms(1);
    if mended {
        // The wait may be cancelled, and the transfer not.
        let transfer = threadlet::spawn(transfer);
        let mut transfer = std::pin::pin!(transfer);
        if timeout(limit, transfer.as_mut()).await.is_err() {
            transfer.await.unwrap();
        }
    } else {
        let _in_time = timeout(limit, transfer).await;
    }
    let sum = accounts.iter().map(|account| account.load(SeqCst)).sum::<i64>();
    demand(sum == 100, "money is lost")
}

/// A limit passes while the result is on its way, and the order is placed again.
async fn timeout_versus_result(mended: bool) -> Outcome {
    let orders = Arc::new(Mutex::new(BTreeMap::<u32, u32>::new()));
    let place = || {
        let orders = orders.clone();
        threadlet::task::spawn_blocking(move || {
            let mut orders = orders.lock().unwrap();
            let placed = orders.entry(7).or_default();
            *placed = if mended { 1 } else { *placed + 1 };
        })
    };
    if timeout(ms(5), place()).await.is_err() {
        place().await.unwrap();
    }
    sleep(ms(60_000)).await;
    let placed = orders.lock().unwrap().get(&7).copied();
    demand(placed == Some(1), "the order was placed twice")
}

/// Each has one lock and does without what it wanted, because the other has it.
async fn two_locks(mended: bool) -> Outcome {
    let locks = Arc::new([futures::lock::Mutex::new(0), futures::lock::Mutex::new(0)]);
    let move_one = |locks: Arc<[futures::lock::Mutex<i64>; 2]>, from: usize| async move {
        if mended {
            let (mut first, mut second) = (locks[0].lock().await, locks[1].lock().await);
            threadlet!(());
            *first += 1;
            *second += 1;
            return;
        }
        let mut first = locks[from].lock().await;
        *first += 1;
        threadlet!(());
        if let Some(mut second) = locks[1 - from].try_lock() {
            *second += 1;
        }
    };
    let tasks = [0, 1].map(|from| threadlet::spawn(move_one(locks.clone(), from)));
    for task in tasks {
        task.await.unwrap();
    }
    let sum = *locks[0].lock().await + *locks[1].lock().await;
    demand(sum == 4, "one of them has done half of its work")
}

/// A reader that is dropped in the middle of a message has taken the first half with it.
async fn message_partly_read(mended: bool) -> Outcome {
    use futures::future::{Either, select};
    use futures::io::{AsyncReadExt, AsyncWriteExt};
    let (mut near, mut far) = threadlet::io::duplex(64);
    let writer = threadlet::spawn(async move {
        for message in [*b"one.", *b"two.", *b"end."] {
            near.write_all(&message).await.unwrap();
        }
    });
    let (mut message, mut filled, mut seen) = ([0; 4], 0, Vec::new());
    loop {
        let read = std::pin::pin!(async {
            if !mended {
                filled = 0;
            }
            // What there is of it outlives this future, if it is looked at again.
            while filled < message.len() {
                match far.read(&mut message[filled..]).await.unwrap() {
                    0 => return None,
                    count => filled += count,
                }
            }
            filled = 0;
            Some(message)
        });
        // Something else is to be done meanwhile.
        match select(read, std::pin::pin!(sleep(ms(500)))).await {
            Either::Left((Some(message), _)) => seen.push(message),
            Either::Left((None, _)) => break,
            Either::Right(_) => {}
        }
    }
    writer.await.unwrap();
    demand(seen == [*b"one.", *b"two.", *b"end."], "messages are torn")
}

/// The task that was spawned first is not the first to run.
async fn order_of_spawns(mended: bool) -> Outcome {
    let config = Arc::new(OnceLock::new());
    let load = {
        let config = config.clone();
        threadlet::spawn(async move { config.set(threadlet!(7)).unwrap() })
    };
    if mended {
        load.await.unwrap();
        let user = threadlet::spawn(async move { config.get().copied() });
        return demand(user.await.unwrap() == Some(7), "there is no configuration");
    }
    let user = threadlet::spawn(async move { config.get().copied() });
    let seen = user.await.unwrap();
    load.await.unwrap();
    demand(seen == Some(7), "there is no configuration")
}

/// A call waits, with the last permit, for one that waits for a permit.
async fn deadlock_at_the_cap(mended: bool) -> Outcome {
    let child = async { threadlet!(will_block; 7) };
    let parent = threadlet::spawn(async move {
        let child = threadlet::spawn(child);
        if mended {
            return child.await.unwrap();
        }
        let handle = Handle::current();
        threadlet!(will_block; handle.block_on(child).unwrap())
    });
    demand(parent.await.unwrap() == 7, "another value")
}

/// Who is told before it waits, waits for ever.
async fn notified_before_the_wait(mended: bool) -> Outcome {
    let (ready, notify) = (Arc::new(AtomicBool::new(false)), Arc::new(tokio::sync::Notify::new()));
    let setter = {
        let (ready, notify) = (ready.clone(), notify.clone());
        threadlet::spawn(async move {
            threadlet!(ready.store(true, SeqCst));
            notify.notify_waiters();
        })
    };
    if mended {
        let notified = notify.notified();
        if !threadlet!(ready.load(SeqCst)) {
            notified.await;
        }
    } else if !threadlet!(ready.load(SeqCst)) {
        notify.notified().await;
    }
    setter.await.unwrap();
    Ok(())
}

/// What comes in when the journal has been saved is in no journal.
async fn shutdown_versus_late_completion(mended: bool) -> Outcome {
    let journal = Arc::new(Mutex::new(Vec::new()));
    let done = Arc::new(AtomicI64::new(0));
    let workers: Vec<_> = (0..3)
        .map(|nth| {
            let (journal, done) = (journal.clone(), done.clone());
            threadlet::spawn(async move {
                let entry = threadlet!(nth * 2);
                journal.lock().unwrap().push(entry);
                done.fetch_add(1, SeqCst);
            })
        })
        .collect();
    if mended {
        for worker in workers {
            worker.await.unwrap();
        }
    } else {
        sleep(ms(100)).await;
        workers.iter().for_each(threadlet::task::JoinHandle::abort);
    }
    let saved = std::mem::take(&mut *journal.lock().unwrap());
    // The process goes on for a while.
    sleep(ms(60_000)).await;
    demand(saved.len() as i64 == done.load(SeqCst), "an entry came when all was saved")
}
