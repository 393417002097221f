//! Readiness of descriptors.

use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use futures::future::{join, join_all};

use super::*;
use crate::driver;
use crate::driver::testing::{block_on, block_on_with, counter};
use crate::io::{Interest, Ready};
use crate::time::{sleep, timeout};

const SHORT: Duration = Duration::from_millis(5);

/// A registered end of a pair, and the other one.
fn pair() -> (AsyncFd<UnixStream>, UnixStream) {
    let (here, there) = UnixStream::pair().expect("a pair");
    here.set_nonblocking(true).expect("set");
    there.set_nonblocking(true).expect("set");
    // SAFETY: the stream owns its descriptor, and no test exchanges it.
    let here = unsafe { AsyncFd::register(here) };
    (here.expect("registered"), there)
}

#[test]
fn a_readiness_stays_until_a_call_would_block() {
    block_on(async {
        let (fd, mut peer) = pair();
        assert!(timeout(SHORT, fd.readable()).await.is_err(), "nothing was sent");
        peer.write_all(b"ab").expect("written");
        for expected in [b'a', b'b'] {
            let mut guard = fd.readable().await.expect("readable");
            let mut byte = [0];
            let read = guard.try_io(|fd| fd.get_ref().read(&mut byte)).expect("there is one");
            assert_eq!((read.expect("read"), byte[0]), (1, expected));
        }
        let mut guard = fd.readable().await.expect("as it was");
        assert!(guard.try_io(|fd| fd.get_ref().read(&mut [0])).is_err(), "nothing is left");
        assert_eq!(guard.ready(), Ready::EMPTY);
        assert!(timeout(SHORT, fd.readable()).await.is_err(), "cleared");
        fd.writable().await.expect("the other direction is as it was").retain_ready();
    });
}

#[test]
fn an_event_since_is_not_cleared_with_an_older_one() {
    block_on(async {
        let (fd, mut peer) = pair();
        peer.write_all(b"a").expect("written");
        let mut old = fd.readable().await.expect("readable");
        peer.write_all(b"b").expect("written");
        // The driver is told of the second byte.
        sleep(SHORT).await;
        old.clear_ready();
        timeout(Duration::from_secs(5), fd.readable())
            .await
            .expect("not lost")
            .expect("it")
            .clear_ready();
        assert!(timeout(SHORT, fd.readable()).await.is_err(), "cleared");
    });
}

#[test]
fn an_end_is_for_good() {
    block_on(async {
        let (fd, peer) = pair();
        drop(peer);
        let mut guard = fd.readable().await.expect("the end");
        assert!(guard.ready().is_read_closed());
        guard.clear_ready();
        let guard = fd.ready(Interest::READABLE | Interest::WRITABLE).await.expect("both");
        assert!(guard.ready().is_read_closed() && guard.ready().is_write_closed());
    });
}

#[test]
fn states_are_cleared_by_name() {
    block_on(async {
        let (fd, mut peer) = pair();
        peer.write_all(b"a").expect("written");
        fd.readable().await.expect("readable").retain_ready();
        let mut guard = fd.ready(Interest::READABLE | Interest::WRITABLE).await.expect("both");
        assert_eq!(guard.ready(), Ready::READABLE | Ready::WRITABLE);
        guard.clear_ready_matching(Ready::READABLE);
        assert_eq!(guard.ready(), Ready::WRITABLE);
        let left = fd.ready(Interest::READABLE | Interest::WRITABLE).await.expect("one");
        assert_eq!(left.ready(), Ready::WRITABLE);
    });
}

#[test]
fn any_number_of_tasks_may_wait() {
    block_on(async {
        let (fd, mut peer) = pair();
        let fd = &fd;
        let waits = join_all((0..10).map(|_| async move { fd.readable().await.is_ok() }));
        let write = async {
            sleep(SHORT).await;
            peer.write_all(b"x").expect("written");
        };
        let (woken, ()) = join(waits, write).await;
        assert!(woken.into_iter().all(|ok| ok));
        assert_eq!(fd.evented().waiting(), 0);
    });
}

