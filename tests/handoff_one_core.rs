//! One core and a call that blocks: everything else goes on.
//!
//! Under `THREADLET_DETECTOR=off` nobody sees the block, and each of these tests must fail.

mod support;

use std::fs::File;
use std::io::{Read, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures::{AsyncReadExt, AsyncWriteExt};
use support::{build, detectors, ticker, wait_for_ticks, within};
use threadlet::net::TcpListener;
use threadlet::runtime::{Builder, Detector, Handle, Runtime};
use threadlet::threadlet;

const LIMIT: Duration = Duration::from_secs(30);

/// Runs `case` under each detector, with a limit: a stuck core cannot be unwound.
fn each(case: fn(Detector)) {
    for detector in detectors() {
        within(LIMIT, move || case(detector));
    }
}

/// A call that blocks until the writer is used or dropped.
fn blocking_read() -> (impl FnOnce() -> u8 + Send + 'static, File) {
    let (mut reader, writer) = support::os::pipe();
    let read = move || {
        let mut byte = [0];
        let _ = reader.read(&mut byte).unwrap();
        byte[0]
    };
    (read, writer)
}

/// A task that spawns, and waits for what it spawned.
fn spawner(runtime: &Runtime) -> Arc<AtomicUsize> {
    let count = Arc::new(AtomicUsize::new(0));
    let mine = count.clone();
    runtime.spawn(async move {
        loop {
            threadlet::spawn(async { threadlet::task::yield_now().await }).await.unwrap();
            mine.fetch_add(1, Ordering::Relaxed);
            threadlet::time::sleep(Duration::from_micros(100)).await;
        }
    });
    count
}

/// A listener whose connections are echoed, and a plain thread's side of one of them.
fn echo(runtime: &Runtime) -> std::net::TcpStream {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    listener.set_nonblocking(true).unwrap();
    let _entered = runtime.enter();
    let listener = TcpListener::from_std(listener).unwrap();
    runtime.spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            threadlet::spawn(async move {
                let mut byte = [0];
                while stream.read(&mut byte).await.unwrap() > 0 {
                    stream.write_all(&byte).await.unwrap();
                }
            });
        }
    });
    let stream = std::net::TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(support::PATIENCE)).unwrap();
    stream
}

fn echoes(stream: &mut std::net::TcpStream, times: u8) {
    for nth in 0..times {
        stream.write_all(&[nth]).unwrap();
        let mut byte = [0];
        stream.read_exact(&mut byte).expect("the socket echoes");
        assert_eq!(byte, [nth]);
    }
}

#[test]
fn a_ticker_a_spawner_and_a_socket_go_on_beside_a_blocked_pipe() {
    each(|detector| {
        let runtime = build(Builder::new_multi_thread().worker_threads(1), detector);
        let (read, mut writer) = blocking_read();
        let (ticks, _) = ticker(&runtime);
        let spawns = spawner(&runtime);
        let mut stream = echo(&runtime);
        wait_for_ticks("the ticker ticks", &ticks, 5);
        echoes(&mut stream, 3);

        let blocked = runtime.spawn(async move { threadlet!(read()) });
        for _ in 0..3 {
            wait_for_ticks("the ticker goes on", &ticks, 20);
            wait_for_ticks("the spawner goes on", &spawns, 20);
            echoes(&mut stream, 20);
        }
        let mut another = echo(&runtime);
        echoes(&mut another, 3);

        assert!(!blocked.is_finished());
        let who = runtime.handle().blocked();
        assert_eq!(who.len(), 1, "{who:?}");
        assert!(who[0].site.is_some_and(|site| site.file().ends_with("one_core.rs")), "{who:?}");
        assert_eq!(runtime.metrics().async_threads, 1);
        writer.write_all(&[7]).unwrap();
        assert_eq!(runtime.block_on(blocked).unwrap(), 7);
    });
}

/// The one that blocks is the one that the driver has just made ready, on the driver's thread.
#[test]
fn timers_are_driven_when_the_thread_that_drove_them_blocks() {
    each(|detector| {
        let runtime = build(Builder::new_multi_thread().worker_threads(1), detector);
        for round in 0..20 {
            let (read, mut writer) = blocking_read();
            let blocked = runtime.spawn(async move {
                threadlet::time::sleep(Duration::from_millis(2)).await;
                threadlet!(read())
            });
            let timer = runtime.spawn(threadlet::time::sleep(Duration::from_millis(4)));
            runtime.block_on(timer).unwrap();
            writer.write_all(&[round]).unwrap();
            assert_eq!(runtime.block_on(blocked).unwrap(), round);
        }
    });
}

#[test]
fn a_current_thread_runtime_goes_on_while_a_task_blocks_its_thread() {
    each(|detector| {
        let runtime = build(&mut Builder::new_current_thread(), detector);
        let (ticks, _) = ticker(&runtime);
        let spawns = spawner(&runtime);
        let (read, mut writer) = blocking_read();
        let home = std::thread::current().id();
        let task = runtime.spawn(async move {
            let here = std::thread::current().id();
            (here, threadlet!(read()))
        });
        // Without the block this thread would be in the way: it only watches.
        let watcher = std::thread::spawn(move || {
            wait_for_ticks("the ticker goes on", &ticks, 50);
            wait_for_ticks("the spawner goes on", &spawns, 50);
            writer.write_all(&[7]).unwrap();
        });
        let (there, byte) = runtime.block_on(task).unwrap();
        watcher.join().unwrap();
        assert_eq!((there, byte), (home, 7), "the task began on the thread in `block_on`");
        assert!(runtime.metrics().handoffs_blocked >= 1);
    });
}

#[test]
fn a_current_thread_runtime_goes_on_while_the_root_blocks_its_thread() {
    each(|detector| {
        let runtime = build(&mut Builder::new_current_thread(), detector);
        let (ticks, _) = ticker(&runtime);
        let spawns = spawner(&runtime);
        let (read, mut writer) = blocking_read();
        let watcher = std::thread::spawn(move || {
            wait_for_ticks("the ticker goes on", &ticks, 50);
            wait_for_ticks("the spawner goes on", &spawns, 50);
            writer.write_all(&[7]).unwrap();
        });
        let byte = runtime.block_on(async { threadlet!(read()) });
        watcher.join().unwrap();
        assert_eq!(byte, 7);
        assert_eq!(runtime.metrics().async_threads, 0, "the permit is back");
        // And once more, now that a spare has the core.
        let again = runtime.block_on(async { threadlet::spawn(async { 1 }).await.unwrap() });
        assert_eq!(again, 1);
    });
}

/// Nothing was marked: the block is rescued, and told from a marked one.
#[test]
fn a_ticker_goes_on_beside_a_poll_that_blocks_unmarked() {
    each(|detector| {
        let runtime = build(Builder::new_multi_thread().worker_threads(1), detector);
        let (read, mut writer) = blocking_read();
        let (ticks, _) = ticker(&runtime);
        let blocked = runtime.spawn(async move { read() });
        // Ticks of before the block do not count.
        support::wait_until("the poll is rescued", || runtime.metrics().handoffs_rescued == 1);
        wait_for_ticks("the ticker goes on", &ticks, 50);
        let who = Handle::blocked(runtime.handle());
        assert_eq!(who.len(), 1, "{who:?}");
        let spawned = who[0].spawned_at.as_deref().unwrap_or_default();
        assert!(who[0].site.is_none() && spawned.contains("one_core.rs"), "{who:?}");
        writer.write_all(&[7]).unwrap();
        assert_eq!(runtime.block_on(blocked).unwrap(), 7);
    });
}
