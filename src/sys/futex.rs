//! Waiting for a word to change, and waking one who waits.
//!
//! The futexes are private to the process. A wait may end for no reason (a signal, a wake-up meant
//! for an earlier user of the same address), so the caller looks at its word again, in a loop.

use std::io;
use std::sync::atomic::AtomicU32;
use std::time::Duration;

use super::{check_long, timespec, timespec_ptr};

/// Sleeps while `word` holds `expected`, for at most `timeout`.
///
/// Returns `false` if the time ran out, and `true` in every other case: woken, the word held
/// something else at the start, or a spurious return. The value is compared by the kernel, under
/// the lock that [`wake_one`] takes: whoever changes the word and then wakes cannot be missed.
pub(crate) fn wait(word: &AtomicU32, expected: u32, timeout: Option<Duration>) -> bool {
    let time = timeout.map(timespec);
    // SAFETY: `word` and `time` live until the call returns; the kernel only reads them.
    let answer = unsafe {
        libc::syscall(
            libc::SYS_futex,
            word.as_ptr(),
            libc::FUTEX_WAIT | libc::FUTEX_PRIVATE_FLAG,
            expected,
            timespec_ptr(&time),
        )
    };
    let Err(error) = check_long(answer) else { return true };
    debug_assert!(
        matches!(error.raw_os_error(), Some(libc::ETIMEDOUT | libc::EAGAIN | libc::EINTR)),
        "futex wait: {error}"
    );
    error.kind() != io::ErrorKind::TimedOut
}

/// Wakes one thread that sleeps on `word`, if there is one. Returns whether there was.
pub(crate) fn wake_one(word: &AtomicU32) -> bool {
    // SAFETY: the kernel takes the address as a key and does not touch what it points to.
    let answer = unsafe {
        libc::syscall(
            libc::SYS_futex,
            word.as_ptr(),
            libc::FUTEX_WAKE | libc::FUTEX_PRIVATE_FLAG,
            1u32,
        )
    };
    answer > 0
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::Ordering;
    use std::time::Instant;

    #[test]
    fn a_wait_times_out_and_a_changed_word_does_not_wait() {
        let word = AtomicU32::new(7);
        let start = Instant::now();
        // A spurious return is allowed, so ask until the time has really run out.
        while wait(&word, 7, Some(Duration::from_millis(5))) {}
        assert!(start.elapsed() >= Duration::from_millis(5));
        assert!(wait(&word, 8, None), "the word holds something else");
        assert!(wait(&word, 8, Some(Duration::MAX)), "any duration is accepted");
        assert!(!wake_one(&word), "nobody sleeps here");
    }

    #[test]
    fn wake_one_ends_a_wait() {
        let word = AtomicU32::new(0);
        std::thread::scope(|scope| {
            let sleeper = scope.spawn(|| {
                let start = Instant::now();
                // Ordering: Acquire pairs with the Release store below.
                while word.load(Ordering::Acquire) == 0 {
                    wait(&word, 0, Some(Duration::from_secs(10)));
                }
                start.elapsed()
            });
            std::thread::sleep(Duration::from_millis(20));
            // Ordering: Release pairs with the Acquire load above.
            word.store(1, Ordering::Release);
            wake_one(&word);
            assert!(sleeper.join().unwrap() < Duration::from_secs(9));
        });
    }
}
