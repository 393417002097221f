//! Who runs what while a thread is blocked.

use std::io::{Read, Write};
use std::sync::{Arc, Mutex, mpsc};
use std::time::Duration;

use futures::channel::oneshot;
use futures::{AsyncReadExt, AsyncWriteExt};
use threadlet::net::TcpListener;
use threadlet::runtime::Builder;
use threadlet::{task, threadlet, time};

use super::support::{in_time, wait_until};
use super::{LIMIT, one_core};

/// Blocks until something comes, marked or not.
async fn receive(marked: bool, receiver: mpsc::Receiver<()>) {
    if marked {
        threadlet!(receiver.recv()).unwrap();
    } else {
        receiver.recv().unwrap();
    }
}

/// tokio issue 6596. A task woken by the one that runs goes into the worker's LIFO slot, where no
/// other worker looks. The one that runs then blocks, waiting for it: the core changed hands, the
/// slot did not, and both waited for ever.
#[test]
fn a_task_in_the_lifo_slot_is_not_stranded_by_a_handoff() {
    for (cores, marked) in [(1, true), (1, false), (2, true), (2, false)] {
        let runtime = Builder::new_multi_thread().worker_threads(cores).build().unwrap();
        let (sender, receiver) = mpsc::channel();
        let (wake, woken) = oneshot::channel::<()>();
        runtime.spawn(async move {
            woken.await.unwrap();
            sender.send(()).unwrap();
        });
        let blocked = runtime.spawn(async move {
            wake.send(()).unwrap();
            receive(marked, receiver).await;
        });
        in_time(&runtime, "the woken task runs", blocked).unwrap();
    }
}

/// tokio issues 7877 and 7216. Wake-ups that a poll makes were gathered in the thread and passed on
/// after the poll; a poll that blocked first, in the end waiting for those it had woken, never came
/// to that.
#[test]
fn what_a_poll_woke_runs_while_that_poll_blocks() {
    for marked in [true, false] {
        let runtime = one_core();
        let (sender, receiver) = mpsc::channel();
        let waiters: Vec<_> = (0..300)
            .map(|_| {
                let (wake, woken) = oneshot::channel::<()>();
                let sender = sender.clone();
                runtime.spawn(async move {
                    woken.await.unwrap();
                    // A yield is a wake of oneself, put off in other runtimes.
                    task::yield_now().await;
                    sender.send(()).unwrap();
                });
                wake
            })
            .collect();
        let blocked = runtime.spawn(async move {
            let all = waiters.len();
            waiters.into_iter().for_each(|wake| wake.send(()).unwrap());
            for _ in 0..if marked { 0 } else { all } {
                receiver.recv().unwrap();
            }
            if marked {
                threadlet!((0..all).for_each(|_| receiver.recv().unwrap()));
            }
        });
        in_time(&runtime, "all that were woken run", blocked).unwrap();
    }
}

/// tokio issue 4730. The worker that polled the reactor ran a task that blocked, and nobody polled
/// the reactor from then on: sockets and timers of all others stood still. Here the thread blocks
/// in the very task the driver has just made ready, in a quiet runtime.
#[test]
fn some_thread_drives_the_sockets_when_the_one_that_did_blocks() {
    for (cores, marked) in [(1, true), (1, false), (2, true), (2, false)] {
        let runtime = Builder::new_multi_thread().worker_threads(cores).build().unwrap();
        let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).unwrap();
        let address = listener.local_addr().unwrap();
        let gates = Arc::new(Mutex::new(Vec::<mpsc::Sender<()>>::new()));
        let mine = gates.clone();
        runtime.spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let (open, gate) = mpsc::channel::<()>();
                mine.lock().unwrap().push(open);
                task::spawn(async move {
                    let mut byte = [0];
                    while stream.read_exact(&mut byte).await.is_ok() {
                        if byte[0] == b'b' {
                            // Only the first `b` finds the gate closed.
                            if marked {
                                let _ = threadlet!(gate.recv());
                            } else {
                                let _ = gate.recv();
                            }
                        }
                        stream.write_all(&byte).await.unwrap();
                    }
                });
            }
        });
        let connect = || {
            let stream = std::net::TcpStream::connect(address).unwrap();
            stream.set_read_timeout(Some(LIMIT)).unwrap();
            stream
        };
        let mut clients = [connect(), connect(), connect()];
        // Everybody sleeps, one in the driver, which makes the second one ready: it blocks.
        wait_until("all are accepted", || gates.lock().unwrap().len() == 3);
        std::thread::sleep(Duration::from_millis(20));
        clients[1].write_all(b"b").unwrap();
        let mut byte = [0];
        for _ in 0..5 {
            std::thread::sleep(Duration::from_millis(5));
            clients[0].write_all(b"a").unwrap();
            clients[0].read_exact(&mut byte).expect("an echo while the driver's thread is blocked");
            assert_eq!(byte, *b"a");
        }
        drop(std::mem::take(&mut *gates.lock().unwrap()));
        clients[1].read_exact(&mut byte).expect("the blocked one goes on");
        assert_eq!(byte, *b"b");
        drop(clients);
    }
}

