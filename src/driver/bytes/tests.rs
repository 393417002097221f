//! How often the kernel is asked, and that nothing is lost for it.

use std::future::poll_fn;
use std::io::{self, IoSlice, IoSliceMut, Read, Write};
use std::net::Shutdown;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use mio::event::Source;
use mio::{Registry, Token};

use super::ByteStream;
use crate::driver::testing::{block_on, block_on_with, entered};
use crate::driver::{Direction, Evented};

/// A TCP stream that counts what it asks the kernel.
struct Counting {
    stream: mio::net::TcpStream,
    calls: AtomicUsize,
}

impl ByteStream for Counting {
    const SHORT_READ_EMPTIES: bool = mio::net::TcpStream::SHORT_READ_EMPTIES;
}

impl Source for Counting {
    fn register(&mut self, to: &Registry, token: Token, what: mio::Interest) -> io::Result<()> {
        self.stream.register(to, token, what)
    }

    fn reregister(&mut self, to: &Registry, token: Token, what: mio::Interest) -> io::Result<()> {
        self.stream.reregister(to, token, what)
    }

    fn deregister(&mut self, from: &Registry) -> io::Result<()> {
        self.stream.deregister(from)
    }
}

impl Counting {
    fn asked(&self) -> &mio::net::TcpStream {
        self.calls.fetch_add(1, Ordering::Relaxed);
        &self.stream
    }
}

impl Read for &Counting {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        self.asked().read(buf)
    }

    fn read_vectored(&mut self, bufs: &mut [IoSliceMut<'_>]) -> io::Result<usize> {
        self.asked().read_vectored(bufs)
    }
}

