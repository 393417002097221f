//! Sockets where something is wrong: ends, resets, limits, and a runtime that is dropped.

mod support;

use std::future::Future;
use std::io;
use std::net::Shutdown;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use futures::future::{FutureExt, join, join_all};
use futures::io::{AsyncReadExt, AsyncWriteExt};
use socket2::{Domain, Socket, Type};
use threadlet::io::Interest;
use threadlet::net::{
    TcpListener, TcpStream, UdpSocket, UnixDatagram, UnixListener, UnixStream, lookup_host,
};
use threadlet::runtime::{Builder, Runtime};
use threadlet::time::{sleep, timeout};

use support::os::{process_cpu_time, set_limit, wait_readable};
use support::{alone, in_time, ticker};

const LIMIT: Duration = Duration::from_secs(60);
const SHORT: Duration = Duration::from_millis(20);

fn runtime() -> Runtime {
    Builder::new_multi_thread().worker_threads(2).build().unwrap()
}

fn run<F: Future>(future: F) -> F::Output {
    in_time(&runtime(), "the test is over", future)
}

async fn pair() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (client, server) = join(TcpStream::connect(address), listener.accept()).await;
    (client.unwrap(), server.unwrap().0)
}

#[test]
fn one_direction_ends_and_the_other_goes_on() {
    run(async {
        let (client, server) = pair().await;
        let (mut read, mut write) = client.into_split();
        let serve = async {
            let (mut server, mut all) = (server, Vec::new());
            server.read_to_end(&mut all).await.unwrap();
            // It has ended there, and here it goes on.
            server.write_all(&all).await.unwrap();
            server.close().await.unwrap();
            all.len()
        };
        let talk = async {
            write.write_all(&[1; 300_000]).await.unwrap();
            write.close().await.unwrap();
            let error = write.write_all(b"!").await.expect_err("it was closed");
            assert_eq!(error.kind(), io::ErrorKind::BrokenPipe);
            let mut back = Vec::new();
            read.read_to_end(&mut back).await.unwrap();
            back.len()
        };
        assert_eq!(join(serve, talk).await, (300_000, 300_000));
    });
}

/// The peer resets the connection: whoever waits for it hears of that, once, and then of its end.
#[test]
fn a_reset_reaches_whoever_waits_at_each_stage() {
    run(async {
        // While a read waits.
        let (mut client, server) = pair().await;
        server.set_zero_linger().unwrap();
        let reset = async {
            sleep(SHORT).await;
            drop(server);
        };
        let (read, ()) = join(client.read(&mut [0]), reset).await;
        assert_eq!(read.expect_err("reset").kind(), io::ErrorKind::ConnectionReset);
        assert_eq!(client.read(&mut [0]).await.unwrap(), 0, "told once");
        let error = client.write(b"x").await.expect_err("gone");
        assert_eq!(error.kind(), io::ErrorKind::BrokenPipe);
        // While a write waits for room.
        let (mut client, server) = pair().await;
        server.set_zero_linger().unwrap();
        while client.try_write(&[0; 65536]).is_ok() {}
        let reset = async {
            sleep(SHORT).await;
            drop(server);
        };
        let (written, ()) = join(client.write_all(&[0; 10_000_000]), reset).await;
        assert_eq!(written.expect_err("reset").kind(), io::ErrorKind::ConnectionReset);
        // While somebody waits for readiness by name.
        let (client, server) = pair().await;
        server.set_zero_linger().unwrap();
        let reset = async {
            sleep(SHORT).await;
            drop(server);
        };
        let (ready, ()) = join(client.ready(Interest::READABLE | Interest::ERROR), reset).await;
        assert!(ready.unwrap().is_readable());
        let error = client.try_read(&mut [0]).expect_err("reset");
        assert_eq!(error.kind(), io::ErrorKind::ConnectionReset);
        // Before it is accepted.
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        client.set_zero_linger().unwrap();
        drop(client);
        sleep(SHORT).await;
        let (mut accepted, _) = listener.accept().await.unwrap();
        let read = accepted.read(&mut [0]).await;
        assert_eq!(read.expect_err("reset").kind(), io::ErrorKind::ConnectionReset);
    });
}

