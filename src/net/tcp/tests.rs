//! TCP over loopback.

use std::future::{Future, pending};
use std::io::{self, IoSlice, IoSliceMut, Read, Write};
use std::net::Shutdown;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use futures::future::{FutureExt, join, join_all};
use futures::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use futures::{Stream, StreamExt};

use super::listener::TcpListener;
use super::socket::TcpSocket;
use super::stream::TcpStream;
use super::{OwnedReadHalf, OwnedWriteHalf, ReuniteError};
use crate::driver::testing::{block_on, block_on_with, counter};
use crate::driver::{self, Interest, Ready};
use crate::time::{sleep, timeout};

/// A connected pair.
async fn pair() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("bound");
    let (client, server) = join(TcpStream::connect(address), listener.accept()).await;
    (client.expect("connected"), server.expect("accepted").0)
}

/// Sends back what comes until the end.
async fn echo(mut stream: TcpStream) -> io::Result<usize> {
    let mut buf = [0; 512];
    let mut total = 0;
    loop {
        let n = stream.read(&mut buf).await?;
        if n == 0 {
            return Ok(total);
        }
        stream.write_all(&buf[..n]).await?;
        total += n;
    }
}

#[test]
fn echo_with_100_connections() {
    const N: usize = 100;
    let (mut driver, handle) = driver::new(1);
    block_on_with(&mut driver, &handle, async {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a free port");
        let address = listener.local_addr().expect("bound");
        let server = listener.incoming().take(N).map(|stream| echo(stream.expect("accepted")));
        let server = server.buffer_unordered(N).map(|n| n.expect("echoed"));
        let server = server.fold(0, |sum, n| async move { sum + n });
        let clients = join_all((0..N).map(|n| async move {
            let mut stream = TcpStream::connect(address).await.expect("connected");
            let sent: Vec<u8> = (0..3000).map(|i| (i * n % 251) as u8).collect();
            for chunk in sent.chunks(1000) {
                stream.write_all(chunk).await.expect("written");
                let mut back = vec![0; chunk.len()];
                stream.read_exact(&mut back).await.expect("read");
                assert!(back == chunk, "client {n}");
            }
            stream.close().await.expect("closed");
            assert_eq!(stream.read(&mut [0]).await.expect("the end"), 0);
        }));
        let (total, _) = join(server, clients).await;
        assert_eq!(total, N * 3000);
    });
    assert_eq!(handle.source_count(), 0, "all sockets are deregistered");
}

#[test]
fn more_than_the_buffers_hold_in_both_directions() {
    const N: usize = 4 << 20;
    block_on(async {
        let (client, server) = pair().await;
        let (mut read, mut write) = client.into_split();
        let sent = vec![7_u8; N];
        let writer = async {
            write.write_all(&sent).await.expect("written");
            drop(write); // Shuts down writing.
        };
        let reader = async {
            let mut back = Vec::new();
            read.read_to_end(&mut back).await.expect("read");
            assert!(back == sent);
        };
        let (echoed, _) = join(echo(server), join(writer, reader)).await;
        assert_eq!(echoed.expect("echoed"), N);
    });
}

/// A reader and a writer wait for the same stream at the same time; each gets its own wake-up.
#[test]
fn two_tasks_on_one_stream() {
    block_on(async {
        let (client, server) = pair().await;
        let client = Arc::new(client);
        let (for_reading, for_writing) = (client.clone(), client.clone());
        let mut filled = 0;
        while let Ok(n) = client.try_write(&[1; 65536]) {
            filled += n;
        }
        let reader = async {
            let mut byte = [0];
            (&*for_reading).read_exact(&mut byte).await.expect("read");
            byte[0]
        };
        let writer = async { (&*for_writing).write_all(b"end").await.expect("written") };
        let peer = async {
            // Both wait by now.
            sleep(Duration::from_millis(10)).await;
            (&server).write_all(b"x").await.expect("written");
            let mut all = vec![0; filled + 3];
            (&server).read_exact(&mut all).await.expect("read");
            all.split_off(filled)
        };
        let ((byte, ()), tail) = join(join(reader, writer), peer).await;
        assert_eq!((byte, &tail[..]), (b'x', &b"end"[..]));
    });
}

