//! Which figures there are: the names do not change, and the order is this one.

use std::collections::HashMap;

use super::MetricKind::{Counter, Gauge};
use super::{MetricFamily, MetricKind, MetricSeries, MetricValue};
use crate::runtime::{Histogram, Metrics, Report, SiteStats};

type Label = (&'static str, String);

/// One runtime, by its label.
struct Runtime<'a> {
    label: Label,
    metrics: &'a Metrics,
    sites: Vec<SiteStats>,
}

pub(super) fn families(metrics: &[&Metrics]) -> Vec<MetricFamily> {
    let mut named = HashMap::new();
    let runtimes = metrics.iter().map(|metrics| {
        // One of a name that another has: told apart by its number, for a line stands once.
        let (name, number) = (metrics.shared.config.name.clone(), metrics.shared.id);
        let mut name = name.unwrap_or_else(|| number.to_string());
        if *named.entry(name.clone()).or_insert(number) != number {
            name = format!("{name}-{number}");
        }
        let sites = Report::of(&metrics.shared).sites().cloned().collect();
        Runtime { label: ("runtime", name), metrics, sites }
    });
    let runtimes: Vec<_> = runtimes.collect();
    let of = |figure: &Figure| MetricFamily {
        name: figure.name,
        help: figure.help,
        kind: figure.kind,
        unit: figure.unit,
        series: runtimes.iter().flat_map(|runtime| series(runtime, figure.of)).collect(),
    };
    FIGURES.iter().map(of).collect()
}

fn series(runtime: &Runtime<'_>, of: Of) -> Vec<MetricSeries> {
    let line = |more: &[Label], value| {
        let labels = std::iter::once(&runtime.label).chain(more).cloned().collect();
        MetricSeries { labels, value }
    };
    let number = |number: f64| MetricValue::Number(number);
    match of {
        Of::One(of) => vec![line(&[], number(of(runtime.metrics)))],
        Of::Detector => {
            let detector = ("detector", runtime.metrics.detector.to_owned());
            vec![line(&[detector], number(1.0))]
        }
        Of::Causes(of) => causes(of(runtime.metrics))
            .map(|(cause, count)| line(&[cause], number(count as f64)))
            .collect(),
        Of::Worker(of) => (0..runtime.metrics.num_workers())
            .map(|nth| line(&[("worker", nth.to_string())], number(of(runtime.metrics, nth))))
            .collect(),
        Of::Times(of) => of(runtime.metrics)
            .map(|times| line(&[], MetricValue::Histogram(times)))
            .into_iter()
            .collect(),
        Of::Site(of) => {
            let lines = runtime.sites.iter();
            lines.map(|site| line(&place(site), number(of(site)))).collect()
        }
        Of::SiteCauses => {
            let lines = runtime.sites.iter().flat_map(|site| {
                causes([site.blocked, site.hogged, site.predicted, site.rescued]).map(
                    move |(cause, count)| {
                        let [place, call] = place(site);
                        line(&[place, call, cause], number(count as f64))
                    },
                )
            });
            lines.collect()
        }
        Of::SiteTimes => {
            let times = |site: &SiteStats| MetricValue::Histogram(site.block_times.clone());
            runtime.sites.iter().map(|site| line(&place(site), times(site))).collect()
        }
    }
}

/// In this order.
fn causes(counts: [u64; 4]) -> impl Iterator<Item = (Label, u64)> {
    let words = ["blocked", "hog", "predicted", "rescued"];
    words.into_iter().map(|word| ("cause", word.to_owned())).zip(counts)
}

fn place(site: &SiteStats) -> [Label; 2] {
    [("site", format!("{}:{}", site.file, site.line)), ("call", site.text.to_owned())]
}

/// Where a figure comes from, and with which labels.
#[derive(Clone, Copy)]
enum Of {
    One(fn(&Metrics) -> f64),
    Detector,
    /// By the cause: blocked, hog, predicted, rescued.
    Causes(fn(&Metrics) -> [u64; 4]),
    Worker(fn(&Metrics, usize) -> f64),
    /// None if the runtime does not keep them.
    Times(fn(&Metrics) -> Option<Histogram>),
    Site(fn(&SiteStats) -> f64),
    SiteCauses,
    SiteTimes,
}

struct Figure {
    name: &'static str,
    kind: MetricKind,
    unit: &'static str,
    of: Of,
    help: &'static str,
}

const fn figure(
    name: &'static str,
    kind: MetricKind,
    unit: &'static str,
    of: Of,
    help: &'static str,
) -> Figure {
    Figure { name, kind, unit, of, help }
}

const TIMES: MetricKind = MetricKind::Histogram;

