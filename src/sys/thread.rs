//! What a thread may ask of the scheduler about itself.

use std::time::Duration;

use super::{seccomp, timespec};

/// The kernel's number of the calling thread.
pub(crate) fn tid() -> i32 {
    // SAFETY: no arguments, cannot fail.
    let tid = unsafe { libc::syscall(libc::SYS_gettid) };
    tid as i32
}

/// Tells the kernel by how much it may delay the calling thread's timers; zero is the default
/// again. This is a hint: a refusal changes latency and nothing else, so it is not reported.
pub(crate) fn set_timer_slack(ns: u64) {
    // SAFETY: PR_SET_TIMERSLACK takes one number and touches no memory of ours.
    let _hint = unsafe { libc::prctl(libc::PR_SET_TIMERSLACK, ns as libc::c_ulong, 0, 0, 0) };
}

/// The calling thread's timer slack, in nanoseconds; 0 if the kernel does not say.
pub(crate) fn timer_slack() -> u64 {
    // SAFETY: no memory is involved.
    let slack = unsafe { libc::prctl(libc::PR_GET_TIMERSLACK, 0, 0, 0, 0) };
    u64::try_from(slack).unwrap_or(0)
}

/// How often the calling thread has gone to sleep: what the kernel calls voluntary context
/// switches. Being preempted does not count, and neither does `sched_yield`.
pub(crate) fn sleeps() -> u64 {
    // SAFETY: numbers only, for which all zeros is a value.
    let mut usage: libc::rusage = unsafe { std::mem::zeroed() };
    // SAFETY: the structure is ours to write for the length of the call.
    let _hint = unsafe { libc::getrusage(libc::RUSAGE_THREAD, &raw mut usage) };
    usage.ru_nvcsw as u64
}

/// The CPU time the calling thread has used.
#[cfg(test)]
pub(crate) fn thread_cpu_time() -> Duration {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `time` is ours to write for the length of the call.
    let answer = unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &raw mut time) };
    assert_eq!(answer, 0, "every Linux has a CPU clock per thread");
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

/// The CPU time that a thread of this process has used; `None` if there is no such thread.
pub(crate) fn cpu_time_of(tid: i32) -> Option<Duration> {
    // The kernel's encoding of a thread's clock (`CPUCLOCK_PERTHREAD_MASK | CPUCLOCK_SCHED` below
    // the inverted number), which is part of its interface: the C library's
    // `pthread_getcpuclockid` makes the same.
    let clock = (!tid << 3) | 0b110;
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `time` is ours to write for the length of the call; a bad clock is refused.
    let answer = unsafe { libc::clock_gettime(clock, &raw mut time) };
    (answer == 0).then(|| Duration::new(time.tv_sec as u64, time.tv_nsec as u32))
}

/// The clock of `Instant`, in nanoseconds since the machine started.
#[inline]
pub(crate) fn nanos() -> u64 {
    nanos_of(libc::CLOCK_MONOTONIC)
}

/// The same as of the kernel's last tick, some milliseconds ago at most, for a fifth of the price.
#[inline]
pub(crate) fn nanos_at_tick() -> u64 {
    nanos_of(libc::CLOCK_MONOTONIC_COARSE)
}

#[inline]
fn nanos_of(clock: libc::clockid_t) -> u64 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `time` is ours to write for the length of the call. Every Linux has these clocks.
    let _known = unsafe { libc::clock_gettime(clock, &raw mut time) };
    (time.tv_sec as u64).wrapping_mul(1_000_000_000).wrapping_add(time.tv_nsec as u64)
}

/// Sleeps for `duration`; a signal may end it early. Unlike the standard library's sleep it is one
/// system call, so that it is also one block.
pub(crate) fn nanosleep(duration: Duration) {
    let time = timespec(duration);
    // SAFETY: `time` outlives the call; the place for the remaining time may be null.
    let _early = unsafe { libc::nanosleep(&raw const time, std::ptr::null_mut()) };
}

/// Whether the calling thread, and not another of this process, has started children that have not
/// been waited for. One that cannot look for want of a descriptor says yes; where the kernel does not
/// tell (it was built without `CONFIG_PROC_CHILDREN`, which is rare), the answer is no.
pub(crate) fn has_children() -> bool {
    match std::fs::read("/proc/thread-self/children") {
        Ok(children) => !children.is_empty(),
        Err(error) => matches!(error.raw_os_error(), Some(libc::EMFILE | libc::ENFILE)),
    }
}

/// Confines the calling thread to one CPU. Tests only.
#[cfg(test)]
pub(crate) fn pin_to(cpu: usize) -> std::io::Result<()> {
    assert!(cpu < libc::CPU_SETSIZE as usize, "the set has {} places", libc::CPU_SETSIZE);
    let mut set = empty_cpu_set();
    // SAFETY: `cpu` is within the set, see above.
    unsafe { libc::CPU_SET(cpu, &mut set) };
    // SAFETY: the set is valid for its size and only read.
    let answer = unsafe { libc::sched_setaffinity(0, size_of_val(&set), &raw const set) };
    super::check(answer).map(drop)
}

