//! The C structures and constants of the platform (`<aio.h>`, `<signal.h>`).

use std::ffi::{c_int, c_void};
use std::mem::offset_of;
use std::sync::atomic::{AtomicI32, AtomicIsize, AtomicU32};

#[cfg(not(all(target_os = "linux", target_env = "gnu", target_pointer_width = "64")))]
compile_error!("the control block is that of the GNU C library on a 64-bit Linux");

/// What `sigev_value` is: a number or a pointer, in the register of either.
pub(crate) type Sigval = *mut c_void;

/// `sigev_notify_function`. It may end its thread, which unwinds it.
pub(crate) type NotifyFunction = unsafe extern "C-unwind" fn(Sigval);

/// `struct sigevent`.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub(crate) struct Sigevent {
    pub(crate) value: Sigval,
    pub(crate) signo: c_int,
    pub(crate) notify: c_int,
    pub(crate) function: Option<NotifyFunction>,
    pub(crate) attributes: *const libc::pthread_attr_t,
    rest: [u64; 4],
}

/// `struct aiocb`, and `struct aiocb64`, which is the same.
///
/// Of the fields that the C library uses for itself the two results are used as it does (old
/// headers and curious programs read these directly), and one more while a request is under way, for two notes.
#[derive(Debug)]
#[repr(C)]
pub(crate) struct Aiocb {
    pub(crate) fildes: c_int,
    pub(crate) lio_opcode: c_int,
    pub(crate) reqprio: c_int,
    pub(crate) buf: *mut c_void,
    pub(crate) nbytes: usize,
    pub(crate) sigevent: Sigevent,
    next_prio: *mut c_void,
    pub(crate) generation: AtomicU32,
    /// 1: the kernel's own queue has the request.
    pub(crate) queued: AtomicI32,
    pub(crate) error_code: AtomicI32,
    pub(crate) return_value: AtomicIsize,
    pub(crate) offset: i64,
    reserved: [u8; 32],
}

/// `struct aioinit`; what is between the two changes nothing here.
#[derive(Debug)]
#[repr(C)]
pub(crate) struct Aioinit {
    pub(crate) threads: c_int,
    between: [c_int; 5],
    pub(crate) idle_time: c_int,
    reserved: c_int,
}

// `tests/programs/layout.c` compares these numbers with the header's.
const _: () = assert!(size_of::<Sigevent>() == 64 && offset_of!(Sigevent, function) == 16);
const _: () = assert!(offset_of!(Sigevent, attributes) == 24);
const _: () = assert!(size_of::<Aiocb>() == 168 && offset_of!(Aiocb, buf) == 16);
const _: () = assert!(offset_of!(Aiocb, nbytes) == 24 && offset_of!(Aiocb, sigevent) == 32);
const _: () = assert!(offset_of!(Aiocb, error_code) == 112);
const _: () = assert!(offset_of!(Aiocb, return_value) == 120 && offset_of!(Aiocb, offset) == 128);

const _: () = assert!(size_of::<Aioinit>() == 32 && offset_of!(Aioinit, idle_time) == 24);

pub(crate) const AIO_CANCELED: c_int = 0;
pub(crate) const AIO_NOTCANCELED: c_int = 1;
pub(crate) const AIO_ALLDONE: c_int = 2;

pub(crate) const LIO_READ: c_int = 0;
pub(crate) const LIO_WRITE: c_int = 1;
pub(crate) const LIO_NOP: c_int = 2;

pub(crate) const LIO_WAIT: c_int = 0;
pub(crate) const LIO_NOWAIT: c_int = 1;

/// By how much a request may lower its priority (`<limits.h>`).
pub(crate) const AIO_PRIO_DELTA_MAX: c_int = 20;

pub(crate) const SIGEV_SIGNAL: c_int = 0;
pub(crate) const SIGEV_THREAD: c_int = 2;

/// `si_code` of a signal that tells of a request.
pub(crate) const SI_ASYNCIO: c_int = -4;
