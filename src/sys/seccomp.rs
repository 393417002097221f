//! Whether a filter stands between us and the kernel.
//!
//! Under a filter a forbidden system call may be death (`SIGSYS`) instead of an error. So nobody
//! tries a call "to see if it works" while [`filters`] are there, and nobody makes one that is
//! merely useful on a thread that [`is_filtered`]. A filter may come at any time: what a thread was
//! allowed is no promise for the next time, nor for another thread.

use std::fs;
use std::io;

/// Whether the calling thread has a filter now.
///
/// One system call, `prctl`, by which each thread is also given its name: a filter under which
/// threads can start lets it pass.
pub(crate) fn is_filtered() -> bool {
    // SAFETY: takes numbers only.
    match unsafe { libc::prctl(libc::PR_GET_SECCOMP, 0, 0, 0, 0) } {
        0 => false,
        // A kernel without seccomp says `EINVAL`; any other error is a filter's.
        -1 => io::Error::last_os_error().raw_os_error() != Some(libc::EINVAL),
        _ => true,
    }
}

/// How many filters the calling thread has, or the first thread of the process, if that has more.
///
/// What cannot be read counts as none, unless it is for want of a descriptor.
pub(crate) fn filters() -> u32 {
    ["/proc/thread-self/status", "/proc/self/status"]
        .into_iter()
        .map(|path| told_by(fs::read_to_string(path)))
        .max()
        .unwrap_or(0)
}

fn told_by(status: io::Result<String>) -> u32 {
    match status {
        Ok(status) => filters_in(&status),
        Err(error) => u32::from(matches!(error.raw_os_error(), Some(libc::EMFILE | libc::ENFILE))),
    }
}

/// Mode 2 is "filter"; 0 is none, 1 is the strict mode, in which we would not be here. How many
/// there are stands beside it since Linux 5.9.
fn filters_in(status: &str) -> u32 {
    let field = |name| {
        let mut values = status.lines().filter_map(|line| line.strip_prefix(name));
        values.next().and_then(|value| value.trim().parse::<u32>().ok())
    };
    if field("Seccomp:") == Some(2) { field("Seccomp_filters:").unwrap_or(1).max(1) } else { 0 }
}

/// Makes the system call `number` answer `verdict` (a `SECCOMP_RET_*` value) on the calling
/// thread, for ever. Tests only, in a process of their own.
#[cfg(test)]
pub(crate) fn install_filter(number: libc::c_long, verdict: u32) -> io::Result<()> {
    let word =
        |code: u32, k: u32, jt: u8, jf: u8| libc::sock_filter { code: code as u16, jt, jf, k };
    let mut program = [
        // Load the number of the system call, which is the first field.
        word(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, 0, 0, 0),
        word(libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K, number as u32, 0, 1),
        word(libc::BPF_RET | libc::BPF_K, verdict, 0, 0),
        word(libc::BPF_RET | libc::BPF_K, libc::SECCOMP_RET_ALLOW, 0, 0),
    ];
    let program = libc::sock_fprog { len: program.len() as u16, filter: program.as_mut_ptr() };
    // SAFETY: takes numbers only; without it an unprivileged filter is refused.
    super::check(unsafe { libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) })?;
    // SAFETY: the program and what it points to outlive the call, which copies them.
    let answer = unsafe {
        libc::prctl(libc::PR_SET_SECCOMP, libc::SECCOMP_MODE_FILTER, &raw const program, 0, 0)
    };
    super::check(answer).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_mode_two_is_a_filter() {
        assert_eq!(filters_in("Name:\tx\nSeccomp:\t2\nSeccomp_filters:\t3\n"), 3);
        assert_eq!(filters_in("Name:\tx\nSeccomp:\t2\n"), 1);
        assert_eq!(filters_in("Name:\tx\nSeccomp:\t0\nSeccomp_filters:\t2\n"), 0);
        assert_eq!(filters_in("Name:\tSeccomp: 2\n"), 0);
        assert_eq!(filters_in(""), 0);
    }

    #[test]
    fn what_cannot_be_read_for_want_of_a_descriptor_may_be_a_filter() {
        let refused = |errno| told_by(Err(io::Error::from_raw_os_error(errno)));
        assert!(refused(libc::EMFILE) == 1 && refused(libc::ENFILE) == 1);
        assert!(refused(libc::ENOENT) == 0 && refused(libc::EACCES) == 0);
    }

    #[test]
    fn a_filter_is_seen_by_the_thread_that_has_it() {
        let (before, is_before) = (filters(), is_filtered());
        let filtered = std::thread::spawn(move || {
            // Filters that let everything pass, on this thread alone.
            for more in 1..=2 {
                install_filter(libc::SYS_acct, libc::SECCOMP_RET_ALLOW).unwrap();
                assert_eq!(filters(), before + more);
            }
            is_filtered()
        });
        assert!(filtered.join().unwrap());
        assert_eq!((filters(), is_filtered()), (before, is_before));
    }

    #[test]
    fn a_filter_that_refuses_to_be_asked_is_one() {
        let filtered = std::thread::spawn(|| {
            let refusal = libc::SECCOMP_RET_ERRNO | libc::EPERM as u32;
            install_filter(libc::SYS_prctl, refusal).unwrap();
            is_filtered()
        });
        assert!(filtered.join().unwrap());
    }
}