/// The CPUs the calling thread may run on, ascending; never empty. Tests only.
#[cfg(test)]
pub(crate) fn allowed_cpus() -> std::io::Result<Vec<usize>> {
    let mut set = empty_cpu_set();
    // SAFETY: the set is ours to write, for its size.
    let answer = unsafe { libc::sched_getaffinity(0, size_of_val(&set), &raw mut set) };
    super::check(answer)?;
    // SAFETY: the index stays within the set.
    let allowed = |&cpu: &usize| unsafe { libc::CPU_ISSET(cpu, &set) };
    Ok((0..libc::CPU_SETSIZE as usize).filter(allowed).collect())
}

/// How long a thread of this process may run before others of its priority have their turn, from
/// 100 us to 100 ms; `None`: the kernel's default. A thread that wakes with a shorter slice does
/// not wait for the end of a longer one (Linux 6.12; before that it changes nothing). Threads and
/// processes that the thread starts have the default. A hint, and so not tried by a thread behind a
/// filter.
pub(crate) fn set_slice(tid: i32, slice: Option<Duration>) {
    // The first version of the kernel's structure, all that is needed here.
    #[repr(C)]
    #[derive(Default)]
    struct SchedAttr {
        size: u32,
        policy: u32,
        flags: u64,
        nice: i32,
        priority: u32,
        runtime: u64,
        deadline: u64,
        period: u64,
    }
    if seccomp::is_filtered() {
        return;
    }
    let mut attr = SchedAttr::default();
    let size = size_of::<SchedAttr>() as u32;
    // SAFETY: the structure is ours to write, for the size given.
    let read = unsafe { libc::syscall(libc::SYS_sched_getattr, tid, &raw mut attr, size, 0) };
    if read != 0 || attr.policy != libc::SCHED_OTHER as u32 {
        return;
    }
    attr.size = size;
    attr.runtime = slice.map_or(0, |slice| slice.as_nanos() as u64);
    // It stays, because only who is privileged may take it back. For an ordinary thread it means
    // nothing else, but that a negative niceness is not inherited either.
    attr.flags |= libc::SCHED_FLAG_RESET_ON_FORK as u64;
    // SAFETY: the structure is valid for the size it names, and only read.
    let _hint = unsafe { libc::syscall(libc::SYS_sched_setattr, tid, &raw const attr, 0) };
}

#[cfg(test)]
fn empty_cpu_set() -> libc::cpu_set_t {
    // SAFETY: a plain bit set, for which all zeros is the empty set.
    unsafe { std::mem::zeroed() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Instant;

    #[test]
    fn a_sleep_counts_and_a_yield_does_not() {
        let before = sleeps();
        nanosleep(Duration::from_millis(2));
        let after = sleeps();
        assert!(after > before);
        (0..100).for_each(|_| std::thread::yield_now());
        assert_eq!(sleeps(), after);
    }

    #[test]
    fn the_cpu_time_of_a_thread_can_be_read_from_another() {
        let tid = super::tid();
        let elsewhere = std::thread::spawn(move || cpu_time_of(tid).unwrap()).join().unwrap();
        let (before, here) = (thread_cpu_time(), cpu_time_of(tid).unwrap());
        assert!(elsewhere <= before && before <= here && here <= thread_cpu_time());
        assert!(here > Duration::ZERO);
        assert_eq!(cpu_time_of(i32::MAX - 1), None);
    }

    #[test]
    fn the_first_thread_has_the_number_of_the_process_and_others_do_not() {
        assert!(tid() > 0);
        let other = std::thread::spawn(tid).join().unwrap();
        assert_ne!(other, tid());
    }

    #[test]
    fn a_child_belongs_to_the_thread_that_started_it() {
        let look = || {
            assert!(!has_children());
            let mut child = std::process::Command::new("sleep").arg("60").spawn().unwrap();
            assert!(has_children());
            assert!(!std::thread::spawn(has_children).join().unwrap());
            child.kill().unwrap();
            child.wait().unwrap();
            assert!(!has_children());
        };
        std::thread::spawn(look).join().unwrap();
    }

    #[test]
    fn timer_slack_belongs_to_the_calling_thread() {
        // SAFETY: no memory is involved.
        let slack = || unsafe { libc::prctl(libc::PR_GET_TIMERSLACK, 0, 0, 0, 0) };
        let other = std::thread::spawn(move || {
            set_timer_slack(1234);
            slack()
        });
        assert_eq!(other.join().unwrap(), 1234);
        assert_ne!(slack(), 1234);
    }

    #[test]
    fn cpu_time_stands_still_in_a_sleep_and_grows_in_a_loop() {
        let before = thread_cpu_time();
        let start = Instant::now();
        nanosleep(Duration::from_millis(50));
        assert!(start.elapsed() >= Duration::from_millis(50));
        assert!(thread_cpu_time() - before < Duration::from_millis(40));
        let before = thread_cpu_time();
        while thread_cpu_time() - before < Duration::from_millis(2) {
            std::hint::spin_loop();
        }
    }

    #[test]
    fn a_pinned_thread_runs_where_it_was_told() {
        let pinned = std::thread::spawn(|| {
            let cpu = allowed_cpus().unwrap()[0];
            pin_to(cpu).unwrap();
            // SAFETY: no arguments.
            (cpu, unsafe { libc::sched_getcpu() })
        });
        let (asked, got) = pinned.join().unwrap();
        assert_eq!(asked, got as usize);
    }
}
