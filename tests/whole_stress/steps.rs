//! What a task may do.

use std::future::Future;
use std::io;
use std::os::unix::fs::FileExt;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::time::{Duration, Instant};

use futures::channel::oneshot;
use futures::{AsyncReadExt, AsyncWriteExt};
use threadlet::net::{TcpListener, TcpStream};
use threadlet::runtime::Handle;
use threadlet::{task, threadlet, time};

/// Sebastiano Vigna's SplitMix64.
#[derive(Clone)]
pub(crate) struct Random(pub(crate) u64);

impl Random {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }

    pub(crate) fn between(&mut self, low: u64, high: u64) -> u64 {
        low + self.below(high - low + 1)
    }

    pub(crate) fn one_in(&mut self, n: u64) -> bool {
        self.below(n) == 0
    }

    pub(crate) fn micros(&mut self, most: u64) -> Duration {
        Duration::from_micros(self.below(most + 1))
    }
}

/// What the tasks of one round share.
pub(crate) struct Round {
    pub(crate) started: AtomicU64,
    pub(crate) ended: AtomicU64,
    pub(crate) file: std::fs::File,
    pub(crate) lock: Mutex<u64>,
    pub(crate) echo: Option<std::net::SocketAddr>,
    /// Calls may wait for tasks: the cap is above the number of tasks.
    pub(crate) roomy: bool,
    /// The runtime goes before the tasks have ended.
    pub(crate) abandoned: bool,
    pub(crate) later: Mutex<mpsc::Sender<(Duration, oneshot::Sender<()>)>>,
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

/// What a joined task returned. In a runtime that goes away it may have none; then the one that
/// waits goes the same way.
async fn joined<T>(round: &Round, result: Result<T, task::JoinError>) -> T {
    match result {
        Ok(value) => value,
        Err(error) if round.abandoned && error.is_cancelled() => std::future::pending().await,
        Err(error) => panic!("{error}"),
    }
}

pub(crate) type Body = Pin<Box<dyn Future<Output = ()> + Send>>;

/// A task: some random steps.
pub(crate) fn body(round: &Arc<Round>, mut random: Random, depth: u32) -> Body {
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
        _ => {
            let call = task::spawn_blocking(move || std::thread::sleep(nap)).await;
            joined(round, call).await;
        }
    }
}

/// Steps with other tasks.
async fn family(round: &Arc<Round>, random: &mut Random, depth: u32) {
    if depth == 0 {
        return task::yield_now().await;
    }
    let child = |random: &mut Random| body(round, Random(random.next()), depth - 1);
    match random.below(8) {
        0 => {
            let child = task::spawn(child(random)).await;
            joined(round, child).await;
        }
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
            assert!(joined(round, waiter.await).await);
            joined(round, other.await).await;
        }
        4 => match echo(round, random).await {
            Err(_) if round.abandoned => std::future::pending().await,
            result => result.unwrap(),
        },
        5 if round.roomy => {
            let child = task::spawn(child(random));
            let child = Handle::current().block_on(child);
            joined(round, child).await;
        }
        6 => {
            let handle = task::spawn(async { panic!("on purpose") });
            let error = handle.await.unwrap_err();
            assert!(error.is_panic() || round.abandoned);
        }
        _ => {
            let many: Vec<_> =
                (0..random.between(1, 40)).map(|n| task::spawn(async move { n })).collect();
            for (n, handle) in many.into_iter().enumerate() {
                assert_eq!(joined(round, handle.await).await, n as u64);
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
pub(crate) async fn serve(listener: TcpListener, mut random: Random) {
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
