//! A program with five mistakes, for the report to find: which lines are to be changed, and how?
//!
//! ```sh
//! cargo run --example planted
//! THREADLET_REPORT=report.html cargo run --example planted
//! ```
//!
//! At the end it prints the report. The answers stand beside the mistakes, so read that first.

use std::collections::HashMap;
use std::hint::black_box;
use std::io::{self, Read, Write, pipe};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use threadlet::runtime::{Builder, Runtime};
use threadlet::threadlet;

const ROUNDS: u32 = 12;

#[allow(dead_code, reason = "a test calls `work` in a runtime of its own")]
fn main() -> io::Result<()> {
    let runtime = Builder::new_multi_thread().worker_threads(2).build()?;
    work(&runtime)?;
    eprintln!("{}", runtime.handle().report());
    Ok(())
}

/// All five at once, until they have ended.
pub(crate) fn work(runtime: &Runtime) -> io::Result<()> {
    let lock = Arc::new(Mutex::new(()));
    let holder = hold(lock.clone());
    let (mut file, slow_disk) = slow_file()?;
    let mut tasks = vec![
        // 1: a lock that others hold for long. Cure: `threadlet!(lock.lock())`.
        runtime.spawn(async move {
            for _ in 0..ROUNDS {
                drop(lock.lock().expect("nobody panics"));
                threadlet::time::sleep(Duration::from_millis(5)).await;
            }
        }),
        // 2: a file on a slow disk. Cure: `threadlet!(file.read(...))`, or `threadlet::fs`.
        runtime.spawn(async move {
            let mut byte = [0];
            while file.read(&mut byte).is_ok_and(|length| length > 0) {
                threadlet::task::yield_now().await;
            }
        }),
        // 3: a long computation in the middle of a poll. Cure: `spawn_blocking`.
        runtime.spawn(async {
            for _ in 0..ROUNDS {
                compute(Duration::from_millis(40));
                threadlet::task::yield_now().await;
            }
        }),
        runtime.spawn(look_up()),
    ];
    tasks.extend((0..16).map(|_| runtime.spawn(use_device())));
    runtime.block_on(async {
        for task in tasks {
            task.await?;
        }
        io::Result::Ok(())
    })?;
    for helper in [holder, slow_disk] {
        helper.join().expect("nobody panics");
    }
    Ok(())
}

/// One of sixteen that use a device at once, and it always takes its time.
async fn use_device() {
    for _ in 0..2 * ROUNDS {
        // 4: as many threads as callers. Cure: a `Group`.
        threadlet!(thread::sleep(Duration::from_millis(4)));
    }
}

async fn look_up() {
    let table: HashMap<u32, u32> = (0..100).map(|key| (key, key * key)).collect();
    for key in 0..5_000 {
        // 5: nothing in it can block. Cure: no `threadlet!`.
        black_box(threadlet!(table.get(&(key % 100))));
    }
}

fn compute(time: Duration) {
    let end = Instant::now() + time;
    while Instant::now() < end {
        black_box(());
    }
}

/// Somebody who has the lock most of the time.
fn hold(lock: Arc<Mutex<()>>) -> thread::JoinHandle<()> {
    thread::spawn(move || {
        for _ in 0..2 * ROUNDS {
            {
                let _guard = lock.lock().expect("nobody panics");
                thread::sleep(Duration::from_millis(15));
            }
            thread::sleep(Duration::from_millis(1));
        }
    })
}

/// A file whose bytes come slowly. (A pipe plays the disk.)
fn slow_file() -> io::Result<(io::PipeReader, thread::JoinHandle<()>)> {
    let (reader, mut writer) = pipe()?;
    let disk = thread::spawn(move || {
        for _ in 0..ROUNDS {
            thread::sleep(Duration::from_millis(20));
            if writer.write_all(b"x").is_err() {
                return;
            }
        }
    });
    Ok((reader, disk))
}
