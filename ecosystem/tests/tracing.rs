//! The feature `tracing`, as a layer of tracing-subscriber hears it: a span for each task, and an
//! event for each hand-off.

use std::collections::HashMap;
use std::fmt::Debug;
use std::sync::{Mutex, MutexGuard, OnceLock, mpsc};
use std::time::Duration;

use threadlet::runtime::{Builder, Runtime};
use threadlet::task::{self, LocalSet};
use threadlet::{threadlet, time};
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id};
use tracing::{Event, Subscriber};
use tracing_subscriber::layer::{Context, Layer, SubscriberExt};

type Fields = HashMap<&'static str, String>;

#[derive(Clone, Debug, Default)]
struct Task {
    target: &'static str,
    fields: Fields,
    enters: u32,
    exits: u32,
    closes: u32,
    ops: Vec<String>,
}

#[derive(Debug, Default)]
struct Heard {
    tasks: HashMap<u64, Task>,
    blocks: Vec<(Option<u64>, Fields)>,
}

static HEARD: OnceLock<Mutex<Heard>> = OnceLock::new();

fn heard() -> MutexGuard<'static, Heard> {
    HEARD.get_or_init(Mutex::default).lock().unwrap()
}

struct Collect;

#[derive(Default)]
struct Read(Fields);

impl Visit for Read {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.0.insert(field.name(), format!("{value:?}"));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.0.insert(field.name(), value.to_owned());
    }
}

impl<S> Layer<S> for Collect
where
    S: Subscriber + for<'l> tracing_subscriber::registry::LookupSpan<'l>,
{
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, _: Context<'_, S>) {
        if attributes.metadata().name() == "runtime.spawn" {
            let mut read = Read::default();
            attributes.record(&mut read);
            let target = attributes.metadata().target();
            let task = Task { target, fields: read.0, ..Task::default() };
            heard().tasks.insert(id.into_u64(), task);
        }
    }

    fn on_enter(&self, id: &Id, _: Context<'_, S>) {
        heard().tasks.entry(id.into_u64()).and_modify(|task| task.enters += 1);
    }

    fn on_exit(&self, id: &Id, _: Context<'_, S>) {
        heard().tasks.entry(id.into_u64()).and_modify(|task| task.exits += 1);
    }

    fn on_close(&self, id: Id, _: Context<'_, S>) {
        heard().tasks.entry(id.into_u64()).and_modify(|task| task.closes += 1);
    }

    fn on_event(&self, event: &Event<'_>, context: Context<'_, S>) {
        let mut read = Read::default();
        event.record(&mut read);
        match event.metadata().target() {
            "tokio::task::waker" => {
                let span: u64 = read.0["task.id"].parse().unwrap();
                let op = read.0.remove("op").unwrap();
                heard().tasks.entry(span).and_modify(|task| task.ops.push(op));
            }
            "threadlet::block" => {
                let within = context.lookup_current().map(|span| span.id().into_u64());
                heard().blocks.push((within, read.0));
            }
            _ => {}
        }
    }
}

/// One of all tests of this process: the subscriber is everybody's.
fn listen() {
    static ONCE: OnceLock<()> = OnceLock::new();
    ONCE.get_or_init(|| {
        tracing::subscriber::set_global_default(tracing_subscriber::registry().with(Collect))
            .unwrap();
    });
}

fn two_workers() -> Runtime {
    Builder::new_multi_thread().worker_threads(2).build().unwrap()
}

/// The span of the task that was spawned in this line.
#[track_caller]
fn spawned_at(line: u32) -> (u64, Task) {
    let line = line.to_string();
    let heard = heard();
    let mut found = heard.tasks.iter().filter(|(_, task)| {
        task.fields["loc.file"].ends_with("tests/tracing.rs") && task.fields["loc.line"] == line
    });
    let (span, task) = found.next().expect("a span of that line");
    assert!(found.next().is_none(), "one span of that line");
    (*span, task.clone())
}

