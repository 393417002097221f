//! Threads of the library's own, and those for functions of the program that are to be told of a
//! request.
//!
//! Made by the C library: whoever makes a request may have little stack.

use std::ffi::{c_int, c_void};
use std::mem::MaybeUninit;
use std::ptr;

use super::{Event, behind_filter, signals};
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

/// What a thread of the library's own needs of it: its frames are few. (All stacks are locked into
/// memory where a program has it so, `mlockall`.)
const OWN_STACK: usize = 256 << 10;

/// Starts a thread of the library's own, on which no signal is handled. `Err`: none can be had.
pub(crate) fn start_own<T: Send + 'static>(work: T, body: fn(T)) -> Result<(), T> {
    let argument = Box::new(Own { work, body });
    // The second try is for a program whose thread-locals leave nothing of that.
    let started = signals::with_signals_blocked(|| {
        create(argument, Own::<T>::main, Some(OWN_STACK))
            .or_else(|argument| create(argument, Own::<T>::main, None))
    });
    started.map_err(|argument| argument.work)
}

struct Own<T> {
    work: T,
    body: fn(T),
}

impl<T> Own<T> {
    extern "C-unwind" fn main(argument: *mut c_void) -> *mut c_void {
        // SAFETY: see `create_with`; this thread is the only one to take it.
        let Own { work, body } = *unsafe { Box::from_raw(argument.cast::<Own<T>>()) };
        if !behind_filter() {
            // SAFETY: takes nothing.
            let thread = unsafe { libc::pthread_self() };
            // SAFETY: the name ends with a zero, and is short enough.
            unsafe { libc::pthread_setname_np(thread, c"threadlet-aio".as_ptr()) };
        }
        body(work);
        ptr::null_mut()
    }
}

/// Whether a thread was started, with the program's attributes if these are not null.
fn start(callback: Callback, attributes: *const libc::pthread_attr_t) -> bool {
    let argument = Box::new(callback);
    let started = match attributes.is_null() {
        true => create(argument, run, None),
        false => create_with(argument, run, attributes),
    };
    started.is_ok()
}

type Main = extern "C-unwind" fn(*mut c_void) -> *mut c_void;

/// A thread that nobody joins, with a stack of that size or of the usual one.
fn create<T>(argument: Box<T>, main: Main, stack: Option<usize>) -> Result<(), Box<T>> {
    let mut own = MaybeUninit::uninit();
    // SAFETY: it is ours to write.
    unsafe { libc::pthread_attr_init(own.as_mut_ptr()) };
    // SAFETY: it has just been initialised.
    unsafe { libc::pthread_attr_setdetachstate(own.as_mut_ptr(), libc::PTHREAD_CREATE_DETACHED) };
    if let Some(size) = stack {
        // SAFETY: as above; a size that it does not like changes nothing.
        unsafe { libc::pthread_attr_setstacksize(own.as_mut_ptr(), size) };
    }
    let created = create_with(argument, main, own.as_ptr());
    // SAFETY: as above, and no longer used.
    unsafe { libc::pthread_attr_destroy(own.as_mut_ptr()) };
    created
}

/// `Err`: no thread was started. `main` is given the box as a pointer, to be taken back.
fn create_with<T>(
    argument: Box<T>,
    main: Main,
    attributes: *const libc::pthread_attr_t,
) -> Result<(), Box<T>> {
    let argument = Box::into_raw(argument);
    let mut thread = 0;
    // SAFETY: the attributes are initialised (by us, or by the program, which keeps them until it
    // was told); the argument is the thread's to free.
    let error = unsafe { pthread_create(&raw mut thread, attributes, main, argument.cast()) };
    // SAFETY: if none was started, no thread has taken it.
    if error == 0 { Ok(()) } else { Err(unsafe { Box::from_raw(argument) }) }
}

unsafe extern "C" {
    // The `libc` crate's does not let the function unwind, which `pthread_exit` does.
    fn pthread_create(
        thread: *mut libc::pthread_t,
        attributes: *const libc::pthread_attr_t,
        start: Main,
        argument: *mut c_void,
    ) -> c_int;
}

extern "C-unwind" fn run(argument: *mut c_void) -> *mut c_void {
    // SAFETY: see `create_with`; this thread is the only one to take it.
    let callback = *unsafe { Box::from_raw(argument.cast::<Callback>()) };
    // Our threads have all signals blocked; a thread of the program's does not expect that.
    signals::unblock_signals();
    // Nothing here is left to be dropped if it unwinds.
    callback.call();
    ptr::null_mut()
}
