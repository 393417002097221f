//! What only the whole runtime can show; `.ci/sabotage` breaks a line for each and wants it to
//! fail.

use std::future::{Future, poll_fn};
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc;
use std::task::{Context, Wake, Waker};
use std::time::{Duration, Instant};

use futures::{SinkExt, StreamExt};
use threadlet::runtime::{Builder, Detector, Runtime};
use threadlet::threadlet;

/// Long enough for a loaded machine; what is lost is lost for ever.
const PATIENCE: Duration = Duration::from_secs(10);

/// Not dropped if a test fails: a lost task or thread would make the failure a hang.
fn runtime(workers: usize) -> std::mem::ManuallyDrop<Runtime> {
    let runtime = Builder::new_multi_thread().worker_threads(workers).build().unwrap();
    std::mem::ManuallyDrop::new(runtime)
}

fn finish(runtime: std::mem::ManuallyDrop<Runtime>) {
    drop(std::mem::ManuallyDrop::into_inner(runtime));
}

/// A push from outside must wake somebody when all sleep.
#[test]
fn a_push_from_outside_wakes_a_sleeper() {
    let runtime = runtime(2);
    for _ in 0..5 {
        std::thread::sleep(Duration::from_millis(30));
        let (tell, told) = mpsc::channel();
        runtime.spawn(async move { tell.send(()).unwrap() });
        told.recv_timeout(PATIENCE).expect("somebody was woken");
    }
    finish(runtime);
}

/// The story: a worker has seen its queues empty and is about to sleep. The push sees it awake and
/// wakes nobody. Only its second look, after it has said that it sleeps, finds the task.
#[test]
fn a_push_between_look_and_sleep_is_found() {
    let runtime = runtime(1);
    let until = Instant::now() + Duration::from_secs(2);
    let ran = Arc::new(AtomicUsize::new(0));
    for nth in 0.. {
        let mine = ran.clone();
        runtime.spawn(async move {
            mine.store(nth, Ordering::Release);
        });
        // Not asleep itself: by the time it were awake again the worker would have been asleep long
        // since.
        let pushed = Instant::now();
        while ran.load(Ordering::Acquire) != nth {
            assert!(pushed.elapsed() < PATIENCE, "the second look finds the task");
            (0..20).for_each(|_| std::hint::spin_loop());
            if pushed.elapsed() > Duration::from_millis(1) {
                std::thread::yield_now();
            }
        }
        if Instant::now() >= until {
            break;
        }
        // Sweeps the next push over the time the worker needs to fall asleep.
        (0..nth % 300).for_each(|_| std::hint::spin_loop());
    }
    finish(runtime);
}

/// The same by hand: what a thread calls before it sleeps, when it has seen its queues empty, waits for the
/// push.
#[test]
fn a_push_while_the_last_worker_falls_asleep_is_found() {
    static ASKED: AtomicBool = AtomicBool::new(false);
    static PUSHED: AtomicBool = AtomicBool::new(false);
    let mut builder = Builder::new_multi_thread();
    // Nobody is to take the core from the thread that waits here.
    builder.worker_threads(1).detector(Detector::Off).rescue(false).on_thread_park(|| {
        if ASKED.swap(false, Ordering::SeqCst) {
            let asked = Instant::now();
            while !PUSHED.swap(false, Ordering::SeqCst) && asked.elapsed() < PATIENCE {
                std::thread::yield_now();
            }
        }
    });
    let runtime = std::mem::ManuallyDrop::new(builder.build().unwrap());
    for _ in 0..20 {
        let (tell, told) = mpsc::channel();
        let last = tell.clone();
        ASKED.store(true, Ordering::SeqCst);
        // Whatever it did: behind this task it looks for others, and falls asleep.
        runtime.spawn(async move { tell.send(1).unwrap() });
        let asked = Instant::now();
        while ASKED.load(Ordering::SeqCst) {
            assert!(asked.elapsed() < PATIENCE, "the worker is about to sleep");
            std::thread::yield_now();
        }
        runtime.spawn(async move { last.send(2).unwrap() });
        PUSHED.store(true, Ordering::SeqCst);
        let ran = [told.recv_timeout(PATIENCE), told.recv_timeout(PATIENCE)];
        assert_eq!(ran, [Ok(1), Ok(2)], "the second look finds the task");
    }
    finish(runtime);
}