/// The same with timers: the task that a timer made ready blocks, and another timer is due.
#[test]
fn some_thread_drives_the_timers_when_the_one_that_did_blocks() {
    for (cores, marked) in [(1, true), (1, false), (2, true), (2, false)] {
        let runtime = Builder::new_multi_thread().worker_threads(cores).build().unwrap();
        let (sender, receiver) = mpsc::channel();
        let blocked = runtime.spawn(async move {
            time::sleep(Duration::from_millis(20)).await;
            receive(marked, receiver).await;
        });
        let ticker = runtime.spawn(async move {
            for _ in 0..5 {
                time::sleep(Duration::from_millis(15)).await;
            }
            sender.send(()).unwrap();
        });
        // Not `in_time`: its own timer would look after the driver.
        wait_until("timers go on", || ticker.is_finished());
        wait_until("the blocked task goes on", || blocked.is_finished());
    }
}

/// tokio issue 726. As many callers as there are permits were blocked, each waiting for something
/// that only a task of the same runtime could bring, and that task had no thread to run on.
#[test]
fn callers_blocked_at_the_cap_do_not_keep_the_task_they_wait_for_from_running() {
    for (cores, cap) in [(1, 1), (1, 2), (2, 1), (2, 3)] {
        let runtime = Builder::new_multi_thread()
            .worker_threads(cores)
            .max_async_threads(cap)
            .build()
            .unwrap();
        let mut senders = Vec::new();
        let callers: Vec<_> = (0..12)
            .map(|nth| {
                let (sender, receiver) = mpsc::channel::<()>();
                senders.push(sender);
                if nth % 2 == 0 {
                    runtime.spawn(async move { threadlet!(receiver.recv()).unwrap() })
                } else {
                    runtime.spawn_blocking(move || receiver.recv().unwrap())
                }
            })
            .collect();
        // Some time after the permits are gone.
        let rescuer = runtime.spawn(async move {
            time::sleep(Duration::from_millis(20)).await;
            for sender in senders {
                task::yield_now().await;
                sender.send(()).unwrap();
            }
        });
        in_time(&runtime, "the task that all wait for runs", rescuer).unwrap();
        for caller in callers {
            in_time(&runtime, "callers return", caller).unwrap();
        }
        assert!(runtime.metrics().async_threads_peak <= cap + 1, "one emergency thread, no more");
        wait_until("permits come back", || runtime.metrics().permits_free == cap);
    }
}

/// tokio issue 4296. A file was written to and dropped, without a flush, and read again: the data
/// was still on its way, in a buffer and on another thread. A write that returned has been written.
#[test]
fn what_was_written_and_dropped_is_there() {
    let path = std::env::temp_dir().join(format!("threadlet-bugs-{}", std::process::id()));
    let runtime = one_core();
    for round in 0..200_u32 {
        let (path, data) = (path.clone(), round.to_le_bytes().repeat(round as usize));
        let task = runtime.spawn(async move {
            let mut file = threadlet!(std::fs::File::create(&path))?;
            threadlet!(file.write_all(&data))?;
            drop(file);
            let read = threadlet!(std::fs::read(&path))?;
            std::io::Result::Ok(read == data)
        });
        let is_there = in_time(&runtime, "it is read", task).unwrap();
        assert!(is_there.unwrap(), "round {round}");
    }
    std::fs::remove_file(path).unwrap();
}
