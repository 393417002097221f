//! A runtime's histograms, and its figures in the forms that others read.

mod support;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use support::{build, detectors, in_time, wait_until};
use threadlet::runtime::{Builder, MetricKind, write_prometheus};
use threadlet::{task, threadlet, time};

fn timed() -> Builder {
    let mut builder = Builder::new_multi_thread();
    builder.enable_metrics_poll_time_histogram().enable_metrics_schedule_latency_histogram();
    builder
}

#[test]
fn each_poll_is_timed_where_that_was_asked_for() {
    for detector in detectors() {
        let runtime = build(timed().worker_threads(2), detector);
        let pause = Duration::from_millis(30);
        let task = runtime.spawn(async move {
            for _ in 0..100 {
                task::yield_now().await;
            }
            // In the last poll. One that loses its core counts as well, and so does a coreless one.
            threadlet!(std::thread::sleep(pause));
            task::yield_now().await;
        });
        in_time(&runtime, "it ends", task).unwrap();
        wait_until("the last poll is counted", || {
            runtime.metrics().poll_times().unwrap().count() == 102
        });
        let times = runtime.metrics().poll_times().unwrap();
        assert!(times.longest() >= pause && times.total() >= pause, "{times:?}");
        assert!(times.quantile(0.5) < pause / 2, "{times:?}");
        assert_eq!(times.buckets().map(|(_, count)| count).sum::<u64>(), 102);
    }
}

#[test]
fn a_task_that_waits_behind_another_is_seen_to_wait() {
    let runtime = timed().worker_threads(1).rescue(false).build().unwrap();
    let pause = Duration::from_millis(50);
    let task = runtime.spawn(async move {
        let behind = threadlet::spawn(async {});
        // In the middle of its poll, and nobody takes over.
        std::thread::sleep(pause);
        behind.await.unwrap();
    });
    in_time(&runtime, "both end", task).unwrap();
    let waits = runtime.metrics().schedule_latencies().unwrap();
    assert!(waits.longest() >= pause * 9 / 10, "{waits:?}");
    // The first and the second at their spawn, and perhaps the first once more.
    assert!((2..=3).contains(&waits.count()), "{waits:?}");
}

/// Woken by a timer, by another thread, and by a task of the same worker.
#[test]
fn whoever_wakes_a_task_it_is_timed() {
    let runtime = timed().worker_threads(2).build().unwrap();
    let task = runtime.spawn(async {
        for _ in 0..10 {
            time::sleep(Duration::from_millis(1)).await;
        }
        for _ in 0..10 {
            threadlet::spawn(async {}).await.unwrap();
        }
        task::spawn_blocking(|| ()).await.unwrap();
    });
    in_time(&runtime, "it ends", task).unwrap();
    let waits = runtime.metrics().schedule_latencies().unwrap();
    assert!((22..=64).contains(&waits.count()), "{waits:?}");
}

#[test]
fn nothing_is_timed_where_nobody_asked() {
    let runtime = Builder::new_multi_thread().worker_threads(1).build().unwrap();
    in_time(&runtime, "it ends", runtime.spawn(async {})).unwrap();
    let metrics = runtime.metrics();
    assert!(metrics.poll_times().is_none() && metrics.schedule_latencies().is_none());
}

/// The figures of two runtimes in which something has happened, at sites with odd texts.
fn exposition() -> String {
    let busy = timed().name("busy \"one\"\\").worker_threads(2).build().unwrap();
    let task = busy.spawn(async {
        for _ in 0..20 {
            threadlet!(time_of("a \"quoted\" \\ text", 2));
            threadlet!({
                // On several lines, which the label has as well.
                let text = "\u{e4}\n";
                text.len()
            });
        }
    });
    in_time(&busy, "it ends", task).unwrap();
    let unnamed = Builder::new_multi_thread().worker_threads(1).build().unwrap();
    let mut text = String::new();
    write_prometheus(&[busy.metrics(), unnamed.metrics()], &mut text).unwrap();
    text
}

