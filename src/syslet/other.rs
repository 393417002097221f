//! What can be asked beside files: sockets, locks, children.
//!
//! The ask form is the system call of the plain form with a flag, so it can always be asked: there
//! is no [`Answer::Unsupported`] here. A plain form waits on the calling thread; in a task it
//! belongs in a region (`threadlet!`).

use std::io;
use std::os::fd::BorrowedFd;
use std::process::ExitStatus;

use super::answer::{Answer, retry};
use crate::sys::{child, file, socket};

/// Receives from a socket what has arrived, without waiting; see [`receive`].
///
/// # Errors
///
/// As `recv(2)`.
pub fn ask_receive(socket: BorrowedFd<'_>, buf: &mut [u8]) -> Answer<usize> {
    judge(retry(|| socket::receive(socket, buf, libc::MSG_DONTWAIT)))
}

/// Receives from a socket, and waits if there is nothing. Of a datagram what does not fit is lost;
/// no bytes are an empty one, or the end of a stream.
///
/// # Errors
///
/// As `recv(2)`, but for `EINTR`: it is tried again. `WouldBlock` if the socket is one that nobody
/// waits for (`O_NONBLOCK`, `SO_RCVTIMEO`).
pub fn receive(socket: BorrowedFd<'_>, buf: &mut [u8]) -> io::Result<usize> {
    retry(|| socket::receive(socket, buf, 0))
}

/// Sends on a socket what there is room for, without waiting; see [`send`].
///
/// # Errors
///
/// As `send(2)`.
pub fn ask_send(socket: BorrowedFd<'_>, buf: &[u8]) -> Answer<usize> {
    judge(retry(|| socket::send(socket, buf, libc::MSG_DONTWAIT)))
}

/// Sends on a socket that is connected, and waits until there is room: a datagram whole, to a
/// stream perhaps a part. That nobody receives is an error and no signal.
///
/// # Errors
///
/// As `send(2)`, but for `EINTR`: it is tried again. `WouldBlock` if the socket is one that nobody
/// waits for (`O_NONBLOCK`, `SO_SNDTIMEO`).
pub fn send(socket: BorrowedFd<'_>, buf: &[u8]) -> io::Result<usize> {
    retry(|| socket::send(socket, buf, 0))
}

/// How a file is locked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lock {
    /// Beside others that share it.
    Shared,
    /// Alone.
    Exclusive,
}

impl Lock {
    fn operation(self) -> libc::c_int {
        match self {
            Lock::Shared => libc::LOCK_SH,
            Lock::Exclusive => libc::LOCK_EX,
        }
    }
}

/// Locks a whole file if that needs no waiting; see [`lock`].
///
/// The kernel gives a lock of the other kind up before it looks for the new one. So whoever holds
/// one and asks for the other has neither if the answer is that it would block. On a file system
/// that lives on a server (NFS) the question goes there, and its answer is waited for.
///
/// # Errors
///
/// As `flock(2)`.
pub fn ask_lock(file: BorrowedFd<'_>, lock: Lock) -> Answer<()> {
    judge(retry(|| file::lock(file, lock.operation() | libc::LOCK_NB)))
}

/// Locks a whole file, and waits until nobody has it who does not share it. The lock is that of the
/// open file: of all duplicates of the descriptor, and gone with the last of them.
///
/// # Errors
///
/// As `flock(2)`, but for `EINTR`: it is tried again.
pub fn lock(file: BorrowedFd<'_>, lock: Lock) -> io::Result<()> {
    retry(|| file::lock(file, lock.operation()))
}

/// Gives the lock of [`lock`] back, which waits for nothing.
///
/// # Errors
///
/// As `flock(2)`.
pub fn unlock(file: BorrowedFd<'_>) -> io::Result<()> {
    retry(|| file::lock(file, libc::LOCK_UN))
}

/// How a child has ended, if it has; see [`wait`].
///
/// # Errors
///
/// As `waitpid(2)`.
pub fn ask_wait(child: u32) -> Answer<ExitStatus> {
    match retry(|| child::wait(child, libc::WNOHANG)) {
        Ok(None) => Answer::WouldBlock,
        Ok(Some(status)) => Answer::Done(Ok(status)),
        Err(error) => Answer::Done(Err(error)),
    }
}

