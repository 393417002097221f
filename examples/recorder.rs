//! A program with a flight recorder: something in it lasts too long, says so, and what came before it
//! is in a file that Perfetto opens.
//!
//! ```sh
//! cargo run --example recorder              # the file goes to the folder for temporary ones
//! cargo run --example recorder app.json
//! ```

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use futures::future::join_all;
use threadlet::runtime::{Builder, Handle};
use threadlet::threadlet;
use threadlet::time::sleep;

fn main() -> std::io::Result<()> {
    let runtime = Builder::new_multi_thread()
        .worker_threads(2)
        .flight_recorder(1 << 20)
        .stall_after(Duration::from_millis(50))
        .build()?;
    let lock = Arc::new(Mutex::new(()));
    let clients: Vec<_> = (0..4).map(|nth| runtime.spawn(client(nth, lock.clone()))).collect();
    let looks = runtime.spawn(async {
        sleep(Duration::from_millis(65)).await;
        println!("what the tasks do after 65 ms:");
        Handle::current().tasks().iter().for_each(|task| println!("  {task}"));
    });
    for ended in runtime.block_on(join_all(clients)) {
        ended?;
    }
    runtime.block_on(looks)?;
    // A poll is noted when it has ended, which is behind the end of its task.
    std::thread::sleep(Duration::from_millis(1));
    let path = std::env::args_os().nth(1).map_or_else(
        || std::env::temp_dir().join(format!("recorder-{}.json", std::process::id())),
        std::path::PathBuf::from,
    );
    runtime.handle().dump_recorder(&path)?;
    println!("the flight recorder is in {}", path.display());
    Ok(())
}

/// Each has something of its own that takes its time.
async fn client(nth: u32, lock: Arc<Mutex<()>>) {
    for _ in 0..10 {
        sleep(Duration::from_millis(1)).await;
        // A few calls that block for a moment.
        threadlet!(std::thread::sleep(Duration::from_micros(500)));
    }
    match nth {
        0 => threadlet!(std::thread::sleep(Duration::from_millis(80))),
        1 => {
            let _guard = lock.lock();
            std::thread::sleep(Duration::from_millis(40));
        }
        // Does not say that it may wait for the one before.
        2 => drop(lock.lock()),
        _ => {
            let start = Instant::now();
            while start.elapsed() < Duration::from_millis(60) {
                std::hint::spin_loop();
            }
        }
    }
}