fn time_of(_: &str, millis: u64) {
    std::thread::sleep(Duration::from_millis(millis));
}

/// By all rules of the format, and by the habits that are checked by Prometheus' own linter.
#[test]
fn prometheus_reads_what_is_written() {
    let text = exposition();
    let families = parse(&text);
    assert!(families.len() >= 28, "{text}");
    let of = |name: &str| &families[name];
    let site = of("threadlet_site_calls_total").series.iter();
    let site = site.filter(|(labels, _)| labels.iter().any(|(_, text)| text.contains("quoted")));
    let [(labels, calls)] = site.collect::<Vec<_>>()[..] else { panic!("one line: {text}") };
    assert_eq!(labels[0], ("runtime".to_owned(), "busy \"one\"\\".to_owned()));
    assert_eq!(labels[2].1, "time_of(\"a \\\"quoted\\\" \\\\ text\", 2)", "as in the source");
    assert_eq!(*calls, 20.0);
    let polls = of("threadlet_poll_duration_seconds");
    assert_eq!(polls.kind, "histogram");
    assert_eq!(of("threadlet_workers").series.len(), 2, "of each runtime");
}

#[derive(Debug, Default)]
struct Parsed {
    kind: String,
    /// The labels and the figure of each line; of a histogram, of its counts.
    series: Vec<(Vec<(String, String)>, f64)>,
}

/// Prometheus' text format, read strictly: whatever is not allowed panics.
fn parse(text: &str) -> BTreeMap<String, Parsed> {
    assert!(text.ends_with('\n') && !text.contains("\n\n") && !text.contains('\r'));
    let mut families = BTreeMap::new();
    let mut lines = text.lines().peekable();
    while let Some(line) = lines.next() {
        // First what it is, once for each name, and then all of its lines.
        let (name, help) = line.strip_prefix("# HELP ").unwrap().split_once(' ').unwrap();
        assert!(is_name(name) && name.starts_with("threadlet_"), "{line}");
        assert!(help.ends_with('.') && !help.contains('\\'), "{line}");
        let kind = lines.next().unwrap().strip_prefix(&format!("# TYPE {name} ")).unwrap();
        let mut family = Parsed { kind: kind.to_owned(), series: Vec::new() };
        let mut seen = BTreeSet::new();
        let mut samples = Vec::new();
        while let Some(line) = lines.next_if(|line| !line.starts_with('#')) {
            let (sample, labels, value) = sample(line);
            assert!(seen.insert((sample.clone(), labels.clone())), "twice: {line}");
            samples.push((sample, labels, value));
        }
        assert!(!samples.is_empty(), "nothing of {name}");
        match kind {
            "counter" | "gauge" => {
                assert_eq!(name.ends_with("_total"), kind == "counter", "{name}");
                for (sample, labels, value) in samples {
                    assert!(sample == name && value.is_finite() && value >= 0.0, "{sample}");
                    family.series.push((labels, value));
                }
            }
            "histogram" => family.series = histograms(name, samples),
            other => panic!("{name} is a {other}"),
        }
        assert!(families.insert(name.to_owned(), family).is_none(), "{name} stands twice");
    }
    families
}

fn is_name(name: &str) -> bool {
    name.starts_with(|c: char| c.is_ascii_lowercase())
        && name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_')
}

type Sample = (String, Vec<(String, String)>, f64);

/// `name{label="value",...} number`
fn sample(line: &str) -> Sample {
    let (name, mut rest) = line.split_once('{').expect("labels");
    assert!(is_name(name), "{line}");
    let mut labels = Vec::new();
    loop {
        let (label, behind) = rest.split_once("=\"").expect("a label");
        assert!(is_name(label) && labels.iter().all(|(other, _)| other != label), "{line}");
        let mut value = String::new();
        let mut chars = behind.chars();
        loop {
            match chars.next().expect("the value's end") {
                '"' => break,
                '\\' => value.push(match chars.next() {
                    Some('n') => '\n',
                    Some(char @ ('\\' | '"')) => char,
                    other => panic!("\\{other:?} in {line}"),
                }),
                char => value.push(char),
            }
        }
        labels.push((label.to_owned(), value));
        rest = chars.as_str();
        match rest.strip_prefix(',') {
            Some(more) => rest = more,
            None => break,
        }
    }
    let number = rest.strip_prefix("} ").expect("a number behind one space");
    let value = number.parse().unwrap_or_else(|error| panic!("{error}: {line}"));
    (name.to_owned(), labels, value)
}

