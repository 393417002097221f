//! Randomised stress: whatever tasks do, in whatever runtime, each of them ends once, and every
//! permit comes back.
//!
//! The stories behind it are those of `tests/whole_bugs`; here nobody says in advance which one is
//! told. Each round builds a runtime with random limits and lets tasks compute, yield, sleep, read,
//! block (marked, unmarked, announced), spawn, join, abort and talk through sockets. Then it
//! counts.
//!
//! The seed is printed. `THREADLET_SEED` repeats a run (its decisions, not the scheduler's),
//! `THREADLET_STRESS_SECONDS` makes it longer, and `RUSTFLAGS='--cfg threadlet_fail'` widens the
//! races. A round that does not end in half a minute prints what it knows and aborts the process;
//! with `THREADLET_STRESS_STAY` set it stays as it is instead, for a debugger.

mod steps;

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::time::{Duration, Instant};

use futures::channel::oneshot;
use threadlet::net::TcpListener;
use threadlet::runtime::{Builder, Handle, Runtime};
use threadlet::{task, time};

use self::steps::{Random, Round, body, serve};

/// A round that takes longer hangs.
const LIMIT: Duration = Duration::from_secs(30);

/// What one round is like.
#[derive(Debug)]
struct Limits {
    current_thread: bool,
    cores: usize,
    cap: usize,
    tasks: u64,
    min_spare: usize,
    keep_alive: Duration,
    rescue: bool,
    roomy: bool,
    abandon: bool,
}

impl Limits {
    fn random(random: &mut Random) -> Limits {
        let roomy = random.one_in(4);
        Limits {
            current_thread: random.one_in(5),
            cores: random.between(1, 4) as usize,
            cap: if roomy { 512 } else { random.between(1, 8) as usize },
            tasks: if roomy { random.between(1, 16) } else { random.between(1, 64) },
            min_spare: random.between(1, 3) as usize,
            keep_alive: Duration::from_micros(random.between(1_000, 50_000)),
            rescue: !random.one_in(4),
            roomy,
            abandon: random.one_in(3),
        }
    }

    fn build(&self) -> Runtime {
        let mut builder = match self.current_thread {
            true => Builder::new_current_thread(),
            false => Builder::new_multi_thread(),
        };
        builder
            .worker_threads(self.cores)
            .max_async_threads(self.cap)
            .min_spare_threads(self.min_spare)
            .thread_keep_alive(self.keep_alive)
            .rescue(self.rescue)
            .build()
            .unwrap()
    }
}

/// Waits for `what`, which is to become true by itself.
fn until(what: &str, runtime: &Handle, mut holds: impl FnMut() -> bool) {
    let start = Instant::now();
    while !holds() {
        assert!(start.elapsed() < LIMIT, "{what}: {:#?}", runtime.metrics());
        std::thread::sleep(Duration::from_micros(200));
    }
}

fn play(random: &mut Random, limits: &Limits, file: &std::fs::File, watch: &Watch) {
    let runtime = limits.build();
    watch.enter(limits, runtime.handle());
    let (later, queue) = mpsc::channel::<(Duration, oneshot::Sender<()>)>();
    let helper = std::thread::spawn(move || {
        for (pause, sender) in queue {
            std::thread::sleep(pause);
            let _ = sender.send(());
        }
    });
    let echo = random.one_in(2).then(|| {
        let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).unwrap();
        let address = listener.local_addr().unwrap();
        (runtime.spawn(serve(listener, random.clone())), address)
    });
    let round = Arc::new(Round {
        started: AtomicU64::new(0),
        ended: AtomicU64::new(0),
        file: file.try_clone().unwrap(),
        lock: Mutex::new(0),
        echo: echo.as_ref().map(|(_, address)| *address),
        roomy: limits.roomy,
        abandoned: limits.abandon,
        later: Mutex::new(later),
    });
    let handles: Vec<_> =
        (0..limits.tasks).map(|_| runtime.spawn(body(&round, Random(random.next()), 2))).collect();
    if limits.abandon {
        abandon(random, runtime, handles);
    } else {
        let serving = echo.map(|(serving, _)| serving);
        count(random, limits, &runtime, &round, handles, serving);
    }
    let (started, ended) =
        (round.started.load(Ordering::SeqCst), round.ended.load(Ordering::SeqCst));
    assert_eq!(started, ended, "every task ended once");
    assert_eq!(Arc::strong_count(&round), 1, "every future is gone");
    drop(round);
    helper.join().unwrap();
}

/// The runtime goes while tasks run: their handles say so, and their futures are dropped.
fn abandon(random: &mut Random, runtime: Runtime, handles: Vec<task::JoinHandle<()>>) {
    let wait = random.micros(20_000);
    runtime.block_on(async { time::sleep(wait).await });
    drop(runtime);
    // From another runtime.
    threadlet::block_on(async {
        for handle in handles {
            let result = handle.await;
            assert!(result.is_ok() || result.unwrap_err().is_cancelled());
        }
    });
}

