//! The standard error stream, past the standard library's lock: that may be held by a thread that is
//! stuck in it, or, in a child of `fork`, by one that is not there.

use std::time::Duration;

/// Writes a line. It waits for as long as whoever reads there makes it wait.
pub(crate) fn write(text: &[u8]) {
    let (start, length) = (text.as_ptr().cast(), text.len());
    // SAFETY: the text outlives the call, which only reads it. If nobody hears it, that is all.
    let _unheard = unsafe { libc::write(libc::STDERR_FILENO, start, length) };
}

/// Writes a line if there is room for it just now. `false`: there was none.
pub(crate) fn write_if_room(text: &[u8]) -> bool {
    let room = super::poll::ppoll_out(libc::STDERR_FILENO, Some(Duration::ZERO));
    if !room.is_ok_and(|room| room) {
        return false;
    }
    // A pipe that has room at all has it for so much.
    write(&text[..text.len().min(libc::PIPE_BUF)]);
    true
}
