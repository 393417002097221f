//! How many descriptors a runtime holds: without a detector and before the first socket, none.
//!
//! Each test runs in a process of its own, where nobody else opens any.

mod support;

use std::future::poll_fn;
use std::os::fd::AsRawFd;
use std::time::Duration;

use threadlet::net::{TcpListener, TcpStream};
use threadlet::runtime::{Builder, Runtime};
use threadlet::{task, threadlet, time};

use support::{Barrier, child, foreign_block_on, in_time, is_child, os, passes, wait_until};

const LIMIT: Duration = Duration::from_secs(30);

/// Says yes in a process of the calling test's own, without a detector whatever the environment
/// says; runs it elsewhere, and says no.
fn alone() -> bool {
    if !is_child() {
        passes(LIMIT, child().env("THREADLET_DETECTOR", "off"));
    }
    is_child()
}

/// The descriptors of this process, and what they are.
fn descriptors() -> Vec<String> {
    let list = std::fs::read_dir("/proc/self/fd").expect("/proc is mounted");
    let entry = |entry: std::io::Result<std::fs::DirEntry>| {
        // The one that the list is read from is gone by the time that somebody asks.
        let path = entry.expect("an entry").path();
        Some(format!("{} -> {}", path.display(), std::fs::read_link(&path).ok()?.display()))
    };
    let all: Vec<String> = list.filter_map(entry).collect();
    let own = format!("/proc/{}/fd", std::process::id());
    all.into_iter().filter(|line| !line.ends_with(&own)).collect()
}

/// How many of them are of a kind that only an I/O driver has.
fn of_a_driver() -> usize {
    let of_one = |line: &&String| line.contains("[eventpoll]") || line.contains("[eventfd]");
    descriptors().iter().filter(of_one).count()
}

fn both() -> [Runtime; 2] {
    let many = Builder::new_multi_thread().worker_threads(2).build();
    let one = Builder::new_current_thread().build();
    [many.expect("a runtime"), one.expect("a runtime")]
}

fn block() {
    std::thread::sleep(Duration::from_micros(100));
}

/// Until all who had something to do sleep.
fn settle() {
    std::thread::sleep(Duration::from_millis(50));
}

#[test]
fn a_runtime_without_sockets_holds_none() {
    if !alone() {
        return;
    }
    let before = descriptors();
    for runtime in both() {
        assert_eq!(runtime.metrics().detector, "off");
        assert_eq!(descriptors(), before, "it has started");
        let handle = runtime.handle().clone();
        let work = async move {
            for _ in 0..20 {
                let calls: Vec<_> = (0..4).map(|_| handle.spawn_blocking(block)).collect();
                let tasks: Vec<_> = (0..4)
                    .map(|_| {
                        task::spawn(async {
                            time::sleep(Duration::from_micros(300)).await;
                            threadlet!(will_block; block());
                        })
                    })
                    .collect();
                for call in calls {
                    call.await.expect("it returns");
                }
                for task in tasks {
                    task.await.expect("it ends");
                }
                let late = time::timeout(Duration::from_micros(200), std::future::pending::<()>());
                late.await.expect_err("it never ends");
            }
            descriptors()
        };
        let during = in_time(&runtime, "the work is done", async move {
            task::spawn(work).await.expect("it ends")
        });
        assert_eq!(during, before, "it works");
        settle();
        assert_eq!(descriptors(), before, "it sleeps");
        drop(runtime);
        assert_eq!(descriptors(), before, "it has ended");
    }
}

#[test]
fn the_first_listener_brings_them() {
    if !alone() {
        return;
    }
    let before = descriptors();
    for runtime in both() {
        let listening = in_time(&runtime, "it listens", TcpListener::bind("127.0.0.1:0"));
        let listener = listening.expect("a port is free");
        // That of epoll, a second number for the same, and the eventfd.
        assert_eq!(of_a_driver(), 3, "{:?}", descriptors());
        let other = in_time(&runtime, "it listens", TcpListener::bind("127.0.0.1:0"));
        assert_eq!(of_a_driver(), 3, "one is enough for all");
        drop((listener, other));
        assert_eq!(of_a_driver(), 3, "it stays for the next");
        drop(runtime);
        wait_until("all are closed", || descriptors() == before);
    }
}