#[test]
fn halves() {
    block_on(async {
        let (mut client, server) = pair().await;
        {
            let (mut read, mut write) = TcpStream::split(&mut client);
            write.writable().await.expect("there is room");
            write.write_all(b"ping").await.expect("written");
            (&server).write_all(b"pong").await.expect("written");
            read.readable().await.expect("bytes are there");
            let mut buf = [0; 4];
            assert_eq!(read.peek(&mut buf).await.expect("peeked"), 4);
            read.read_exact(&mut buf).await.expect("read");
            assert_eq!(&buf, b"pong");
            let error = read.try_read(&mut buf).expect_err("nothing is left");
            assert_eq!(error.kind(), io::ErrorKind::WouldBlock);
        }
        let (read, write) = client.into_split();
        let (other_read, other_write) = server.into_split();
        let error = read.reunite(other_write).expect_err("not one stream");
        assert_eq!(error.to_string(), "the two halves belong to different streams");
        let ReuniteError(read, other_write) = error;
        let client = read.reunite(write).expect("one stream");
        let server = other_write.reunite(other_read).expect("one stream");
        // Nothing was shut down on the way.
        (&client).write_all(b"!").await.expect("written");
        let mut buf = [0; 5];
        (&server).read_exact(&mut buf).await.expect("read");
        assert_eq!(&buf, b"ping!");
    });
}

#[test]
fn dropping_the_owned_writing_half_is_the_end_for_the_peer() {
    block_on(async {
        let (client, server) = pair().await;
        let (mut client_read, client_write) = client.into_split();
        let (mut server_read, server_write) = server.into_split();
        server_write.forget();
        drop(client_write);
        assert_eq!(server_read.read(&mut [0]).await.expect("the end"), 0);
        let mut byte = [0];
        let forgotten = timeout(Duration::from_millis(10), client_read.read(&mut byte)).await;
        assert!(forgotten.is_err(), "forgotten, not shut down");
    });
}

#[test]
fn peek_leaves_the_bytes() {
    block_on(async {
        let (client, server) = pair().await;
        let mut buf = [0; 8];
        let peek = client.peek(&mut buf);
        let (peeked, ()) = join(peek, async {
            sleep(Duration::from_millis(5)).await;
            (&server).write_all(b"abc").await.expect("written");
        })
        .await;
        assert_eq!(peeked.expect("peeked"), 3);
        assert_eq!(&buf[..3], b"abc");
        let (_, waker) = counter();
        let mut cx = Context::from_waker(&waker);
        assert!(matches!(client.poll_peek(&mut cx, &mut buf[..2]), Poll::Ready(Ok(2))));
        let mut read = [0; 3];
        (&client).read_exact(&mut read).await.expect("read");
        assert_eq!(&read, b"abc");
        assert!(client.poll_peek(&mut cx, &mut buf).is_pending());
    });
}

#[test]
fn vectored() {
    block_on(async {
        let (client, server) = pair().await;
        let (_, waker) = counter();
        let mut cx = Context::from_waker(&waker);
        let parts = [IoSlice::new(b"one "), IoSlice::new(b"two")];
        let written = Pin::new(&mut &client).poll_write_vectored(&mut cx, &parts);
        assert!(matches!(written, Poll::Ready(Ok(7))), "{written:?}");
        server.readable().await.expect("bytes are there");
        let (mut first, mut second) = ([0; 3], [0; 10]);
        let mut parts = [IoSliceMut::new(&mut first), IoSliceMut::new(&mut second)];
        let read = Pin::new(&mut &server).poll_read_vectored(&mut cx, &mut parts);
        assert!(matches!(read, Poll::Ready(Ok(7))), "{read:?}");
        assert_eq!((&first, &second[..4]), (b"one", &b" two"[..]));
    });
}

