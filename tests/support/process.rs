//! Tests that need a process of their own: they count its threads or descriptors, lower its limits,
//! fork, or run behind a filter.
//!
//! Under `cargo test` the tests of a binary are threads of one process. There such a test runs its
//! program once more, for itself alone, and its code is the same on both sides:
//!
//! ```ignore
//! #[test]
//! fn counts_threads() {
//!     if !alone(LIMIT) {
//!         return; // It has passed in a process of its own.
//!     }
//!     ...
//! }
//!
//! #[test]
//! fn is_told_by_the_environment() {
//!     if is_child() {
//!         return check();
//!     }
//!     passes(LIMIT, child().env("THREADLET_DETECTOR", "off"));
//! }
//! ```

use std::io::Write;
use std::process::{ChildStdin, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

/// Names, to a child, the test that it is a child of.
const CHILD: &str = "THREADLET_TEST_CHILD";

/// The name of the calling test, as the harness gives it to the test's thread.
fn test_name() -> String {
    let thread = std::thread::current();
    let name = thread.name().filter(|name| *name != "main");
    name.expect("asked on the thread of a test").to_owned()
}

/// Says yes where nothing but the calling test runs in this process. Elsewhere runs it in a process
/// of its own, for at most `limit`, demands that it passes there, and says no.
///
/// `cargo nextest` gives each test a process, and bounds its time by itself.
#[must_use]
#[track_caller]
pub(crate) fn alone(limit: Duration) -> bool {
    let by_nextest = std::env::var("NEXTEST_EXECUTION_MODE").is_ok_and(|m| m == "process-per-test");
    if by_nextest || is_child() {
        return true;
    }
    passes(limit, &mut child());
    false
}

/// Whether this process is a [`child`] of the calling test.
pub(crate) fn is_child() -> bool {
    std::env::var(CHILD).is_ok_and(|name| name == test_name())
}

/// The calling test once more, in a process of its own, where [`is_child`] says yes.
pub(crate) fn child() -> Command {
    let name = test_name();
    let mut command = Command::new(std::env::current_exe().expect("a test has a path"));
    command.args(["--exact", &name, "--nocapture", "--test-threads=1"]).env(CHILD, name);
    command
}

/// What a child process came to.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) status: ExitStatus,
    pub(crate) output: String,
}

/// Runs a child to its end, for at most `limit`.
#[track_caller]
pub(crate) fn run_within(limit: Duration, command: &mut Command) -> Ended {
    run(limit, command.stdin(Stdio::null())).0
}

/// The same, with a standard input that nobody writes to, and nobody closes while the child runs.
#[track_caller]
pub(crate) fn run_with_open_stdin(limit: Duration, command: &mut Command) -> Ended {
    let (ended, stdin) = run(limit, command.stdin(Stdio::piped()));
    drop(stdin);
    ended
}

#[track_caller]
fn run(limit: Duration, command: &mut Command) -> (Ended, Option<ChildStdin>) {
    let (reader, writer) = std::io::pipe().expect("a pipe");
    command.stderr(writer.try_clone().expect("a pipe")).stdout(writer);
    let mut child = command.spawn().expect("the child starts");
    // Taken, because whoever waits for a child closes it.
    let stdin = child.stdin.take();
    // The command holds the ends the child writes to.
    command.stdout(Stdio::null()).stderr(Stdio::null());
    let output = std::thread::spawn(|| std::io::read_to_string(reader));
    let deadline = Instant::now() + limit;
    let status = loop {
        match child.try_wait().expect("the child can be waited for") {
            Some(status) => break status,
            None if Instant::now() > deadline => {
                let _ = child.kill();
                let _ = child.wait();
                let output = output.join().unwrap().unwrap_or_default();
                panic!("the child did not end within {limit:?}:\n{output}");
            }
            None => std::thread::sleep(Duration::from_millis(2)),
        }
    };
    (Ended { status, output: output.join().unwrap().unwrap_or_default() }, stdin)
}

/// Runs a child that must pass its one test.
#[track_caller]
pub(crate) fn passes(limit: Duration, command: &mut Command) -> String {
    let ended = run_within(limit, command);
    ended.demand_a_pass();
    ended.output
}

impl Ended {
    /// Demands that it ran its one test, which passed; says again what it skipped.
    #[track_caller]
    pub(crate) fn demand_a_pass(&self) {
        let passed = self.status.success() && self.output.contains("1 passed");
        assert!(passed, "{}:\n{}", self.status, self.output);
        for line in self.output.lines().filter(|line| line.starts_with("SKIPPED: ")) {
            say(line);
        }
    }
}

/// A line on the standard output that the test harness does not capture.
pub(crate) fn say(line: &str) {
    let _ = writeln!(std::io::stdout(), "\n{line}");
}