/// Nobody but who registers it wakes the driver: it is polled by an executor that is none of ours,
/// and no task is spawned.
#[test]
fn a_sleeping_driver_hears_the_first_socket() {
    if !alone() {
        return;
    }
    for round in 0..40 {
        let runtime = Builder::new_multi_thread().worker_threads(2).build().expect("a runtime");
        if round % 2 == 0 {
            settle();
        }
        let entered = runtime.enter();
        let std = std::net::TcpListener::bind("127.0.0.1:0").expect("a port is free");
        let address = std.local_addr().expect("it has one");
        let listener = TcpListener::from_std(std).expect("registered");
        let connects = std::thread::spawn(move || {
            std::thread::sleep(Duration::from_millis(5));
            std::net::TcpStream::connect(address).expect("it listens")
        });
        let accepted = foreign_block_on(poll_fn(|cx| listener.poll_accept(cx)));
        let (stream, _) = accepted.expect("accepted");
        let other = connects.join().expect("no panic");
        drop((entered, stream, other));
    }
}

#[test]
fn one_that_cannot_be_had_is_an_error_of_that_socket() {
    if !alone() {
        return;
    }
    let runtime = Builder::new_multi_thread().worker_threads(1).build().expect("a runtime");
    let entered = runtime.enter();
    let std = std::net::TcpListener::bind("127.0.0.1:0").expect("a port is free");
    let address = std.local_addr().expect("it has one");
    let before = descriptors();
    // Room for none, for one, for two: each fails at another of the three, and leaves none behind.
    for room in 0..3 {
        let filled: Vec<_> = (0..room).map(|_| std.try_clone().expect("room")).collect();
        let most = std.try_clone().expect("room");
        let end = most.as_raw_fd() as libc::rlim_t + 1;
        drop((most, filled));
        let copy = std.try_clone().expect("room");
        let limit = os::set_limit(libc::RLIMIT_NOFILE, end);
        let refused = TcpListener::from_std(copy).expect_err("no room");
        os::set_limit(libc::RLIMIT_NOFILE, limit);
        assert_eq!(refused.raw_os_error(), Some(libc::EMFILE), "{refused}");
        assert_eq!(descriptors(), before, "nothing is left behind");
        in_time(&runtime, "tasks run", runtime.spawn(async {})).expect("it ends");
    }
    // The runtime works, also for sockets.
    let listener = TcpListener::from_std(std).expect("registered");
    let accepts = runtime.spawn(async move { listener.accept().await.map(drop) });
    let connected = in_time(&runtime, "it connects", TcpStream::connect(address));
    connected.expect("it listens");
    in_time(&runtime, "it accepts", accepts).expect("it ends").expect("accepted");
    drop(entered);
}

/// The monitor opens a file for each thread that it has suspected: none is kept for one that has
/// ended, nor while nothing runs.
#[test]
fn no_state_is_kept_open_at_rest() {
    if !is_child() {
        return drop(passes(LIMIT, child().env("THREADLET_DETECTOR", "monitor")));
    }
    let states = || descriptors().iter().filter(|line| line.ends_with("/stat")).count();
    let mut builder = Builder::new_multi_thread();
    let runtime = builder.worker_threads(2).thread_keep_alive(Duration::from_millis(20)).build();
    let runtime = runtime.unwrap();
    let barrier = Barrier::default();
    // While somebody runs, the files are kept.
    let busy = runtime.spawn(async {
        loop {
            threadlet::task::yield_now().await;
        }
    });
    let blocked: Vec<_> = (0..16)
        .map(|_| {
            let mine = barrier.clone();
            runtime.spawn(async move { threadlet!(mine.block()) })
        })
        .collect();
    wait_until("all of them block", || runtime.metrics().async_threads == blocked.len());
    assert!(states() > 0, "the monitor has looked: {:?}", descriptors());
    busy.abort();
    barrier.let_go(blocked.len());
    blocked.into_iter().for_each(|task| in_time(&runtime, "it returns", task).unwrap());
    wait_until("no file is open", || states() == 0);
}
