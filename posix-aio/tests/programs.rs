//! C programs, compiled here with the system's compiler and run with the library: preloaded, and
//! one of them linked against it.
//!
//! What each checks stands in the program. They say `file:line: not so: ...` where something is not
//! as POSIX has it, or as the C library does it where POSIX leaves it open.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

/// How long a program may take on a machine that has other things to do.
const LIMIT: Duration = Duration::from_secs(90);

fn sources() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/programs")
}

fn scratch() -> &'static Path {
    static PLACE: OnceLock<PathBuf> = OnceLock::new();
    PLACE.get_or_init(|| {
        let place = Path::new(env!("CARGO_TARGET_TMPDIR")).join("posix-aio");
        fs::create_dir_all(&place).unwrap();
        place
    })
}

/// The library, of the profile of this test. cargo builds no `cdylib` for a test by itself.
fn library() -> &'static Path {
    static LIBRARY: OnceLock<PathBuf> = OnceLock::new();
    LIBRARY.get_or_init(|| {
        let mut command = Command::new(env!("CARGO"));
        command.args(["build", "--quiet", "--package", "threadlet-aio", "--lib"]);
        command.args(["--message-format", "json", "--target-dir"]);
        command.arg(Path::new(env!("CARGO_TARGET_TMPDIR")).parent().unwrap());
        if !cfg!(debug_assertions) {
            command.arg("--release");
        }
        let built = command.current_dir(env!("CARGO_MANIFEST_DIR")).output().unwrap();
        assert!(built.status.success(), "{}", String::from_utf8_lossy(&built.stderr));
        let messages = String::from_utf8(built.stdout).unwrap();
        let named = |text: &&str| text.ends_with("/libthreadlet_aio.so");
        let path = messages.split('"').find(named).expect("cargo names what it has built");
        PathBuf::from(path)
    })
}

/// Each once: another test may run it by now.
fn compile(name: &str, extra: &[&str]) -> PathBuf {
    static COMPILED: Mutex<Vec<PathBuf>> = Mutex::new(Vec::new());
    let source = sources().join(format!("{name}.c"));
    let program =
        scratch().join(format!("{name}{}", if extra.is_empty() { "" } else { "-linked" }));
    let mut compiled = COMPILED.lock().unwrap_or_else(PoisonError::into_inner);
    if compiled.contains(&program) {
        return program;
    }
    let mut command = Command::new("cc");
    command.args(["-std=gnu11", "-Wall", "-Wextra", "-Werror", "-O1", "-pthread", "-o"]);
    command.arg(&program).arg(source).args(extra).args(["-ldl", "-lrt"]);
    let output = command.output().expect("the system has a C compiler, `cc`");
    assert!(output.status.success(), "{name}: {}", String::from_utf8_lossy(&output.stderr));
    compiled.push(program.clone());
    program
}

/// Returns what it has said.
#[track_caller]
fn run(command: &mut Command) -> String {
    command.env("SCRATCH", scratch()).stdin(Stdio::null());
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let deadline = Instant::now() + LIMIT;
    let mut late = false;
    while child.try_wait().unwrap().is_none() {
        if Instant::now() > deadline {
            late = true;
            child.kill().unwrap();
        }
        std::thread::sleep(Duration::from_millis(2));
    }
    let Output { status, stdout, stderr } = child.wait_with_output().unwrap();
    let (stdout, stderr) = (String::from_utf8_lossy(&stdout), String::from_utf8_lossy(&stderr));
    assert!(!late, "{command:?}: no end within {LIMIT:?}:\n{stdout}{stderr}");
    assert!(status.success(), "{command:?}: {status}\n{stdout}{stderr}");
    for line in stdout.lines().filter(|line| line.starts_with("SKIPPED: ")) {
        let _ = writeln!(std::io::stdout(), "\n{line}");
    }
    stdout.into_owned()
}

#[track_caller]
fn preloaded(name: &str) {
    run(Command::new(compile(name, &[])).env("LD_PRELOAD", library()));
}

/// Without the library, and with it: the C library does what we are to do, and says the same.
#[track_caller]
fn beside(name: &str, arguments: &[&str]) {
    let program = compile(name, &[]);
    let theirs = run(Command::new(&program).args(arguments).env("BESIDE", "1"));
    let ours = run(Command::new(&program).args(arguments).env("LD_PRELOAD", library()));
    for (theirs, ours) in theirs.lines().zip(ours.lines()) {
        assert_eq!(theirs, ours, "{name}: the C library's, and ours");
    }
    assert_eq!(theirs.len(), ours.len(), "{name}");
}

macro_rules! programs {
    ($($name:ident)*) => {$(
        #[test]
        fn $name() {
            preloaded(stringify!($name));
        }
    )*};
}

programs! {
    layout arguments basics order cancel notify list suspend many threads full close nproc cached
    fork filter numbers stuck interrupted words
}

/// The first request of a process is made by a thread that is to be cancelled, and nothing that it
/// calls is a place for that.
#[test]
fn a_first_request_is_no_cancellation_point() {
    beside("first", &["cancel"]);
}

#[test]
fn a_first_request_needs_little_stack() {
    beside("first", &["stack"]);
}

/// Files with `O_DIRECT`: by the kernel's own queue, and by threads.
#[test]
fn direct() {
    let program = compile("direct", &[]);
    run(Command::new(&program).arg("queue").env("LD_PRELOAD", library()));
    run(Command::new(&program).env("THREADLET_AIO", "threads").env("LD_PRELOAD", library()));
}

/// The kernel's queue waits in the call for a page of the buffer that is not there, and threads do
/// not.
#[test]
fn parallel() {
    let program = compile("parallel", &[]);
    run(Command::new(program).env("THREADLET_AIO", "threads").env("LD_PRELOAD", library()));
}

#[test]
fn cancelled() {
    beside("cancelled", &[]);
}

#[test]
fn sandbox() {
    for how in ["prctl", "syscall"] {
        for what in ["open", "early", "late", "exec", "strict", "EPERM"] {
            beside("sandbox", &[what, how]);
        }
    }
    for what in ["exec", "EPERM", "EACCES", "ENOSYS"] {
        beside("sandbox", &[what, "instruction"]);
    }
}

#[test]
fn idle() {
    beside("idle", &[]);
    // It ends with the last of its threads. (The program's own are at an end at once.)
    beside("idle", &["main"]);
}

#[test]
fn kinds() {
    beside("kinds", &[]);
    beside("kinds", &["filtered"]);
}

#[test]
fn special() {
    beside("special", &[]);
}

#[test]
fn exit() {
    let program = compile("exit", &[]);
    for arguments in [&[][..], &["wait"], &["wait", "exit"]] {
        for _ in 0..10 {
            run(Command::new(&program).args(arguments).env("LD_PRELOAD", library()));
        }
    }
}

#[test]
fn linked() {
    let directory = library().parent().unwrap().display().to_string();
    let (search, found) = (format!("-L{directory}"), format!("-Wl,-rpath,{directory}"));
    run(&mut Command::new(compile("basics", &[&search, "-lthreadlet_aio", &found])));
}
