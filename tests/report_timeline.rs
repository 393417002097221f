//! The timeline: what it says of a run that is known.

mod support;

use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::Value;
use support::{build, detectors, in_time};
use threadlet::runtime::Builder;
use threadlet::threadlet;

/// A file of this test's own, which goes when the test has passed.
struct Scratch(PathBuf);

impl Scratch {
    fn new(name: &str) -> Scratch {
        let name = format!("threadlet-{name}-{}.json", std::process::id());
        Scratch(std::env::temp_dir().join(name))
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

/// The events of a timeline, whose last bracket is missing, as the format allows.
fn events(path: &Path) -> Vec<Value> {
    let text = std::fs::read_to_string(path).unwrap();
    let whole = format!("{}]", text.trim_end().trim_end_matches(','));
    serde_json::from_str(&whole).unwrap_or_else(|error| panic!("{error}: {text}"))
}

fn named<'a>(events: &'a [Value], phase: &str, name: &str) -> Vec<&'a Value> {
    let is = |event: &&Value| {
        event["ph"] == phase && event["name"].as_str().is_some_and(|text| text.contains(name))
    };
    events.iter().filter(is).collect()
}

#[test]
fn calls_cores_handoffs_and_waits_are_in_it() {
    for detector in detectors() {
        let file = Scratch::new("timeline");
        let mut builder = Builder::new_multi_thread();
        builder.worker_threads(2).max_async_threads(2).trace(&file.0);
        let runtime = build(&mut builder, detector);
        let tasks: Vec<_> = (0..8)
            .map(|_| {
                runtime.spawn(async {
                    threadlet!(std::hint::black_box("it's \"quick\""));
                    threadlet!(will_block; std::thread::sleep(Duration::from_millis(20)));
                })
            })
            .collect();
        for task in tasks {
            in_time(&runtime, "all calls", task).unwrap();
        }
        let metrics = runtime.metrics();
        drop(runtime);

        let events = events(&file.0);
        assert_eq!(named(&events, "X", "black_box(\"it's \\\"quick\\\"\")").len(), 8);
        let sleeps = named(&events, "X", "thread::sleep");
        assert_eq!(sleeps.len(), 8);
        for sleep in &sleeps {
            assert!(sleep["dur"].as_f64().unwrap() >= 20_000.0, "{sleep}");
            let place = sleep["args"]["at"].as_str().unwrap();
            assert!(place.starts_with(file!()), "{sleep}");
        }
        let first = sleeps.iter().filter(|sleep| sleep["args"]["how"] == "handed over first");
        assert!(first.count() >= 1);
        let handed = metrics.handoffs_predicted as usize;
        assert_eq!(named(&events, "i", "hand-off: Predicted").len(), handed);
        let waits = named(&events, "b", "thread::sleep");
        assert!(!waits.is_empty() && named(&events, "e", "thread::sleep").len() == waits.len());

        one_owner_at_a_time(&events);
    }
}

/// No two threads have a core at once.
fn one_owner_at_a_time(events: &[Value]) {
    let cores: Vec<_> = events.iter().filter(|e| e["ph"] == "X" && e["pid"] == 2).collect();
    for seat in 0..2 {
        let mut spans: Vec<_> = cores
            .iter()
            .filter(|event| event["tid"] == seat)
            .map(|event| {
                let begin = event["ts"].as_f64().unwrap();
                (begin, begin + event["dur"].as_f64().unwrap(), &event["name"])
            })
            .collect();
        spans.sort_by(|one, other| one.0.total_cmp(&other.0));
        assert!(!spans.is_empty(), "somebody had core {seat}");
        for pair in spans.windows(2) {
            // A thief notes the time right behind its swap, when the spare may be awake already.
            assert!(pair[0].1 <= pair[1].0 + 50.0, "two at once: {pair:?}");
        }
    }
}

#[test]
fn a_file_that_cannot_be_written_is_an_error_that_names_it() {
    let error = Builder::new_multi_thread().trace("/nonexistent/timeline").build().unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::NotFound);
    assert!(error.to_string().contains("/nonexistent/timeline"), "{error}");
}

#[test]
fn a_disk_that_is_full_ends_the_timeline_and_nothing_else() {
    let runtime = Builder::new_multi_thread().worker_threads(1).trace("/dev/full").build().unwrap();
    let task = runtime.spawn(async {
        for _ in 0..5000 {
            threadlet!(std::hint::black_box(()));
        }
        7
    });
    assert_eq!(in_time(&runtime, "all calls", task).unwrap(), 7);
}
