//! UDP over loopback.

use std::io;
use std::net::Ipv4Addr;
use std::task::{Context, Poll};
use std::time::Duration;

use futures::future::{join, join_all};

use super::UdpSocket;
use crate::driver::testing::{block_on, counter};
use crate::driver::{Interest, Ready};
use crate::time::{sleep, timeout};

const SHORT: Duration = Duration::from_millis(5);

async fn pair() -> (UdpSocket, UdpSocket) {
    let here = UdpSocket::bind("127.0.0.1:0").await.expect("a free port");
    let there = UdpSocket::bind("127.0.0.1:0").await.expect("a free port");
    here.connect(there.local_addr().expect("bound")).await.expect("set");
    there.connect(here.local_addr().expect("bound")).await.expect("set");
    (here, there)
}

#[test]
fn an_echo_by_addresses() {
    block_on(async {
        let server = UdpSocket::bind("127.0.0.1:0").await.expect("a free port");
        let to = server.local_addr().expect("bound");
        let serve = async {
            let mut buf = [0; 2048];
            for _ in 0..100 {
                let (count, from) = server.recv_from(&mut buf).await.expect("received");
                assert_eq!(server.send_to(&buf[..count], from).await.expect("sent"), count);
            }
        };
        let clients = join_all((0..10_u8).map(|n| async move {
            let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a free port");
            for round in 0..10 {
                let sent = vec![n; 100 * round + 1];
                socket.send_to(&sent, to).await.expect("sent");
                let mut back = vec![0; 2048];
                let (count, from) = socket.recv_from(&mut back).await.expect("received");
                assert_eq!((&back[..count], from), (&sent[..], to));
            }
        }));
        join(serve, clients).await;
    });
}

#[test]
fn what_does_not_fit_is_lost_and_an_empty_one_is_one() {
    block_on(async {
        let (here, there) = pair().await;
        here.send(b"longer").await.expect("sent");
        here.send(b"").await.expect("sent");
        here.send(b"next").await.expect("sent");
        let mut buf = [0; 4];
        assert_eq!(there.recv(&mut buf).await.expect("received"), 4);
        assert_eq!(&buf, b"long");
        assert_eq!(there.recv(&mut buf).await.expect("received"), 0);
        assert_eq!(there.recv(&mut buf).await.expect("received"), 4);
        assert_eq!(&buf, b"next");
    });
}

#[test]
fn peeking_leaves_it_there() {
    block_on(async {
        let (here, there) = pair().await;
        let from = here.local_addr().expect("bound");
        assert_eq!(there.try_peek(&mut [0]).expect_err("none").kind(), io::ErrorKind::WouldBlock);
        assert!(timeout(SHORT, there.peek_sender()).await.is_err(), "none yet");
        here.send(b"abc").await.expect("sent");
        let mut buf = [0; 8];
        assert_eq!(there.peek(&mut buf).await.expect("there"), 3);
        assert_eq!(there.peek_from(&mut buf).await.expect("there"), (3, from));
        assert_eq!(there.peek_sender().await.expect("there"), from);
        assert_eq!(there.try_peek_from(&mut buf).expect("there"), (3, from));
        assert_eq!(there.try_peek_sender().expect("there"), from);
        assert_eq!(there.try_recv_from(&mut buf).expect("there"), (3, from));
        assert!(there.try_recv(&mut buf).is_err());
    });
}

#[test]
fn the_poll_functions_tell_by_the_buffer_or_beside_it() {
    block_on(async {
        let (here, there) = pair().await;
        let from = here.local_addr().expect("bound");
        let (woken, waker) = counter();
        let mut cx = Context::from_waker(&waker);
        let mut buf = [0; 8];
        assert!(there.poll_recv(&mut cx, &mut buf).is_pending());
        assert!(matches!(here.poll_send(&mut cx, b"abc"), Poll::Ready(Ok(3))));
        there.readable().await.expect("a datagram");
        assert_eq!(woken.get(), 1);
        assert!(matches!(there.poll_recv_ready(&mut cx), Poll::Ready(Ok(()))));
        let peeked = there.poll_peek_from(&mut cx, &mut buf[..2]);
        assert!(matches!(peeked, Poll::Ready(Ok((2, peer))) if peer == from), "{peeked:?}");
        let mut into = vec![0; 8];
        let received = there.poll_recv_from(&mut cx, &mut into);
        assert!(matches!(received, Poll::Ready(Ok((3, peer))) if peer == from), "{received:?}");
        assert_eq!(&into[..3], b"abc");
    });
}

