//! What is told of a thread that sleeps, with the functions of the program that it is in (feature
//! `backtrace`).

mod support;

use std::io::{Read, Write};
use std::sync::{Arc, Mutex, mpsc};
use std::time::{Duration, Instant};

use serde_json::Value;
use threadlet::runtime::{Builder, Detector, Runtime};
use threadlet::threadlet;

use support::{build, child, detectors, in_time, is_child, passes, wait_until};

const LIMIT: Duration = Duration::from_secs(60);
const BOUND: Duration = Duration::from_millis(30);
const LASTS: Duration = Duration::from_millis(250);

/// So long a first look at the names of a program may take, where nothing is optimised. Then they are
/// told, by another thread.
const NAMES: Duration = Duration::from_secs(4);

/// What sleeps, somewhere below the code of a task.
type Sleeps = Box<dyn FnOnce() + Send>;

#[inline(never)]
fn deep_in_the_library(sleeps: Sleeps) {
    sleeps();
    std::hint::black_box(());
}

#[inline(never)]
fn in_the_middle(sleeps: Sleeps) {
    deep_in_the_library(sleeps);
    std::hint::black_box(());
}

/// Blocks of each kind; each ends by itself.
const PLANTED: [(&str, fn()); 5] = [
    ("lock", || {
        let lock = Arc::new(Mutex::new(()));
        let (mine, (send, receive)) = (lock.clone(), mpsc::channel());
        std::thread::spawn(move || {
            let _locked = mine.lock().unwrap();
            send.send(()).unwrap();
            std::thread::sleep(LASTS);
        });
        receive.recv().unwrap();
        drop(lock.lock().unwrap());
    }),
    ("pipe", || {
        let (mut reader, mut writer) = std::io::pipe().unwrap();
        std::thread::spawn(move || {
            std::thread::sleep(LASTS);
            writer.write_all(b"x").unwrap();
        });
        reader.read_exact(&mut [0]).unwrap();
    }),
    ("sleep", || std::thread::sleep(LASTS)),
    ("channel", || {
        let (_send, receive) = mpsc::channel::<()>();
        assert_eq!(receive.recv_timeout(LASTS), Err(mpsc::RecvTimeoutError::Timeout));
    }),
    ("child", || {
        let status = std::process::Command::new("sleep").arg("0.25").status();
        assert!(status.unwrap().success());
    }),
];

fn runtime(name: &str, detector: Detector) -> Runtime {
    let mut builder = Builder::new_multi_thread();
    builder.worker_threads(2).thread_name(name).stall_after(BOUND).flight_recorder(1 << 18);
    build(&mut builder, detector)
}

/// One that calls what sleeps from below, and is told of.
fn stall(runtime: &Runtime, sleeps: Sleeps) {
    let long = runtime.spawn(async { threadlet!(in_the_middle(sleeps)) });
    in_time(runtime, "the call", long).unwrap();
}

#[test]
fn what_stalls_is_told_with_the_functions_that_it_is_in() {
    if is_child() {
        for detector in detectors() {
            for (name, sleeps) in PLANTED {
                stall(&runtime(&format!("{name}-{detector:?}"), detector), Box::new(sleeps));
            }
        }
        std::thread::sleep(NAMES);
        return;
    }
    let said = passes(LIMIT, &mut child());
    for detector in detectors() {
        for (name, _) in PLANTED {
            let begins = format!("{name}-{detector:?}: ");
            let line = said.lines().find_map(|line| line.find(&begins).map(|at| &line[at..]));
            let line = line.unwrap_or_else(|| panic!("no line {begins}: {said}"));
            let at = |what: &str| line.find(what).unwrap_or_else(|| panic!("{what}: {line}"));
            let program = &line[at("; in the program: ")..];
            let (deep, middle) =
                (program.find("deep_in_the_library"), program.find("in_the_middle"));
            assert!(deep.is_some() && deep < middle, "{line}");
            for ours in ["threadlet::scheduler", "threadlet::spawned", "threadlet::call"] {
                assert!(!line.contains(ours), "{ours}: {line}");
            }
        }
    }
}

