//! A thread's number, clock and place in the schedule.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::time::Duration;

use super::{check, clock};

/// The kernel's number of the calling thread.
pub(crate) fn tid() -> i32 {
    // SAFETY: no arguments, cannot fail.
    let tid = unsafe { libc::syscall(libc::SYS_gettid) };
    tid as i32
}

/// The CPU time that a thread of this process has used.
pub(crate) fn cpu_time_of(tid: i32) -> io::Result<Duration> {
    // The kernel's encoding of a thread's clock, which is part of its interface.
    clock((!tid << 3) | 0b110)
}

/// How often the calling thread has gone to sleep.
pub(crate) fn sleeps() -> i64 {
    // SAFETY: numbers only, for which all zeros is a value.
    let mut usage: libc::rusage = unsafe { std::mem::zeroed() };
    // SAFETY: the structure is ours to write for the length of the call.
    let _hint = unsafe { libc::getrusage(libc::RUSAGE_THREAD, &raw mut usage) };
    usage.ru_nvcsw as i64
}

/// An open `/proc/self/task/TID/stat`.
pub(crate) struct Stat(File);

impl Stat {
    pub(crate) fn open(tid: i32) -> io::Result<Stat> {
        File::open(format!("/proc/self/task/{tid}/stat")).map(Stat)
    }

    /// The letter of the thread's state. It stands behind the name, which is in parentheses.
    pub(crate) fn state(&self) -> io::Result<u8> {
        let mut line = [0; 320];
        let length = self.0.read_at(&mut line, 0)?;
        let end = line[..length].iter().rposition(|byte| *byte == b')');
        end.and_then(|end| line.get(end + 2)).copied().ok_or(io::ErrorKind::InvalidData.into())
    }
}

/// Gives the calling thread the policy `SCHED_IDLE`.
pub(crate) fn set_idle_policy() -> io::Result<()> {
    let priority: libc::c_int = 0;
    // SAFETY: the kernel's `sched_param` is a single int; it outlives the call.
    let answer = unsafe {
        libc::syscall(libc::SYS_sched_setscheduler, 0, libc::SCHED_IDLE, &raw const priority)
    };
    check(answer as libc::c_int).map(drop)
}

/// How long a thread may run before others of its priority have their turn; zero: as usual.
pub(crate) fn set_slice(tid: i32, slice: Duration) -> io::Result<()> {
    // The first version of the kernel's structure.
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
    let mut attr = SchedAttr::default();
    let size = size_of::<SchedAttr>() as u32;
    // SAFETY: the structure is ours to write, for the size given.
    let read = unsafe { libc::syscall(libc::SYS_sched_getattr, tid, &raw mut attr, size, 0) };
    check(read as libc::c_int)?;
    attr.size = size;
    attr.runtime = slice.as_nanos() as u64;
    // SAFETY: the structure is valid for the size it names, and only read.
    let answer = unsafe { libc::syscall(libc::SYS_sched_setattr, tid, &raw const attr, 0) };
    check(answer as libc::c_int).map(drop)
}

/// The CPUs that a thread may run on.
#[derive(Clone, Copy)]
pub(crate) struct Cpus(libc::cpu_set_t);

impl Cpus {
    fn none() -> Cpus {
        // SAFETY: a plain bit set, for which all zeros is the empty set.
        Cpus(unsafe { std::mem::zeroed() })
    }

    /// Those of the calling thread.
    pub(crate) fn allowed() -> io::Result<Cpus> {
        let mut set = Cpus::none().0;
        // SAFETY: the set is ours to write, for its size.
        check(unsafe { libc::sched_getaffinity(0, size_of_val(&set), &raw mut set) })?;
        Ok(Cpus(set))
    }

    pub(crate) fn count(&self) -> usize {
        // SAFETY: the set is valid, and only read.
        let count = unsafe { libc::CPU_COUNT(&self.0) };
        count as usize
    }

    /// The first of them alone.
    pub(crate) fn first(&self) -> Cpus {
        // SAFETY: the number stays within the set.
        let has = |cpu: &usize| unsafe { libc::CPU_ISSET(*cpu, &self.0) };
        let first = (0..libc::CPU_SETSIZE as usize).find(has).expect("a thread has a CPU");
        let mut one = Cpus::none();
        // SAFETY: the number is within the set.
        unsafe { libc::CPU_SET(first, &mut one.0) };
        one
    }

    /// Confines a thread of this process to them; 0 is the calling thread.
    pub(crate) fn confine(&self, tid: i32) -> io::Result<()> {
        // SAFETY: the set is valid for its size, and only read.
        let answer =
            unsafe { libc::sched_setaffinity(tid, size_of_val(&self.0), &raw const self.0) };
        check(answer).map(drop)
    }
}
