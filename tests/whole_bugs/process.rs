//! What a runtime does to its process: threads, CPU time, its end.

use std::io::Read;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use threadlet::runtime::{Builder, Handle};
use threadlet::{task, threadlet, time};

use super::support::{
    alone, child, in_time, is_child, os, run_with_open_stdin, threads_named, wait_until,
};
use super::{LIMIT, one_core};

/// Go issue 14592, and the head of `blocking` that was never released. A burst of slow calls made
/// as many threads, and they stayed for as long as the process.
#[test]
fn a_burst_of_slow_calls_does_not_leave_its_threads_behind() {
    let (cores, cap, min_spare) = (2, 40, 3);
    let runtime = Builder::new_multi_thread()
        .worker_threads(cores)
        .max_async_threads(cap)
        .min_spare_threads(min_spare)
        .thread_keep_alive(Duration::from_millis(30))
        .thread_name("burst")
        .build()
        .unwrap();
    let calls: Vec<_> = (0..10_000)
        .map(|_| runtime.spawn_blocking(|| std::thread::sleep(Duration::from_micros(500))))
        .collect();
    let mut peak = 0;
    wait_until("all calls return", || {
        peak = peak.max(threads_named("burst"));
        calls.iter().all(|call| call.is_finished())
    });
    assert!(peak > cores + min_spare, "the burst did take threads: {peak}");
    // One that retires is in no count and not gone yet, and its like may have been made meanwhile:
    // twice the spares, not thousands.
    assert!(peak <= cores + 2 * min_spare + cap + 1, "{peak} threads under a cap of {cap}");
    // And perhaps the sentinel.
    let stay = cores + min_spare;
    wait_until("threads go", || (stay..=stay + 1).contains(&threads_named("burst")));
    assert_eq!(runtime.metrics().permits_free, cap);
}

/// tokio issue 8406. The operating system refused a thread, and what the thread was to run was lost
/// or the process went down. Here, later than at start: the worker blocks as a plain thread would,
/// nothing is lost, it is counted, and tried again.
#[test]
fn a_thread_that_cannot_be_created_later_loses_nothing() {
    if !alone(2 * LIMIT) {
        return;
    }
    let runtime =
        Builder::new_multi_thread().worker_threads(1).min_spare_threads(2).build().unwrap();
    wait_until("spares are there", || runtime.metrics().spares == 2);
    // To root, the limit of threads does not apply.
    os::become_nobody();
    for round in 1..=3 {
        let limit = os::set_thread_limit(1);
        let failures = runtime.metrics().thread_spawn_failures;
        let (senders, calls): (Vec<_>, Vec<_>) = (0..6)
            .map(|nth| {
                let (sender, receiver) = mpsc::channel::<()>();
                let call = runtime.spawn(async move {
                    threadlet!(receiver.recv()).unwrap();
                    nth
                });
                (sender, call)
            })
            .unzip();
        wait_until("the refusals are counted", || {
            runtime.metrics().thread_spawn_failures > failures
        });
        // Two spares and the worker are blocked; nobody is left.
        let stranded = runtime.spawn(async { 7 });
        for sender in senders {
            sender.send(()).unwrap();
        }
        for (nth, call) in calls.into_iter().enumerate() {
            assert_eq!(in_time(&runtime, "the calls return", call).unwrap(), nth);
        }
        assert_eq!(in_time(&runtime, "the task runs", stranded).unwrap(), 7, "round {round}");
        os::set_thread_limit(limit);
        wait_until("spares are made again", || runtime.metrics().spares >= 2);
        wait_until("permits come back", || runtime.metrics().async_threads == 0);
    }
}

/// Go issue 18236. A process with nothing to do used CPU for ever: its monitor ticked, its spinning
/// threads spun. Also with threads blocked in calls, with short-lived spares, and with a runtime of
/// one core that nobody is in.
#[test]
fn a_quiescent_process_uses_no_cpu() {
    if !alone(2 * LIMIT) {
        return;
    }
    let keep_alive = Duration::from_millis(1);
    let idle = Builder::new_multi_thread().worker_threads(4).build().unwrap();
    let brief = Builder::new_multi_thread()
        .worker_threads(2)
        .thread_keep_alive(keep_alive)
        .build()
        .unwrap();
    let home = Builder::new_current_thread().build().unwrap();
    let blocked = Builder::new_multi_thread().worker_threads(2).build().unwrap();
    home.block_on(async { task::yield_now().await });
    let senders: Vec<_> = (0..8)
        .map(|_| {
            let (sender, receiver) = mpsc::channel::<()>();
            blocked.spawn(async move { threadlet!(receiver.recv()).is_err() });
            sender
        })
        .collect();
    for runtime in [&idle, &brief] {
        in_time(runtime, "tasks run", runtime.spawn(async {})).unwrap();
    }
    wait_until("eight threads are blocked", || blocked.metrics().async_threads == 8);
    // Until the last who had something to do sleeps.
    std::thread::sleep(Duration::from_millis(500));
    let (before, span) = (os::process_cpu_time(), Duration::from_secs(2));
    std::thread::sleep(span);
    let used = os::process_cpu_time() - before;
    assert!(used < span / 100, "{used:?} in {span:?} of doing nothing");
    drop(senders);
}

