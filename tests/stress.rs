//! Randomised stress: whatever tasks do, in whatever runtime, each of them ends once, and every
//! permit comes back.
//!
//! The stories behind it are those of `tests/bugs.rs`; here nobody says in advance which one is
//! told. Each round builds a runtime with random limits and lets tasks compute, yield, sleep, read,
//! block (marked, unmarked, announced), spawn, join, abort and talk through sockets. Then it counts.
//!
//! The seed is printed. `THREADLET_SEED` repeats a run (its decisions, not the scheduler's),
//! `THREADLET_STRESS_SECONDS` makes it longer, and `RUSTFLAGS='--cfg threadlet_fail'` widens the
//! races. A round that does not end in a minute prints what it knows and aborts the process; with
//! `THREADLET_STRESS_STAY` set it stays as it is instead, for a debugger.

use std::future::Future;
use std::io;
use std::os::unix::fs::FileExt;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::time::{Duration, Instant};

use futures::channel::oneshot;
use futures::{AsyncReadExt, AsyncWriteExt};
use threadlet::net::{TcpListener, TcpStream};
use threadlet::runtime::{Builder, Handle, Runtime};
use threadlet::{task, threadlet, time};

/// A round that takes longer hangs.
const LIMIT: Duration = Duration::from_secs(60);

/// Sebastiano Vigna's SplitMix64.
#[derive(Clone)]
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }

    fn between(&mut self, low: u64, high: u64) -> u64 {
        low + self.below(high - low + 1)
    }

    fn one_in(&mut self, n: u64) -> bool {
        self.below(n) == 0
    }

    fn micros(&mut self, most: u64) -> Duration {
        Duration::from_micros(self.below(most + 1))
    }
}

/// What the tasks of one round share.
struct Round {
    started: AtomicU64,
    ended: AtomicU64,
    file: std::fs::File,
    lock: Mutex<u64>,
    echo: Option<std::net::SocketAddr>,
    /// Calls may wait for tasks: the cap is above the number of tasks.
    roomy: bool,
    later: Mutex<mpsc::Sender<(Duration, oneshot::Sender<()>)>>,
}

/// Counts the end of a task, however it ends.
struct Ends(Arc<Round>);

impl Drop for Ends {
    fn drop(&mut self) {
        self.0.ended.fetch_add(1, Ordering::SeqCst);
    }
}

fn compute(time: Duration) {
    let start = Instant::now();
    while start.elapsed() < time {
        std::hint::spin_loop();
    }
}

type Body = Pin<Box<dyn Future<Output = ()> + Send>>;

/// A task: some random steps.
fn body(round: &Arc<Round>, mut random: Random, depth: u32) -> Body {
    let round = round.clone();
    round.started.fetch_add(1, Ordering::SeqCst);
    let ends = Ends(round.clone());
    Box::pin(async move {
        let _ends = ends;
        let steps = random.between(1, 24);
        for _ in 0..steps {
            match random.below(3) {
                0 => quick(&round, &mut random).await,
                1 => blocking(&round, &mut random).await,
                _ => family(&round, &mut random, depth).await,
            }
        }
    })
}

/// Steps that do not block.
async fn quick(round: &Arc<Round>, random: &mut Random) {
    match random.below(8) {
        0 => compute(random.micros(20)),
        1 | 2 => task::yield_now().await,
        3 => time::sleep(random.micros(500)).await,
        4 => {
            let _ = time::timeout(random.micros(200), time::sleep(random.micros(400))).await;
        }
        5 => {
            for _ in 0..random.between(1, 60) {
                let mut page = [0; 512];
                assert_eq!(threadlet!(round.file.read_at(&mut page, 0)).unwrap(), 512);
                assert_eq!(page[7], 7);
            }
        }
        6 => threadlet!(compute(if random.one_in(20) {
            Duration::from_micros(2500)
        } else {
            random.micros(30)
        })),
        _ => {
            // Woken by a thread of no runtime.
            let (sender, receiver) = oneshot::channel();
            round.later.lock().unwrap().send((random.micros(300), sender)).unwrap();
            receiver.await.unwrap();
        }
    }
}

