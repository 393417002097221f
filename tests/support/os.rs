//! What the tests ask of the operating system.

use std::fs::File;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::process::Command;

/// A pipe: what reads, and what writes.
pub(crate) fn pipe() -> (File, File) {
    let (reader, writer) = io::pipe().expect("a pipe");
    (OwnedFd::from(reader).into(), OwnedFd::from(writer).into())
}

/// Whether this process is the superuser, whom few limits bind.
pub(crate) fn is_root() -> bool {
    // SAFETY: no arguments, cannot fail.
    let user = unsafe { libc::geteuid() };
    user == 0
}

/// Becomes an ordinary user, if this process is the superuser. All of its threads do.
pub(crate) fn become_nobody() {
    if !is_root() {
        return;
    }
    // SAFETY: no groups, so nothing is read.
    let groups = unsafe { libc::setgroups(0, std::ptr::null()) };
    assert_eq!(groups, 0, "{}", io::Error::last_os_error());
    // SAFETY: three numbers.
    let group = unsafe { libc::setresgid(65534, 65534, 65534) };
    assert_eq!(group, 0, "{}", io::Error::last_os_error());
    // SAFETY: three numbers.
    let user = unsafe { libc::setresuid(65534, 65534, 65534) };
    assert_eq!(user, 0, "{}", io::Error::last_os_error());
}

/// The limit on the user's threads: sets the soft one, returns the old one.
pub(crate) fn set_thread_limit(soft: libc::rlim_t) -> libc::rlim_t {
    set_limit(libc::RLIMIT_NPROC, soft)
}

/// Sets a soft limit, returns the old one.
pub(crate) fn set_limit(resource: Resource, soft: libc::rlim_t) -> libc::rlim_t {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: `limit` is ours to write.
    let got = unsafe { libc::getrlimit(resource, &raw mut limit) };
    assert_eq!(got, 0, "{}", io::Error::last_os_error());
    let before = std::mem::replace(&mut limit.rlim_cur, soft);
    // SAFETY: `limit` outlives the call, which only reads it.
    let set = unsafe { libc::setrlimit(resource, &raw const limit) };
    assert_eq!(set, 0, "{}", io::Error::last_os_error());
    before
}

#[cfg(target_env = "gnu")]
type Resource = libc::__rlimit_resource_t;
#[cfg(not(target_env = "gnu"))]
type Resource = libc::c_int;

/// How often the calling thread was taken off its CPU though it could have run on.
pub(crate) fn preemptions() -> i64 {
    usage(libc::RUSAGE_THREAD).ru_nivcsw
}

/// The same of all threads that this process has or had.
pub(crate) fn preemptions_of_all() -> u64 {
    usage(libc::RUSAGE_SELF).ru_nivcsw as u64
}

fn usage(of_whom: libc::c_int) -> libc::rusage {
    // SAFETY: plain numbers, for which zero is a value.
    let mut usage: libc::rusage = unsafe { std::mem::zeroed() };
    // SAFETY: `usage` is ours to write.
    let got = unsafe { libc::getrusage(of_whom, &raw mut usage) };
    assert_eq!(got, 0, "{}", io::Error::last_os_error());
    usage
}

/// The number of the calling thread.
pub(crate) fn tid() -> i32 {
    // SAFETY: no arguments, cannot fail.
    unsafe { libc::gettid() }
}

/// How long a thread may run before others have their turn, as the kernel says since Linux 6.12; 0
/// before that.
pub(crate) fn slice_of(tid: i32) -> u64 {
    // The first version of the kernel's `sched_attr`, in words: the seventh and eighth are the
    // slice.
    let mut attr = [0_u32; 12];
    let size = size_of_val(&attr);
    // SAFETY: the words are ours to write, for the size given.
    let got = unsafe { libc::syscall(libc::SYS_sched_getattr, tid, attr.as_mut_ptr(), size, 0) };
    assert_eq!(got, 0, "{}", io::Error::last_os_error());
    u64::from(attr[6]) | u64::from(attr[7]) << 32
}

