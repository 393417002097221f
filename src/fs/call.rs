//! Where a call of this module is made.

use std::future::Future;
use std::io;
use std::panic::{Location, resume_unwind};
use std::path::Path;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use crate::call::gate::{AtCap, Gate, Options, Pass, gate};
use crate::call::in_place::in_place;
use crate::context;
use crate::observe::site::Site;
use crate::runtime::{self, Handle};
use crate::spawned::{JoinHandle, Origin};
use crate::syslet::Answer;

/// The site of a function of this module where it is called: for one that is no `async fn`, which does not
/// know its caller's place.
#[track_caller]
pub(super) fn here(text: &'static str) -> &'static Site {
    Site::at(Location::caller(), text)
}

/// The site of a method of this module: one for all its callers. They are for what is called often, and
/// borrow.
macro_rules! site {
    ($text:literal) => {{
        static SITE: crate::observe::site::Site =
            crate::observe::site::Site::new(file!(), line!(), column!(), $text);
        &SITE
    }};
}
pub(super) use site;

/// The gate of a poll-based call, which is kept over polls so that it yields once and not at each
/// of them. It never waits for a permit: a poll that was left alone for ever would keep it from all
/// others.
#[derive(Debug, Default)]
pub(super) struct KeptGate(Option<Gate>);

impl KeptGate {
    /// What the gate gives to a call of `site`; `None` if there is no permit.
    pub(super) fn poll(&mut self, site: &'static Site, cx: &mut Context<'_>) -> Poll<Option<Pass>> {
        let options = Options { will_block: false, at_cap: AtCap::Fail };
        let gate = self.0.get_or_insert_with(|| gate(site, options));
        let pass = ready!(Pin::new(gate).poll(cx));
        self.0 = None;
        Poll::Ready(pass.ok())
    }
}

/// The result of a call that was asked, which its site counts; `None`: it has to move.
pub(super) fn answered<T>(site: &'static Site, answer: Answer<T>) -> Option<io::Result<T>> {
    let result = answer.done();
    if result.is_some() {
        site.note_asked();
    }
    result
}

/// A call that was sent to another thread, or the reason why it was not. Dropping this lets it run
/// on.
#[derive(Debug)]
#[must_use = "the result is lost otherwise"]
pub(super) struct Moved<T>(Result<JoinHandle<io::Result<T>>, Option<io::Error>>);

/// Sends a call to a thread that may block: of the runtime whose thread this is, or else of the
/// global one.
pub(super) fn moved<T: Send + 'static>(
    site: &'static Site,
    call: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> Moved<T> {
    let own = context::with(|thread| {
        let thread = thread.filter(|thread| thread.poll.active.get())?;
        Some(Handle { shared: thread.shared.clone() })
    });
    match own.map_or_else(runtime::try_global, Ok) {
        Ok(handle) => {
            let (region, here) = (in_place(site, call), Origin::caller());
            Moved(Ok(crate::scheduler::spawn::spawn(&handle.shared, region, here)))
        }
        Err(error) => {
            let text = format!("the global threadlet runtime cannot be started: {error}");
            Moved(Err(Some(io::Error::new(error.kind(), text))))
        }
    }
}

impl<T> Future for Moved<T> {
    type Output = io::Result<T>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<T>> {
        let handle = match &mut self.0 {
            Ok(handle) => handle,
            Err(error) => return Poll::Ready(Err(error.take().expect("polled once to its end"))),
        };
        Pin::new(handle).poll(cx).map(|joined| match joined.map_err(|e| e.try_into_panic()) {
            Ok(result) => result,
            Err(Ok(payload)) => resume_unwind(payload),
            Err(Err(cancelled)) => Err(io::Error::other(format!(
                "the runtime was shut down before the call was made: {cancelled}"
            ))),
        })
    }
}

/// A call that has no ask form, on a path.
pub(super) async fn on_path<T: Send + 'static>(
    site: &'static Site,
    path: &Path,
    call: impl FnOnce(&Path) -> io::Result<T> + Send + 'static,
) -> io::Result<T> {
    if context::is_ours() {
        return in_place(site, || call(path)).await;
    }
    let path = path.to_owned();
    moved(site, move || call(&path)).await
}

/// A call that has no ask form, on two paths.
pub(super) async fn on_paths<T: Send + 'static>(
    site: &'static Site,
    from: &Path,
    to: &Path,
    call: impl FnOnce(&Path, &Path) -> io::Result<T> + Send + 'static,
) -> io::Result<T> {
    if context::is_ours() {
        return in_place(site, || call(from, to)).await;
    }
    let (from, to) = (from.to_owned(), to.to_owned());
    moved(site, move || call(&from, &to)).await
}