#[test]
fn a_refused_connection_is_a_clean_error() {
    block_on(async {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
        let closed = listener.local_addr().expect("bound");
        drop(listener);
        let error = TcpStream::connect(closed).await.expect_err("nobody listens");
        assert_eq!(error.kind(), io::ErrorKind::ConnectionRefused);
        let error = TcpStream::connect("nonsense").await.expect_err("no address");
        assert_eq!(error.kind(), io::ErrorKind::InvalidInput);
        let error = TcpStream::connect(&[][..]).await.expect_err("no address");
        assert_eq!(error.kind(), io::ErrorKind::InvalidInput);
        // The second address is tried when the first one refuses.
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let open = listener.local_addr().expect("bound");
        let stream = TcpStream::connect(&[closed, open][..]).await.expect("the second answers");
        assert_eq!(stream.peer_addr().expect("connected"), open);
        let error = TcpListener::bind(open).await.expect_err("taken");
        assert_eq!(error.kind(), io::ErrorKind::AddrInUse);
    });
}

#[test]
fn a_cancelled_accept_loses_no_connection() {
    block_on(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("bound");
        for round in 0..50 {
            // Cancelled before it could succeed, and again when it was already woken.
            let (_, waker) = counter();
            let mut early = Box::pin(listener.accept());
            assert!(early.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
            assert_eq!(listener.waiting(), 1);
            let client = TcpStream::connect(address).await.expect("connected");
            if round % 2 == 0 {
                sleep(Duration::from_micros(200)).await;
            }
            drop(early);
            assert_eq!(listener.waiting(), 0);
            let (_, peer) = timeout(Duration::from_secs(5), listener.accept())
                .await
                .expect("the connection is still there")
                .expect("accepted");
            assert_eq!(peer, client.local_addr().expect("connected"));
        }
    });
}

#[test]
fn many_tasks_may_accept() {
    block_on(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("bound");
        let accepts = join_all((0..5).map(|_| listener.accept()));
        let connects = join_all((0..5).map(|_| TcpStream::connect(address)));
        let (accepted, connected) = join(accepts, connects).await;
        assert!(accepted.iter().all(Result::is_ok) && connected.iter().all(Result::is_ok));
    });
}

#[test]
fn readable_waits_and_remembers() {
    block_on(async {
        let (client, server) = pair().await;
        let limit = Duration::from_millis(5);
        assert!(timeout(limit, client.readable()).await.is_err(), "nothing was sent");
        (&server).write_all(b"x").await.expect("written");
        client.readable().await.expect("a byte is there");
        client.readable().await.expect("it still is");
        assert_eq!(client.try_read(&mut [0; 4]).expect("read"), 1);
        // Only a `WouldBlock` clears the readiness, not that it was less than asked for.
        assert!(client.readable().now_or_never().is_some());
        assert!(client.try_read(&mut [0; 4]).is_err());
        assert!(timeout(limit, client.readable()).await.is_err());
        // The end is readable too.
        drop(server);
        client.readable().await.expect("the end");
        assert_eq!(client.try_read(&mut [0; 4]).expect("read"), 0);
    });
}

#[test]
fn writable_remembers_until_there_is_no_room() {
    block_on(async {
        let (client, _server) = pair().await;
        client.writable().await.expect("connected");
        let (bytes, mut shortest) = ([1; 100_000], usize::MAX);
        while let Ok(n) = client.try_write(&bytes) {
            shortest = shortest.min(n);
            assert!(client.writable().now_or_never().is_some(), "behind {n} bytes");
        }
        assert!(shortest < bytes.len(), "the last one did not fit");
        assert!(client.writable().now_or_never().is_none());
    });
}

#[test]
fn from_std_and_back() {
    block_on(async {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
        let listener = TcpListener::from_std(listener).expect("registered");
        let address = listener.local_addr().expect("bound");
        let client = std::net::TcpStream::connect(address).expect("connected");
        let client = TcpStream::from_std(client).expect("registered");
        let (server, _) = listener.accept().await.expect("accepted");
        client.set_nodelay(true).expect("set");
        assert!(client.nodelay().expect("get"));
        client.set_ttl(42).expect("set");
        assert_eq!(client.ttl().expect("get"), 42);
        let mut server = server.into_std().expect("unregistered");
        server.set_nonblocking(false).expect("set");
        server.write_all(b"std").expect("written");
        let mut buf = [0; 3];
        (&client).read_exact(&mut buf).await.expect("read");
        assert_eq!(&buf, b"std");
        client.shutdown_std(Shutdown::Both).expect("connected");
        assert_eq!(server.read(&mut buf).expect("the end"), 0);
        let listener = listener.into_std().expect("unregistered");
        assert_eq!(listener.local_addr().expect("bound"), address);
    });
}