/// A process that does nothing for a minute, and is killed when the calling thread ends.
pub(crate) fn child_that_dies_with_its_thread() -> std::process::Child {
    fn die_with_it() -> io::Result<()> {
        // SAFETY: takes numbers only.
        match unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL, 0, 0, 0) } {
            0 => Ok(()),
            _ => Err(io::Error::last_os_error()),
        }
    }
    let mut command = Command::new("sleep");
    command.arg("60");
    // SAFETY: between fork and exec one system call is made, and nothing is allocated.
    unsafe { command.pre_exec(die_with_it) };
    command.spawn().expect("`sleep` can be started")
}

/// Whether this process has a seccomp filter.
pub(crate) fn is_filtered() -> bool {
    let status = std::fs::read_to_string("/proc/self/status").expect("/proc is mounted");
    status.lines().any(|line| line.strip_prefix("Seccomp:").is_some_and(|mode| mode.trim() == "2"))
}

/// The names of this process's threads.
pub(crate) fn thread_names() -> Vec<String> {
    let tasks = std::fs::read_dir("/proc/self/task").expect("/proc is mounted");
    let name = |task: io::Result<std::fs::DirEntry>| {
        // One that ends meanwhile has no name any more.
        let name = std::fs::read_to_string(task.ok()?.path().join("comm")).ok()?;
        Some(name.trim_end().to_owned())
    };
    tasks.filter_map(name).collect()
}

/// How often the thread of this name has gone to sleep. `None`: there is none yet.
pub(crate) fn sleeps_of(name: &str) -> Option<u64> {
    let tasks = std::fs::read_dir("/proc/self/task").expect("/proc is mounted");
    let sleeps = |task: io::Result<std::fs::DirEntry>| {
        let task = task.ok()?.path();
        let found = std::fs::read_to_string(task.join("comm")).ok()?;
        let status = std::fs::read_to_string(task.join("status")).ok()?;
        let line = status.lines().find(|line| line.starts_with("voluntary_ctxt_switches"))?;
        let count = line.split_whitespace().nth(1)?.parse::<u64>().ok()?;
        (found.trim_end() == name).then_some(count)
    };
    tasks.filter_map(sleeps).next()
}

/// The scheduling policy and the nice value of the thread of this name; 0 is that of ordinary ones.
pub(crate) fn policy_and_nice(name: &str) -> Option<(i32, i32)> {
    let tasks = std::fs::read_dir("/proc/self/task").expect("/proc is mounted");
    let stat = |task: io::Result<std::fs::DirEntry>| {
        let stat = std::fs::read_to_string(task.ok()?.path().join("stat")).ok()?;
        let (head, tail) = stat.rsplit_once(") ")?;
        let fields: Vec<_> = tail.split(' ').collect();
        // The third field of all is the first of these.
        let field = |nth: usize| fields.get(nth - 3)?.parse().ok();
        head.ends_with(&format!("({name}")).then_some((field(41)?, field(19)?))
    };
    tasks.filter_map(stat).next()
}

/// The CPUs that a thread of this process may run on, ascending; 0 is the calling one.
pub(crate) fn allowed_cpus(tid: i32) -> Vec<usize> {
    // SAFETY: a plain bit set, for which all zeros is the empty set.
    let mut set: libc::cpu_set_t = unsafe { std::mem::zeroed() };
    // SAFETY: the set is ours to write, for its size.
    let got = unsafe { libc::sched_getaffinity(tid, size_of_val(&set), &raw mut set) };
    assert_eq!(got, 0, "thread {tid}: {}", io::Error::last_os_error());
    // SAFETY: the number stays within the set.
    let allowed = |cpu: &usize| unsafe { libc::CPU_ISSET(*cpu, &set) };
    (0..libc::CPU_SETSIZE as usize).filter(allowed).collect()
}