/// Go issue 29734. A thread that others had pushed off its CPU looked like one that blocked, and
/// its core was taken for nothing.
#[test]
fn a_preempted_thread_is_not_taken_for_a_blocked_one() {
    if !alone(2 * LIMIT) {
        return;
    }
    stay_on_one_cpu(0);
    let runtime = Builder::new_multi_thread()
        .worker_threads(1)
        .hog_after(Duration::from_secs(3600))
        .build()
        .unwrap();
    let spin = |time: Duration| {
        let start = Instant::now();
        while start.elapsed() < time {
            std::hint::spin_loop();
        }
    };
    let over = Arc::new(AtomicBool::new(false));
    let rivals: Vec<_> = (0..3)
        .map(|_| {
            let over = over.clone();
            std::thread::spawn(move || {
                while !over.load(Ordering::Relaxed) {
                    std::hint::spin_loop();
                }
            })
        })
        .collect();
    // First: a block is seen.
    let (sender, receiver) = mpsc::channel::<()>();
    let blocked = runtime.spawn(async move { threadlet!(receiver.recv()).unwrap() });
    wait_until("a block is seen", || runtime.metrics().handoffs_blocked == 1);
    sender.send(()).unwrap();
    in_time(&runtime, "it returns", blocked).unwrap();
    wait_until("its permit comes back", || runtime.metrics().async_threads == 0);
    let before = runtime.metrics();
    let computing = runtime.spawn(async move {
        for _ in 0..30 {
            threadlet!(spin(Duration::from_millis(20)));
        }
    });
    wait_until("it computes to its end", || computing.is_finished());
    let after = runtime.metrics();
    // It was pushed off its CPU a hundred times and more; a page fault that waits for a lock of the
    // process is a block, and may happen.
    assert!(after.handoffs_blocked <= before.handoffs_blocked + 2, "{after:#?}");
    over.store(true, Ordering::Relaxed);
    rivals.into_iter().for_each(|rival| rival.join().unwrap());
}

/// A spare was moved to a CPU and back again, and "back" was what had been allowed before somebody
/// (`taskset -a -p`) allowed less. Not every spare was on the other CPU before, hence some rounds.
#[test]
fn where_threads_may_run_is_left_as_it_was_set() {
    if !alone(2 * LIMIT) {
        return;
    }
    let runtime = Builder::new_multi_thread().worker_threads(2).build().unwrap();
    let all = os::allowed_cpus(0);
    for _ in 0..5 {
        each_thread(|tid| _ = os::allow_cpus(tid, &all));
        blocks_now_and_then(&runtime);
        each_thread(stay_on_one_cpu);
        blocks_now_and_then(&runtime);
        each_thread(|tid| assert_eq!(os::allowed_cpus(tid).len(), 1, "thread {tid}"));
    }
    assert!(runtime.metrics().handoffs_blocked > 0, "{:#?}", runtime.metrics());
}

/// Calls `call` with the number of each thread of this process.
fn each_thread(call: impl Fn(i32)) {
    for thread in std::fs::read_dir("/proc/self/task").unwrap() {
        call(thread.unwrap().file_name().to_str().unwrap().parse().unwrap());
    }
}

/// Sixteen tasks that make short calls, and every now and then one that sleeps.
fn blocks_now_and_then(runtime: &threadlet::runtime::Runtime) {
    let blocks = |first: usize| async move {
        for nth in first..first + 100 {
            for _ in 0..5 {
                threadlet!(std::hint::black_box(1));
            }
            threadlet!(if nth % 3 == 0 {
                std::thread::sleep(Duration::from_millis(2));
            });
            time::sleep(Duration::from_millis(1)).await;
        }
    };
    let tasks: Vec<_> = (0..16).map(|task| runtime.spawn(blocks(task))).collect();
    for task in tasks {
        in_time(runtime, "the task ends", task).unwrap();
    }
}

/// The thread with this number; 0 is the calling one.
fn stay_on_one_cpu(tid: i32) {
    let first = &os::allowed_cpus(tid)[..1];
    assert!(os::allow_cpus(tid, first), "thread {tid}");
}

/// tokio issue 2466. A read of the standard input was pending on a thread of the runtime, and the
/// program did not end before somebody pressed a key.
#[test]
fn a_pending_read_of_stdin_does_not_hold_up_the_end() {
    if !is_child() {
        return run_with_open_stdin(2 * LIMIT, &mut child()).demand_a_pass();
    }
    assert_eq!(main_that_reads(), 3);
    let runtime = one_core();
    let reading = runtime.spawn_blocking(read_stdin);
    wait_until("the read blocks", || runtime.metrics().async_threads == 1);
    let start = Instant::now();
    runtime.shutdown_timeout(Duration::from_millis(50));
    assert!(start.elapsed() < LIMIT);
    assert!(!reading.is_finished());
    let runtime = one_core();
    runtime.spawn_blocking(read_stdin);
    wait_until("the read blocks", || runtime.metrics().async_threads == 1);
    runtime.shutdown_background();
}

fn read_stdin() -> usize {
    // Not through `std::io::stdin`, whose lock would make the second reader wait for the first.
    let mut byte = [0];
    std::fs::File::open("/proc/self/fd/0").and_then(|mut file| file.read(&mut byte)).unwrap_or(0)
}

#[threadlet::main]
async fn main_that_reads() -> u32 {
    task::spawn(async { threadlet!(read_stdin()) });
    while Handle::current().metrics().async_threads == 0 {
        time::sleep(Duration::from_millis(1)).await;
    }
    3
}