#[test]
fn one_that_did_not_say_so_is_found_as_well_and_one_that_computes_is_not() {
    if is_child() {
        let runtime = runtime("unsaid", Detector::Monitor);
        let sleeps =
            runtime.spawn(async { deep_in_the_library(Box::new(|| std::thread::sleep(LASTS))) });
        in_time(&runtime, "it", sleeps).unwrap();
        let start = Instant::now();
        let computes = runtime.spawn(async move { while start.elapsed() < LASTS {} });
        in_time(&runtime, "it", computes).unwrap();
        std::thread::sleep(NAMES);
        return;
    }
    let said = passes(LIMIT, &mut child());
    let line = |does: &str| said.lines().find(|line| line.contains(does)).expect(&said).to_owned();
    assert!(line(" waits in").contains("deep_in_the_library"), "{said}");
    assert!(!line(" computes").contains("in the program"), "{said}");
}

#[test]
fn the_recorder_and_the_tasks_say_so_too() {
    for detector in detectors() {
        let runtime = runtime("told", detector);
        let (mut reader, mut writer) = std::io::pipe().unwrap();
        let sleeps: Sleeps = Box::new(move || reader.read_exact(&mut [0]).unwrap());
        let stuck = runtime.spawn(async { threadlet!(in_the_middle(sleeps)) });
        let waits = runtime.spawn(std::future::pending::<()>());
        let handle = runtime.handle().clone();
        let mut tasks = Vec::new();
        wait_until("it is seen asleep", || {
            tasks = handle.tasks();
            tasks.iter().any(|task| task.id == stuck.id() && !task.backtrace.is_empty())
        });
        let task = tasks.iter().find(|task| task.id == stuck.id()).unwrap();
        let frames = task.backtrace.frames();
        let names: Vec<_> = frames.iter().filter_map(|frame| frame.function.as_deref()).collect();
        let place = |name: &str| names.iter().position(|found| found.contains(name));
        let (deep, middle) = (place("deep_in_the_library"), place("in_the_middle"));
        assert!(deep.is_some() && deep < middle, "{names:?}");
        assert!(task.to_string().contains("; in the program: "), "{task}");
        let others = tasks.iter().filter(|task| task.id != stuck.id());
        assert!(others.clone().all(|task| task.backtrace.is_empty()), "{tasks:?}");
        wait_until("it is in the recorder", || {
            let mut text = Vec::new();
            handle.write_recorder(&mut text).unwrap();
            let events: Vec<Value> = serde_json::from_slice(&text).unwrap();
            let stall = events.iter().find(|event| event["cat"] == "stall");
            stall.is_some_and(|event| {
                let functions = event["args"]["backtrace"].as_str().expect("it slept on");
                functions.contains("deep_in_the_library")
            })
        });
        writer.write_all(b"x").unwrap();
        in_time(&runtime, "the call", stuck).unwrap();
        waits.abort();
    }
}

/// Who may not look at itself says all the rest.
#[test]
fn as_an_ordinary_user_and_where_nobody_may_look() {
    const NOBODY: u32 = 65534;
    if is_child() {
        // SAFETY: numbers only; the whole process becomes somebody else.
        assert_eq!(unsafe { libc::setresuid(NOBODY, NOBODY, NOBODY) }, 0);
        for may in [1, 0] {
            // SAFETY: numbers only.
            assert_eq!(unsafe { libc::prctl(libc::PR_SET_DUMPABLE, may, 0, 0, 0) }, 0);
            let runtime = runtime(&format!("may-{may}"), Detector::Monitor);
            stall(&runtime, Box::new(|| std::thread::sleep(LASTS)));
        }
        std::thread::sleep(NAMES);
        return;
    }
    if !support::os::is_root() {
        return support::say(
            "SKIPPED: only root can become somebody else (and the others are ordinary)",
        );
    }
    let said = passes(LIMIT, &mut child());
    let line = |of: &str| said.lines().find(|line| line.contains(of)).expect(&said).to_owned();
    assert!(line("may-1: ").contains("; in the program: "), "{said}");
    let blind = line("may-0: ");
    assert!(blind.contains("in_the_middle(sleeps) in task"), "{said}");
    assert!(!blind.contains("in the program"), "{said}");
}