/// Lets such a thread run there and nowhere else; whether the kernel took it.
pub(crate) fn allow_cpus(tid: i32, cpus: &[usize]) -> bool {
    // SAFETY: a plain bit set, for which all zeros is the empty set.
    let mut set: libc::cpu_set_t = unsafe { std::mem::zeroed() };
    for cpu in cpus {
        assert!(*cpu < libc::CPU_SETSIZE as usize);
        // SAFETY: the number is within the set.
        unsafe { libc::CPU_SET(*cpu, &mut set) };
    }
    // SAFETY: the set is valid for its size and only read.
    let answer = unsafe { libc::sched_setaffinity(tid, size_of_val(&set), &raw const set) };
    answer == 0
}

/// Has the command run on one CPU, the first that this process may use.
pub(crate) fn pinned(command: &mut Command) -> &mut Command {
    let pin = || {
        // SAFETY: a plain bit set, for which all zeros is the empty set.
        let mut set: libc::cpu_set_t = unsafe { std::mem::zeroed() };
        // SAFETY: the set is ours to write, for its size.
        let got = unsafe { libc::sched_getaffinity(0, size_of_val(&set), &raw mut set) };
        // SAFETY: the index stays within the set.
        let first = (0..1024).find(|cpu| unsafe { libc::CPU_ISSET(*cpu, &set) });
        let (0, Some(first)) = (got, first) else { return Err(io::Error::last_os_error()) };
        // SAFETY: all zeros is the empty set.
        set = unsafe { std::mem::zeroed() };
        // SAFETY: the index came out of such a set.
        unsafe { libc::CPU_SET(first, &mut set) };
        // SAFETY: the set is valid for its size and only read.
        match unsafe { libc::sched_setaffinity(0, size_of_val(&set), &raw const set) } {
            0 => Ok(()),
            _ => Err(io::Error::last_os_error()),
        }
    };
    // SAFETY: between fork and exec only system calls are made.
    unsafe { command.pre_exec(pin) }
}

/// Has the command run under a filter that answers system call `number` with `verdict`.
pub(crate) fn filtered(command: &mut Command, number: libc::c_long, verdict: u32) -> &mut Command {
    // SAFETY: between fork and exec only system calls are made, and nothing is allocated.
    unsafe { command.pre_exec(move || filter(&deny(number, verdict))) }
}

/// The verdict "refused, with this error".
pub(crate) fn refuse(errno: i32) -> u32 {
    libc::SECCOMP_RET_ERRNO | errno as u32
}

const LOAD_NUMBER: libc::sock_filter = statement(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, 0);

const fn statement(code: u32, k: u32) -> libc::sock_filter {
    libc::sock_filter { code: code as u16, jt: 0, jf: 0, k }
}

/// Skips the next statement unless the number is `number`.
const fn if_number(number: libc::c_long) -> libc::sock_filter {
    let code = libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K;
    libc::sock_filter { code: code as u16, jt: 0, jf: 1, k: number as u32 }
}

const fn verdict(verdict: u32) -> libc::sock_filter {
    statement(libc::BPF_RET | libc::BPF_K, verdict)
}

/// Everything is allowed but `number`.
pub(crate) fn deny(number: libc::c_long, answer: u32) -> [libc::sock_filter; 4] {
    [LOAD_NUMBER, if_number(number), verdict(answer), verdict(libc::SECCOMP_RET_ALLOW)]
}

/// Nothing is allowed but `numbers`: any other call kills the process.
pub(crate) fn allow_only(numbers: &[libc::c_long]) -> Vec<libc::sock_filter> {
    let mut program = vec![LOAD_NUMBER];
    for number in numbers {
        program.extend([if_number(*number), verdict(libc::SECCOMP_RET_ALLOW)]);
    }
    program.push(verdict(libc::SECCOMP_RET_KILL_PROCESS));
    program
}

