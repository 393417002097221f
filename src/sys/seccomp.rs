//! Whether a filter stands between us and the kernel.
//!
//! Under a filter a forbidden system call may be death (`SIGSYS`) instead of an error. So nobody
//! tries a call "to see if it works" while [`filter_active`] is true.

use std::fs;
use std::io;

/// Whether the calling thread, or the first thread of the process, has a seccomp filter.
///
/// Filters belong to threads; as a rule they are set before there is a second one. What cannot be
/// read counts as no filter, unless it is for want of a descriptor.
pub(crate) fn filter_active() -> bool {
    ["/proc/thread-self/status", "/proc/self/status"]
        .into_iter()
        .any(|path| tells_of_filter(fs::read_to_string(path)))
}

fn tells_of_filter(status: io::Result<String>) -> bool {
    match status {
        Ok(status) => has_filter(&status),
        Err(error) => matches!(error.raw_os_error(), Some(libc::EMFILE | libc::ENFILE)),
    }
}

/// Mode 2 is "filter"; 0 is none, 1 is the strict mode, in which we would not be here.
fn has_filter(status: &str) -> bool {
    status.lines().any(|line| line.strip_prefix("Seccomp:").is_some_and(|mode| mode.trim() == "2"))
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
        assert!(has_filter("Name:\tx\nSeccomp:\t2\nSeccomp_filters:\t1\n"));
        assert!(!has_filter("Name:\tx\nSeccomp:\t0\nSeccomp_filters:\t2\n"));
        assert!(!has_filter("Name:\tSeccomp: 2\n"));
        assert!(!has_filter(""));
    }

    #[test]
    fn what_cannot_be_read_for_want_of_a_descriptor_may_be_a_filter() {
        let refused = |errno| tells_of_filter(Err(io::Error::from_raw_os_error(errno)));
        assert!(refused(libc::EMFILE) && refused(libc::ENFILE));
        assert!(!refused(libc::ENOENT) && !refused(libc::EACCES));
    }

    #[test]
    fn a_filter_is_seen_by_the_thread_that_has_it() {
        if filter_active() {
            // The whole process is filtered from outside: there is no "before" to compare with.
            return;
        }
        let filtered = std::thread::spawn(|| {
            // A filter that lets everything pass, on this thread alone.
            install_filter(libc::SYS_acct, libc::SECCOMP_RET_ALLOW).unwrap();
            filter_active()
        });
        assert!(filtered.join().unwrap());
        assert!(!filter_active());
    }
}