#[test]
#[cfg(feature = "tokio1")]
fn tokio_s_buffers_keep_the_account() {
    block_on(async {
        let (here, there) = pair().await;
        let from = here.local_addr().expect("bound");
        let (_, waker) = counter();
        let mut cx = Context::from_waker(&waker);
        let mut space = [0; 8];
        let mut buf = tokio::io::ReadBuf::new(&mut space);
        // A busy machine passes each on when it comes to it: none is there because the first one is.
        for text in [&b"ab"[..], b"cd", b"ef", b"gh"] {
            here.send(text).await.expect("sent");
        }
        there.peek(&mut [0]).await.expect("a datagram");
        let received: Poll<io::Result<()>> = there.poll_recv(&mut cx, &mut buf);
        assert!(matches!(received, Poll::Ready(Ok(()))));
        there.peek(&mut [0]).await.expect("another");
        let received: Poll<io::Result<_>> = there.poll_recv_from(&mut cx, &mut buf);
        assert!(matches!(received, Poll::Ready(Ok(peer)) if peer == from));
        assert_eq!(buf.filled(), b"abcd");
        let mut room = Vec::with_capacity(64);
        assert_eq!(there.recv_buf(&mut room).await.expect("received"), 2);
        there.peek(&mut [0]).await.expect("the last");
        assert_eq!(there.try_recv_buf_from(&mut room).expect("there"), (2, from));
        assert_eq!(room, b"efgh");
    });
}

/// What an earlier datagram met is told, and wakes who waits.
#[test]
fn a_refusal_reaches_whoever_waits() {
    block_on(async {
        let (here, there) = pair().await;
        drop(there);
        let mut buf = [0; 8];
        let send = async {
            sleep(SHORT).await;
            here.send(b"anybody?").await.expect("sent");
        };
        let (received, ()) = join(here.recv(&mut buf), send).await;
        let error = received.expect_err("nobody");
        assert_eq!(error.kind(), io::ErrorKind::ConnectionRefused);
    });
}

#[test]
fn options_and_states() {
    block_on(async {
        let (here, there) = pair().await;
        here.set_broadcast(true).expect("set");
        here.set_ttl(42).expect("set");
        here.set_multicast_loop_v4(false).expect("set");
        here.set_multicast_ttl_v4(7).expect("set");
        here.set_tos_v4(0x10).expect("set");
        assert!(here.broadcast().expect("get") && !here.multicast_loop_v4().expect("get"));
        assert_eq!(here.ttl().expect("get"), 42);
        assert_eq!((here.multicast_ttl_v4().ok(), here.tos_v4().ok()), (Some(7), Some(0x10)));
        assert_eq!(here.device().expect("get"), None);
        assert!(here.take_error().expect("get").is_none());
        assert_eq!(here.peer_addr().expect("set"), there.local_addr().expect("bound"));
        let both = Interest::READABLE | Interest::WRITABLE;
        assert_eq!(here.ready(both).await.expect("room"), Ready::WRITABLE);
        there.send(b"x").await.expect("sent");
        let received = here.async_io(Interest::READABLE, || here.try_recv(&mut [0])).await;
        assert_eq!(received.expect("received"), 1);
        let std = here.into_std().expect("unregistered");
        let again = UdpSocket::try_from(std).expect("registered");
        again.writable().await.expect("room");
        let error = UdpSocket::bind(again.local_addr().expect("bound")).await.expect_err("taken");
        assert_eq!(error.kind(), io::ErrorKind::AddrInUse);
    });
}
