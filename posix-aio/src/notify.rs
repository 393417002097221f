//! Tells the program that a request, or a list of them, is finished.
//!
//! `in_call` everywhere: whether this is a call of the program, or else a thread of this library.

use crate::abi::{SIGEV_SIGNAL, SIGEV_THREAD};
use crate::list::List;
use crate::process::Process;
use crate::sys::{self, Callback, Event, Outcome};

/// Tells whoever wants to know of a request.
pub(crate) fn tell(event: &Event, list: Option<&List>, outcome: Outcome, in_call: bool) {
    notify(event, in_call);
    if let Some(list) = list {
        tell_list(list, outcome.is_err(), in_call);
    }
}

/// One of the list is finished, or its call has started all.
pub(crate) fn tell_list(list: &List, failed: bool, in_call: bool) {
    if let Some(event) = list.one_finished(failed) {
        notify(event, in_call);
    }
}

fn notify(event: &Event, in_call: bool) {
    match event.0.notify {
        SIGEV_SIGNAL => sys::send_signal(event.0.signo, event.0.value),
        SIGEV_THREAD => {
            if let Some(callback) = Callback::of(event).filter(|c| !c.start_thread(event)) {
                without_thread(callback, in_call);
            }
        }
        _ => {}
    }
}

/// No thread can be had. In a call of the program the function must not be called: it may want a
/// lock that the caller holds.
fn without_thread(callback: Callback, in_call: bool) {
    if in_call {
        Process::get().engine.submit(move || callback.call());
    } else {
        callback.call();
    }
}
