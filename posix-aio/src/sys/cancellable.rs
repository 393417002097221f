//! Waiting where a thread may be cancelled: in the C library's own function for that, so that it
//! unwinds as the C library has it. The frames that it unwinds have nothing to be dropped; what is
//! to be done then is left with the C library ([`with_cleanup`]).

use std::cell::UnsafeCell;
use std::ffi::{c_int, c_void};
use std::mem::MaybeUninit;
use std::ptr;

use super::Waited;

/// A semaphore of the C library: with no posts in the beginning.
pub(crate) struct Semaphore(UnsafeCell<MaybeUninit<libc::sem_t>>);

// SAFETY: a semaphore is for several threads.
unsafe impl Sync for Semaphore {}

impl std::fmt::Debug for Semaphore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Semaphore").finish_non_exhaustive()
    }
}

unsafe extern "C-unwind" {
    fn sem_wait(semaphore: *mut libc::sem_t) -> c_int;
    fn sem_clockwait(
        semaphore: *mut libc::sem_t,
        clock: libc::clockid_t,
        until: *const libc::timespec,
    ) -> c_int;
    fn pthread_testcancel();
}

impl Semaphore {
    pub(crate) const fn new() -> Semaphore {
        // What `sem_init` makes of it is zeros (see the test).
        Semaphore(UnsafeCell::new(MaybeUninit::zeroed()))
    }

    fn get(&self) -> *mut libc::sem_t {
        self.0.get().cast()
    }

    pub(crate) fn post(&self) {
        // SAFETY: it is initialised, and lives as long as it is used.
        unsafe { libc::sem_post(self.get()) };
    }

    /// Takes all posts back that there are.
    pub(crate) fn drain(&self) {
        // SAFETY: as above.
        while unsafe { libc::sem_trywait(self.get()) } == 0 {}
    }

    /// Waits for a post, or until the time of the monotonic clock has come. Without a time a signal
    /// whose handler asks for it (`SA_RESTART`) does not end the wait. The thread may be cancelled
    /// here.
    pub(crate) fn wait(&self, until: Option<&libc::timespec>) -> Waited {
        let answer = match until {
            // SAFETY: as above; the time outlives the call.
            Some(until) => unsafe { sem_clockwait(self.get(), libc::CLOCK_MONOTONIC, until) },
            // SAFETY: as above.
            None => unsafe { sem_wait(self.get()) },
        };
        match std::io::Error::last_os_error().raw_os_error() {
            _ if answer == 0 => Waited::Woken,
            Some(libc::EINTR) => Waited::Signal,
            Some(libc::ETIMEDOUT) => Waited::Late,
            _ => Waited::Woken,
        }
    }
}

/// The thread may be cancelled here.
pub(crate) fn may_be_cancelled() {
    // SAFETY: takes nothing.
    unsafe { pthread_testcancel() };
}

/// `struct _pthread_cleanup_buffer`.
#[repr(C)]
struct CleanupBuffer {
    routine: Option<extern "C" fn(*mut c_void)>,
    argument: *mut c_void,
    cancel_type: c_int,
    previous: *mut CleanupBuffer,
}

unsafe extern "C" {
    fn _pthread_cleanup_push(
        buffer: *mut CleanupBuffer,
        routine: extern "C" fn(*mut c_void),
        argument: *mut c_void,
    );
    fn _pthread_cleanup_pop(buffer: *mut CleanupBuffer, execute: c_int);
}

/// Runs `f`, and then `cleanup`, which is run as well if the thread is cancelled in `f`.
pub(crate) fn with_cleanup<A: Sync, T: Copy>(
    argument: &'static A,
    cleanup: fn(&'static A),
    f: impl FnOnce() -> T,
) -> T {
    let whole = Cleanup { argument, cleanup };
    let mut buffer = CleanupBuffer {
        routine: None,
        argument: ptr::null_mut(),
        cancel_type: 0,
        previous: ptr::null_mut(),
    };
    let argument = ptr::from_ref(&whole).cast_mut().cast();
    // SAFETY: buffer and argument stay here until the pop, or until the thread has been unwound up
    // to this frame, which is when the routine is run.
    unsafe { _pthread_cleanup_push(&raw mut buffer, Cleanup::<A>::run, argument) };
    let result = f();
    // SAFETY: the last one that was pushed.
    unsafe { _pthread_cleanup_pop(&raw mut buffer, 1) };
    result
}

struct Cleanup<A: 'static> {
    argument: &'static A,
    cleanup: fn(&'static A),
}

impl<A: Sync> Cleanup<A> {
    extern "C" fn run(whole: *mut c_void) {
        // SAFETY: from `with_cleanup`, which is not left before.
        let whole = unsafe { &*whole.cast::<Cleanup<A>>() };
        (whole.cleanup)(whole.argument);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_semaphore_is_what_the_c_library_makes() {
        type Bytes = [u8; size_of::<libc::sem_t>()];
        let mut made = [0xff; size_of::<libc::sem_t>()];
        let zeros: Bytes = [0; size_of::<libc::sem_t>()];
        let semaphore = Semaphore::new();
        // SAFETY: a plain structure, as large as the bytes.
        let new: Bytes = unsafe { semaphore.get().cast::<Bytes>().read() };
        // SAFETY: it is ours to write, and large enough; only bytes are looked at.
        assert_eq!(unsafe { libc::sem_init(semaphore.get(), 0, 0) }, 0);
        // SAFETY: as above.
        made.copy_from_slice(&unsafe { semaphore.get().cast::<Bytes>().read() });
        assert_eq!((new, made), (zeros, zeros));
    }

    #[test]
    fn a_post_is_waited_for_once() {
        let semaphore = Semaphore::new();
        semaphore.post();
        assert_eq!(semaphore.wait(None), Waited::Woken);
        let now = super::super::now();
        assert_eq!(semaphore.wait(Some(&now)), Waited::Late);
        semaphore.post();
        semaphore.post();
        semaphore.drain();
        assert_eq!(semaphore.wait(Some(&now)), Waited::Late);
    }
}
