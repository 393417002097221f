//! The bug list of DESIGN.md section 6, one named test each: what others' runtimes got wrong, and
//! what a hand-off must not bring back.
//!
//! Tests that look at the whole process run it as a child, which is this same program.

use std::future::Future;
use std::io::{Read, Write};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use futures::channel::oneshot;
use futures::{AsyncReadExt, AsyncWriteExt};
use threadlet::net::TcpListener;
use threadlet::runtime::{Builder, Handle, Runtime};
use threadlet::{task, threadlet, time};

/// Far more than any of this takes; a test that gets there has found a bug.
const LIMIT: Duration = Duration::from_secs(30);

const CHILD: &str = "THREADLET_TEST_CHILD";

fn one_core() -> Runtime {
    Builder::new_multi_thread().worker_threads(1).build().unwrap()
}

/// Waits on this thread until `holds`.
#[track_caller]
fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let start = Instant::now();
    while !holds() {
        assert!(start.elapsed() < LIMIT, "{what}");
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// Awaits `future` in `runtime`, but not for ever.
#[track_caller]
fn in_time<F: Future>(runtime: &Runtime, what: &str, future: F) -> F::Output {
    let done = runtime.block_on(async { time::timeout(LIMIT, future).await });
    done.unwrap_or_else(|_| panic!("{what}: {:#?}", runtime.metrics()))
}

/// Runs the test `name` of this program in a process of its own, or says that this is that one.
fn is_child(name: &str) -> bool {
    if std::env::var(CHILD).is_ok_and(|child| child == name) {
        return true;
    }
    let (mut child, _stdin) = start_child(name);
    let status = wait(&mut child, name);
    assert!(status.success(), "{name}: {status}");
    false
}

/// Its standard input stays open for as long as what is returned.
fn start_child(name: &str) -> (std::process::Child, std::process::ChildStdin) {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args([name, "--exact", "--nocapture", "--test-threads=1"])
        .env(CHILD, name)
        .stdin(Stdio::piped())
        .spawn()
        .unwrap();
    let stdin = child.stdin.take().unwrap();
    (child, stdin)
}

fn wait(child: &mut std::process::Child, name: &str) -> std::process::ExitStatus {
    let start = Instant::now();
    loop {
        if let Some(status) = child.try_wait().unwrap() {
            return status;
        }
        if start.elapsed() > 2 * LIMIT {
            child.kill().unwrap();
            panic!("{name}: the child does not end");
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}

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
fn a_task_in_the_lifo_slot_is_not_stranded_by_a_hand_off() {
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
        until("all are accepted", || gates.lock().unwrap().len() == 3);
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
        until("timers go on", || ticker.is_finished());
        until("the blocked task goes on", || blocked.is_finished());
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
        until("permits come back", || runtime.metrics().permits_free == cap);
    }
}

/// The threads of this process whose name is `name`.
fn threads_named(name: &str) -> usize {
    std::fs::read_dir("/proc/self/task")
        .unwrap()
        .filter_map(|entry| std::fs::read_to_string(entry.ok()?.path().join("comm")).ok())
        .filter(|comm| comm.trim_end() == name)
        .count()
}

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
    until("all calls return", || {
        peak = peak.max(threads_named("burst"));
        calls.iter().all(|call| call.is_finished())
    });
    assert!(peak > cores + min_spare, "the burst did take threads: {peak}");
    assert!(peak <= cores + min_spare + cap + 1, "{peak} threads under a cap of {cap}");
    until("threads go", || threads_named("burst") == cores + min_spare);
    assert_eq!(runtime.metrics().permits_free, cap);
}

/// tokio issue 8406. The operating system refused a thread, and what the thread was to run was lost
/// or the process went down. Here, later than at start: the worker blocks as a plain thread would,
/// nothing is lost, it is counted, and tried again.
#[test]
fn a_thread_that_cannot_be_created_later_loses_nothing() {
    if !is_child("a_thread_that_cannot_be_created_later_loses_nothing") {
        return;
    }
    let runtime =
        Builder::new_multi_thread().worker_threads(1).min_spare_threads(2).build().unwrap();
    until("spares are there", || runtime.metrics().spares == 2);
    become_nobody();
    for round in 1..=3 {
        allow_threads(false);
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
        until("the refusals are counted", || runtime.metrics().thread_spawn_failures > failures);
        // Two spares and the worker are blocked; nobody is left.
        let stranded = runtime.spawn(async { 7 });
        for sender in senders {
            sender.send(()).unwrap();
        }
        for (nth, call) in calls.into_iter().enumerate() {
            assert_eq!(in_time(&runtime, "the calls return", call).unwrap(), nth);
        }
        assert_eq!(in_time(&runtime, "the task runs", stranded).unwrap(), 7, "round {round}");
        allow_threads(true);
        until("spares are made again", || runtime.metrics().spares >= 2);
        until("permits come back", || runtime.metrics().async_threads == 0);
    }
}

/// To root, the limit of threads does not apply.
fn become_nobody() {
    // SAFETY: no memory is involved.
    let root = unsafe { libc::geteuid() } == 0;
    if root {
        // SAFETY: as above; glibc changes all threads of this process, which has none of others.
        assert_eq!(unsafe { libc::setuid(65534) }, 0);
    }
}

fn allow_threads(allow: bool) {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: the struct outlives the call.
    assert_eq!(unsafe { libc::getrlimit(libc::RLIMIT_NPROC, &raw mut limit) }, 0);
    limit.rlim_cur = if allow { limit.rlim_max } else { 1 };
    // SAFETY: as above.
    assert_eq!(unsafe { libc::setrlimit(libc::RLIMIT_NPROC, &raw const limit) }, 0);
}

fn cpu_time() -> Duration {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the struct outlives the call.
    assert_eq!(unsafe { libc::clock_gettime(libc::CLOCK_PROCESS_CPUTIME_ID, &raw mut time) }, 0);
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

/// Go issue 18236. A process with nothing to do used CPU for ever: its monitor ticked, its spinning
/// threads spun. Also with threads blocked in calls, with short-lived spares, and with a runtime of
/// one core that nobody is in.
#[test]
fn a_quiescent_process_uses_no_cpu() {
    if !is_child("a_quiescent_process_uses_no_cpu") {
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
    until("eight threads are blocked", || blocked.metrics().async_threads == 8);
    // Until the last who had something to do sleeps.
    std::thread::sleep(Duration::from_millis(500));
    let (before, span) = (cpu_time(), Duration::from_secs(2));
    std::thread::sleep(span);
    let used = cpu_time() - before;
    assert!(used < span / 100, "{used:?} in {span:?} of doing nothing");
    drop(senders);
}

/// Go issue 29734. A thread that others had pushed off its CPU looked like one that blocked, and
/// its core was taken for nothing.
#[test]
fn a_preempted_thread_is_not_taken_for_a_blocked_one() {
    if !is_child("a_preempted_thread_is_not_taken_for_a_blocked_one") {
        return;
    }
    stay_on_one_cpu();
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
    until("a block is seen", || runtime.metrics().handoffs_blocked == 1);
    sender.send(()).unwrap();
    in_time(&runtime, "it returns", blocked).unwrap();
    until("its permit comes back", || runtime.metrics().async_threads == 0);
    let before = runtime.metrics();
    let computing = runtime.spawn(async move {
        for _ in 0..30 {
            threadlet!(spin(Duration::from_millis(20)));
        }
    });
    until("it computes to its end", || computing.is_finished());
    let after = runtime.metrics();
    assert_eq!(after.handoffs_blocked, before.handoffs_blocked, "{after:#?}");
    over.store(true, Ordering::Relaxed);
    rivals.into_iter().for_each(|rival| rival.join().unwrap());
}

fn stay_on_one_cpu() {
    // SAFETY: all zeros is an empty set.
    let mut set: libc::cpu_set_t = unsafe { std::mem::zeroed() };
    // SAFETY: the struct outlives the call.
    let now = unsafe { libc::sched_getaffinity(0, size_of_val(&set), &raw mut set) };
    assert_eq!(now, 0);
    // SAFETY: the number is within the set.
    let first = (0..libc::CPU_SETSIZE as usize).find(|cpu| unsafe { libc::CPU_ISSET(*cpu, &set) });
    // SAFETY: all zeros is an empty set.
    let mut one: libc::cpu_set_t = unsafe { std::mem::zeroed() };
    // SAFETY: the number is within the set.
    unsafe { libc::CPU_SET(first.expect("some CPU is allowed"), &mut one) };
    // SAFETY: the struct outlives the call.
    let pinned = unsafe { libc::sched_setaffinity(0, size_of_val(&one), &raw const one) };
    assert_eq!(pinned, 0);
}

/// tokio issue 2466. A read of the standard input was pending on a thread of the runtime, and the
/// program did not end before somebody pressed a key.
#[test]
fn a_pending_read_of_stdin_does_not_hold_up_the_end() {
    let name = "a_pending_read_of_stdin_does_not_hold_up_the_end";
    if std::env::var(CHILD).is_ok_and(|child| child == name) {
        assert_eq!(main_that_reads(), 3);
        let runtime = one_core();
        let reading = runtime.spawn_blocking(read_stdin);
        until("the read blocks", || runtime.metrics().async_threads == 1);
        let start = Instant::now();
        runtime.shutdown_timeout(Duration::from_millis(50));
        assert!(start.elapsed() < LIMIT);
        assert!(!reading.is_finished());
        let runtime = one_core();
        runtime.spawn_blocking(read_stdin);
        until("the read blocks", || runtime.metrics().async_threads == 1);
        runtime.shutdown_background();
        return;
    }
    let (mut child, stdin) = start_child(name);
    let status = wait(&mut child, name);
    assert!(status.success(), "{status}");
    // Open until here: the reads never returned.
    drop(stdin);
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

/// A value whose `Drop` panics.
struct Bomb;

impl Drop for Bomb {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            panic!("in a drop");
        }
    }
}

/// A panic in a region, in a region in a region, in a `Drop` inside one, of a future and of a
/// result nobody sees. Each reaches whoever awaits, and what the thread had entered it has left:
/// the next region blocks, is seen, and its permit comes back.
#[test]
fn a_panic_in_a_region_leaves_everything_as_it_was() {
    let runtime = one_core();
    type Task = std::pin::Pin<Box<dyn Future<Output = ()> + Send>>;
    let nap = || std::thread::sleep(Duration::from_millis(2));
    let panics: Vec<(&str, Task)> = vec![
        ("here", Box::pin(async { threadlet!(panic!("here")) })),
        ("coreless", Box::pin(async { threadlet!(will_block; panic!("coreless")) })),
        (
            "after a block",
            Box::pin(async move {
                threadlet!({
                    nap();
                    panic!("after a block")
                })
            }),
        ),
        (
            "nested",
            Box::pin(async move {
                threadlet::run(|| {
                    nap();
                    threadlet::run(|| panic!("nested"))
                })
            }),
        ),
        ("in a drop", Box::pin(async { threadlet!(drop(Bomb)) })),
        (
            "unmarked",
            Box::pin(async move {
                nap();
                panic!("unmarked")
            }),
        ),
    ];
    for (text, future) in panics {
        let error = in_time(&runtime, text, runtime.spawn(future)).unwrap_err();
        assert!(error.to_string().ends_with(text), "{error}");
        goes_on(&runtime, text);
    }
    // The future panics when it is dropped, and so does a result nobody sees.
    let pending = runtime.spawn(async {
        let _bomb = Bomb;
        std::future::pending::<()>().await;
    });
    pending.abort();
    assert!(in_time(&runtime, "abort", pending).unwrap_err().is_cancelled());
    goes_on(&runtime, "a future's drop");
    drop(runtime.spawn(async {
        threadlet!(std::thread::sleep(Duration::from_millis(1)));
        Bomb
    }));
    goes_on(&runtime, "a result's drop");
}

/// The runtime still hands over, and nothing is missing.
fn goes_on(runtime: &Runtime, after: &str) {
    let before = runtime.metrics();
    let (sender, receiver) = mpsc::channel::<()>();
    let blocked = runtime.spawn(async move { threadlet!(receiver.recv()).unwrap() });
    let free = runtime.spawn(async move { sender.send(()).unwrap() });
    in_time(runtime, after, blocked).unwrap();
    in_time(runtime, after, free).unwrap();
    assert!(runtime.metrics().regions > before.regions, "{after}: still a region");
    until(after, || {
        let now = runtime.metrics();
        now.async_threads == 0 && now.tasks_alive == 0 && now.permits_free == 512
    });
}

/// A region in the destructor of a thread-local, on a worker and elsewhere, where much of the
/// runtime's own state is gone: a plain call.
#[test]
fn a_region_in_a_thread_local_destructor_is_a_plain_call() {
    static RAN: AtomicUsize = AtomicUsize::new(0);
    struct Late;
    impl Drop for Late {
        fn drop(&mut self) {
            threadlet::run(|| RAN.fetch_add(1, Ordering::SeqCst));
            task::block_in_place(|| RAN.fetch_add(1, Ordering::SeqCst));
            let call = std::pin::pin!(async { threadlet!(RAN.fetch_add(1, Ordering::SeqCst)) });
            assert!(call.poll(&mut Context::from_waker(Waker::noop())).is_ready());
            assert!(Handle::try_current().is_err());
        }
    }
    thread_local!(static LATE: Late = const { Late });
    let runtime = one_core();
    let touched = runtime.spawn(async {
        LATE.with(|_| ());
        threadlet!(std::thread::sleep(Duration::from_millis(1)));
    });
    in_time(&runtime, "the task runs", touched).unwrap();
    drop(runtime);
    assert_eq!(RAN.load(Ordering::SeqCst), 3);
    std::thread::spawn(|| LATE.with(|_| ())).join().unwrap();
    assert_eq!(RAN.load(Ordering::SeqCst), 6);
}

/// Polls a future on the calling thread, as a foreign executor does.
fn foreign<F: Future>(future: F) -> F::Output {
    let mut future = std::pin::pin!(future);
    loop {
        if let Poll::Ready(output) = future.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            return output;
        }
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// In another executor a region is a plain call; inside a task, other work goes on meanwhile.
#[test]
fn a_region_in_a_foreign_runtime_is_a_plain_call() {
    assert_eq!(foreign(async { threadlet!(3) }), 3);
    assert_eq!(foreign(async { threadlet!(or_fail, will_block; 4) }), Ok(4));
    let runtime = one_core();
    let (sender, receiver) = mpsc::channel::<()>();
    let inner = runtime.spawn(async move {
        foreign(async { threadlet!(receiver.recv()).unwrap() });
    });
    let other = runtime.spawn(async move { sender.send(()).unwrap() });
    in_time(&runtime, "the other task", other).unwrap();
    in_time(&runtime, "the inner executor", inner).unwrap();
}

/// `block_on` inside a task: of another runtime, of another one with one core, and of the same one.
/// The outer core is lent meanwhile, so what the inner future waits for may be the outer runtime's.
#[test]
fn a_nested_runtime_lends_the_outer_core() {
    // Without rescue, so that it takes a region to hand the core over.
    let outer = Builder::new_multi_thread().worker_threads(1).rescue(false).build().unwrap();
    let several = one_core();
    let single = Builder::new_current_thread().build().unwrap();
    let (several, single) = (several, Arc::new(single));
    for which in 0..3 {
        let handle = match which {
            0 => several.handle().clone(),
            1 => single.handle().clone(),
            _ => outer.handle().clone(),
        };
        let (sender, receiver) = oneshot::channel::<u32>();
        let waiting = outer.spawn(async move {
            handle.block_on(async {
                // A region in the nested runtime, before and after.
                assert_eq!(threadlet!(1), 1);
                let value = receiver.await.unwrap();
                threadlet!(std::thread::sleep(Duration::from_millis(1)));
                value
            })
        });
        let other = outer.spawn(async move {
            time::sleep(Duration::from_millis(5)).await;
            sender.send(5).unwrap();
        });
        until("the outer runtime goes on", || other.is_finished());
        until("the inner one ends", || waiting.is_finished());
        assert_eq!(outer.block_on(waiting).unwrap(), 5);
    }
    until("permits come back", || outer.metrics().permits_free == 512);
}
