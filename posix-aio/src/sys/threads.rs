//! Threads for functions of the program that are to be told of a request.

use std::ffi::{c_int, c_void};
use std::mem::MaybeUninit;
use std::ptr;

use super::{Event, signals};
use crate::abi::{NotifyFunction, Sigval};

/// A function of the program, with what it is to be given.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Callback {
    function: NotifyFunction,
    value: Sigval,
}

// SAFETY: the value is the program's to interpret.
unsafe impl Send for Callback {}

impl Callback {
    /// `None`: the event names no function.
    pub(crate) fn of(event: &Event) -> Option<Callback> {
        event.0.function.map(|function| Callback { function, value: event.0.value })
    }

    /// Calls it here.
    pub(crate) fn call(self) {
        // SAFETY: the program gave it for this.
        unsafe { (self.function)(self.value) };
    }

    /// Calls it on a thread with the program's attributes, or with ours. Whether one was started.
    pub(crate) fn start_thread(self, event: &Event) -> bool {
        start(self, event.0.attributes) || start(self, ptr::null())
    }
}

/// Whether a thread was started.
fn start(callback: Callback, attributes: *const libc::pthread_attr_t) -> bool {
    let mut own = MaybeUninit::uninit();
    let attributes = if attributes.is_null() {
        // SAFETY: it is ours to write.
        unsafe { libc::pthread_attr_init(own.as_mut_ptr()) };
        let detached = libc::PTHREAD_CREATE_DETACHED;
        // SAFETY: it has just been initialised.
        unsafe { libc::pthread_attr_setdetachstate(own.as_mut_ptr(), detached) };
        own.as_ptr()
    } else {
        attributes
    };
    let argument = Box::into_raw(Box::new(callback));
    let mut thread = 0;
    // SAFETY: the attributes are initialised (by us, or by the program, which keeps them until it
    // was told); the argument is the thread's to free.
    let error = unsafe { create(&raw mut thread, attributes, run, argument.cast()) };
    if error != 0 {
        // SAFETY: no thread has taken it.
        drop(unsafe { Box::from_raw(argument) });
    }
    error == 0
}

unsafe extern "C" {
    // The `libc` crate's does not let the function unwind, which `pthread_exit` does.
    #[link_name = "pthread_create"]
    fn create(
        thread: *mut libc::pthread_t,
        attributes: *const libc::pthread_attr_t,
        start: extern "C-unwind" fn(*mut c_void) -> *mut c_void,
        argument: *mut c_void,
    ) -> c_int;
}

extern "C-unwind" fn run(argument: *mut c_void) -> *mut c_void {
    // SAFETY: see `start`; this thread is the only one to take it.
    let callback = *unsafe { Box::from_raw(argument.cast::<Callback>()) };
    // Our threads have all signals blocked; a thread of the program's does not expect that.
    signals::unblock_signals();
    // Nothing here is left to be dropped if it unwinds.
    callback.call();
    ptr::null_mut()
}