/// Waits until the span is closed: that comes a moment before whoever joins the task sees its end.
fn closed_at(line: u32) -> Task {
    for _ in 0..1000 {
        let (_, task) = spawned_at(line);
        if task.closes > 0 {
            return task;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    panic!("the span of line {line} is not closed");
}

#[test]
fn a_task_has_a_span_that_is_entered_in_each_poll() {
    listen();
    let runtime = two_workers();
    let line = line!() + 1;
    let task = runtime.spawn(async {
        for _ in 0..3 {
            time::sleep(Duration::from_millis(2)).await;
        }
        task::yield_now().await;
    });
    let id = task.id();
    runtime.block_on(task).unwrap();
    let task = closed_at(line);
    assert_eq!((task.target, task.fields["kind"].as_str()), ("tokio::task", "task"));
    assert_eq!(task.fields["task.id"], id.to_string());
    assert_eq!(task.fields["task.name"], "");
    assert!(task.fields["loc.col"].parse::<u32>().unwrap() > 0);
    assert!(task.fields["size.bytes"].parse::<u32>().unwrap() > 0);
    assert_eq!((task.enters, task.exits, task.closes), (5, 5, 1));
    let count = |op| task.ops.iter().filter(|other| *other == op).count();
    assert_eq!(count("waker.wake_by_ref") + count("waker.wake"), 4);
    assert_eq!((count("waker.clone"), count("waker.drop")), (5, 5), "none is left");
}

#[test]
fn each_kind_of_task_says_what_it_is() {
    listen();
    let runtime = two_workers();
    let line = line!() + 1;
    runtime.block_on(async {
        task::spawn_blocking(|| ()).await.unwrap();
    });
    let root = closed_at(line);
    assert_eq!((root.target, root.fields["kind"].as_str()), ("tokio::task", "block_on"));
    let call = closed_at(line + 1);
    assert_eq!((call.target, call.fields["kind"].as_str()), ("tokio::task::blocking", "blocking"));
    let set = LocalSet::new();
    let line = line!() + 1;
    let local = set.spawn_local(async { task::yield_now().await });
    set.block_on(&runtime, local).unwrap();
    let local = closed_at(line);
    assert_eq!((local.fields["kind"].as_str(), local.enters), ("local", 2));
}

#[test]
fn a_task_has_the_name_that_it_was_given() {
    listen();
    let runtime = two_workers();
    let handle = runtime.handle();
    let set = LocalSet::new();
    let named = || task::Builder::new().name("the task");
    let line = line!() + 2;
    runtime.block_on(set.run_until(async {
        let spawned = named().spawn(async {}).unwrap();
        let spawned_on = named().spawn_on(async {}, handle).unwrap();
        let local = named().spawn_local(async {}).unwrap();
        let local_on = named().spawn_local_on(async {}, &set).unwrap();
        let call = named().spawn_blocking(|| ()).unwrap();
        let call_on = named().spawn_blocking_on(|| (), handle).unwrap();
        let nameless = task::Builder::new().spawn(async {}).unwrap();
        for task in [spawned, spawned_on, local, local_on, call, call_on, nameless] {
            task.await.unwrap();
        }
    }));
    let kinds = ["task", "task", "local", "local", "blocking", "blocking"];
    for (line, kind) in (line..).zip(kinds) {
        let task = closed_at(line);
        assert_eq!((&*task.fields["kind"], &*task.fields["task.name"]), (kind, "the task"));
    }
    assert_eq!(closed_at(line + 6).fields["task.name"], "");
}

#[test]
fn the_span_of_a_task_that_is_stopped_is_closed() {
    listen();
    let runtime = two_workers();
    let line = line!() + 1;
    let waits = runtime.spawn(std::future::pending::<()>());
    waits.abort();
    assert!(runtime.block_on(waits).unwrap_err().is_cancelled());
    assert_eq!(closed_at(line).closes, 1);
    let line = line!() + 1;
    runtime.spawn(std::future::pending::<()>()).detach();
    drop(runtime);
    assert_eq!(closed_at(line).closes, 1);
}

/// In the task's own span, and by the thread that has blocked.
#[test]
fn a_hand_off_is_told_with_its_place_and_its_length() {
    listen();
    let runtime = two_workers();
    let (sender, receiver) = mpsc::channel::<()>();
    let line = line!() + 2;
    let task = runtime.spawn(async move {
        threadlet!(receiver.recv_timeout(Duration::from_secs(30))).unwrap();
    });
    let id = task.id();
    std::thread::sleep(Duration::from_millis(100));
    sender.send(()).unwrap();
    runtime.block_on(task).unwrap();
    let line = line.to_string();
    let blocks: Vec<_> = heard()
        .blocks
        .iter()
        .filter(|(_, fields)| {
            fields["file"].ends_with("tests/tracing.rs") && fields["line"] == line
        })
        .cloned()
        .collect();
    let [(within, fields)] = &blocks[..] else { panic!("one hand-off: {blocks:?}") };
    assert_eq!(*within, Some(spawned_at(line.parse::<u32>().unwrap() - 1).0));
    assert!(["blocked", "predicted"].contains(&fields["cause"].as_str()), "{fields:?}");
    assert!(fields["call"].starts_with("receiver.recv_timeout"), "{fields:?}");
    assert_eq!(fields["task.id"], id.to_string());
    let length: u64 = fields["length_us"].parse().unwrap();
    assert!((50_000..30_000_000).contains(&length), "{length} us");
}

/// And so is that of a poll which has not said that it blocks.
#[test]
fn an_unmarked_block_is_told_with_the_place_of_its_task() {
    listen();
    let runtime = two_workers();
    let line = line!() + 1;
    let task = runtime.spawn(async { std::thread::sleep(Duration::from_millis(100)) });
    runtime.block_on(task).unwrap();
    let line = line.to_string();
    // Told when the thread finds out, which is behind the poll that ended the task.
    let told = (0..1000).any(|_| {
        std::thread::sleep(Duration::from_millis(5));
        heard().blocks.iter().any(|(_, fields)| {
            fields["cause"] == "rescued"
                && fields["file"].ends_with("tests/tracing.rs")
                && fields["line"] == line
        })
    });
    assert!(told, "{:?}", heard().blocks);
}
