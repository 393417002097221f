//! Small things that users of other runtimes count on.

mod support;

use std::future::Future;
use std::panic::{AssertUnwindSafe, Location, RefUnwindSafe, UnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::task::{Context, Poll};
use std::time::Duration;

use support::PATIENCE;
use threadlet::runtime::{Builder, EnterGuard, Handle, Runtime};
use threadlet::threadlet;

/// The macro's own place in the source must not hide an item of the user's.
#[test]
fn an_item_of_the_users_is_theirs() {
    const SITE: &str = "theirs";
    assert_eq!(threadlet::block_on(async { threadlet!(SITE.len()) }), 6);
}

#[test]
fn a_panic_without_a_runtime_names_the_callers_place() {
    let place = Arc::new(Mutex::new(None));
    let seen = place.clone();
    let before = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |info| {
        *seen.lock().unwrap() = info.location().map(|at| (at.file().to_owned(), at.line()));
    }));
    let here = Location::caller().file();
    let spawned = catch_unwind(|| drop(threadlet::spawn(async {})));
    let at_spawn = place.lock().unwrap().take();
    let current = catch_unwind(|| drop(Handle::current()));
    let at_current = place.lock().unwrap().take();
    std::panic::set_hook(before);
    assert!(spawned.is_err() && current.is_err());
    for at in [at_spawn, at_current] {
        assert_eq!(at.map(|(file, _)| file).as_deref(), Some(here));
    }
}

/// tokio runs destructors at shutdown within the runtime; so do we.
#[test]
fn a_destructor_at_shutdown_may_use_its_runtime() {
    struct Spawns(mpsc::Sender<bool>);
    impl Drop for Spawns {
        fn drop(&mut self) {
            let spawned = catch_unwind(AssertUnwindSafe(|| drop(threadlet::spawn(async {}))));
            self.0.send(spawned.is_ok()).unwrap();
        }
    }
    for mut builder in [Builder::new_multi_thread(), Builder::new_current_thread()] {
        let (tell, told) = mpsc::channel();
        let runtime = builder.build().unwrap();
        let spawns = Spawns(tell);
        runtime.spawn(async move {
            let _spawns = spawns;
            std::future::pending::<()>().await;
        });
        drop(runtime);
        assert_eq!(told.recv_timeout(PATIENCE), Ok(true));
    }
}

/// A future whose poll panics is dropped while that panic unwinds: a lock that it holds is
/// poisoned.
#[test]
fn a_future_that_panics_is_dropped_while_it_unwinds() {
    struct Watches(Arc<AtomicBool>);
    impl Drop for Watches {
        fn drop(&mut self) {
            self.0.store(std::thread::panicking(), Ordering::SeqCst);
        }
    }
    struct Boom(#[expect(dead_code, reason = "its drop is what counts")] Watches);
    impl Future for Boom {
        type Output = ();
        fn poll(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<()> {
            panic!("with its fields alive");
        }
    }
    let unwinding = Arc::new(AtomicBool::new(false));
    let boom = Boom(Watches(unwinding.clone()));
    let runtime = Builder::new_multi_thread().worker_threads(1).build().unwrap();
    runtime.block_on(runtime.spawn(boom)).expect_err("it panicked");
    assert!(unwinding.load(Ordering::SeqCst));
}

#[test]
fn what_tokio_lets_through_a_panic_goes_through() {
    fn both<T: UnwindSafe + RefUnwindSafe>() {}
    both::<Handle>();
    both::<Runtime>();
    both::<threadlet::runtime::LocalRuntime>();
    both::<threadlet::net::TcpStream>();
    both::<threadlet::net::TcpListener>();
    both::<threadlet::net::TcpSocket>();
    both::<threadlet::net::UdpSocket>();
    both::<threadlet::net::UnixDatagram>();
    both::<threadlet::net::UnixListener>();
    both::<threadlet::net::UnixStream>();
    both::<threadlet::net::tcp::OwnedReadHalf>();
    both::<threadlet::net::tcp::OwnedWriteHalf>();
    both::<threadlet::net::unix::pipe::Sender>();
    both::<threadlet::net::unix::pipe::Receiver>();
    both::<threadlet::io::unix::AsyncFd<std::fs::File>>();
    both::<threadlet::fs::File>();
    both::<threadlet::fs::OpenOptions>();
    both::<threadlet::task::AbortHandle>();
    both::<threadlet::task::Id>();
    both::<threadlet::time::Interval>();
    both::<threadlet::time::Instant>();
    both::<threadlet::Group>();
    both::<threadlet::Saturated>();
    both::<threadlet::runtime::Metrics>();
    both::<threadlet::aio::Queue>();
    both::<threadlet::aio::File>();
    both::<threadlet::process::Child>();
    both::<threadlet::signal::unix::Signal>();
    fn unwind<T: UnwindSafe>() {}
    unwind::<threadlet::task::JoinError>();
    unwind::<threadlet::task::JoinSet<u8>>();
    unwind::<threadlet::task::coop::Coop<std::future::Ready<u8>>>();
    unwind::<threadlet::task::coop::Unconstrained<u8>>();
    unwind::<threadlet::task::coop::RestoreOnPending>();
    unwind::<threadlet::time::Timeout<std::future::Ready<u8>>>();
    unwind::<threadlet::Unblocked<u8>>();
    unwind::<threadlet::task::JoinHandle<u8>>();
    unwind::<threadlet::time::Sleep>();
    fn sync<T: Sync>() {}
    sync::<EnterGuard<'_>>();
}

#[test]
fn a_runtime_may_be_shut_down_while_it_is_entered() {
    let runtime = Runtime::new().unwrap();
    let _entered = runtime.enter();
    runtime.shutdown_timeout(Duration::from_secs(1));
}

/// Threads that users start in tasks have the timer slack of the process, not that of our own.
#[test]
fn a_thread_of_the_users_inherits_nothing() {
    let slack = support::os::timer_slack();
    let runtime = Builder::new_multi_thread().worker_threads(1).build().unwrap();
    for _ in 0..4 {
        let task = runtime.spawn(async {
            threadlet!(will_block; std::thread::sleep(Duration::from_millis(5)));
            std::thread::spawn(support::os::timer_slack).join().unwrap()
        });
        assert_eq!(runtime.block_on(task).unwrap(), slack);
    }
}
