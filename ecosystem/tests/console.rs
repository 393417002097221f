//! tokio-console: its subscriber in a program of ours, and its client's library, which connects and
//! reads what the console shows.

use std::collections::HashMap;
use std::net::TcpListener;
use std::time::Duration;

use console_api::async_ops::{AsyncOp, Stats as OpStats};
use console_api::field::{Name, Value};
use console_api::instrument::instrument_client::InstrumentClient;
use console_api::instrument::{InstrumentRequest, Update};
use console_api::resources::resource::kind::{Kind, Known};
use console_api::resources::{Resource, Stats as ResourceStats};
use console_api::tasks::{Stats, Task};
use console_api::{Id, Location};
use threadlet::runtime::Builder;
use threadlet::{task, threadlet, time};
use tracing_subscriber::layer::SubscriberExt;

const LIMIT: Duration = Duration::from_secs(60);

/// What the console knows by now: tasks, resources and waits for them, and what has become of each.
#[derive(Debug, Default)]
struct Seen {
    tasks: HashMap<u64, Task>,
    stats: HashMap<u64, Stats>,
    resources: HashMap<u64, Resource>,
    resource_stats: HashMap<u64, ResourceStats>,
    ops: HashMap<u64, AsyncOp>,
    op_stats: HashMap<u64, OpStats>,
}

/// Whether a place is that line of this file.
fn is_in(place: Option<&Location>, line: u32) -> bool {
    place.is_some_and(|place| {
        place.line == Some(line)
            && place.file.as_ref().is_some_and(|file| file.ends_with("tests/console.rs"))
    })
}

fn field(task: &Task, name: &str) -> Option<String> {
    let wanted = Some(Name::StrName(name.to_owned()));
    task.fields.iter().find(|field| field.name == wanted)?.value.as_ref().map(|value| match value {
        Value::StrVal(text) | Value::DebugVal(text) => text.clone(),
        Value::U64Val(number) => number.to_string(),
        other => format!("{other:?}"),
    })
}

impl Seen {
    /// The task that was spawned in this line, once it has ended.
    fn ended(&self, line: u32) -> Option<(&Task, &Stats)> {
        let (id, task) = self.tasks.iter().find(|(_, task)| is_in(task.location.as_ref(), line))?;
        let stats = self.stats.get(id).filter(|stats| stats.dropped_at.is_some())?;
        Some((task, stats))
    }

    /// The resources that were made in this line.
    fn resources(&self, line: u32) -> Vec<(u64, &Resource)> {
        let all = self.resources.iter();
        let there = all.filter(|(_, resource)| is_in(resource.location.as_ref(), line));
        there.map(|(id, resource)| (*id, resource)).collect()
    }

    /// What a resource has of that, in which unit.
    fn attribute(&self, resource: u64, name: &str) -> Option<(u64, Option<&str>)> {
        let wanted = Some(Name::StrName(name.to_owned()));
        let attributes = &self.resource_stats.get(&resource)?.attributes;
        attributes.iter().find_map(|attribute| {
            let field = attribute.field.as_ref().filter(|field| field.name == wanted)?;
            let Some(Value::U64Val(number)) = field.value else { return None };
            Some((number, attribute.unit.as_deref()))
        })
    }

    /// How often it was seen that a core was handed over here.
    fn handed_over(&self, line: u32) -> u64 {
        let [(id, _)] = self.resources(line)[..] else { return 0 };
        let causes = ["blocked", "hog", "predicted", "rescued"].into_iter();
        causes.filter_map(|cause| self.attribute(id, cause)).map(|(count, _)| count).sum()
    }

    fn add(&mut self, update: Update) {
        if let Some(tasks) = update.task_update {
            assert_eq!(tasks.dropped_events, 0);
            for task in tasks.new_tasks {
                self.tasks.insert(task.id.unwrap().id, task);
            }
            self.stats.extend(tasks.stats_update);
        }
        if let Some(resources) = update.resource_update {
            assert_eq!(resources.dropped_events, 0);
            for resource in resources.new_resources {
                self.resources.insert(resource.id.unwrap().id, resource);
            }
            self.resource_stats.extend(resources.stats_update);
        }
        if let Some(ops) = update.async_op_update {
            assert_eq!(ops.dropped_events, 0);
            for op in ops.new_async_ops {
                self.ops.insert(op.id.unwrap().id, op);
            }
            self.op_stats.extend(ops.stats_update);
        }
    }
}

/// Connects as the console does, and reads until `enough`.
fn read_until(address: String, enough: impl Fn(&Seen) -> bool) -> Seen {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let read = async {
        let mut client = loop {
            match InstrumentClient::connect(address.clone()).await {
                Ok(client) => break client,
                Err(_) => tokio::time::sleep(Duration::from_millis(20)).await,
            }
        };
        let mut updates = client.watch_updates(InstrumentRequest {}).await.unwrap().into_inner();
        let mut seen = Seen::default();
        while !enough(&seen) {
            seen.add(updates.message().await.unwrap().expect("the server is there"));
        }
        seen
    };
    runtime.block_on(async { tokio::time::timeout(LIMIT, read).await }).expect("seen in time")
}

