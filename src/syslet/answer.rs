//! What an operation answers that was asked, whatever it is, and how it is asked again.

use std::io;

/// What is longer is not copied in one ask: it would hold up the caller's other tasks for longer
/// than a move to another thread takes.
pub const INLINE_MAX: usize = 1 << 20;

/// The answer to an operation that was asked.
#[derive(Debug)]
#[must_use = "the operation may not have been done"]
pub enum Answer<T> {
    /// It has been done, on this thread and without waiting.
    Done(io::Result<T>),
    /// Nothing has been done: it would have to wait.
    WouldBlock,
    /// Nothing has been done: it cannot be asked here, and need not be asked again.
    Unsupported,
}

impl<T> Answer<T> {
    /// The result, if there is one.
    pub fn done(self) -> Option<io::Result<T>> {
        match self {
            Answer::Done(result) => Some(result),
            Answer::WouldBlock | Answer::Unsupported => None,
        }
    }

    /// The same answer about something else.
    pub fn map<U>(self, f: impl FnOnce(T) -> U) -> Answer<U> {
        match self {
            Answer::Done(result) => Answer::Done(result.map(f)),
            Answer::WouldBlock => Answer::WouldBlock,
            Answer::Unsupported => Answer::Unsupported,
        }
    }
}

/// Asks until `length` bytes are done, or there are no more, or the next would have to be waited
/// for. A short answer alone tells nothing: what is missing may be on the device.
///
/// `done` counts them, and `ask` is told how many there are so far. What was done before an answer
/// that is no success stays done.
///
/// # Errors
///
/// Those of `ask`.
pub fn ask_all(
    length: usize,
    done: &mut usize,
    mut ask: impl FnMut(usize) -> Answer<usize>,
) -> Answer<()> {
    loop {
        match ask(*done) {
            Answer::Done(Ok(0)) => return Answer::Done(Ok(())),
            Answer::Done(Ok(n)) => *done += n,
            other => return other.map(drop),
        }
        if *done >= length {
            return Answer::Done(Ok(()));
        }
    }
}

/// Repeats what a signal has interrupted.
#[inline]
pub(crate) fn retry<T>(mut call: impl FnMut() -> io::Result<T>) -> io::Result<T> {
    loop {
        match call() {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            result => return result,
        }
    }
}

#[cfg(all(test, not(threadlet_loom)))]
mod tests {
    use super::*;

    #[test]
    fn a_signal_is_no_error() {
        let mut calls = 0;
        let result = retry(|| {
            calls += 1;
            if calls < 4 { Err(io::ErrorKind::Interrupted.into()) } else { Ok(calls) }
        });
        assert_eq!(result.unwrap(), 4);
        assert!(retry(|| Err::<(), _>(io::ErrorKind::NotFound.into())).is_err());
    }

    /// Asks for 10 bytes, of which one was done before; `answers` come in turn.
    fn ask(answers: &mut [Option<Answer<usize>>]) -> (Answer<()>, usize) {
        let (mut done, mut answers) = (1, answers.iter_mut());
        let answer = ask_all(10, &mut done, |_| answers.next().unwrap().take().unwrap());
        assert!(answers.next().is_none(), "asked too seldom");
        (answer, done)
    }

    #[test]
    fn it_is_asked_until_all_is_done_or_no_more_can_be() {
        let some = |n| Some(Answer::Done(Ok(n)));
        assert!(matches!(ask(&mut [some(4), some(5)]), (Answer::Done(Ok(())), 10)));
        assert!(matches!(ask(&mut [some(4), some(0)]), (Answer::Done(Ok(())), 5)));
        let would_block = Some(Answer::WouldBlock);
        assert!(matches!(ask(&mut [some(4), would_block]), (Answer::WouldBlock, 5)));
        assert!(matches!(ask(&mut [Some(Answer::Unsupported)]), (Answer::Unsupported, 1)));
        let error = Some(Answer::Done(Err(io::ErrorKind::NotFound.into())));
        assert!(matches!(ask(&mut [some(4), error]), (Answer::Done(Err(_)), 5)));
    }
}