#[test]
fn a_datagram_that_is_too_long_is_refused_and_one_that_does_not_fit_is_cut() {
    run(async {
        let here = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let there = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        here.connect(there.local_addr().unwrap()).await.unwrap();
        let error = here.send(&vec![0; 70_000]).await.expect_err("too long");
        assert_eq!(error.raw_os_error(), Some(libc::EMSGSIZE));
        here.send(&[7; 60_000]).await.unwrap();
        here.send(&[8; 2]).await.unwrap();
        let mut buf = [0; 10];
        assert_eq!(there.recv(&mut buf).await.unwrap(), 10);
        assert_eq!(there.recv(&mut buf).await.unwrap(), 2, "the rest is lost");
        let (here, there) = UnixDatagram::pair().unwrap();
        here.send(b"longer than that").await.unwrap();
        assert_eq!(there.recv(&mut buf).await.unwrap(), 10);
    });
}

/// The usual loop of a server, which does not look at errors, with no descriptor left.
#[test]
fn out_of_descriptors_a_server_recovers_and_takes_little_cpu() {
    if !alone(LIMIT) {
        return;
    }
    let runtime = runtime();
    static ERRORS: AtomicUsize = AtomicUsize::new(0);
    let address = runtime.block_on(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        threadlet::spawn(async move {
            loop {
                match listener.accept().await {
                    Ok((mut stream, _)) => drop(threadlet::spawn(async move {
                        let mut byte = [0];
                        stream.read_exact(&mut byte).await?;
                        stream.write_all(&byte).await
                    })),
                    Err(_) => drop(ERRORS.fetch_add(1, Ordering::Relaxed)),
                }
            }
        });
        address
    });
    let held: Vec<_> = (0..20).map(|_| std::net::TcpStream::connect(address).unwrap()).collect();
    let mut hogs = Vec::new();
    let before = set_limit(libc::RLIMIT_NOFILE, 200);
    // Two for which there will be none have their own before.
    let waiting = [(); 2].map(|()| Socket::new(Domain::IPV4, Type::STREAM, None).unwrap());
    while let Ok(file) = std::fs::File::open("/dev/null") {
        hogs.push(file);
    }
    waiting.iter().for_each(|socket| socket.connect(&address.into()).unwrap());
    let (cpu, start) = (process_cpu_time(), Instant::now());
    std::thread::sleep(Duration::from_secs(1));
    let (cpu, lasted) = (process_cpu_time() - cpu, start.elapsed());
    let errors = ERRORS.load(Ordering::Relaxed);
    println!("{errors} errors and {cpu:?} of CPU time in {lasted:?}");
    assert!(errors > 0, "there was none left");
    assert!(cpu < lasted / 20, "{cpu:?} in {lasted:?}, for {errors} errors");
    drop(hogs);
    set_limit(libc::RLIMIT_NOFILE, before);
    // Those that came meanwhile are served.
    let served = runtime.block_on(async {
        join_all(waiting.map(|socket| async {
            let mut stream = TcpStream::from_std(socket.into()).unwrap();
            stream.write_all(b"x").await.unwrap();
            stream.read_exact(&mut [0]).await.unwrap();
        }))
        .await
        .len()
    });
    assert_eq!(served, 2);
    drop(held);
}

/// A connection that was accepted has room, and mostly something to read. Whoever asks for that by
/// name waited for the driver's first look; now he tries at once, and finds out if it was not true.
#[test]
fn what_was_accepted_is_worth_a_try_before_the_first_event() {
    // One thread, which looks at no socket while this is polled.
    let runtime = Builder::new_current_thread().build().unwrap();
    in_time(&runtime, "no look in between", async {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let _client = std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        // It has its answer; that it has it may still be on its way.
        wait_readable(&listener);
        let listener = TcpListener::from_std(listener).unwrap();
        let (server, _) = listener.accept().now_or_never().expect("it is in the queue").unwrap();
        assert!(server.writable().now_or_never().is_some());
        assert!(server.ready(Interest::WRITABLE).now_or_never().is_some());
        assert!(server.readable().now_or_never().is_some());
        let calls = std::cell::Cell::new(0);
        let refused = server.async_io(Interest::READABLE, || {
            calls.set(calls.get() + 1);
            Err::<(), _>(io::ErrorKind::WouldBlock.into())
        });
        assert!(refused.now_or_never().is_none());
        assert_eq!(calls.get(), 1, "a `WouldBlock` of the user's is remembered");
        assert!(server.readable().now_or_never().is_none());

        let (one, other) = UnixStream::pair().unwrap();
        assert!(one.writable().now_or_never().is_some());
        assert!(other.readable().now_or_never().is_none(), "nobody has written");
        let (one, other) = UnixDatagram::pair().unwrap();
        assert!(one.writable().now_or_never().is_some());
        assert!(other.readable().now_or_never().is_none(), "nobody has sent");
    });
}

