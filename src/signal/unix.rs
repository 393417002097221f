//! Signals by their kinds.

use std::ffi::c_int;
use std::io;
use std::sync::Arc;
use std::task::{Context, Poll};

use crate::context;
use crate::driver::{Descriptor, Direction, Evented, Interest};
use crate::sys::signal::{Bell, Watch, watch};

/// Which signal.
#[derive(Clone, Copy, Debug, Hash, PartialEq, Eq)]
pub struct SignalKind(c_int);

/// A constructor for each kind that has a name everywhere.
macro_rules! kinds {
    ($($name:ident = $signal:ident, $what:literal;)*) => {
        impl SignalKind {
            $(
                #[doc = concat!("`", stringify!($signal), "`: ", $what, ".")]
                pub const fn $name() -> Self {
                    SignalKind(libc::$signal)
                }
            )*
        }
    };
}

kinds! {
    alarm = SIGALRM, "a timer of `alarm` or `setitimer` has run out";
    child = SIGCHLD, "a child has ended, or was stopped or continued";
    hangup = SIGHUP, "the terminal is gone; for servers by custom: read the configuration again";
    interrupt = SIGINT, "ctrl-c";
    io = SIGIO, "a descriptor that was told to send it can be read or written";
    pipe = SIGPIPE, "a write to a pipe or socket that nobody reads";
    quit = SIGQUIT, "ctrl-\\\\";
    terminate = SIGTERM, "somebody asks the process to end";
    user_defined1 = SIGUSR1, "whatever the program makes of it";
    user_defined2 = SIGUSR2, "whatever the program makes of it";
    window_change = SIGWINCH, "the terminal has another size";
}

impl SignalKind {
    /// By its number, for those that have no name here. Whether there is such a signal is found out
    /// by [`signal`].
    pub const fn from_raw(number: c_int) -> Self {
        SignalKind(number)
    }

    /// Its number.
    pub const fn as_raw_value(&self) -> c_int {
        self.0
    }
}

impl From<c_int> for SignalKind {
    fn from(number: c_int) -> Self {
        SignalKind::from_raw(number)
    }
}

impl From<SignalKind> for c_int {
    fn from(kind: SignalKind) -> Self {
        kind.as_raw_value()
    }
}

/// Listens to signals of a kind.
///
/// From now on, and for as long as the process lives, such a signal does not do any more what the
/// system does at it (for most: end the process), even when the listener is gone.
///
/// # Errors
///
/// [`InvalidInput`](io::ErrorKind::InvalidInput) for what no handler may stand for (`SIGKILL`,
/// `SIGSTOP`, and those that tell of a fault: `SIGSEGV`, `SIGILL`, `SIGFPE`), or is no signal. The
/// system's: a listener has a descriptor.
///
/// # Panics
///
/// Outside a runtime.
///
/// # Examples
///
/// ```no_run
/// use threadlet::signal::unix::{SignalKind, signal};
///
/// # async fn serve() -> std::io::Result<()> {
/// let mut hangup = signal(SignalKind::hangup())?;
/// while hangup.recv().await.is_some() {
///     println!("reading the configuration again");
/// }
/// # Ok(())
/// # }
/// ```
#[track_caller]
pub fn signal(kind: SignalKind) -> io::Result<Signal> {
    let handle = context::current_driver("a signal");
    let bell = Arc::new(Bell::new()?);
    // Registered before a signal can ring it.
    let io = Evented::with_handle(Descriptor(bell.clone()), Interest::READABLE, handle)?;
    Ok(Signal { _watch: watch(kind.0, bell)?, io })
}

/// A listener made by [`signal`]. Signals that come before somebody asks are told once, together.
#[derive(Debug)]
#[must_use = "a listener that is dropped hears nothing, and the signal's default is gone"]
pub struct Signal {
    /// Goes first: nobody rings a bell that is gone.
    _watch: Watch,
    io: Evented<Descriptor<Arc<Bell>>>,
}

impl Signal {
    /// Waits for a signal: one that came since [`signal`] was called or this was last asked.
    /// `None`: the runtime of the listener has been shut down, and no more will be told.
    ///
    /// # Cancel safety
    ///
    /// Cancelled, no signal is lost: it is there for the next call.
    pub async fn recv(&mut self) -> Option<()> {
        self.io.async_io(Direction::Read, |bell| bell.0.take()).await.ok()
    }

    /// The form of [`recv`](Self::recv) for hand-written futures.
    pub fn poll_recv(&mut self, cx: &mut Context<'_>) -> Poll<Option<()>> {
        self.io.poll_io(Direction::Read, cx, |bell| bell.0.take()).map(Result::ok)
    }
}