/// The story (tokio issue 6596): a task wakes another, which goes into the LIFO slot of its worker,
/// and blocks; the slot goes with the core, and the other task must run.
#[test]
fn a_task_in_the_lifo_slot_is_not_stranded() {
    let runtime = runtime(1);
    let (mut reader, mut writer) = UnixStream::pair().unwrap();
    let (tell, told) = mpsc::channel();
    runtime.spawn(async move {
        threadlet::spawn(async move { writer.write_all(&[7]).unwrap() });
        let mut byte = [0; 1];
        threadlet!(reader.read_exact(&mut byte)).unwrap();
        tell.send(byte[0]).unwrap();
    });
    assert_eq!(told.recv_timeout(PATIENCE), Ok(7), "the task in the slot ran");
    finish(runtime);
}

/// The story: an unmarked poll blocks, is rescued, and comes back not knowing that its core is
/// gone. It spawns, while the one that has the core now spawns as well: two producers on one queue.
/// Each task must run exactly once.
#[test]
fn a_spawn_after_a_rescue_loses_no_task() {
    const ROUNDS: usize = 20;
    const TASKS: usize = 2_000;
    let runtime = runtime(1);
    let done = Arc::new(AtomicUsize::new(0));
    let spawn_all = |done: &Arc<AtomicUsize>| {
        for _ in 0..TASKS {
            let done = done.clone();
            threadlet::spawn(async move {
                done.fetch_add(1, Ordering::Relaxed);
            });
        }
    };
    for _ in 0..ROUNDS {
        let (first, second) = (done.clone(), done.clone());
        let late = runtime.spawn(async move {
            std::thread::sleep(Duration::from_millis(3));
            spawn_all(&first);
        });
        let busy = runtime.spawn(async move {
            for _ in 0..8 {
                let start = Instant::now();
                while start.elapsed() < Duration::from_micros(500) {
                    std::hint::spin_loop();
                }
                spawn_all(&second);
                threadlet::task::yield_now().await;
            }
        });
        drop((late, busy));
    }
    // None is lost for being late: on a busy machine so many take their time.
    let (mut before, mut since) = (0, Instant::now());
    while done.load(Ordering::Relaxed) < ROUNDS * TASKS * 9 && since.elapsed() < PATIENCE {
        let now = done.load(Ordering::Relaxed);
        if now != before {
            (before, since) = (now, Instant::now());
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    assert_eq!(done.load(Ordering::Relaxed), ROUNDS * TASKS * 9);
    finish(runtime);
}

/// The story: each task spawns its successor, into the LIFO slot, and then blocks, so that the core
/// changes hands after each poll. A thread that counted for itself how many tasks it has taken from
/// the slot would begin anew each time, and what stands in the queue would never run.
#[test]
fn the_queue_has_its_turn_on_a_core_that_changes_hands() {
    static LINKS: AtomicUsize = AtomicUsize::new(0);
    static END: AtomicBool = AtomicBool::new(false);
    const TURNS: usize = 1_000;

    fn link(plants: Option<mpsc::Sender<usize>>) {
        threadlet::spawn(async move {
            let nth = LINKS.fetch_add(1, Ordering::SeqCst);
            if END.load(Ordering::SeqCst) || nth > 3 * TURNS {
                return;
            }
            // With no spare the core would stay here, and what is in the slot go to the queue.
            while threadlet::runtime::Handle::current().metrics().spares == 0 {
                std::thread::yield_now();
            }
            let plants = plants.and_then(|ran| {
                if nth < TURNS {
                    return Some(ran);
                }
                for _ in 0..4 {
                    let ran = ran.clone();
                    threadlet::spawn(async move {
                        let _ = ran.send(LINKS.load(Ordering::SeqCst) - nth);
                    });
                }
                None
            });
            link(plants);
            threadlet!(will_block; std::thread::sleep(Duration::from_micros(50)));
        });
    }

    let mut builder = Builder::new_multi_thread();
    builder.worker_threads(1).min_spare_threads(16).detector(Detector::Off);
    let runtime = builder.build().unwrap();
    let (ran, wait) = mpsc::channel();
    runtime.spawn(async move { link(Some(ran)) });
    let latest = wait.iter().max().expect("four tasks were planted");
    END.store(true, Ordering::SeqCst);
    assert!(latest < 200, "the last of four queued tasks ran {latest} links later");
}

/// Turns of the tasks that keep the core busy.
static TURNS: AtomicUsize = AtomicUsize::new(0);

/// Wakes a task, and notes the turn in which.
struct Noting(Waker, AtomicUsize);

impl Wake for Noting {
    fn wake(self: Arc<Self>) {
        self.1.store(TURNS.load(Ordering::Relaxed), Ordering::Relaxed);
        self.0.wake_by_ref();
    }
}

/// A millisecond; answers how many turns others have had from the wake to the poll.
async fn overtaken() -> usize {
    let mut sleep = pin!(threadlet::time::sleep(Duration::from_millis(1)));
    let mut noting = None;
    poll_fn(|cx| {
        let note =
            noting.get_or_insert_with(|| Arc::new(Noting(cx.waker().clone(), AtomicUsize::new(0))));
        sleep.as_mut().poll(&mut Context::from_waker(&note.clone().into()))
    })
    .await;
    let woken = noting.map_or(0, |note| note.1.load(Ordering::Relaxed));
    TURNS.load(Ordering::Relaxed) - woken
}

/// The story: a ticker's task was woken in time, into the LIFO slot. But that slot had had its share, or
/// it was time to look at the injector: the task that came first woke another, and the ticker's went to
/// the end of the queue, where it waited for all that were busy, and for each that blocked among them.
#[test]
fn whose_time_has_come_is_not_sent_to_the_end_of_the_queue() {
    const TICKS: usize = 400;

    async fn turn() {
        TURNS.fetch_add(1, Ordering::Relaxed);
        let begun = Instant::now();
        while begun.elapsed() < Duration::from_micros(5) {}
    }

    let mut builder = Builder::new_multi_thread();
    let runtime = builder.worker_threads(1).detector(Detector::Off).build().unwrap();
    let end = Arc::new(AtomicBool::new(false));
    let goes_on = move |end: &AtomicBool| !end.load(Ordering::Relaxed);
    for _ in 0..16 {
        // Each wakes the other into the slot.
        let (mut there, mut ball) = futures::channel::mpsc::channel::<()>(0);
        let (mut back, mut returned) = futures::channel::mpsc::channel::<()>(0);
        let over = end.clone();
        runtime.spawn(async move {
            while goes_on(&over) && there.send(()).await.is_ok() && returned.next().await.is_some()
            {
                turn().await;
            }
        });
        runtime.spawn(async move {
            while ball.next().await.is_some() && back.send(()).await.is_ok() {
                turn().await;
            }
        });
    }
    // And from outside come tasks that put another into the slot.
    let (outside, over) = (runtime.handle().clone(), end.clone());
    let feeder = std::thread::spawn(move || {
        let waiting = Arc::new(AtomicUsize::new(0));
        while goes_on(&over) {
            if waiting.load(Ordering::Relaxed) < 8 {
                waiting.fetch_add(1, Ordering::Relaxed);
                let waiting = waiting.clone();
                outside.spawn(async move {
                    threadlet::spawn(turn());
                    waiting.fetch_sub(1, Ordering::Relaxed);
                });
            } else {
                std::thread::sleep(Duration::from_micros(20));
            }
        }
    });
    let behind = runtime.block_on(async {
        let ticker = async {
            let mut behind = Vec::new();
            for _ in 0..TICKS {
                behind.push(overtaken().await);
            }
            behind
        };
        threadlet::spawn(ticker).await.unwrap()
    });
    end.store(true, Ordering::Relaxed);
    feeder.join().unwrap();
    let many = behind.iter().filter(|turns| **turns > 2).count();
    assert!(many <= TICKS / 20, "{many} of {TICKS} ticks waited for others' turns: {behind:?}");
}