#[test]
fn a_runtime_is_dropped_with_all_of_it_under_way() {
    let runtime = runtime();
    let waits = runtime.block_on(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (mut client, server) = pair().await;
        let udp = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let name = format!("\0threadlet-dropped-{}", std::process::id());
        let unix = UnixListener::bind(name).unwrap();
        let (mut here, there) = UnixStream::pair().unwrap();
        let (sender, receiver) = threadlet::net::unix::pipe::pipe().unwrap();
        let tasks = vec![
            threadlet::spawn(async move { drop(listener.accept().await) }),
            threadlet::spawn(async move { drop(client.read(&mut [0]).await) }),
            threadlet::spawn(async move { drop(udp.recv(&mut [0]).await) }),
            threadlet::spawn(async move { drop(unix.accept().await) }),
            threadlet::spawn(async move { drop(here.read(&mut [0]).await) }),
            threadlet::spawn(async move { drop(receiver.readable().await) }),
        ];
        sleep(SHORT).await;
        (tasks, server, there, sender)
    });
    let start = Instant::now();
    drop(runtime);
    assert!(start.elapsed() < Duration::from_secs(5), "{:?}", start.elapsed());
    let (tasks, server, there, sender) = waits;
    // The peers find out, and what is left of the sockets says why it does nothing.
    for task in tasks {
        assert!(support::foreign_block_on(task).expect_err("dropped").is_cancelled());
    }
    let error = server.try_read(&mut [0]).expect_err("its runtime is gone");
    assert!(error.to_string().contains("has been shut down"), "{error}");
    assert!(there.try_write(b"x").is_err() && sender.try_write(b"x").is_err());
    let mut server = server.into_std().unwrap();
    server.set_nonblocking(false).unwrap();
    assert_eq!(io::Read::read(&mut server, &mut [0]).unwrap(), 0, "the other end is closed");
    server.shutdown(Shutdown::Both).ok();
}

/// A connection to a listener whose queue is full waits, in a call; the runtime does not.
#[test]
fn a_full_queue_of_a_unix_listener_is_waited_for() {
    let runtime = Builder::new_multi_thread().worker_threads(1).build().unwrap();
    let (ticks, ticker) = ticker(&runtime);
    let connected = runtime.spawn(async move {
        let name = format!("\0threadlet-full-{}", std::process::id());
        let socket = threadlet::net::UnixSocket::new_stream().unwrap();
        socket.bind(&name).unwrap();
        let listener = socket.listen(0).unwrap();
        let first = UnixStream::connect(&name).await.unwrap();
        let second = threadlet::spawn(async move { UnixStream::connect(&name).await });
        let before = ticks.load(Ordering::Relaxed);
        sleep(Duration::from_millis(300)).await;
        assert!(!second.is_finished(), "there is no room");
        assert!(ticks.load(Ordering::Relaxed) > before + 20, "nobody else waits");
        listener.accept().await.unwrap();
        let second = second.await.unwrap().unwrap();
        listener.accept().await.unwrap();
        drop((first, second));
    });
    in_time(&runtime, "there was room", connected).unwrap();
    ticker.abort();
}

#[test]
fn a_name_in_a_file_costs_no_thread() {
    let runtime = runtime();
    let found = runtime.spawn(async {
        assert!(lookup_host("no port").await.is_err());
        let literal: Vec<_> = lookup_host(("::1", 80)).await.unwrap().collect();
        assert_eq!(literal.len(), 1);
        for _ in 0..40 {
            let mut found = lookup_host("localhost:80").await.unwrap();
            assert!(found.all(|address| address.ip().is_loopback()));
        }
    });
    in_time(&runtime, "it was found", found).unwrap();
    let sites = runtime.sites();
    let site = sites.iter().find(|site| site.file.ends_with("addr.rs")).expect("calls were made");
    assert_eq!(site.calls, 40, "a literal is no call");
    assert!(site.inline >= 30, "{site:?}");
}

#[test]
fn slow_readers_hold_up_nobody() {
    run(async {
        let (client, mut server) = pair().await;
        let (mut other, mut other_server) = pair().await;
        let slow = threadlet::spawn(async move {
            server.write_all(&[0; 5_000_000]).await.unwrap();
        });
        for _ in 0..100 {
            other.write_all(b"x").await.unwrap();
            other_server.read_exact(&mut [0]).await.unwrap();
        }
        assert!(!slow.is_finished());
        assert!(timeout(SHORT, slow).await.is_err());
        drop(client);
    });
}
