//! Sockets where the system gives little: no descriptor left, ten thousand connections, a name server
//! that keeps silent, and a runtime that is dropped with everything under way.

mod support;

use std::future::poll_fn;
use std::io::{Read, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use futures::future::join_all;
use futures::io::{AsyncReadExt, AsyncWriteExt};
use socket2::{Domain, SockAddr, Socket, Type};
use threadlet::net::{TcpListener, TcpSocket, TcpStream, UdpSocket, UnixListener, lookup_host};
use threadlet::process::Command;
use threadlet::runtime::{Builder, Handle, Runtime};
use threadlet::signal::unix::{SignalKind, signal};
use threadlet::threadlet;
use threadlet::time::{sleep, timeout};

use support::os::{is_root, process_cpu_time, set_limit, use_loopback};
use support::{alone, child, in_time, is_child, passes, skip, ticker, wait_for_ticks};

const LIMIT: Duration = Duration::from_secs(60);

fn runtime() -> Runtime {
    Builder::new_multi_thread().worker_threads(2).build().unwrap()
}

/// A server that is written by hand, as hyper's were: it polls, and asks again at once behind an error.
/// `accept` waited a moment behind one, and `poll_accept` took a whole CPU.
#[test]
fn out_of_descriptors_a_hand_written_server_takes_little_cpu() {
    if !alone(LIMIT) {
        return;
    }
    let (runtime, errors) = (runtime(), Arc::new(AtomicUsize::new(0)));
    let (accepted, name) = (Arc::new(AtomicUsize::new(0)), format!("\0{}", std::process::id()));
    let address = runtime.block_on(async {
        let tcp = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (address, unix) = (tcp.local_addr().unwrap(), UnixListener::bind(&name).unwrap());
        macro_rules! serve {
            ($listener:expr) => {{
                let (listener, errors, accepted) = ($listener, errors.clone(), accepted.clone());
                drop(threadlet::spawn(async move {
                    loop {
                        match poll_fn(|cx| listener.poll_accept(cx)).await {
                            Ok(_) => accepted.fetch_add(1, Ordering::Relaxed),
                            Err(_) => errors.fetch_add(1, Ordering::Relaxed),
                        };
                    }
                }));
            }};
        }
        serve!(tcp);
        serve!(unix);
        address
    });
    let before = set_limit(libc::RLIMIT_NOFILE, 200);
    let mut hogs = Vec::new();
    let tcp = std::net::TcpStream::connect(address).unwrap();
    support::wait_until("it is accepted", || accepted.load(Ordering::Relaxed) == 1);
    // Two that are to wait have their own descriptors before there are no more.
    let more = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    let unix = Socket::new(Domain::UNIX, Type::STREAM, None).unwrap();
    while let Ok(file) = std::fs::File::open("/dev/null") {
        hogs.push(file);
    }
    more.connect(&address.into()).unwrap();
    unix.connect(&SockAddr::unix(format!("\0{}", std::process::id())).unwrap()).unwrap();
    let (cpu, start) = (process_cpu_time(), Instant::now());
    std::thread::sleep(Duration::from_secs(1));
    let (cpu, lasted) = (process_cpu_time() - cpu, start.elapsed());
    let failed = errors.load(Ordering::Relaxed);
    println!("{failed} errors and {cpu:?} of CPU time in {lasted:?}");
    assert!((2..100).contains(&failed), "{failed} errors");
    assert!(cpu < lasted / 20, "{cpu:?} in {lasted:?}, for {failed} errors");
    drop(hogs);
    set_limit(libc::RLIMIT_NOFILE, before);
    support::wait_until("those that waited are served", || accepted.load(Ordering::Relaxed) == 3);
    drop((tcp, more, unix));
}

const COUNT: usize = 10_000;

/// Each says a word, all stay, and each says another. The clients are a process of their own: there may
/// be room for 10,000 descriptors and not for 20,000.
#[test]
fn ten_thousand_connections() {
    if let Ok(address) = std::env::var("THREADLET_TEST_SERVER") {
        return ten_thousand_clients(&address);
    }
    if !alone(2 * LIMIT) {
        return;
    }
    let needed = COUNT as libc::rlim_t + 200;
    if hard_limit() < needed {
        assert!(
            skip("descriptors"),
            "{needed} descriptors are needed: raise the limit (ulimit -Hn)"
        );
        return;
    }
    set_limit(libc::RLIMIT_NOFILE, needed);
    let (runtime, most) = (runtime(), Arc::new(AtomicUsize::new(0)));
    let address = runtime.block_on(async {
        // `bind` has room for 128 in line; the kernel lets whoever finds none try again a second later.
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let listener = socket.listen(4096).unwrap();
        let (address, most) = (listener.local_addr().unwrap(), most.clone());
        threadlet::spawn(async move {
            loop {
                let (mut stream, _) = listener.accept().await.unwrap();
                most.fetch_max(Handle::current().metrics().tasks_alive, Ordering::Relaxed);
                threadlet::spawn(async move {
                    let mut word = [0; 4];
                    while stream.read_exact(&mut word).await.is_ok() {
                        stream.write_all(&word).await.unwrap();
                    }
                });
            }
        });
        address
    });
    passes(LIMIT, child().env("THREADLET_TEST_SERVER", address.to_string()));
    assert_eq!(most.load(Ordering::Relaxed), COUNT, "alive when the last one came");
    let threads = support::os::thread_names();
    assert!(threads.len() < 50, "{threads:?}");
    support::wait_until("all have gone", || runtime.metrics().tasks_alive == 1);
}

fn ten_thousand_clients(address: &str) {
    set_limit(libc::RLIMIT_NOFILE, COUNT as libc::rlim_t + 200);
    let connect = |_| std::net::TcpStream::connect(address).unwrap();
    let mut clients: Vec<_> = (0..COUNT).map(connect).collect();
    for word in [*b"ping", *b"pong"] {
        clients.iter_mut().for_each(|client| client.write_all(&word).unwrap());
        for client in &mut clients {
            let mut echo = [0; 4];
            client.set_read_timeout(Some(LIMIT)).unwrap();
            client.read_exact(&mut echo).unwrap();
            assert_eq!(echo, word);
        }
    }
}

fn hard_limit() -> libc::rlim_t {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: the limit is ours to write.
    let got = unsafe { libc::getrlimit(libc::RLIMIT_NOFILE, &raw mut limit) };
    assert_eq!(got, 0);
    limit.rlim_max
}

/// A name server that keeps silent: names in files are found meanwhile, and everything else goes on.
#[test]
fn a_name_server_that_keeps_silent_holds_up_nobody_else() {
    if is_child() {
        return ask_who_keeps_silent();
    }
    let namespaces = ["--net", "--mount"];
    let mut probe = std::process::Command::new("unshare");
    let as_root: &[&str] = if is_root() { &[] } else { &["--user", "--map-root-user"] };
    probe.args(as_root).args(namespaces).arg("true");
    if !probe.status().is_ok_and(|status| status.success()) {
        assert!(skip("namespaces"), "`unshare` may not make namespaces here");
        return;
    }
    let (asks, mut command) = (child(), std::process::Command::new("unshare"));
    command.args(as_root).args(namespaces).arg("--").arg(asks.get_program());
    command.args(asks.get_args()).env("RES_OPTIONS", "timeout:5 attempts:1");
    for (name, value) in asks.get_envs() {
        command.env(name, value.unwrap());
    }
    passes(LIMIT, &mut command);
}

/// In a network of its own, where port 53 is ours, and with a file that names it.
fn ask_who_keeps_silent() {
    use_loopback();
    let file = std::env::temp_dir().join(format!("threadlet-resolv-{}", std::process::id()));
    std::fs::write(&file, "nameserver 127.0.0.1\n").unwrap();
    let mut mount = std::process::Command::new("mount");
    mount.arg("--bind").arg(&file).arg("/etc/resolv.conf");
    assert!(mount.status().unwrap().success());
    let _silent = std::net::UdpSocket::bind("127.0.0.1:53").unwrap();
    let runtime = Builder::new_multi_thread().worker_threads(1).build().unwrap();
    let (ticks, ticker) = ticker(&runtime);
    let start = Instant::now();
    let asked = (0..20).map(|n| runtime.spawn(lookup_host(format!("nobody-{n}.example:80"))));
    let asked: Vec<_> = asked.collect();
    let found = runtime.spawn(async {
        for _ in 0..20 {
            assert!(lookup_host("localhost:80").await.unwrap().next().is_some());
        }
    });
    in_time(&runtime, "a name in a file is found", found).unwrap();
    assert!(start.elapsed() < Duration::from_secs(4), "{:?}", start.elapsed());
    assert!(!asked.iter().any(|asked| asked.is_finished()), "they wait");
    wait_for_ticks("everything else goes on", &ticks, 20);
    assert!(!asked.iter().any(|asked| asked.is_finished()), "they still wait");
    // Whoever is tired of it need not wait for the end.
    let tired = runtime.spawn(async {
        timeout(Duration::from_millis(10), lookup_host("nobody.example:80")).await.is_err()
    });
    assert!(in_time(&runtime, "it gives up", tired).unwrap());
    for answer in in_time(&runtime, "all have their answer", join_all(asked)) {
        answer.unwrap().map(drop).expect_err("nobody has answered");
    }
    ticker.abort();
    let _ = std::fs::remove_file(file);
}

/// Everything that can be under way, and the runtime goes: its drop ends, and so does each task.
#[test]
fn a_runtime_is_dropped_with_everything_under_way() {
    struct Counts(Arc<AtomicUsize>);
    impl Drop for Counts {
        fn drop(&mut self) {
            self.0.fetch_sub(1, Ordering::Relaxed);
        }
    }
    let alive = Arc::new(AtomicUsize::new(0));
    for current_thread in [false, true] {
        let mut builder = match current_thread {
            true => Builder::new_current_thread(),
            false => Builder::new_multi_thread(),
        };
        let runtime = builder.build().unwrap();
        let spawn = |future: futures::future::BoxFuture<'static, ()>| {
            alive.fetch_add(1, Ordering::Relaxed);
            let counts = Counts(alive.clone());
            drop(threadlet::spawn(async move {
                let _counts = counts;
                future.await;
            }));
        };
        runtime.block_on(async {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let address = listener.local_addr().unwrap();
            for _ in 0..20 {
                spawn(Box::pin(async move {
                    let mut stream = TcpStream::connect(address).await.unwrap();
                    // Nobody reads: it comes to wait.
                    while stream.write_all(&[0; 65_536]).await.is_ok() {}
                }));
            }
            spawn(Box::pin(async move {
                let mut held = Vec::new();
                while let Ok((stream, _)) = listener.accept().await {
                    held.push(stream);
                }
            }));
            spawn(Box::pin(async {
                let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
                drop(socket.recv(&mut [0; 16]).await);
            }));
            spawn(Box::pin(async {
                let mut child =
                    Command::new("sleep").arg("1000").kill_on_drop(true).spawn().unwrap();
                drop(child.wait().await);
            }));
            spawn(Box::pin(async {
                let _ = signal(SignalKind::user_defined1()).unwrap().recv().await;
            }));
            spawn(Box::pin(async { sleep(Duration::from_secs(1000)).await }));
            spawn(Box::pin(async { drop(threadlet::io::stdin().read(&mut [0]).await) }));
            spawn(Box::pin(async {
                threadlet!(std::thread::sleep(Duration::from_millis(300)));
                futures::future::pending().await
            }));
            spawn(Box::pin(async {
                loop {
                    threadlet::task::yield_now().await;
                }
            }));
            spawn(Box::pin(async {
                let slow = || std::thread::sleep(Duration::from_millis(200));
                drop(threadlet::task::spawn_blocking(slow).await);
                futures::future::pending().await
            }));
            sleep(Duration::from_millis(50)).await;
        });
        let start = Instant::now();
        drop(runtime);
        assert!(start.elapsed() < Duration::from_secs(10), "{:?}", start.elapsed());
        support::wait_until("each has ended", || alive.load(Ordering::Relaxed) == 0);
    }
}
