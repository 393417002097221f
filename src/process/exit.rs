//! The end of a child: who waits for it, and who does when its owner is gone.
//!
//! A child is a zombie from its end until somebody has asked how it ended. Its owner does that, in
//! `wait`. An owner that goes before leaves an *orphan*, a task that does nothing but wait for it:
//! in the runtime that is current there, if it has threads of its own, or in the global one. A
//! runtime that is shut down drops its tasks; an orphan that is dropped goes to the global runtime,
//! which is never shut down.

use std::io;
use std::os::fd::OwnedFd;
use std::process::{Child, ExitStatus};
use std::time::Duration;

use crate::context;
use crate::driver::{self, Descriptor, Direction, Evented, Interest};
use crate::runtime::{Handle, try_global};
use crate::scheduler::spawn::spawn;
use crate::signal::unix::{Signal, SignalKind, signal};
use crate::spawned::Origin;
use crate::sys;
use crate::time::sleep;

/// Between two attempts to find out about an orphan, where there is no descriptor to spare.
const PAUSE: Duration = Duration::from_secs(1);

/// A child whose end nobody has taken note of.
#[derive(Debug)]
pub(super) struct Running {
    std: Child,
    watch: Watch,
}

/// How its end is told.
#[derive(Debug)]
enum Watch {
    /// Not at all yet: nobody has waited.
    None,
    /// By the reactor of a runtime, through a descriptor of the process.
    Pidfd(Evented<Descriptor<OwnedFd>>),
    /// With that of all others, where the system gives no such descriptor.
    Signal(Signal),
}

impl Running {
    pub(super) fn new(std: Child) -> Running {
        Running { std, watch: Watch::None }
    }

    pub(super) fn id(&self) -> u32 {
        self.std.id()
    }

    pub(super) fn std(&mut self) -> &mut Child {
        &mut self.std
    }

    /// Waits for its end. Cancelled, nothing is lost.
    pub(super) async fn wait(&mut self) -> io::Result<ExitStatus> {
        loop {
            if let Some(status) = self.std.try_wait()? {
                return Ok(status);
            }
            let driver = context::current_driver("a child");
            match &mut self.watch {
                Watch::None => self.watch = Watch::new(self.std.id(), driver)?,
                Watch::Pidfd(pidfd) => {
                    let std = &mut self.std;
                    let ended = pidfd.async_io(Direction::Read, |_| ended(std)).await;
                    match ended {
                        // The runtime that was to tell has been shut down; this is another.
                        Err(_) if pidfd.is_gone() && !pidfd.handle().is_same(&driver) => {
                            self.watch = Watch::None;
                        }
                        ended => return ended,
                    }
                }
                Watch::Signal(signal) => {
                    if signal.recv().await.is_none() {
                        self.watch = Watch::None;
                    }
                }
            }
        }
    }
}

/// Whether it has ended, as an operation that would block otherwise.
fn ended(std: &mut Child) -> io::Result<ExitStatus> {
    std.try_wait()?.ok_or_else(|| io::ErrorKind::WouldBlock.into())
}

impl Watch {
    fn new(id: u32, driver: driver::Handle) -> io::Result<Watch> {
        match sys::child::pidfd(id) {
            Ok(fd) => {
                let evented = Evented::with_handle(Descriptor(fd), Interest::READABLE, driver)?;
                Ok(Watch::Pidfd(evented))
            }
            // Out of descriptors: a signal would need one as well.
            Err(error) if matches!(error.raw_os_error(), Some(libc::EMFILE | libc::ENFILE)) => {
                Err(error)
            }
            // An old kernel, or a filter. What came before it listens is found by the next look.
            Err(_) => Ok(Watch::Signal(signal(SignalKind::child())?)),
        }
    }
}

/// A child without an owner.
struct Orphan(Option<Running>);

impl Orphan {
    async fn wait(mut self) {
        while let Some(running) = &mut self.0 {
            match running.wait().await {
                // The system has nothing left for now.
                Err(error) if error.raw_os_error() != Some(libc::ECHILD) => sleep(PAUSE).await,
                // It has ended, or somebody else took note of that.
                _ => self.0 = None,
            }
        }
    }
}

impl Drop for Orphan {
    fn drop(&mut self) {
        if let Some(running) = self.0.take() {
            adopt_orphan(running);
        }
    }
}

/// Sees to it that the end of a child is taken note of.
pub(super) fn adopt_orphan(mut running: Running) {
    // An error: it is nobody's child any more. (This may be a copy in a forked process.)
    if !matches!(running.std.try_wait(), Ok(None)) {
        return;
    }
    // One that is run by whoever is in it may have nobody.
    let current = Handle::try_current()
        .ok()
        .filter(|handle| !handle.shared.is_shutdown() && !handle.shared.config.current_thread);
    // Without threads for the global runtime the zombie is the process's, until that ends.
    let Some(runtime) = current.or_else(|| try_global().ok()) else { return };
    // Of another runtime it need not hear any more.
    running.watch = Watch::None;
    let orphan = Orphan(Some(running));
    drop(spawn(&runtime.shared, orphan.wait(), Origin::caller()));
}