/// Steps that do.
async fn blocking(round: &Arc<Round>, random: &mut Random) {
    let nap = random.micros(300);
    match random.below(11) {
        0 | 1 => threadlet!(std::thread::sleep(nap)),
        2 => threadlet!(will_block; std::thread::sleep(nap)),
        3 => threadlet!(or_inline; std::thread::sleep(nap)),
        4 => {
            let _ = threadlet!(or_fail, will_block; std::thread::sleep(nap));
        }
        5 => threadlet::run(|| std::thread::sleep(nap)),
        6 => std::thread::sleep(nap),
        7 => {
            let mut sum = round.lock.lock().unwrap();
            *sum += 1;
            std::thread::sleep(nap / 8);
        }
        8 => {
            let sum = threadlet!({
                let mut sum = round.lock.lock().unwrap();
                std::thread::sleep(nap / 8);
                *sum += 1;
                *sum
            });
            assert!(sum > 0);
        }
        9 => {
            // A wait for the gate may be given up.
            let call = async { threadlet!(will_block; std::thread::sleep(nap)) };
            let _ = time::timeout(random.micros(100), call).await;
        }
        _ => task::spawn_blocking(move || std::thread::sleep(nap)).await.unwrap(),
    }
}

/// Steps with other tasks.
async fn family(round: &Arc<Round>, random: &mut Random, depth: u32) {
    if depth == 0 {
        return task::yield_now().await;
    }
    let child = |random: &mut Random| body(round, Random(random.next()), depth - 1);
    match random.below(8) {
        0 => task::spawn(child(random)).await.unwrap(),
        1 => drop(task::spawn(child(random))),
        2 => {
            let handle = task::spawn(child(random));
            if random.one_in(2) {
                time::sleep(random.micros(300)).await;
            }
            handle.abort();
            if let Err(error) = handle.await {
                assert!(error.is_cancelled(), "{error}");
            }
        }
        3 => {
            // A task spawned, and one woken, while the core is lent to a region.
            let (sender, receiver) = oneshot::channel::<()>();
            let waiter = task::spawn(async move { receiver.await.is_ok() });
            let other = child(random);
            let nap = random.micros(100);
            let other = threadlet!({
                let other = task::spawn(other);
                let _ = sender.send(());
                std::thread::sleep(nap);
                other
            });
            assert!(waiter.await.unwrap());
            other.await.unwrap();
        }
        4 if round.echo.is_some() => echo(round, random).await.unwrap(),
        5 if round.roomy => {
            let child = task::spawn(child(random));
            Handle::current().block_on(child).unwrap();
        }
        6 => {
            let handle = task::spawn(async { panic!("on purpose") });
            assert!(handle.await.unwrap_err().is_panic());
        }
        _ => {
            let many: Vec<_> =
                (0..random.between(1, 40)).map(|n| task::spawn(async move { n })).collect();
            for (n, handle) in many.into_iter().enumerate() {
                assert_eq!(handle.await.unwrap(), n as u64);
            }
        }
    }
}

async fn echo(round: &Round, random: &mut Random) -> io::Result<()> {
    let Some(address) = round.echo else { return Ok(()) };
    let mut stream = TcpStream::connect(address).await?;
    for _ in 0..random.between(1, 4) {
        let sent = random.next().to_le_bytes();
        stream.write_all(&sent).await?;
        let mut back = [0; 8];
        stream.read_exact(&mut back).await?;
        assert_eq!(sent, back);
    }
    Ok(())
}

/// Echoes until its runtime ends. Now and then it blocks in the very task the driver has just made
/// ready.
async fn serve(listener: TcpListener, mut random: Random) {
    loop {
        let Ok((mut stream, _)) = listener.accept().await else { return };
        let nap = random.one_in(4).then(|| random.micros(200));
        task::spawn(async move {
            let mut buffer = [0; 8];
            while stream.read_exact(&mut buffer).await.is_ok() {
                if let Some(nap) = nap {
                    threadlet!(std::thread::sleep(nap));
                }
                if stream.write_all(&buffer).await.is_err() {
                    return;
                }
            }
        });
    }
}

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