/// Each sleep is a timer, with one wait that was polled twice, by the task that has slept.
fn timers(seen: &Seen, sleeps: u32, ticks: u32) {
    let (sleeper, _) = seen.ended(sleeps).unwrap();
    for (id, resource) in seen.resources(sleeps + 2) {
        assert_eq!(resource.concrete_type, "Sleep");
        assert_eq!(resource.kind.as_ref().unwrap().kind, Some(Kind::Known(Known::Timer.into())));
        let of = Some(Id { id });
        let ops: Vec<_> = seen.ops.values().filter(|op| op.resource_id == of).collect();
        let [op] = ops[..] else { panic!("one wait: {ops:?}") };
        assert_eq!(op.source, "Sleep");
        let stats = &seen.op_stats[&op.id.unwrap().id];
        assert_eq!(stats.task_id, sleeper.id, "who waits");
        assert_eq!(stats.poll_stats.as_ref().unwrap().polls, 2);
    }
    let [(_, interval)] = seen.resources(ticks)[..] else { panic!("one interval") };
    assert_eq!(interval.concrete_type, "Interval");
}

/// A call that has blocked is a resource, and so is an unmarked poll that has; with the time in it.
fn sites(seen: &Seen, marked: u32, unmarked: u32) {
    for (line, text) in [(marked, "std::thread::sleep("), (unmarked, "(a poll that ")] {
        let [(id, resource)] = seen.resources(line)[..] else { panic!("one site in {line}") };
        assert!(resource.concrete_type.starts_with(text), "{resource:?}");
        assert_eq!(resource.kind.as_ref().unwrap().kind, Some(Kind::Other("call".to_owned())));
        let (away, unit) = seen.attribute(id, "away_us").unwrap();
        assert!((20_000..30_000_000).contains(&away) && unit == Some("us"), "{away} {unit:?}");
        assert_eq!(seen.handed_over(line), 1);
    }
    let [(id, _)] = seen.resources(unmarked)[..] else { unreachable!() };
    assert_eq!(seen.attribute(id, "rescued"), Some((1, None)));
}

#[test]
fn the_console_sees_tasks_polls_and_wakes_timers_and_what_blocks() {
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let layer = console_subscriber::ConsoleLayer::builder()
        .server_addr(free)
        .publish_interval(Duration::from_millis(50))
        .spawn();
    tracing::subscriber::set_global_default(tracing_subscriber::registry().with(layer)).unwrap();

    let runtime = Builder::new_multi_thread().worker_threads(2).build().unwrap();
    let sleeps = line!() + 1;
    let sleeper = runtime.spawn(async {
        for _ in 0..5 {
            time::sleep(Duration::from_millis(5)).await; // `sleeps + 2`
        }
    });
    let yields = line!() + 1;
    let yielder = runtime.spawn(async {
        for _ in 0..10 {
            task::yield_now().await;
        }
    });
    let blocks = line!() + 1;
    let blocker = runtime.spawn(async {
        threadlet!(std::thread::sleep(Duration::from_millis(50))); // `blocks + 1`
    });
    let unmarked = line!() + 1;
    let rescued = runtime.spawn(async {
        std::thread::sleep(Duration::from_millis(100));
    });
    let ticks = line!() + 2;
    let ticker = runtime.spawn(async {
        let mut ticks = time::interval(Duration::from_millis(1));
        for _ in 0..3 {
            ticks.tick().await;
        }
    });
    let calls = line!() + 1;
    let call = runtime.spawn_blocking(|| ());
    runtime.block_on(async {
        sleeper.await.unwrap();
        yielder.await.unwrap();
        blocker.await.unwrap();
        call.await.unwrap();
        rescued.await.unwrap();
        ticker.await.unwrap();
    });

    let lines = [sleeps, yields, blocks, calls];
    let seen = read_until(format!("http://{free}"), |seen| {
        lines.iter().all(|line| seen.ended(*line).is_some())
            && [blocks + 1, unmarked].iter().all(|line| seen.handed_over(*line) > 0)
            && seen.resources(sleeps + 2).len() == 5
            && seen.resources(ticks).len() == 1
            && seen.op_stats.values().filter(|stats| stats.dropped_at.is_some()).count() >= 6
    });
    timers(&seen, sleeps, ticks);
    sites(&seen, blocks + 1, unmarked);
    let [sleeper, yielder, blocker, call] = lines.map(|line| seen.ended(line).unwrap());
    let polls = |(_, stats): (&Task, &Stats)| stats.poll_stats.as_ref().unwrap().polls;
    assert_eq!([sleeper, yielder, blocker, call].map(polls), [6, 11, 1, 1]);
    let wakes = |(_, stats): (&Task, &Stats)| (stats.wakes, stats.self_wakes);
    assert_eq!([sleeper, yielder, blocker].map(wakes), [(5, 0), (10, 10), (0, 0)]);
    for (_, stats) in [sleeper, yielder, blocker, call] {
        assert_eq!(stats.waker_clones, stats.waker_drops, "none is lost, and none is left");
    }
    let kinds = [sleeper, call].map(|(task, _)| field(task, "kind").unwrap());
    assert_eq!(kinds, ["task", "blocking"]);
    let busy = blocker.1.poll_stats.as_ref().unwrap().busy_time.unwrap();
    assert!(busy.nanos > 40_000_000 || busy.seconds > 0, "the time in the call: {busy:?}");
}
