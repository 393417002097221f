//! What a program says of itself when it is asked, or when something lasts too long.

mod support;

use std::path::PathBuf;
use std::time::{Duration, Instant};

use serde_json::Value;
use threadlet::runtime::{Builder, Handle, TaskState};
use threadlet::threadlet;

use support::{Barrier, build, child, detectors, in_time, is_child, passes, wait_until};

const LIMIT: Duration = Duration::from_secs(60);
const BOUND: Duration = Duration::from_millis(20);

/// A folder of this test's own, which goes with it.
struct Scratch(PathBuf);

impl Scratch {
    fn new(name: &str) -> Scratch {
        let name = format!("threadlet-{name}-{}", std::process::id());
        let path = std::env::temp_dir().join(name);
        std::fs::create_dir_all(&path).unwrap();
        Scratch(path)
    }

    /// The flight recorders in it, each a whole array.
    fn dumps(&self) -> Vec<Vec<Value>> {
        self.try_dumps().expect("each is one whole array")
    }

    /// The same while one may be being written.
    fn try_dumps(&self) -> Option<Vec<Vec<Value>>> {
        let files = std::fs::read_dir(&self.0).unwrap().map(|entry| entry.unwrap().path());
        let text = files.map(|path| std::fs::read_to_string(path).unwrap());
        text.map(|text| serde_json::from_str(&text).ok()).collect()
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn lasts(time: Duration) {
    std::thread::sleep(time);
}

#[test]
fn a_call_that_lasts_is_told_once_and_what_is_there_to_last_is_not() {
    if is_child() {
        let mut builder = Builder::new_multi_thread();
        let runtime = builder.worker_threads(1).stall_after(BOUND).build().unwrap();
        let long = threadlet::task::Builder::new().name("reader");
        let call = async { threadlet!(lasts(BOUND * 10)) };
        let long = long.spawn_on(call, runtime.handle()).unwrap();
        let blocking = runtime.spawn_blocking(|| std::thread::sleep(BOUND * 10));
        let short = runtime.spawn(async { threadlet!(lasts(BOUND / 10)) });
        in_time(&runtime, "all", async { (long.await, blocking.await, short.await) }).0.unwrap();
        // Its lines are written by others.
        std::thread::sleep(Duration::from_millis(300));
        return;
    }
    let said = passes(LIMIT, &mut child());
    let lines: Vec<_> = said.lines().filter(|line| line.contains("has lasted for")).collect();
    assert_eq!(lines.len(), 1, "{said}");
    assert!(lines[0].contains("lasts(BOUND * 10) in task"), "{said}");
    assert!(lines[0].contains("\"reader\""), "{said}");
    assert!(lines[0].contains("nanosleep"), "{said}");
}

#[test]
fn many_that_last_are_counted_and_not_told_one_by_one() {
    if is_child() {
        let mut builder = Builder::new_multi_thread();
        builder.worker_threads(2).max_async_threads(200).stall_after(BOUND);
        let runtime = builder.build().unwrap();
        let calls =
            (0..100).map(|_| runtime.spawn(async { threadlet!(will_block; lasts(BOUND * 10)) }));
        let calls: Vec<_> = calls.collect();
        calls.into_iter().for_each(|call| in_time(&runtime, "a call", call).unwrap());
        // Longer than the pause behind which the rest is told.
        std::thread::sleep(Duration::from_millis(1500));
        return;
    }
    let said = passes(LIMIT, &mut child());
    let told = said.lines().filter(|line| line.contains("has lasted for")).count();
    assert!((1..=12).contains(&told), "{told}: {said}");
    // Each is told, or counted.
    let number = |line: &str, before: &str| -> Option<usize> {
        let rest = &line[line.find(before)? + before.len()..];
        rest.split(' ').next()?.parse().ok()
    };
    let counted = said.lines().filter_map(|line| number(line, "(and ")).sum::<usize>();
    let rest = said.lines().filter(|line| line.contains("have lasted too long"));
    let rest: usize = rest.filter_map(|line| number(line, "threadlet: ")).sum();
    assert_eq!(told + counted + rest, 100, "{said}");
}

#[test]
fn a_runtime_that_stands_still_says_so() {
    if is_child() {
        let mut builder = Builder::new_multi_thread();
        builder.worker_threads(1).rescue(false).stall_after(BOUND);
        let runtime = builder.build().unwrap();
        let stuck = runtime.spawn(async { std::thread::sleep(BOUND * 10) });
        std::thread::sleep(BOUND / 4);
        let waits = runtime.spawn(async { 7 });
        in_time(&runtime, "both", async { (stuck.await, waits.await) }).0.unwrap();
        std::thread::sleep(Duration::from_millis(300));
        return;
    }
    let said = passes(LIMIT, &mut child());
    let found = said.lines().any(|line| {
        line.contains("tasks are queued, and none has been polled for") && line.contains(file!())
    });
    assert!(found, "{said}");
}

#[test]
fn the_recorder_is_written_when_something_lasts() {
    let scratch = Scratch::new("stall");
    let mut builder = Builder::new_multi_thread();
    builder.worker_threads(1).flight_recorder(1 << 18).stall_after(BOUND);
    let runtime = builder.recorder_directory(&scratch.0).build().unwrap();
    for _ in 0..3 {
        let long = runtime.spawn(async { threadlet!(lasts(BOUND * 5)) });
        in_time(&runtime, "the call", long).unwrap();
    }
    drop(runtime);
    let dumps = scratch.dumps();
    assert_eq!(dumps.len(), 1, "not more often than every ten seconds");
    assert!(dumps[0].iter().any(|event| event["cat"] == "stall"), "{dumps:?}");
}

#[test]
fn a_signal_has_the_tasks_told_and_the_recorder_written() {
    let scratch = Scratch::new("signal");
    if is_child() {
        let scratch = Scratch(std::env::var_os("THREADLET_SCRATCH").unwrap().into());
        let runtime = Builder::new_multi_thread().worker_threads(1).build().unwrap();
        runtime.spawn(std::future::pending::<()>());
        runtime.spawn(std::future::pending::<()>());
        let barrier = Barrier::default();
        let mine = barrier.clone();
        let stuck = runtime.spawn(async move { threadlet!(mine.block()) });
        wait_until("it is blocked", || barrier.blocked() == 1);
        for nth in 1..=2 {
            // SAFETY: to this thread, of a process that handles it.
            unsafe { libc::raise(libc::SIGUSR2) };
            wait_until("it is written", || std::fs::read_dir(&scratch.0).unwrap().count() == nth);
        }
        wait_until("each is whole", || scratch.try_dumps().is_some());
        // The lines are written by others.
        std::thread::sleep(Duration::from_millis(300));
        barrier.let_go(1);
        in_time(&runtime, "the call", stuck).unwrap();
        assert_eq!(scratch.dumps().len(), 2);
        std::mem::forget(scratch);
        return;
    }
    let mut command = child();
    command.env("THREADLET_SCRATCH", &scratch.0).env("THREADLET_RECORDER_DIR", &scratch.0);
    command.env("THREADLET_RECORDER", "256K").env("THREADLET_SIGNAL", "USR2");
    let said = passes(LIMIT, &mut command);
    assert!(said.contains("3 tasks, of which 2 wait"), "{said}");
    assert!(said.contains("in the call at tests/report_stalls.rs:"), "{said}");
    assert!(said.contains("the flight recorder is in"), "{said}");
}

#[test]
fn a_panic_has_the_recorder_written() {
    let scratch = Scratch::new("panic");
    if is_child() {
        let mut builder = Builder::new_multi_thread();
        builder.worker_threads(1).flight_recorder(1 << 16).dump_on_panic(true);
        let runtime = builder.build().unwrap();
        let panics = runtime.spawn(async { panic!("on purpose") });
        assert!(in_time(&runtime, "it ends", panics).unwrap_err().is_panic());
        return;
    }
    let mut command = child();
    command.env("THREADLET_RECORDER_DIR", &scratch.0);
    let said = passes(LIMIT, &mut command);
    assert_eq!(scratch.dumps().len(), 1, "{said}");
    let (ours, theirs) = (said.find("the flight recorder is in"), said.find("on purpose"));
    assert!(ours.is_some() && ours < theirs, "before the panic is told: {said}");
}

/// The story: "No such file or directory", and nobody said of what.
#[test]
fn a_folder_that_is_not_there_is_named() {
    if is_child() {
        let mut builder = Builder::new_multi_thread();
        builder.worker_threads(1).flight_recorder(1 << 16).dump_on_panic(true);
        let runtime = builder.build().unwrap();
        let panics = runtime.spawn(async { panic!("on purpose") });
        assert!(in_time(&runtime, "it ends", panics).unwrap_err().is_panic());
        return;
    }
    let mut command = child();
    command.env("THREADLET_RECORDER_DIR", "/nonexistent/folder");
    let said = passes(LIMIT, &mut command);
    assert!(said.contains("cannot be written to /nonexistent/folder/threadlet-"), "{said}");
}

/// The story: whoever panics may not set the hook, and panicked once more for it, which is the end of
/// the process.
#[test]
fn a_runtime_that_writes_at_a_panic_may_be_built_in_one() {
    struct Builds(PathBuf);
    impl Drop for Builds {
        fn drop(&mut self) {
            let mut builder = Builder::new_multi_thread();
            builder.worker_threads(1).flight_recorder(1 << 16).dump_on_panic(true);
            let runtime = builder.recorder_directory(&self.0).build().unwrap();
            let panics = runtime.spawn(async { panic!("in a task") });
            assert!(in_time(&runtime, "it ends", panics).unwrap_err().is_panic());
        }
    }
    if !support::alone(LIMIT) {
        return;
    }
    let scratch = Scratch::new("in-panic");
    let builds = Builds(scratch.0.clone());
    let unwinds = std::panic::catch_unwind(move || {
        let _builds = builds;
        panic!("on purpose")
    });
    assert_eq!(unwinds.unwrap_err().downcast_ref(), Some(&"on purpose"));
    assert_eq!(scratch.dumps().len(), 1, "that of the task");
}

#[test]
fn tasks_say_what_they_do() {
    for detector in detectors() {
        let mut builder = Builder::new_multi_thread();
        let runtime = build(builder.worker_threads(1).keep_tasks(true), detector);
        let barrier = Barrier::default();
        let mine = barrier.clone();
        let named = threadlet::task::Builder::new().name("stuck");
        let stuck = async move { threadlet!(will_block; mine.block()) };
        let stuck = named.spawn_on(stuck, runtime.handle()).unwrap();
        let waits = runtime.spawn(std::future::pending::<()>());
        let handle = runtime.handle().clone();
        wait_until("it is blocked", || barrier.blocked() == 1);
        wait_until("the other has been polled", || {
            handle.tasks().iter().any(|task| task.id == waits.id() && task.polls == Some(1))
        });
        let tasks = handle.tasks();
        assert_eq!(tasks.len(), 2, "{tasks:?}");
        let of = |id| tasks.iter().find(|task| task.id == id).unwrap();
        let found = of(stuck.id());
        let TaskState::Running(running) = found.state else { panic!("{found}") };
        assert_eq!((found.name.as_deref(), found.file), (Some("stuck"), file!()));
        assert!(running.call.unwrap().text().contains("mine.block()"), "{found}");
        assert!(running.thread > 0 && running.since.is_some(), "{found}");
        let (since, _) = running.lost_core.expect("its core went on");
        assert!(since.elapsed() < Duration::from_secs(60), "{found}");
        let found = of(waits.id());
        assert!(matches!(found.state, TaskState::Waiting), "{found}");
        assert!(found.busy.unwrap() > Duration::ZERO && found.name.is_none(), "{found}");
        barrier.let_go(1);
        in_time(&runtime, "the call", stuck).unwrap();
        assert_eq!(handle.tasks().len(), 1, "what has ended is in no list");
        waits.abort();
    }
}

#[test]
fn tasks_are_listed_though_nothing_is_kept() {
    let runtime = Builder::new_current_thread().build().unwrap();
    let waits = runtime.spawn(std::future::pending::<()>());
    let ready = runtime.spawn(async { 7 });
    let tasks = runtime.handle().tasks();
    assert_eq!(tasks.iter().map(|task| task.id).collect::<Vec<_>>(), [waits.id(), ready.id()]);
    assert!(tasks.iter().all(|task| matches!(task.state, TaskState::Queued)), "{tasks:?}");
    if std::env::var_os("THREADLET_STALL").is_none() {
        assert!(tasks.iter().all(|task| task.polls.is_none() && task.busy.is_none()), "{tasks:?}");
    }
    let seen = runtime.block_on(async move {
        ready.await.unwrap();
        Handle::current().tasks()
    });
    assert!(matches!(seen[..], [ref one] if matches!(one.state, TaskState::Waiting)), "{seen:?}");
}

/// The watcher sleeps without an end when nobody is awake, and wakes with the first task.
#[test]
fn a_watched_runtime_at_rest_sleeps() {
    if !support::alone(LIMIT) {
        return;
    }
    let mut builder = Builder::new_multi_thread();
    let runtime =
        builder.worker_threads(2).flight_recorder(1 << 16).stall_after(BOUND).build().unwrap();
    in_time(&runtime, "a task", runtime.spawn(async {})).unwrap();
    let watcher = "threadlet-watch";
    wait_until("the watcher has come to rest", || {
        // It gives itself its name.
        let before = support::os::sleeps_of(watcher);
        std::thread::sleep(Duration::from_millis(200));
        before.is_some() && support::os::sleeps_of(watcher) == before
    });
    let start = Instant::now();
    let long = runtime.spawn(async { threadlet!(lasts(BOUND * 5)) });
    in_time(&runtime, "the call", long).unwrap();
    assert!(start.elapsed() >= BOUND * 5);
    let mut text = Vec::new();
    runtime.handle().write_recorder(&mut text).unwrap();
    let events: Vec<Value> = serde_json::from_slice(&text).unwrap();
    assert!(events.iter().any(|event| event["cat"] == "stall"), "it has woken: {events:?}");
}

#[test]
fn what_is_said_in_the_environment_is_checked() {
    if is_child() {
        let error = Builder::new_current_thread().build().unwrap_err();
        assert_eq!(error.kind(), std::io::ErrorKind::InvalidInput);
        println!("said: {error}");
        return;
    }
    let names = ["THREADLET_RECORDER", "THREADLET_STALL", "THREADLET_SIGNAL"];
    for name in names {
        let said = passes(LIMIT, child().env(name, "nonsense"));
        assert!(said.contains(name) && said.contains("such as"), "{said}");
    }
    for number in ["9", "32", "4096"] {
        let said = passes(LIMIT, child().env("THREADLET_SIGNAL", number));
        assert!(said.contains(&format!("signal {number} cannot be waited for")), "{said}");
    }
}