#[test]
fn after_shutdown_operations_fail_and_say_why() {
    let (mut driver, handle) = driver::new(1);
    block_on_with(&mut driver, &handle, async {
        let (client, server) = pair().await;
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let stop = async {
            sleep(Duration::from_millis(5)).await;
            handle.shutdown().into_iter().for_each(std::task::Waker::wake);
        };
        let mut buf = [0; 4];
        let (read, (accepted, ())) =
            join((&client).read(&mut buf), join(listener.accept(), stop)).await;
        for error in [read.expect_err("shut down"), accepted.expect_err("shut down")] {
            assert!(error.to_string().contains("runtime"), "{error}");
        }
        assert!((&server).write(b"x").await.is_err());
        assert!(server.writable().await.is_err());
        assert!(TcpListener::bind("127.0.0.1:0").await.is_err());
        server.into_std().expect("still possible");
    });
    assert_eq!(handle.source_count(), 0);
}

/// A task that owns its socket is kept alive by its own waker, which the socket holds. Dropping the
/// future must break the circle, and a dropped socket must leave nothing in the driver.
#[test]
fn a_dropped_socket_forgets_its_wakers() {
    let (mut driver, handle) = driver::new(1);
    block_on_with(&mut driver, &handle, async {
        let (client, _server) = pair().await;
        let (counter, waker) = counter();
        let mut cx = Context::from_waker(&waker);
        assert!(Pin::new(&mut &client).poll_read(&mut cx, &mut [0]).is_pending());
        assert_eq!(Arc::strong_count(&counter), 3);
        drop(client);
        assert_eq!(Arc::strong_count(&counter), 2);
        assert_eq!(counter.get(), 0);
    });
}

#[test]
fn outside_a_runtime_a_socket_panics_and_says_what_to_do() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    let panic = std::panic::catch_unwind(|| TcpListener::from_std(listener)).expect_err("none");
    let text = panic.downcast_ref::<String>().expect("a text");
    assert!(text.contains("a socket needs a threadlet runtime"), "{text}");
}

#[test]
fn futures_and_sockets_can_be_sent() {
    fn send<T: Send>(_: T) {}
    fn shared<T: Send + Sync + Unpin>() {}
    shared::<TcpStream>();
    shared::<TcpListener>();
    shared::<OwnedReadHalf>();
    shared::<OwnedWriteHalf>();
    shared::<TcpSocket>();
    shared::<crate::net::UdpSocket>();
    shared::<crate::net::UnixStream>();
    shared::<crate::net::UnixListener>();
    shared::<crate::net::UnixDatagram>();
    shared::<crate::net::unix::pipe::Sender>();
    shared::<crate::net::unix::pipe::Receiver>();
    send(TcpStream::connect("localhost:1"));
    send(TcpListener::bind("127.0.0.1:0"));
    send(timeout(Duration::ZERO, pending::<()>()));
    fn stream(_: impl Stream<Item = io::Result<TcpStream>>) {}
    block_on(async { stream(TcpListener::bind("127.0.0.1:0").await.expect("bound").incoming()) });
}