/// Buckets that grow, up to one without an end that says what the count says. Returns the counts.
fn histograms(name: &str, samples: Vec<Sample>) -> Vec<(Vec<(String, String)>, f64)> {
    assert!(name.ends_with("_seconds"), "in the base unit: {name}");
    let mut counts = Vec::new();
    let mut buckets: Vec<(f64, f64)> = Vec::new();
    for (sample, mut labels, value) in samples {
        match sample.strip_prefix(name) {
            Some("_bucket") => {
                let (label, end) = labels.pop().unwrap();
                let end = if end == "+Inf" { f64::INFINITY } else { end.parse().unwrap() };
                assert_eq!(label, "le");
                if let Some((before, count)) = buckets.last() {
                    assert!(*before < end && *count <= value, "{name}: {buckets:?}, {end} {value}");
                }
                buckets.push((end, value));
            }
            Some("_sum") => assert!(value >= 0.0 && buckets.len() == 14, "{name}: {buckets:?}"),
            Some("_count") => {
                assert_eq!(buckets.pop(), Some((f64::INFINITY, value)), "{name}");
                buckets.clear();
                counts.push((labels, value));
            }
            other => panic!("{name} has {other:?}"),
        }
    }
    assert!(buckets.is_empty() && !counts.is_empty());
    counts
}

/// OpenTelemetry's names and units; and each is in the guide, by the name that Prometheus has.
#[test]
fn each_figure_has_a_name_and_a_row_in_the_guide() {
    let page = include_str!("../docs/guide/observing.md");
    let runtime = timed().worker_threads(1).build().unwrap();
    let families = runtime.metrics().families();
    for family in &families {
        let name = family.name;
        let good = |c: char| c.is_ascii_lowercase() || c == '.' || c == '_';
        assert!(name.starts_with("threadlet.") && name.chars().all(good), "{name}");
        let annotation = family.unit.starts_with('{') && family.unit.ends_with('}');
        assert!(annotation || ["s", ""].contains(&family.unit), "{name}: {}", family.unit);
        let row = format!("| `{}` | ", family.prometheus_name());
        assert!(page.contains(&row), "observing.md has no {row}");
    }
    let rows = page.lines().filter(|line| line.starts_with("| `threadlet_")).count();
    assert_eq!(rows, families.len(), "no row is of a figure that is gone");
    // What a monitoring system keeps stands under these names for ever.
    let handoffs = families.iter().find(|family| family.name == "threadlet.handoffs").unwrap();
    assert_eq!(handoffs.prometheus_name(), "threadlet_handoffs_total");
    assert_eq!((handoffs.kind, handoffs.unit), (MetricKind::Counter, "{handoff}"));
    let causes: Vec<_> = handoffs.series.iter().map(|series| series.labels[1].1.as_str()).collect();
    assert_eq!(causes, ["blocked", "hog", "predicted", "rescued"]);
}

#[test]
fn runtimes_of_one_name_are_told_apart() {
    let runtimes = [(); 2]
        .map(|()| Builder::new_multi_thread().worker_threads(1).name("twin").build().unwrap());
    let mut text = String::new();
    write_prometheus(&runtimes.each_ref().map(|runtime| runtime.metrics()), &mut text).unwrap();
    assert_eq!(parse(&text)["threadlet_tasks"].series.len(), 2);
    assert!(text.contains("threadlet_tasks{runtime=\"twin\"} 0\nthreadlet_tasks{runtime=\"twin-"));
}
