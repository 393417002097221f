//! A server whose handlers sleep now and then, and say so or not.
//!
//! A `hyper` server answers small requests on 64 connections from the same machine. One request of
//! a hundred has a handler that sleeps for 50 ms on its thread. That is a file that was not in
//! memory, a name look-up, a lock: whatever somebody else's code does. It is the n-th request of
//! all, for every side the same. What counts is how many requests are answered in a second, and how
//! long the *others* take.
//!
//! Four sides take turns: both runtimes with a handler that just sleeps, ours with the call marked
//! (`threadlet!`), tokio's with the call sent away (`spawn_blocking`; of a hundred requests the one
//! that sleeps, which is the best that anybody could do who knew). A connection waits for its
//! answer: with 64 of them no side can do more than 64 / (1 % of 50 ms) = 128,000 requests a
//! second, and two workers that are stuck can do 4,000.
//!
//! The figure `never` is the same without requests that sleep: what the runtimes themselves cost. In
//! `folder` files are asked for (`folder`).
//!
//! All sides have the same clients, in a process of their own (`clients`). The processor time is
//! that of the server alone, while it counts.

mod clients;
mod folder;
mod server;

pub(crate) use clients::{Options as Clients, run as run_clients};

use std::net::SocketAddr;

use crate::harness::{Plan, Samples, pairs};
use crate::report::{Bar, Row, Side as Measured, Unit};
use crate::suite::{Figure, Suite};
use crate::sys;
use server::{Marked, Silent, SpawnBlocking, Way, says_hello};

type Ours = threadlet::runtime::Runtime;
type Tokio = tokio::runtime::Runtime;
/// A program of tokio's, unchanged, on our runtime.
type Facade = facade::runtime::Runtime;

const CONNECTIONS: usize = 64;

/// Of so many requests one sleeps.
const SLOW_EACH: u64 = 100;

/// The list for the command line.
#[derive(Debug)]
pub(crate) struct Handlers;

impl Suite for Handlers {
    const FIGURES: &'static [(&'static str, Figure)] =
        &[("sleeps", sleeps), ("never", never), ("folder", folder::run)];
}

/// What rounds of one side measured.
struct Side {
    name: &'static str,
    slow_each: u64,
    rate: Samples,
    median: Samples,
    p99: Samples,
    cpu: Samples,
    threads: Samples,
    clients: Samples,
}

impl Side {
    fn new(name: &'static str, slow_each: u64) -> Side {
        let [rate, median, p99, cpu, threads, clients] = [(); 6].map(|()| Samples::default());
        Side { name, slow_each, rate, median, p99, cpu, threads, clients }
    }

    fn measure<W: Way>(&mut self, plan: &Plan, runtime: &W::Runtime) {
        self.ask(plan, server::start(runtime, says_hello::<W>), "/");
    }

    fn ask(&mut self, plan: &Plan, address: SocketAddr, path: &str) {
        let mut clients = clients::Clients::start(&Clients {
            address,
            path: path.to_owned(),
            connections: CONNECTIONS,
            slow_each: self.slow_each,
            warm_up_ms: plan.size(300, 100),
            length_ms: plan.size(1_000, 200),
        });
        self.round(&mut clients);
        clients.end();
    }

    fn round(&mut self, clients: &mut clients::Clients) {
        clients.begin();
        let cpu = sys::process_cpu_time();
        clients.wait();
        let cpu = sys::process_cpu_time() - cpu;
        self.threads.push(sys::threads() as f64);
        let answers = clients.answers();
        self.rate.push(answers.count / answers.seconds);
        self.median.push(answers.median_us);
        self.p99.push(answers.p99_us);
        self.cpu.push(cpu.as_secs_f64() * 1e6 / answers.count);
        self.clients.push(answers.cpu_seconds / answers.seconds * 100.0);
    }

    /// What it cost, to stand beside a row.
    fn costs(&self) -> [Measured; 3] {
        let of =
            |what, unit, samples| Measured::new(format!("{}, {what}", self.name), unit, samples);
        [
            of("CPU a request", Unit::Us, &self.cpu),
            of("threads", Unit::Count, &self.threads),
            of("its clients' share of a CPU", Unit::Percent, &self.clients),
        ]
    }
}