#[test]
fn a_call_of_the_users_is_tried_again() {
    block_on(async {
        let (mut fd, mut peer) = pair();
        let calls = AtomicUsize::new(0);
        let mut byte = [0];
        let read = fd.async_io(Interest::READABLE, |mut stream| {
            calls.fetch_add(1, Ordering::Relaxed);
            stream.read(&mut byte)
        });
        let write = async {
            sleep(SHORT).await;
            peer.write_all(b"x").expect("written");
        };
        assert_eq!(join(read, write).await.0.expect("read"), 1);
        assert_eq!(calls.load(Ordering::Relaxed), 1, "not before it was ready");
        let read = fd.try_io(Interest::READABLE, |mut stream| stream.read(&mut byte));
        assert_eq!(read.expect_err("nothing is left").kind(), io::ErrorKind::WouldBlock);
        let never = fd.try_io(Interest::READABLE, |_| -> io::Result<()> { panic!("called") });
        assert_eq!(never.expect_err("not ready").kind(), io::ErrorKind::WouldBlock);
        let written = fd.async_io_mut(Interest::WRITABLE, |stream| stream.write(b"yz")).await;
        assert_eq!(written.expect("there is room"), 2);
        let written = fd.try_io_mut(Interest::WRITABLE, |stream| stream.write(b"!"));
        assert_eq!(written.expect("there is room"), 1);
        let mut guard = fd.writable_mut().await.expect("there is room");
        guard.get_inner_mut().write_all(b"?").expect("written");
        let mut all = [0; 4];
        peer.read_exact(&mut all).expect("read");
        assert_eq!(&all, b"yz!?");
    });
}

#[test]
fn each_direction_wakes_its_own_poller() {
    let (mut driver, handle) = driver::new(1);
    block_on_with(&mut driver, &handle, async {
        let (fd, mut peer) = pair();
        let (woken, waker) = counter();
        let mut cx = Context::from_waker(&waker);
        fd.writable().await.expect("there is room").clear_ready();
        assert!(fd.poll_write_ready(&mut cx).is_pending());
        let (read, reader) = counter();
        assert!(fd.poll_read_ready(&mut Context::from_waker(&reader)).is_pending());
        peer.write_all(b"x").expect("written");
        fd.readable().await.expect("readable").retain_ready();
        assert_eq!(read.get(), 1);
        let Poll::Ready(Ok(guard)) = fd.poll_read_ready(&mut cx) else { panic!("it is readable") };
        assert!(guard.ready().is_readable());
        drop(woken);
    });
}

#[test]
fn what_cannot_be_registered_comes_back() {
    let (mut driver, handle) = driver::new(1);
    block_on_with(&mut driver, &handle, async {
        let file = std::fs::File::open("/etc/hosts").expect("there is one");
        // SAFETY: the file owns its descriptor.
        let refused = unsafe { AsyncFd::register(file) }.expect_err("epoll takes no files");
        assert_eq!(refused.to_string(), "Operation not permitted (os error 1)");
        let (file, error) = refused.into_parts();
        assert_eq!(error.kind(), io::ErrorKind::PermissionDenied);
        assert!(file.metadata().is_ok(), "still open");
        // One descriptor is registered once.
        let (fd, _peer) = pair();
        let fd = Arc::new(fd);
        // SAFETY: the descriptor is that of the one above, which lives on.
        let twice = unsafe { AsyncFd::register(fd.clone()) };
        assert_eq!(twice.expect_err("twice").into_parts().1.kind(), io::ErrorKind::AlreadyExists);
        let inner = Arc::into_inner(fd).expect("one owner").into_inner();
        // SAFETY: the stream owns its descriptor.
        let again = unsafe { AsyncFd::register(inner) };
        again.expect("it had been taken out");
    });
    assert_eq!(handle.source_count(), 0);
}

#[test]
fn after_shutdown_a_wait_fails_and_says_why() {
    let (mut driver, handle) = driver::new(1);
    block_on_with(&mut driver, &handle, async {
        let (fd, _peer) = pair();
        let stop = async {
            sleep(SHORT).await;
            handle.shutdown().into_iter().for_each(std::task::Waker::wake);
        };
        let (waited, ()) = join(fd.readable(), stop).await;
        let error = waited.expect_err("shut down");
        assert!(error.to_string().contains("runtime"), "{error}");
        assert!(fd.writable().await.is_err());
        let tried = fd.try_io(Interest::WRITABLE, |_| Ok(()));
        assert_ne!(tried.expect_err("shut down").kind(), io::ErrorKind::WouldBlock);
    });
}