/// Puts the calling thread, and what it starts from here on, under a filter. For ever.
pub(crate) fn filter(program: &[libc::sock_filter]) -> io::Result<()> {
    put_on(program, 0)
}

/// The same for all threads of this process.
pub(crate) fn filter_all(program: &[libc::sock_filter]) -> io::Result<()> {
    put_on(program, libc::SECCOMP_FILTER_FLAG_TSYNC)
}

fn put_on(program: &[libc::sock_filter], flags: libc::c_ulong) -> io::Result<()> {
    // SAFETY: numbers only. Without it an ordinary user may not install a filter.
    if unsafe { libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) } != 0 {
        return Err(io::Error::last_os_error());
    }
    let program =
        libc::sock_fprog { len: program.len() as u16, filter: program.as_ptr().cast_mut() };
    let mode = libc::SECCOMP_SET_MODE_FILTER;
    // SAFETY: the program outlives the call, which only reads it.
    match unsafe { libc::syscall(libc::SYS_seccomp, mode, flags, &raw const program) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

/// The CPU time the calling thread has used.
pub(crate) fn thread_cpu_time() -> std::time::Duration {
    cpu_time(libc::CLOCK_THREAD_CPUTIME_ID)
}

/// The CPU time all threads of this process have used.
pub(crate) fn process_cpu_time() -> std::time::Duration {
    cpu_time(libc::CLOCK_PROCESS_CPUTIME_ID)
}

fn cpu_time(clock: libc::clockid_t) -> std::time::Duration {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `time` is ours to write.
    let got = unsafe { libc::clock_gettime(clock, &raw mut time) };
    assert_eq!(got, 0, "{}", io::Error::last_os_error());
    std::time::Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

/// Whether the file system has no answer to a read with `RWF_NOWAIT`.
pub(crate) fn refuses_to_be_asked(file: &File) -> bool {
    let mut byte = 0_u8;
    let iov = libc::iovec { iov_base: (&raw mut byte).cast(), iov_len: 1 };
    let (fd, nowait) = (file.as_raw_fd(), libc::RWF_NOWAIT);
    // SAFETY: the one byte is ours to write, and outlives the call.
    let n = unsafe { libc::syscall(libc::SYS_preadv2, fd, &raw const iov, 1, 0, 0, nowait) };
    n < 0 && io::Error::last_os_error().raw_os_error() == Some(libc::EOPNOTSUPP)
}

/// The calling thread's timer slack, in nanoseconds.
pub(crate) fn timer_slack() -> i32 {
    // SAFETY: no memory is involved.
    unsafe { libc::prctl(libc::PR_GET_TIMERSLACK, 0, 0, 0, 0) }
}

/// Waits until there is something to read, or somebody to accept: what was sent over the loopback is
/// passed on a little later, on a busy machine, than its sender goes on.
pub(crate) fn wait_readable(file: &impl AsRawFd) {
    let mut asked = libc::pollfd { fd: file.as_raw_fd(), events: libc::POLLIN, revents: 0 };
    // SAFETY: the one entry is ours to write.
    let ready = unsafe { libc::poll(&raw mut asked, 1, 20_000) };
    assert_eq!(ready, 1, "{}", io::Error::last_os_error());
}

/// Brings the network of this namespace up.
pub(crate) fn use_loopback() {
    let socket = std::net::UdpSocket::bind("0.0.0.0:0").unwrap();
    // SAFETY: all zeros is a request with no name and no flags.
    let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
    request.ifr_name[..2].copy_from_slice(&[b'l' as libc::c_char, b'o' as libc::c_char]);
    request.ifr_ifru.ifru_flags = libc::IFF_UP as libc::c_short;
    let fd = socket.as_raw_fd();
    // SAFETY: the request is one that this call reads.
    let done = unsafe { libc::ioctl(fd, libc::SIOCSIFFLAGS as _, &raw const request) };
    assert_eq!(done, 0, "{}", io::Error::last_os_error());
}
