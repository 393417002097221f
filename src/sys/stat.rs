//! The state of one thread, as procfs tells it.
//!
//! The file is opened once and read many times: the look-up of the path is the dear part. An open
//! file stays with the thread it was opened for; when that thread is gone reads fail with `ESRCH`,
//! even if its number has been given to another thread since.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

/// The number and the name together are shorter than this: at most 10 digits, and a name of at
/// most 63 bytes each of which procfs may write as an escape of up to four.
const PREFIX_MAX: usize = 320;

/// A kept-open `/proc/self/task/TID/stat`.
#[derive(Debug)]
pub(crate) struct ThreadStat {
    file: File,
}

impl ThreadStat {
    /// Opens the file of a thread of this process.
    pub(crate) fn open(tid: i32) -> io::Result<ThreadStat> {
        File::open(format!("/proc/self/task/{tid}/stat")).map(|file| ThreadStat { file })
    }

    /// The letter of the thread's state now: `R` runs or waits for a CPU, `S` and `D` sleep.
    /// One system call, no allocation.
    pub(crate) fn state(&self) -> io::Result<u8> {
        let mut line = [0; PREFIX_MAX];
        let length = self.file.read_at(&mut line, 0)?;
        parse_state(&line[..length]).ok_or_else(|| {
            io::Error::new(io::ErrorKind::InvalidData, "no state in a thread's stat")
        })
    }
}

/// What the kernel says of that thread of this process while it waits on a futex, as for a lock or a
/// channel: its arguments. (`None` too where the kernel does not tell.)
#[cfg_attr(not(feature = "test-util"), allow(dead_code, reason = "tests that replay ask"))]
pub(crate) fn futex_of(tid: i32) -> Option<String> {
    let call = std::fs::read_to_string(format!("/proc/self/task/{tid}/syscall")).ok()?;
    let number = call.split(' ').next()?.parse::<i64>().ok()?;
    (number == libc::SYS_futex).then_some(call)
}

/// Finds the state in `tid (name) S 1 2 3...`. The name may hold anything, parentheses too, but
/// behind it there are only numbers: so its end is the *last* parenthesis.
fn parse_state(line: &[u8]) -> Option<u8> {
    let end = line.iter().rposition(|&byte| byte == b')')?;
    match line.get(end + 1..end + 4)? {
        [b' ', state, b' '] => Some(*state),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::thread::tid;
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::sync::mpsc;
    use std::thread;
    use std::time::Duration;

    #[test]
    fn the_last_parenthesis_ends_the_name() {
        assert_eq!(parse_state(b"12 (worker) S 1 2 3"), Some(b'S'));
        assert_eq!(parse_state(b"12 (a) R (b) D 1 2 3"), Some(b'D'));
        assert_eq!(parse_state(b"12 (worker"), None);
        assert_eq!(parse_state(b"12 (worker)"), None);
        assert_eq!(parse_state(b""), None);
    }

    /// Asks up to 5 s for a state: a thread needs a moment to get where it goes to.
    fn becomes(stat: &ThreadStat, state: u8) -> bool {
        (0..5000).any(|_| {
            thread::sleep(Duration::from_millis(1));
            stat.state().unwrap() == state
        })
    }

    #[test]
    fn sees_a_sleeper_and_a_spinner_whatever_their_name() {
        static STOP: AtomicBool = AtomicBool::new(false);
        let (send_tid, receive_tid) = mpsc::channel();
        let (go, wait) = mpsc::channel::<()>();
        let thread = thread::Builder::new()
            .name("x) R (y".into())
            .spawn(move || {
                send_tid.send(tid()).unwrap();
                wait.recv().unwrap();
                // Ordering: Relaxed; only the flag itself matters.
                while !STOP.load(Ordering::Relaxed) {
                    std::hint::spin_loop();
                }
            })
            .unwrap();
        let stat = ThreadStat::open(receive_tid.recv().unwrap()).unwrap();
        assert!(becomes(&stat, b'S'));
        go.send(()).unwrap();
        assert!(becomes(&stat, b'R'));
        for _ in 0..100 {
            assert_eq!(stat.state().unwrap(), b'R');
        }
        STOP.store(true, Ordering::Relaxed);
        thread.join().unwrap();
        let gone = (0..1000).any(|_| {
            thread::sleep(Duration::from_millis(1));
            stat.state().is_err_and(|error| error.raw_os_error() == Some(libc::ESRCH))
        });
        assert!(gone, "a thread that ended has no state");
    }
}