/// How one side compares with another: by its requests, and by the two latencies of the others.
fn compare(names: [(&'static str, Bar); 3], ours: &Side, theirs: &Side) -> [Row; 3] {
    let row = |nth: usize, unit, samples: fn(&Side) -> &Samples| {
        let (what, bar) = names[nth];
        let of = |side: &Side| Measured::new(side.name, unit, samples(side));
        Row::quotient(what, bar, of(ours), of(theirs))
    };
    let rate = row(0, Unit::PerSecond, |side| &side.rate);
    let costs = ours.costs().into_iter().chain(theirs.costs());
    [
        costs.fold(rate, Row::beside),
        row(1, Unit::Us, |side| &side.median),
        row(2, Unit::Us, |side| &side.p99),
    ]
}

/// Requests that nothing holds up, with a flight recorder and without.
///
/// One round says little, and a hundredth is to be told: so the rounds are short and many, both
/// servers and the connections to them stay from round to round, and both are started anew a few
/// times, because how a server's threads and memory happen to lie stays with it.
pub(crate) fn recorded(plan: &Plan) -> Vec<Row> {
    let [mut with, mut without] = ["with", "without"].map(|name| Side::new(name, 0));
    for _ in 0..plan.size(10, 1) {
        let (on, off) = (plan.recorded(), plan.runtime());
        let [mut of_on, mut of_off] = [&on, &off].map(|runtime| {
            clients::Clients::start(&Clients {
                address: server::start(runtime, says_hello::<Silent<Ours>>),
                path: "/".to_owned(),
                connections: CONNECTIONS,
                slow_each: 0,
                warm_up_ms: 5,
                length_ms: 25,
            })
        });
        pairs(plan.rounds(44), || with.round(&mut of_on), || without.round(&mut of_off));
        of_on.end();
        of_off.end();
    }
    let rate = |side: &Side| Measured::new(side.name, Unit::PerSecond, &side.rate);
    let what = "hyper, hello: requests/s, without a recorder / with one";
    let row = Row::pairs(what, Bar::AtMost(1.02), rate(&without), rate(&with));
    let costs = |side: &Side| {
        // The process has the threads of both.
        let [cpu, _threads, clients] = side.costs();
        [cpu, clients]
    };
    vec![costs(&with).into_iter().chain(costs(&without)).fold(row, Row::beside)]
}

fn sleeps(plan: &Plan) -> Vec<Row> {
    let side = |name| Side::new(name, SLOW_EACH);
    let names = [
        "ours unmarked",
        "ours marked",
        "tokio unmarked",
        "tokio spawn_blocking",
        "facade unmarked",
    ];
    let [mut silent, mut marked, mut theirs, mut spawned, mut facade] = names.map(side);
    for _ in 0..plan.rounds(5) {
        silent.measure::<Silent<Ours>>(plan, &plan.runtime());
        theirs.measure::<Silent<Tokio>>(plan, &plan.tokio());
        marked.measure::<Marked>(plan, &plan.runtime());
        spawned.measure::<SpawnBlocking>(plan, &plan.tokio());
        facade.measure::<Silent<Facade>>(plan, &plan.facade());
    }
    let unmarked = [
        ("requests/s, unmarked: ours / tokio", Bar::AtLeast(10.0)),
        ("p50 of the others, unmarked: ours / tokio", Bar::AtMost(1.0)),
        ("p99 of the others, unmarked: ours / tokio", Bar::AtMost(0.1)),
    ];
    let told = [
        ("requests/s, marked / spawn_blocking", Bar::AtLeast(1.0)),
        ("p50 of the others, marked / spawn_blocking", Bar::AtMost(1.0)),
        ("p99 of the others, marked / spawn_blocking", Bar::AtMost(1.0)),
    ];
    let untold = [
        ("requests/s, ours unmarked / spawn_blocking", Bar::AtLeast(0.95)),
        ("p50 of the others, ours unmarked / spawn_blocking", Bar::Open),
        ("p99 of the others, ours unmarked / spawn_blocking", Bar::Open),
    ];
    let unchanged = [
        ("requests/s, unmarked: a program of tokio's on ours / on tokio", Bar::AtLeast(20.0)),
        ("p50 of the others: the same", Bar::AtMost(1.0)),
        ("p99 of the others: the same", Bar::AtMost(0.1)),
    ];
    let rows = [
        compare(unmarked, &silent, &theirs),
        compare(told, &marked, &spawned),
        compare(untold, &silent, &spawned),
        compare(unchanged, &facade, &theirs),
    ];
    rows.into_iter().flatten().collect()
}

fn never(plan: &Plan) -> Vec<Row> {
    let [mut ours, mut theirs, mut facade] =
        ["ours", "tokio", "facade"].map(|name| Side::new(name, 0));
    for _ in 0..plan.rounds(5) {
        ours.measure::<Silent<Ours>>(plan, &plan.runtime());
        theirs.measure::<Silent<Tokio>>(plan, &plan.tokio());
        facade.measure::<Silent<Facade>>(plan, &plan.facade());
    }
    let names = [
        ("requests/s: ours / tokio", Bar::AtLeast(1.05)),
        ("p50: ours / tokio", Bar::AtMost(1.0)),
        ("p99: ours / tokio", Bar::AtMost(1.0)),
    ];
    let unchanged = [
        ("requests/s: a program of tokio's on ours / on tokio", Bar::AtLeast(1.0)),
        ("p50: the same", Bar::AtMost(1.0)),
        ("p99: the same", Bar::AtMost(1.0)),
    ];
    let rows = [compare(names, &ours, &theirs), compare(unchanged, &facade, &theirs)];
    rows.into_iter().flatten().collect()
}
