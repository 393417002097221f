//! tokio-console: its subscriber in a program of ours, and its client's library, which connects and
//! reads what the console shows.

use std::collections::HashMap;
use std::net::TcpListener;
use std::time::Duration;

use console_api::field::{Name, Value};
use console_api::instrument::InstrumentRequest;
use console_api::instrument::instrument_client::InstrumentClient;
use console_api::tasks::{Stats, Task};
use threadlet::runtime::Builder;
use threadlet::{task, threadlet, time};
use tracing_subscriber::layer::SubscriberExt;

const LIMIT: Duration = Duration::from_secs(60);

/// What the console knows by now: tasks, and what has become of them.
#[derive(Debug, Default)]
struct Seen {
    tasks: HashMap<u64, Task>,
    stats: HashMap<u64, Stats>,
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
        let (id, task) = self.tasks.iter().find(|(_, task)| {
            task.location.as_ref().is_some_and(|place| {
                place.line == Some(line)
                    && place.file.as_ref().is_some_and(|file| file.ends_with("tests/console.rs"))
            })
        })?;
        let stats = self.stats.get(id).filter(|stats| stats.dropped_at.is_some())?;
        Some((task, stats))
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
            let update = updates.message().await.unwrap().expect("the server is there");
            let Some(tasks) = update.task_update else { continue };
            assert_eq!(tasks.dropped_events, 0);
            for task in tasks.new_tasks {
                seen.tasks.insert(task.id.unwrap().id, task);
            }
            seen.stats.extend(tasks.stats_update);
        }
        seen
    };
    runtime.block_on(async { tokio::time::timeout(LIMIT, read).await }).expect("seen in time")
}

#[test]
fn the_console_sees_tasks_polls_and_wakes() {
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
            time::sleep(Duration::from_millis(5)).await;
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
        threadlet!(std::thread::sleep(Duration::from_millis(50)));
    });
    let calls = line!() + 1;
    let call = runtime.spawn_blocking(|| ());
    runtime.block_on(async {
        sleeper.await.unwrap();
        yielder.await.unwrap();
        blocker.await.unwrap();
        call.await.unwrap();
    });

    let lines = [sleeps, yields, blocks, calls];
    let seen = read_until(format!("http://{free}"), |seen| {
        lines.iter().all(|line| seen.ended(*line).is_some())
    });
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
