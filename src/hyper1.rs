//! hyper 1 on this runtime: the feature `hyper1`.
//!
//! [`Executor`] and [`Timer`] are what hyper's builders ask for, and the sockets of
//! [`net`](crate::net) have hyper's I/O traits themselves, so that no adapter stands between.
//!
//! `ecosystem/examples/hyper.rs` is a server with it.

use std::future::Future;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use bytes::BufMut;
use bytes::buf::UninitSlice;
use hyper::rt::{Read, ReadBufCursor, Write};
use pin_project_lite::pin_project;

use crate::net::{TcpStream, UnixStream, tcp, unix};
use crate::time;

/// Spawns what hyper has to run beside a connection, with [`spawn`](crate::spawn()).
///
/// # Panics
///
/// It panics where `spawn` does: outside of any runtime.
#[derive(Clone, Copy, Debug, Default)]
pub struct Executor(());

impl Executor {
    /// An executor for the runtime that is current where hyper calls it.
    pub fn new() -> Self {
        Executor(())
    }
}

impl<F> hyper::rt::Executor<F> for Executor
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
{
    fn execute(&self, future: F) {
        drop(crate::spawn(future));
    }
}

/// The timers of this runtime, for hyper's timeouts.
///
/// # Panics
///
/// A timer is made only inside a runtime, as by [`time::sleep`].
#[derive(Clone, Copy, Debug, Default)]
pub struct Timer(());

impl Timer {
    /// Timers of the runtime that is current where hyper asks for them.
    pub fn new() -> Self {
        Timer(())
    }
}

impl hyper::rt::Timer for Timer {
    fn sleep(&self, duration: Duration) -> Pin<Box<dyn hyper::rt::Sleep>> {
        Box::pin(Sleep { timer: time::sleep(duration) })
    }

    fn sleep_until(&self, deadline: Instant) -> Pin<Box<dyn hyper::rt::Sleep>> {
        Box::pin(Sleep { timer: time::sleep_until(deadline.into()) })
    }

    /// In the test clock's time, if there is one.
    fn now(&self) -> Instant {
        time::Instant::now().into()
    }

    /// The same timer with another deadline, without another allocation.
    fn reset(&self, sleep: &mut Pin<Box<dyn hyper::rt::Sleep>>, deadline: Instant) {
        match sleep.as_mut().downcast_mut_pin::<Sleep>() {
            Some(ours) => ours.project().timer.reset(deadline.into()),
            None => *sleep = self.sleep_until(deadline),
        }
    }
}

pin_project! {
    /// A timer that hyper waits for.
    #[derive(Debug)]
    struct Sleep {
        #[pin]
        timer: time::Sleep,
    }
}

impl Future for Sleep {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        self.project().timer.poll(cx)
    }
}

impl hyper::rt::Sleep for Sleep {}

/// hyper's room to read into, in the words of the crate `bytes`.
struct Room<'a, 'b>(&'a mut ReadBufCursor<'b>);

// SAFETY: the chunk is the whole of the room that is left, and `advance_mut` moves the begin of it,
// or panics.
#[allow(unsafe_code, reason = "the promise of `BufMut`, kept by hyper's cursor")]
unsafe impl BufMut for Room<'_, '_> {
    fn remaining_mut(&self) -> usize {
        self.0.remaining()
    }

    unsafe fn advance_mut(&mut self, count: usize) {
        // SAFETY: the caller has written so many bytes.
        unsafe { self.0.advance(count) };
    }

    fn chunk_mut(&mut self) -> &mut UninitSlice {
        // SAFETY: nothing is written to it here, and `UninitSlice` takes nothing but written bytes.
        UninitSlice::uninit(unsafe { self.0.as_mut() })
    }
}

macro_rules! read {
    ($($type:ty),+) => {$(
        impl Read for $type {
            fn poll_read(
                self: Pin<&mut Self>,
                cx: &mut Context<'_>,
                mut buf: ReadBufCursor<'_>,
            ) -> Poll<io::Result<()>> {
                self.poll_read_buf(cx, &mut Room(&mut buf)).map_ok(drop)
            }
        }
    )+};
}

macro_rules! write {
    ($($type:ty),+) => {$(
        impl Write for $type {
            fn poll_write(
                self: Pin<&mut Self>,
                cx: &mut Context<'_>,
                buf: &[u8],
            ) -> Poll<io::Result<usize>> {
                futures::io::AsyncWrite::poll_write(self, cx, buf)
            }

            fn poll_write_vectored(
                self: Pin<&mut Self>,
                cx: &mut Context<'_>,
                bufs: &[IoSlice<'_>],
            ) -> Poll<io::Result<usize>> {
                futures::io::AsyncWrite::poll_write_vectored(self, cx, bufs)
            }

            fn is_write_vectored(&self) -> bool {
                true
            }

            fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
                futures::io::AsyncWrite::poll_flush(self, cx)
            }

            fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
                futures::io::AsyncWrite::poll_close(self, cx)
            }
        }
    )+};
}

read!(TcpStream, tcp::OwnedReadHalf, UnixStream, unix::OwnedReadHalf);
write!(TcpStream, tcp::OwnedWriteHalf, UnixStream, unix::OwnedWriteHalf);
