//! Where a thread is in the kernel, as procfs tells: in which system call, in a page fault, or on its
//! way in the program.
//!
//! The thread is not stopped for it and does not notice. What is told is of one moment, and the files
//! are read one after the other: of a thread that goes on meanwhile they may not fit together.

use std::fs;
use std::io::{self, Read};

/// So many functions of the kernel are told of a thread; the outer ones are those of any system call.
const FRAMES: usize = 6;

/// What a thread is doing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Doing {
    /// It runs, or waits for a CPU.
    Running,
    /// It sleeps in a system call of that number.
    Call(u16),
    /// It sleeps, and has made no system call: a page that is not there.
    Fault,
    /// It sleeps, and the kernel does not say where.
    #[default]
    Asleep,
}

/// Where a thread is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Whereabouts {
    pub(crate) doing: Doing,
    /// The function of the kernel in which it waits, if that is told.
    pub(crate) channel: String,
}

/// Where a thread of this process is.
///
/// # Errors
///
/// There is no such thread (any more), or its files cannot be read.
pub(crate) fn of(tid: i32) -> io::Result<Whereabouts> {
    let call = match read(tid, "syscall") {
        Ok(line) => parse(&line),
        // Built without it: whether it sleeps is told by its state.
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            match super::stat::ThreadStat::open(tid)?.state()? {
                b'R' => Doing::Running,
                _ => Doing::Asleep,
            }
        }
        Err(error) => return Err(error),
    };
    let channel = match call {
        Doing::Running => String::new(),
        // Without the names of its functions the kernel says 0.
        _ => read(tid, "wchan").ok().filter(|name| name != "0").unwrap_or_default(),
    };
    Ok(Whereabouts { doing: call, channel })
}

/// The functions of the kernel that the thread is in, innermost first: where this process may ask,
/// which as a rule only root may.
pub(crate) fn kernel_stack(tid: i32) -> Option<Vec<String>> {
    let text = read(tid, "stack").ok()?;
    let name = |line: &str| {
        let name = line.rsplit(' ').next()?;
        Some(name.split('+').next()?.to_owned())
    };
    let frames: Vec<_> = text.lines().filter_map(name).take(FRAMES).collect();
    (!frames.is_empty()).then_some(frames)
}

fn read(tid: i32, name: &str) -> io::Result<String> {
    let mut text = String::new();
    let file = fs::File::open(format!("/proc/self/task/{tid}/{name}"))?;
    file.take(4096).read_to_string(&mut text)?;
    text.truncate(text.trim_end().len());
    Ok(text)
}

/// `running`, `-1 0xSP 0xPC`, or `number 0x.. 0x.. ...`.
fn parse(line: &str) -> Doing {
    let first = line.split(' ').next().unwrap_or_default();
    match first.parse::<i64>() {
        Ok(-1) => Doing::Fault,
        Ok(number) => u16::try_from(number).map_or(Doing::Asleep, Doing::Call),
        Err(_) if first == "running" => Doing::Running,
        Err(_) => Doing::Asleep,
    }
}

/// The system calls that wait, by their names in the kernel.
macro_rules! names {
    ($($name:ident $number:ident,)*) => {
        /// The name of a system call, of those that are known to wait.
        pub(crate) fn call_name(number: u16) -> Option<&'static str> {
            match libc::c_long::from(number) {
                $(libc::$number => Some(stringify!($name)),)*
                _ => None,
            }
        }
    };
}