/// Waits for the end of a child, by its id. The id is free then: nobody else may wait for it, such
/// as its [`Child`](std::process::Child).
///
/// # Errors
///
/// As `waitpid(2)`, but for `EINTR`: it is tried again. `ECHILD` if this is no child of ours, or
/// one that was waited for before.
pub fn wait(child: u32) -> io::Result<ExitStatus> {
    let ended = retry(|| child::wait(child, 0))?;
    Ok(ended.expect("waited for, without a flag that says otherwise"))
}

/// One errno says that it would wait; any other is an error of the plain form, too.
fn judge<T>(result: io::Result<T>) -> Answer<T> {
    match result {
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Answer::WouldBlock,
        result => Answer::Done(result),
    }
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::net::Shutdown;
    use std::os::fd::AsFd;
    use std::os::unix::net::{UnixDatagram, UnixStream};
    use std::os::unix::process::ExitStatusExt;
    use std::process::{Command, Stdio};
    use std::thread;
    use std::time::Duration;

    use super::*;
    use crate::syslet::tests::Scratch;

    /// Long enough for a thread to get where it waits; if it is not, the test proves less.
    const A_MOMENT: Duration = Duration::from_millis(20);

    fn errno<T: std::fmt::Debug>(answer: Answer<T>) -> Option<i32> {
        answer.done().expect("an answer").unwrap_err().raw_os_error()
    }

    #[test]
    fn a_stream_is_received_from_and_sent_to() {
        let (ours, theirs) = UnixStream::pair().unwrap();
        let (ours, theirs) = (ours.as_fd(), theirs.as_fd());
        let mut buf = [0; 8];
        assert!(matches!(ask_receive(ours, &mut buf), Answer::WouldBlock));
        assert!(matches!(ask_send(theirs, b"hello"), Answer::Done(Ok(5))));
        assert!(matches!(ask_receive(ours, &mut buf[..2]), Answer::Done(Ok(2))));
        assert_eq!(receive(ours, &mut buf[2..]).unwrap(), 3);
        assert_eq!(&buf[..5], b"hello");
        // The plain form waits, for bytes and for room.
        thread::scope(|scope| {
            let waiting = scope.spawn(|| receive(ours, &mut [0; 8]));
            thread::sleep(A_MOMENT);
            assert_eq!(send(theirs, b"late").unwrap(), 4);
            assert_eq!(waiting.join().unwrap().unwrap(), 4);
        });
        let mut sent = 0;
        let full = loop {
            match ask_send(theirs, &[7; 10_000]) {
                Answer::Done(n) => sent += n.unwrap(),
                full => break full,
            }
        };
        assert!(matches!(full, Answer::WouldBlock), "{full:?} after {sent}");
        thread::scope(|scope| {
            let waiting = scope.spawn(|| send(theirs, &[7; 10]));
            thread::sleep(A_MOMENT);
            let mut received = 0;
            while received < sent {
                received += receive(ours, &mut vec![0; sent - received]).unwrap();
            }
            assert_eq!(waiting.join().unwrap().unwrap(), 10);
        });
    }

    #[test]
    fn a_socket_that_ends_and_what_is_none() {
        let (ours, theirs) = UnixStream::pair().unwrap();
        // (Not by dropping it: a child of another test may have a copy for a moment.)
        theirs.shutdown(Shutdown::Both).unwrap();
        assert!(matches!(ask_receive(ours.as_fd(), &mut [0; 8]), Answer::Done(Ok(0))));
        assert_eq!(errno(ask_send(ours.as_fd(), b"x")), Some(libc::EPIPE));
        assert_eq!(send(ours.as_fd(), b"x").unwrap_err().raw_os_error(), Some(libc::EPIPE));
        let file = File::open("/dev/null").unwrap();
        assert_eq!(errno(ask_receive(file.as_fd(), &mut [0; 8])), Some(libc::ENOTSOCK));
        let error = receive(file.as_fd(), &mut [0; 8]).unwrap_err();
        assert_eq!(error.raw_os_error(), Some(libc::ENOTSOCK));
    }

    #[test]
    fn datagrams_stay_whole() {
        let (ours, theirs) = UnixDatagram::pair().unwrap();
        for message in [&b"one"[..], b"", b"three"] {
            assert!(
                matches!(ask_send(ours.as_fd(), message), Answer::Done(Ok(n)) if n == message.len())
            );
        }
        let mut buf = [0; 8];
        assert!(matches!(ask_receive(theirs.as_fd(), &mut buf), Answer::Done(Ok(3))));
        assert!(matches!(ask_receive(theirs.as_fd(), &mut buf), Answer::Done(Ok(0))));
        assert!(matches!(ask_receive(theirs.as_fd(), &mut buf[..2]), Answer::Done(Ok(2))));
        assert!(matches!(ask_receive(theirs.as_fd(), &mut buf), Answer::WouldBlock));
    }

    #[test]
    fn a_file_is_locked_once_or_shared() {
        use std::os::unix::fs::OpenOptionsExt;
        let scratch = Scratch::new();
        let path = scratch.file(b"x");
        let (one, two) = (File::open(&path).unwrap(), File::open(&path).unwrap());
        let (one, two) = (one.as_fd(), two.as_fd());
        assert!(matches!(ask_lock(one, Lock::Shared), Answer::Done(Ok(()))));
        assert!(matches!(ask_lock(two, Lock::Shared), Answer::Done(Ok(()))));
        // As documented: the shared one is gone by asking.
        assert!(matches!(ask_lock(one, Lock::Exclusive), Answer::WouldBlock));
        assert!(matches!(ask_lock(two, Lock::Exclusive), Answer::Done(Ok(()))));
        assert!(matches!(ask_lock(one, Lock::Shared), Answer::WouldBlock));
        thread::scope(|scope| {
            let waiting = scope.spawn(|| lock(one, Lock::Exclusive));
            thread::sleep(A_MOMENT);
            assert!(!waiting.is_finished());
            unlock(two).unwrap();
            waiting.join().unwrap().unwrap();
        });
        assert!(matches!(ask_lock(two, Lock::Shared), Answer::WouldBlock));
        unlock(one).unwrap();
        let seen = File::options().read(true).custom_flags(libc::O_PATH).open(&path).unwrap();
        assert_eq!(errno(ask_lock(seen.as_fd(), Lock::Shared)), Some(libc::EBADF));
        let error = lock(seen.as_fd(), Lock::Shared).unwrap_err();
        assert_eq!(error.raw_os_error(), Some(libc::EBADF));
    }

    #[test]
    #[allow(clippy::zombie_processes, reason = "they are waited for by what is tested")]
    fn a_child_is_waited_for() {
        let start =
            || Command::new("cat").stdin(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap();
        // One that ends by itself, and one by a signal.
        let mut child = start();
        assert!(matches!(ask_wait(child.id()), Answer::WouldBlock));
        thread::scope(|scope| {
            let id = child.id();
            let waiting = scope.spawn(move || wait(id));
            thread::sleep(A_MOMENT);
            assert!(!waiting.is_finished());
            drop(child.stdin.take());
            assert_eq!(waiting.join().unwrap().unwrap().code(), Some(0));
        });
        let mut child = start();
        child.kill().unwrap();
        let mut status = None;
        for _ in 0..5000 {
            if let Answer::Done(ended) = ask_wait(child.id()) {
                status = Some(ended.unwrap());
                break;
            }
            thread::sleep(Duration::from_millis(1));
        }
        assert_eq!(status.expect("it was killed").signal(), Some(libc::SIGKILL));
        // Those that are no children, or not any more; and what means others to the kernel.
        for none in [child.id(), 1, 0, u32::MAX] {
            assert_eq!(errno(ask_wait(none)), Some(libc::ECHILD), "{none}");
            assert_eq!(wait(none).unwrap_err().raw_os_error(), Some(libc::ECHILD), "{none}");
        }
    }
}
