//! Streams and sockets in memory: `io::duplex` and `net::sim` (feature `test-util`).

use std::collections::BTreeSet;
use std::io::ErrorKind;
use std::sync::{Arc, Mutex};

use futures::io::{AsyncReadExt, AsyncWriteExt};
use threadlet::io::duplex;
use threadlet::net::sim::{TcpListener, TcpStream};
use threadlet::runtime::{Builder, Runtime};
use threadlet::time::{Duration, Instant, timeout};

fn runtime(seed: u64) -> Runtime {
    Builder::new_current_thread().deterministic(seed).build().expect("the runtime can be built")
}

#[threadlet::test]
async fn a_stream_has_room_for_so_much_an_end_and_an_error() {
    let (mut near, mut far) = duplex(4);
    assert_eq!(near.write(b"abcdef").await.unwrap(), 4);
    let more = timeout(Duration::from_millis(5), near.write(b"ef"));
    assert!(more.await.is_err(), "there is no room");
    let mut buf = [0; 8];
    assert_eq!(far.read(&mut buf).await.unwrap(), 4);
    assert_eq!(&buf[..4], b"abcd");
    let writer = threadlet::spawn(async move {
        near.write_all(b"a longer text than there is room for").await.unwrap();
        near
    });
    let mut text = [0; 36];
    far.read_exact(&mut text).await.unwrap();
    assert_eq!(&text, b"a longer text than there is room for");
    let mut near = writer.await.unwrap();
    near.close().await.unwrap();
    assert_eq!(far.read(&mut buf).await.unwrap(), 0);
    assert_eq!(near.write(b"x").await.unwrap_err().kind(), ErrorKind::BrokenPipe);
    // The other way is open still.
    far.write_all(b"y").await.unwrap();
    drop(far);
    assert_eq!(near.read(&mut buf).await.unwrap(), 1);
    assert_eq!(near.read(&mut buf).await.unwrap(), 0);
    assert_eq!(near.write(b"x").await.unwrap_err().kind(), ErrorKind::BrokenPipe);
}

#[test]
fn a_stream_needs_no_runtime() {
    let (mut near, mut far) = duplex(1);
    let text = futures::executor::block_on(async {
        let mut text = String::new();
        let write = async {
            near.write_all(b"byte by byte").await.unwrap();
            drop(near);
        };
        futures::future::join(write, far.read_to_string(&mut text)).await.1.unwrap();
        text
    });
    assert_eq!(text, "byte by byte");
}

/// All bytes, in order, whatever the seed; in parts of any size, at once or late.
#[test]
fn the_seed_decides_how_much_goes_over_and_when() {
    let (mut sizes, mut times) = (BTreeSet::new(), BTreeSet::new());
    for seed in 0..200 {
        let run = || {
            let runtime = runtime(seed);
            let parts = runtime.block_on(async {
                let (mut near, mut far) = duplex(8);
                let start = Instant::now();
                threadlet::spawn(async move { near.write_all(b"0123456789").await.unwrap() });
                let (mut seen, mut parts, mut buf) = (Vec::new(), Vec::new(), [0; 6]);
                loop {
                    let count = far.read(&mut buf).await.unwrap();
                    if count == 0 {
                        break;
                    }
                    seen.extend_from_slice(&buf[..count]);
                    parts.push((count, start.elapsed()));
                }
                assert_eq!(seen, b"0123456789");
                parts
            });
            (parts, runtime.decisions())
        };
        let once = run();
        assert_eq!(once, run());
        sizes.extend(once.0.iter().map(|(count, _)| *count));
        times.extend(once.0.iter().map(|(_, at)| *at));
    }
    assert_eq!(sizes, BTreeSet::from([1, 2, 3, 4, 5, 6]));
    assert!(times.len() > 50 && times.contains(&Duration::ZERO), "{times:?}");
}

/// Connections overtake each other, and the bytes of one do not.
#[test]
fn connections_come_in_any_order() {
    let orders: BTreeSet<_> = (0..300)
        .map(|seed| {
            runtime(seed).block_on(async {
                let listener = TcpListener::bind("server:80").await.unwrap();
                for name in [b'a', b'b', b'c'] {
                    threadlet::spawn(async move {
                        let mut stream = TcpStream::connect("server:80").await.unwrap();
                        stream.write_all(&[name, name]).await.unwrap();
                        let mut answer = Vec::new();
                        stream.read_to_end(&mut answer).await.unwrap();
                        assert_eq!(answer, [name + 1]);
                    });
                }
                let mut order = Vec::new();
                for _ in 0..3 {
                    let (stream, peer) = listener.accept().await.unwrap();
                    assert_eq!(stream.peer_addr().unwrap(), peer);
                    let (mut read, mut write) = stream.into_split();
                    let mut bytes = [0; 2];
                    read.read_exact(&mut bytes).await.unwrap();
                    assert_eq!(bytes[0], bytes[1]);
                    write.write_all(&[bytes[0] + 1]).await.unwrap();
                    order.push(bytes[0]);
                }
                order
            })
        })
        .collect();
    assert_eq!(orders.len(), 6, "{orders:?}");
}

#[test]
fn a_name_has_one_listener_and_each_runtime_its_own() {
    let (one, other) = (runtime(1), runtime(2));
    let listener = one.block_on(TcpListener::bind("db")).unwrap();
    let error = one.block_on(TcpListener::bind("db")).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::AddrInUse);
    let error = other.block_on(TcpStream::connect("db")).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ConnectionRefused);
    assert!(error.to_string().contains("\"db\""), "{error}");
    let mut stream = one.block_on(TcpStream::connect("db")).unwrap();
    drop(listener);
    one.block_on(async {
        // It was never accepted.
        assert_eq!(stream.read(&mut [0]).await.unwrap(), 0);
        let error = TcpStream::connect("db").await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ConnectionRefused);
        let listener = TcpListener::bind("127.0.0.1:80").await.unwrap();
        assert_eq!(listener.local_addr().unwrap().port(), 80);
        let stream = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        assert_eq!(stream.peer_addr().unwrap(), listener.local_addr().unwrap());
    });
}

/// Several may accept on one listener: each connection goes to one of them, and none is left.
#[test]
fn several_accept() {
    for seed in 0..100 {
        let served = runtime(seed).block_on(async {
            let listener = Arc::new(TcpListener::bind("server").await.unwrap());
            let served = Arc::new(Mutex::new(Vec::new()));
            for _ in 0..3 {
                let (listener, served) = (listener.clone(), served.clone());
                threadlet::spawn(async move {
                    loop {
                        let (mut stream, _) = listener.accept().await.unwrap();
                        let mut byte = [0];
                        stream.read_exact(&mut byte).await.unwrap();
                        served.lock().unwrap().push(byte[0]);
                    }
                });
            }
            let clients = [0, 1, 2, 3, 4].map(|name| {
                threadlet::spawn(async move {
                    let mut stream = TcpStream::connect("server").await.unwrap();
                    stream.write_all(&[name]).await.unwrap();
                    // The end comes when it was served.
                    assert_eq!(stream.read(&mut [0]).await.unwrap(), 0);
                })
            });
            for client in clients {
                client.await.unwrap();
            }
            let mut served = served.lock().unwrap().clone();
            served.sort_unstable();
            served
        });
        assert_eq!(served, [0, 1, 2, 3, 4], "seed {seed}");
    }
}