/// Everything ends, and everything is given back.
fn count(
    random: &mut Random,
    limits: &Limits,
    runtime: &Runtime,
    round: &Arc<Round>,
    handles: Vec<task::JoinHandle<()>>,
    serving: Option<task::JoinHandle<()>>,
) {
    let lowered = (!limits.roomy && random.one_in(3)).then(|| random.between(1, 8) as usize);
    runtime.block_on(async {
        if let Some(lowered) = lowered {
            runtime.set_max_async_threads(lowered);
        }
        for handle in handles {
            handle.await.unwrap();
        }
        runtime.set_max_async_threads(limits.cap);
        // Those that were detached.
        while round.started.load(Ordering::SeqCst) != round.ended.load(Ordering::SeqCst) {
            time::sleep(Duration::from_millis(1)).await;
        }
        if let Some(serving) = serving {
            serving.abort();
            let _ = serving.await;
        }
        while runtime.metrics().tasks_alive > 0 {
            time::sleep(Duration::from_millis(1)).await;
        }
    });
    let handle = runtime.handle();
    until("permits come back", handle, || {
        let now = runtime.metrics();
        now.permits_free == limits.cap && now.async_threads == 0 && now.gate_waiters == 0
    });
    assert_eq!(runtime.metrics().injector_depth, 0);
    until("spares retire", handle, || runtime.metrics().spares <= limits.min_spare);
    assert!(runtime.handle().blocked().is_empty());
}

/// Tells what hangs.
struct Watch {
    state: Mutex<(Instant, String, Option<Handle>)>,
    over: AtomicBool,
}

impl Watch {
    fn enter(&self, limits: &Limits, runtime: &Handle) {
        *self.state.lock().unwrap() =
            (Instant::now(), format!("{limits:?}"), Some(runtime.clone()));
    }

    fn run(&self, seed: u64) {
        while !self.over.load(Ordering::Relaxed) {
            std::thread::sleep(Duration::from_millis(20));
            let state = self.state.lock().unwrap();
            if state.0.elapsed() < LIMIT {
                continue;
            }
            eprintln!(
                "THREADLET_SEED={seed}: a round does not end; process {}",
                std::process::id()
            );
            eprintln!("{}", state.1);
            if let Some(runtime) = &state.2 {
                eprintln!("{:#?}\n{:#?}", runtime.metrics(), runtime.blocked());
            }
            if std::env::var_os("THREADLET_STRESS_STAY").is_none() {
                std::process::abort();
            }
            std::thread::sleep(Duration::from_secs(3600));
        }
    }
}

fn from_environment<T: std::str::FromStr>(name: &str) -> Option<T> {
    std::env::var(name).ok().and_then(|text| text.parse().ok())
}

#[test]
fn whatever_tasks_do_each_ends_once_and_every_permit_comes_back() {
    let clock = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    let seed = from_environment("THREADLET_SEED").unwrap_or(clock.as_nanos() as u64);
    let seconds = from_environment("THREADLET_STRESS_SECONDS").unwrap_or(3);
    eprintln!("THREADLET_SEED={seed}");
    quiet_panics();
    let path = std::env::temp_dir().join(format!("threadlet-stress-{}", std::process::id()));
    std::fs::write(&path, [7; 4096]).unwrap();
    let file = std::fs::File::open(&path).unwrap();
    std::fs::remove_file(&path).unwrap();
    let watch = Watch {
        state: Mutex::new((Instant::now(), String::new(), None)),
        over: AtomicBool::new(false),
    };
    let start = Instant::now();
    std::thread::scope(|scope| {
        scope.spawn(|| watch.run(seed));
        let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            let mut random = Random(seed);
            let mut rounds = 0;
            while rounds == 0 || start.elapsed() < Duration::from_secs(seconds) {
                let limits = Limits::random(&mut random);
                let mut inner = Random(random.next());
                play(&mut inner, &limits, &file, &watch);
                rounds += 1;
            }
            rounds
        }));
        watch.over.store(true, Ordering::Relaxed);
        match result {
            Ok(rounds) => eprintln!("{rounds} rounds"),
            Err(payload) => {
                eprintln!("THREADLET_SEED={seed}: in {}", watch.state.lock().unwrap().1);
                std::panic::resume_unwind(payload);
            }
        }
    });
}

/// The panics that are part of the play are not worth a line each.
fn quiet_panics() {
    let hook = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |info| {
        if info.payload().downcast_ref::<&str>() != Some(&"on purpose") {
            hook(info);
        }
    }));
}
