//! The few calls to the kernel that the standard library does not have: clocks, a thread's
//! schedule, and a bare perf event with its epoll.

pub(crate) mod epoll;
pub(crate) mod perf;
pub(crate) mod thread;

use std::io;
use std::ptr;
use std::time::Duration;

fn check(answer: libc::c_int) -> io::Result<libc::c_int> {
    if answer < 0 { Err(io::Error::last_os_error()) } else { Ok(answer) }
}

/// Sets the slack of the calling thread's timers to 1 ns; threads started afterwards inherit it.
pub(crate) fn tighten_timers() -> io::Result<()> {
    let slack_ns: libc::c_ulong = 1;
    // SAFETY: the operation takes one number and touches no memory of ours.
    check(unsafe { libc::prctl(libc::PR_SET_TIMERSLACK, slack_ns, 0, 0, 0) }).map(drop)
}

/// Sleeps in one system call, which is one block.
pub(crate) fn nanosleep(duration: Duration) {
    let time = libc::timespec {
        tv_sec: duration.as_secs() as libc::time_t,
        tv_nsec: libc::c_long::from(duration.subsec_nanos() as i32),
    };
    // SAFETY: `time` outlives the call; the place for the remaining time may be null.
    let _early = unsafe { libc::nanosleep(&raw const time, ptr::null_mut()) };
}

/// The CPU time all threads of this process have used, those that have ended included.
pub(crate) fn process_cpu_time() -> Duration {
    clock(libc::CLOCK_PROCESS_CPUTIME_ID).expect("every Linux has a CPU clock per process")
}

/// The CPU time of this process and of those that it has started and waited for, and of theirs.
pub(crate) fn cpu_time_with_children() -> Duration {
    [libc::RUSAGE_SELF, libc::RUSAGE_CHILDREN].into_iter().map(cpu_time_by_usage).sum()
}

fn cpu_time_by_usage(whose: libc::c_int) -> Duration {
    // SAFETY: numbers only, for which all zeros is a value.
    let mut usage: libc::rusage = unsafe { std::mem::zeroed() };
    // SAFETY: the structure is ours to write for the length of the call.
    check(unsafe { libc::getrusage(whose, &raw mut usage) }).expect("it knows these two");
    let span = |time: libc::timeval| {
        Duration::from_secs(time.tv_sec as u64) + Duration::from_micros(time.tv_usec as u64)
    };
    span(usage.ru_utime) + span(usage.ru_stime)
}

/// How many bytes of the heap are in use, by the C library's count of the arena of the main thread.
pub(crate) fn heap_in_use() -> usize {
    // SAFETY: no arguments; it takes the allocator's own locks.
    let info = unsafe { libc::mallinfo2() };
    info.uordblks + info.hblkhd
}

/// How many bytes of this process are in memory.
pub(crate) fn resident_bytes() -> usize {
    let pages = std::fs::read_to_string("/proc/self/statm").ok();
    let pages = pages.as_deref().and_then(|text| text.split(' ').nth(1)?.parse::<usize>().ok());
    pages.expect("every Linux tells it") * 4096
}

/// How many threads this process has.
pub(crate) fn threads() -> usize {
    std::fs::read_dir("/proc/self/task").map_or(0, Iterator::count)
}

fn clock(clock: libc::clockid_t) -> io::Result<Duration> {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `time` is ours to write for the length of the call.
    check(unsafe { libc::clock_gettime(clock, &raw mut time) })?;
    Ok(Duration::new(time.tv_sec as u64, time.tv_nsec as u32))
}