names! {
    accept SYS_accept,
    accept4 SYS_accept4,
    clock_nanosleep SYS_clock_nanosleep,
    close SYS_close,
    connect SYS_connect,
    copy_file_range SYS_copy_file_range,
    epoll_pwait SYS_epoll_pwait,
    execve SYS_execve,
    exit_group SYS_exit_group,
    faccessat SYS_faccessat,
    fallocate SYS_fallocate,
    fcntl SYS_fcntl,
    fdatasync SYS_fdatasync,
    flock SYS_flock,
    fsync SYS_fsync,
    ftruncate SYS_ftruncate,
    futex SYS_futex,
    getdents64 SYS_getdents64,
    getrandom SYS_getrandom,
    io_getevents SYS_io_getevents,
    io_submit SYS_io_submit,
    io_uring_enter SYS_io_uring_enter,
    ioctl SYS_ioctl,
    linkat SYS_linkat,
    madvise SYS_madvise,
    mkdirat SYS_mkdirat,
    mmap SYS_mmap,
    mprotect SYS_mprotect,
    msgrcv SYS_msgrcv,
    msgsnd SYS_msgsnd,
    msync SYS_msync,
    munmap SYS_munmap,
    nanosleep SYS_nanosleep,
    openat SYS_openat,
    openat2 SYS_openat2,
    ppoll SYS_ppoll,
    pread64 SYS_pread64,
    preadv SYS_preadv,
    preadv2 SYS_preadv2,
    pselect6 SYS_pselect6,
    pwrite64 SYS_pwrite64,
    pwritev SYS_pwritev,
    pwritev2 SYS_pwritev2,
    read SYS_read,
    readahead SYS_readahead,
    readlinkat SYS_readlinkat,
    readv SYS_readv,
    recvfrom SYS_recvfrom,
    recvmmsg SYS_recvmmsg,
    recvmsg SYS_recvmsg,
    renameat2 SYS_renameat2,
    semtimedop SYS_semtimedop,
    sendfile SYS_sendfile,
    sendmmsg SYS_sendmmsg,
    sendmsg SYS_sendmsg,
    sendto SYS_sendto,
    splice SYS_splice,
    statfs SYS_statfs,
    statx SYS_statx,
    sync SYS_sync,
    sync_file_range SYS_sync_file_range,
    syncfs SYS_syncfs,
    tee SYS_tee,
    unlinkat SYS_unlinkat,
    vmsplice SYS_vmsplice,
    wait4 SYS_wait4,
    waitid SYS_waitid,
    write SYS_write,
    writev SYS_writev,
}

/// A system call by its name, or by its number.
pub(crate) fn call_text(number: u16) -> String {
    match call_name(number).or_else(|| older_name(number)) {
        Some(name) => name.to_owned(),
        None => format!("system call {number}"),
    }
}

/// Those that newer machines do not have any more.
#[cfg(target_arch = "x86_64")]
fn older_name(number: u16) -> Option<&'static str> {
    match libc::c_long::from(number) {
        libc::SYS_poll => Some("poll"),
        libc::SYS_select => Some("select"),
        libc::SYS_open => Some("open"),
        libc::SYS_stat => Some("stat"),
        libc::SYS_lstat => Some("lstat"),
        libc::SYS_access => Some("access"),
        libc::SYS_unlink => Some("unlink"),
        libc::SYS_rename => Some("rename"),
        libc::SYS_mkdir => Some("mkdir"),
        libc::SYS_pause => Some("pause"),
        libc::SYS_epoll_wait => Some("epoll_wait"),
        _ => None,
    }
}

#[cfg(not(target_arch = "x86_64"))]
fn older_name(_number: u16) -> Option<&'static str> {
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::thread::tid;
    use std::io::Write;
    use std::sync::mpsc;
    use std::time::Duration;

    #[test]
    fn a_line_says_what_its_thread_does() {
        assert_eq!(parse("running"), Doing::Running);
        assert_eq!(parse("-1 0x7ffe 0x55d0"), Doing::Fault);
        assert_eq!(parse("0 0x3 0x7f 0x2 0x0 0x0 0x0 0x7ffe 0x7f"), Doing::Call(0));
        assert_eq!(parse(""), Doing::Asleep);
        assert_eq!(parse("99999999 0x0"), Doing::Asleep);
    }

    #[test]
    fn a_thread_that_waits_is_found_in_its_system_call() {
        let (send, receive) = mpsc::channel();
        let (mut reader, mut writer) = io::pipe().expect("a pipe");
        let thread = std::thread::spawn(move || {
            send.send(tid()).expect("heard");
            reader.read_exact(&mut [0]).expect("something comes");
        });
        let tid = receive.recv().expect("told");
        let read = Doing::Call(libc::SYS_read as u16);
        let found = (0..5000).any(|_| {
            std::thread::sleep(Duration::from_millis(1));
            of(tid).expect("it is there").doing == read
        });
        assert!(found, "{:?}", of(tid));
        drop(kernel_stack(tid));
        writer.write_all(b"x").expect("room");
        thread.join().expect("it ends");
        assert_eq!(call_text(libc::SYS_read as u16), "read");
        assert_eq!(call_text(9999), "system call 9999");
        assert!((0..1000).any(|_| {
            std::thread::sleep(Duration::from_millis(1));
            of(tid).is_err()
        }));
    }

    #[test]
    fn the_one_who_asks_runs() {
        let tid = tid();
        assert_eq!(call_name(libc::SYS_futex as u16), Some("futex"));
        let other = std::thread::spawn(move || of(tid)).join().expect("no panic");
        // It waits for that thread to end.
        assert!(matches!(other.expect("there").doing, Doing::Call(_) | Doing::Running));
    }
}
