//! Telling the program that a request, or a list of them, is finished.

#![allow(unsafe_code, reason = "a signal with a value, and threads with attributes of the program")]

use std::ffi::{c_int, c_void};
use std::mem::MaybeUninit;
use std::ptr;

use crate::abi::{NotifyFunction, SI_ASYNCIO, SIGEV_SIGNAL, SIGEV_THREAD, Sigval};
use crate::state::State;
use crate::user::{self, Event};

/// What a notification that is a thread runs.
#[derive(Clone, Copy)]
struct Function {
    function: NotifyFunction,
    value: Sigval,
}

// SAFETY: the value is the program's to interpret.
unsafe impl Send for Function {}

/// Tells the program, from a thread of this library or (`in_call`) in a call of its own.
pub(crate) fn notify(event: &Event, in_call: bool) {
    match (event.0.notify, event.0.function) {
        (SIGEV_SIGNAL, _) => signal(event.0.signo, event.0.value),
        (SIGEV_THREAD, Some(function)) => {
            let function = Function { function, value: event.0.value };
            if !start(function, event.0.attributes) && !start(function, ptr::null()) {
                without_thread(function, in_call);
            }
        }
        _ => {}
    }
}

/// The part of `siginfo_t` that the kernel takes from us.
#[repr(C)]
struct Info {
    signo: c_int,
    errno: c_int,
    code: c_int,
    padding: c_int,
    pid: libc::pid_t,
    uid: libc::uid_t,
    value: Sigval,
    rest: [u64; 12],
}
const _: () = assert!(size_of::<Info>() == size_of::<libc::siginfo_t>());

fn signal(signo: c_int, value: Sigval) {
    // SAFETY: takes nothing.
    let pid = unsafe { libc::getpid() };
    // SAFETY: takes nothing.
    let uid = unsafe { libc::getuid() };
    let code = SI_ASYNCIO;
    let info = Info { signo, errno: 0, code, padding: 0, pid, uid, value, rest: [0; 12] };
    // SAFETY: the structure outlives the call, which only reads it. The result is ignored as there is
    // nobody to be told: the queue of signals may be full, or the number none.
    unsafe { libc::syscall(libc::SYS_rt_sigqueueinfo, pid, signo, &raw const info) };
}

/// Whether a thread was started.
fn start(function: Function, attributes: *const libc::pthread_attr_t) -> bool {
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
    let argument = Box::into_raw(Box::new(function));
    let mut thread = 0;
    // SAFETY: the attributes are initialised (by us, or by the program, which keeps them until it was
    // told); the argument is the thread's to free.
    let error = unsafe { create(&raw mut thread, attributes, notified, argument.cast()) };
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

extern "C-unwind" fn notified(argument: *mut c_void) -> *mut c_void {
    // SAFETY: see `start`; this thread is the only one to take it.
    let Function { function, value } = *unsafe { Box::from_raw(argument.cast::<Function>()) };
    // Our threads have all signals blocked; a thread of the program's does not expect that.
    user::unblock_signals();
    // SAFETY: the program gave it for this. Nothing here is left to be dropped if it unwinds.
    unsafe { function(value) };
    ptr::null_mut()
}

/// No thread can be had. In a call of the program the function must not be called: it may want a lock
/// that the caller holds.
fn without_thread(function: Function, in_call: bool) {
    let call = move || {
        let Function { function, value } = { function };
        // SAFETY: the program gave it for this.
        unsafe { function(value) };
    };
    if in_call { State::get().engine.submit(call) } else { call() }
}