#[test]
fn a_socket_is_set_up_before_it_is_connected() {
    block_on(async {
        let socket = TcpSocket::new_v4().expect("made");
        socket.set_reuseaddr(true).expect("set");
        assert!(socket.reuseaddr().expect("get"));
        socket.set_reuseport(true).expect("set");
        socket.set_keepalive(true).expect("set");
        assert!(socket.reuseport().expect("get") && socket.keepalive().expect("get"));
        socket.bind("127.0.0.1:0".parse().expect("one")).expect("a free port");
        let listener = socket.listen(8).expect("listens");
        let address = listener.local_addr().expect("bound");
        let socket = TcpSocket::new_v4().expect("made");
        socket.set_nodelay(true).expect("set");
        socket.set_tos_v4(0x10).expect("set");
        socket.set_send_buffer_size(32 * 1024).expect("set");
        socket.set_recv_buffer_size(32 * 1024).expect("set");
        // The kernel doubles it.
        assert_eq!(socket.send_buffer_size().expect("get"), 64 * 1024);
        assert_eq!(socket.recv_buffer_size().expect("get"), 64 * 1024);
        let (client, server) = join(socket.connect(address), listener.accept()).await;
        let (client, (_server, peer)) = (client.expect("connected"), server.expect("accepted"));
        assert_eq!(client.local_addr().expect("connected"), peer);
        assert!(client.nodelay().expect("get"));
        assert!(client.take_error().expect("get").is_none());
        client.set_quickack(false).expect("set");
        assert!(!client.quickack().expect("get"));
        client.set_zero_linger().expect("set");
        assert_eq!(client.linger().expect("get"), Some(Duration::ZERO));
        // Refused, as by the other way.
        drop(listener);
        let refused = TcpSocket::new_v4().expect("made").connect(address).await;
        assert_eq!(refused.expect_err("closed").kind(), io::ErrorKind::ConnectionRefused);
        // Taken over from std.
        let std = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
        let to = std.local_addr().expect("bound");
        let raw = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None);
        let socket = TcpSocket::from_std_stream(raw.expect("made").into());
        let client = socket.connect(to).await.expect("connected");
        assert_eq!(client.peer_addr().expect("connected"), to);
    });
}

#[test]
fn what_a_stream_is_can_be_asked_by_name() {
    block_on(async {
        let (client, server) = pair().await;
        let both = Interest::READABLE | Interest::WRITABLE;
        assert_eq!(client.ready(both).await.expect("room"), Ready::WRITABLE);
        (&server).write_all(b"abc").await.expect("written");
        client.readable().await.expect("bytes are there");
        assert_eq!(client.ready(both).await.expect("both"), Ready::WRITABLE | Ready::READABLE);
        let (mut one, mut two) = ([0; 1], [0; 1]);
        let mut bufs = [IoSliceMut::new(&mut one), IoSliceMut::new(&mut two)];
        assert_eq!(client.try_read_vectored(&mut bufs).expect("read"), 2);
        let peek = client.try_io(Interest::READABLE, || {
            socket2::SockRef::from(&client).recv_with_flags(&mut [], libc::MSG_PEEK)
        });
        assert_eq!(peek.expect("readable"), 0);
        let written = client.try_write_vectored(&[IoSlice::new(b"x"), IoSlice::new(b"y")]);
        assert_eq!(written.expect("there is room"), 2);
        let mut byte = [0];
        let read = client.async_io(Interest::READABLE, || client.try_read(&mut byte)).await;
        assert_eq!((read.expect("read"), byte[0]), (1, b'c'));
        let read = client.try_io(Interest::READABLE, || client.try_read(&mut [0]));
        assert_eq!(read.expect_err("nothing is left").kind(), io::ErrorKind::WouldBlock);
        let limit = Duration::from_millis(5);
        assert!(timeout(limit, client.ready(Interest::READABLE)).await.is_err(), "cleared");
        drop(server);
        let end = client.ready(Interest::READABLE).await.expect("the end");
        assert!(end.is_read_closed(), "{end:?}");
    });
}

#[test]
fn the_poll_functions_wait_for_readiness() {
    block_on(async {
        let (client, server) = pair().await;
        let (woken, waker) = counter();
        let mut cx = Context::from_waker(&waker);
        assert!(client.poll_read_ready(&mut cx).is_pending());
        client.writable().await.expect("room");
        assert!(matches!(client.poll_write_ready(&mut cx), Poll::Ready(Ok(()))));
        (&server).write_all(b"x").await.expect("written");
        client.readable().await.expect("a byte");
        assert_eq!(woken.get(), 1);
        assert!(matches!(client.poll_read_ready(&mut cx), Poll::Ready(Ok(()))));
    });
}

#[test]
fn the_halves_know_their_addresses() {
    block_on(async {
        let (client, server) = pair().await;
        let (here, there) =
            (client.local_addr().expect("connected"), server.local_addr().expect("connected"));
        let (read, write) = client.into_split();
        assert_eq!((read.local_addr().ok(), read.peer_addr().ok()), (Some(here), Some(there)));
        assert_eq!((write.local_addr().ok(), write.peer_addr().ok()), (Some(here), Some(there)));
        assert!(write.ready(Interest::WRITABLE).await.expect("room").is_writable());
    });
}