impl Write for &Counting {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        self.asked().write(buf)
    }

    fn write_vectored(&mut self, bufs: &[IoSlice<'_>]) -> io::Result<usize> {
        self.asked().write_vectored(bufs)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

type Here = Evented<Counting>;

impl Here {
    /// How often the kernel was asked since the last look.
    fn calls(&self) -> usize {
        self.get().calls.swap(0, Ordering::Relaxed)
    }
}

/// A stream, and its other end, which blocks.
fn pair() -> (Here, std::net::TcpStream) {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    let there = std::net::TcpStream::connect(listener.local_addr().expect("bound"));
    let (here, _) = listener.accept().expect("accepted");
    here.set_nonblocking(true).expect("set");
    let stream = mio::net::TcpStream::from_std(here);
    let handle = entered().expect("a test has a driver");
    let here = Counting { stream, calls: AtomicUsize::new(0) };
    let here = Evented::with_handle(here, super::TCP, handle).expect("registered");
    (here, there.expect("connected"))
}

async fn read(here: &Here, buf: &mut [u8]) -> io::Result<usize> {
    poll_fn(|cx| here.poll_read(cx, buf)).await
}

/// Waits until the driver has told what the kernel knows by now. (It is told of by an edge, which
/// may come in two.)
async fn told(here: &Here) {
    here.ready(Direction::Read).await.expect("alive");
    for _ in 0..3 {
        std::thread::sleep(Duration::from_millis(2));
        let mut turns = 0;
        poll_fn(|cx| {
            cx.waker().wake_by_ref();
            turns += 1;
            if turns > 2 { Poll::Ready(()) } else { Poll::Pending }
        })
        .await;
    }
}

fn assert_pending<T>(poll: Poll<T>) {
    assert!(poll.is_pending());
}

#[test]
fn a_short_read_is_the_last_until_there_is_more() {
    block_on(async {
        let (here, mut there) = pair();
        for _ in 0..3 {
            there.write_all(b"abc").expect("sent");
            told(&here).await;
            here.calls();
            assert_eq!(read(&here, &mut [0; 8]).await.expect("read"), 3);
            let mut cx = Context::from_waker(Waker::noop());
            assert_pending(here.poll_read(&mut cx, &mut [0; 8]));
            let mut buf = [0; 8];
            let mut bufs = [IoSliceMut::new(&mut buf)];
            assert_pending(here.poll_read_vectored(&mut cx, &mut bufs));
            assert_eq!(here.calls(), 1);
        }
    });
}

#[test]
fn a_read_that_fills_its_buffer_is_followed_by_another() {
    block_on(async {
        let (here, mut there) = pair();
        there.write_all(b"abcdef").expect("sent");
        told(&here).await;
        let (mut first, mut second) = ([0; 2], [0; 2]);
        let mut bufs = [IoSliceMut::new(&mut first), IoSliceMut::new(&mut second)];
        let n = poll_fn(|cx| here.poll_read_vectored(cx, &mut bufs)).await;
        assert_eq!(n.expect("read"), 4);
        assert_eq!(read(&here, &mut [0; 2]).await.expect("read"), 2);
        // Nobody has said that this was all.
        assert_pending(here.poll_read(&mut Context::from_waker(Waker::noop()), &mut [0; 2]));
        assert_eq!(here.calls(), 3);
    });
}

#[test]
fn what_would_block_is_asked_once() {
    block_on(async {
        let (here, mut there) = pair();
        let mut cx = Context::from_waker(Waker::noop());
        for _ in 0..5 {
            assert_pending(here.poll_read(&mut cx, &mut [0; 8]));
        }
        assert_eq!(here.calls(), 1);
        // The caller of this one wants to know.
        for _ in 0..5 {
            assert!(here.try_read(&mut [0; 8]).is_err());
        }
        assert_eq!(here.calls(), 5);
        there.write_all(b"abc").expect("sent");
        assert_eq!(read(&here, &mut [0; 8]).await.expect("read"), 3);
    });
}

#[test]
fn a_peek_empties_nothing() {
    block_on(async {
        let (here, mut there) = pair();
        there.write_all(b"abc").expect("sent");
        told(&here).await;
        for _ in 0..3 {
            let peek = |counting: &Counting| counting.stream.peek(&mut [0; 8]);
            assert_eq!(here.async_io(Direction::Read, peek).await.expect("peeked"), 3);
        }
        assert_eq!(read(&here, &mut [0; 8]).await.expect("read"), 3);
    });
}

/// The end came together with the bytes: there will be no other edge.
#[test]
fn the_end_is_seen_behind_a_short_read() {
    block_on(async {
        for half in [false, true] {
            let (here, mut there) = pair();
            there.write_all(b"abc").expect("sent");
            let kept = if half {
                there.shutdown(Shutdown::Write).expect("shut down");
                Some(there)
            } else {
                drop(there);
                None
            };
            told(&here).await;
            assert_eq!(read(&here, &mut [0; 8]).await.expect("read"), 3);
            assert_eq!(read(&here, &mut [0; 8]).await.expect("the end"), 0);
            drop(kept);
        }
    });
}

#[test]
fn an_end_that_comes_later_is_seen_behind_a_short_read() {
    block_on(async {
        let (here, mut there) = pair();
        there.write_all(b"abc").expect("sent");
        told(&here).await;
        assert_eq!(read(&here, &mut [0; 8]).await.expect("read"), 3);
        drop(there);
        assert_eq!(read(&here, &mut [0; 8]).await.expect("the end"), 0);
    });
}

/// Bytes, and then a reset, both before the first look.
#[test]
fn an_error_is_seen_behind_a_short_read() {
    block_on(async {
        let (here, mut there) = pair();
        there.write_all(b"abc").expect("sent");
        let there = socket2::Socket::from(there);
        there.set_linger(Some(Duration::ZERO)).expect("set");
        drop(there);
        told(&here).await;
        let mut seen = Vec::new();
        while seen.len() < 4 {
            match read(&here, &mut [0; 8]).await {
                Ok(n) => seen.push(n.to_string()),
                Err(error) => {
                    assert_eq!(error.kind(), io::ErrorKind::ConnectionReset);
                    seen.push("reset".to_owned());
                    break;
                }
            }
        }
        assert_eq!(seen.last().map(String::as_str), Some("reset"), "{seen:?}");
    });
}

/// A read ends in front of an urgent byte, however much there is behind it.
#[test]
fn what_stands_behind_an_urgent_byte_is_read() {
    block_on(async {
        for _ in 0..3 {
            let (here, mut there) = pair();
            there.write_all(b"abc").expect("sent");
            let sent = socket2::SockRef::from(&there).send_out_of_band(b"!").expect("sent");
            assert_eq!(sent, 1);
            there.write_all(b"def").expect("sent");
            told(&here).await;
            let mut all = Vec::new();
            while all.len() < 6 {
                let mut buf = [0; 16];
                let n = read(&here, &mut buf).await.expect("read");
                all.extend_from_slice(&buf[..n]);
            }
            assert_eq!(all, b"abcdef");
            // From here on it is as before.
            let mut cx = Context::from_waker(Waker::noop());
            assert_pending(here.poll_read(&mut cx, &mut [0; 16]));
            there.write_all(b"ghi").expect("sent");
            told(&here).await;
            assert_eq!(read(&here, &mut [0; 16]).await.expect("read"), 3);
            here.calls();
            assert_pending(here.poll_read(&mut cx, &mut [0; 16]));
            assert_eq!(here.calls(), 0);
        }
    });
}

#[test]
fn a_short_write_is_the_last_until_there_is_room() {
    let (mut driver, handle) = crate::driver::new(1);
    block_on_with(&mut driver, &handle, async {
        let (here, mut there) = pair();
        here.ready(Direction::Write).await.expect("there is room");
        let mut cx = Context::from_waker(Waker::noop());
        let block = vec![7; 1 << 20];
        let (mut sent, mut short) = (0, false);
        let n = loop {
            match here.poll_write(&mut cx, &block) {
                Poll::Ready(n) => {
                    let n = n.expect("written");
                    (sent, short) = (sent + n, n < block.len());
                }
                Poll::Pending => break here.calls(),
            }
            assert!(sent < 1 << 30);
        };
        // The last one has said it, unless the room ended where the block did.
        assert_eq!(n, sent.div_ceil(block.len()) + usize::from(!short));
        assert_pending(here.poll_write_vectored(&mut cx, &[IoSlice::new(&block)]));
        assert_eq!(here.calls(), 0);
        let reader = std::thread::spawn(move || {
            let mut all = vec![0; sent + 1];
            there.read_exact(&mut all).map(|()| all.len())
        });
        poll_fn(|cx| here.poll_write(cx, b"x")).await.expect("there is room again");
        assert_eq!(reader.join().expect("joined").expect("read"), sent + 1);
    });
}

/// A write of more buffers than a call takes is no short one.
#[test]
fn more_buffers_than_a_call_takes() {
    block_on(async {
        let (here, mut there) = pair();
        here.ready(Direction::Write).await.expect("there is room");
        let bufs = vec![IoSlice::new(b"x"); 3000];
        let mut cx = Context::from_waker(Waker::noop());
        for _ in 0..2 {
            let Poll::Ready(n) = here.poll_write_vectored(&mut cx, &bufs) else {
                panic!("there is room")
            };
            assert_eq!(n.expect("written"), super::IOV_MAX);
        }
        there.read_exact(&mut [0; 2 * super::IOV_MAX]).expect("read");
    });
}

/// Readers that come and go while bytes come one by one: each byte is read, though each read is
/// short.
#[test]
fn no_byte_is_lost_between_short_reads() {
    const BYTES: usize = 20_000;
    block_on(async {
        let (here, mut there) = pair();
        there.set_nodelay(true).expect("set");
        let writer = std::thread::spawn(move || {
            for _ in 0..BYTES {
                there.write_all(b"x").expect("sent");
            }
            there
        });
        let mut count = 0;
        while count < BYTES {
            count += read(&here, &mut [0; 64]).await.expect("read");
        }
        assert_eq!(count, BYTES);
        drop(writer.join());
        assert_eq!(read(&here, &mut [0; 64]).await.expect("the end"), 0);
    });
}