#[rustfmt::skip]
const FIGURES: [Figure; 30] = [
    figure("threadlet.workers", Gauge, "{worker}", Of::One(|m| m.workers as f64),
        "Cores: how many tasks run at once."),
    figure("threadlet.detector.info", Gauge, "", Of::Detector,
        "1, with how blocked threads are found: perf, monitor or off."),
    figure("threadlet.tasks", Gauge, "{task}", Of::One(|m| m.tasks_alive as f64),
        "Tasks that have not ended."),
    figure("threadlet.queue.tasks", Gauge, "{task}", Of::One(|m| m.injector_depth as f64),
        "Tasks in the shared queue."),
    figure("threadlet.steals", Counter, "{task}", Of::One(|m| m.steals as f64),
        "Tasks that a worker took from the queue of another."),
    figure("threadlet.worker.busy", Counter, "s",
        Of::Worker(|m, nth| m.worker_total_busy_duration(nth).as_secs_f64()),
        "For how long a worker was awake, until it last went to sleep."),
    figure("threadlet.worker.parks", Counter, "{park}",
        Of::Worker(|m, nth| m.worker_park_count(nth) as f64),
        "How often a worker has gone to sleep for want of work."),
    figure("threadlet.poll.duration", TIMES, "s", Of::Times(Metrics::poll_times),
        "How long polls took."),
    figure("threadlet.schedule.latency", TIMES, "s", Of::Times(Metrics::schedule_latencies),
        "How long tasks waited from their wake to their poll."),
    figure("threadlet.calls", Counter, "{call}", Of::One(|m| m.regions as f64),
        "In-place calls, whether they blocked or not."),
    figure("threadlet.handoffs", Counter, "{handoff}",
        Of::Causes(|m| [m.handoffs_blocked, m.handoffs_hog, m.handoffs_predicted, m.handoffs_rescued]),
        "Cores handed over, by cause."),
    figure("threadlet.handoffs.wasted", Counter, "{handoff}", Of::One(|m| m.handoffs_wasted as f64),
        "Hand-offs after which the call returned at once."),
    figure("threadlet.async_threads", Gauge, "{thread}", Of::One(|m| m.async_threads as f64),
        "Threads that go on without a core."),
    figure("threadlet.async_threads.peak", Gauge, "{thread}",
        Of::One(|m| m.async_threads_peak as f64),
        "The most of them at once so far."),
    figure("threadlet.permits.free", Gauge, "{permit}", Of::One(|m| m.permits_free as f64),
        "How many more threads may go on without a core."),
    figure("threadlet.calls.waiting", Gauge, "{call}", Of::One(|m| m.gate_waiters as f64),
        "Calls that wait for a permit."),
    figure("threadlet.calls.unprotected", Counter, "{call}",
        Of::One(|m| m.regions_unprotected as f64),
        "Calls that ran at the cap without a permit in sight."),
    figure("threadlet.cores.stalled", Counter, "{core}", Of::One(|m| m.regions_stalled as f64),
        "Cores found blocked that could not be handed over at once."),
    figure("threadlet.spares", Gauge, "{thread}", Of::One(|m| m.spares as f64),
        "Threads that wait for a core."),
    figure("threadlet.spares.wakeups", Counter, "{wakeup}", Of::One(|m| m.spare_wakeups as f64),
        "Spare threads woken to take a core."),
    figure("threadlet.sentinel.wakeups", Counter, "{wakeup}",
        Of::One(|m| m.sentinel_wakeups as f64),
        "Edges that the sentinel was woken for."),
    figure("threadlet.thread_spawn.failures", Counter, "{thread}",
        Of::One(|m| m.thread_spawn_failures as f64),
        "Threads that could not be created."),
    figure("threadlet.ring.faults", Counter, "{ring}", Of::One(|m| m.ring_faults as f64),
        "Rings of context switches that were refused or failed."),
    figure("threadlet.site.calls", Counter, "{call}", Of::Site(|site| site.calls as f64),
        "Calls of a site."),
    figure("threadlet.site.handoffs", Counter, "{handoff}", Of::SiteCauses,
        "Cores handed over at a site, by cause."),
    figure("threadlet.site.coreless", Counter, "{call}", Of::Site(|site| site.coreless as f64),
        "Calls of a site that blocked on a thread that had no core to lose."),
    figure("threadlet.site.block.duration", TIMES, "s", Of::SiteTimes,
        "For how long the calls of a site blocked."),
    figure("threadlet.site.computing", Counter, "s", Of::Site(|site| site.computing.as_secs_f64()),
        "For how long calls and polls of a site computed after they had lost their core."),
    figure("threadlet.site.waits", Counter, "{wait}", Of::Site(|site| site.waits as f64),
        "Waits for a permit or for a place in a group, in front of the calls of a site."),
    figure("threadlet.site.wait", Counter, "s", Of::Site(|site| site.waited.as_secs_f64()),
        "For how long these waits lasted, all together."),
];
