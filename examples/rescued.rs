//! A `std::sync::Mutex` held by a sleeper: nobody said that locking it blocks, and still the rest
//! goes on.
//!
//! ```sh
//! cargo run --example rescued
//! ```
//!
//! There is one core. Its task waits for the lock half a second, in the middle of an ordinary poll.
//! The monitor sees a thread that sleeps with a core, and hands the core to a spare thread, where
//! the ticker goes on. Then it says which task that was.

use std::io;
use std::sync::{Arc, Mutex, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use threadlet::runtime::Builder;
use threadlet::time;

const HELD: Duration = Duration::from_millis(500);

fn main() -> io::Result<()> {
    let runtime = Builder::new_multi_thread().worker_threads(1).build()?;
    let start = Instant::now();
    let lock = Arc::new(Mutex::new(()));
    let sleeper = hold(lock.clone());

    let waits = runtime.spawn(async move {
        // No `threadlet!`: as a library deep below might do it.
        let _guard = lock.lock().expect("the sleeper does not panic");
        start.elapsed()
    });
    let ticker = runtime.spawn(async move {
        let mut ticks = time::interval(Duration::from_millis(100));
        for _ in 0..5 {
            ticks.tick().await;
            println!("{:>4} ms: tick", start.elapsed().as_millis());
        }
    });

    thread::sleep(HELD / 2);
    for blocked in runtime.handle().blocked() {
        let place = blocked.spawned_at.as_deref().unwrap_or("?");
        println!("{:>4} ms: blocked: the task from {place}", start.elapsed().as_millis());
    }
    let waited = runtime.block_on(async {
        ticker.await?;
        io::Result::Ok(waits.await?)
    })?;
    sleeper.join().expect("the sleeper does not panic");

    println!("{:>4} ms: the lock was free", waited.as_millis());
    let metrics = runtime.metrics();
    println!(
        "detector {}, handoffs_rescued {}, async_threads_peak {}",
        metrics.detector, metrics.handoffs_rescued, metrics.async_threads_peak
    );
    Ok(())
}

/// A thread that takes the lock and sleeps; it has it when this returns.
fn hold(lock: Arc<Mutex<()>>) -> thread::JoinHandle<()> {
    let (held, has_it) = mpsc::channel();
    let sleeper = thread::spawn(move || {
        let _guard = lock.lock().expect("nobody panics");
        let _ = held.send(());
        thread::sleep(HELD);
    });
    let _ = has_it.recv();
    sleeper
}
