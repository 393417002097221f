//! A runtime's figures as monitoring systems want them: with stable names, units and labels.
//!
//! | module | what it is |
//! |---|---|
//! | `table` | which figures there are |
//! | `prometheus` | how they are written for Prometheus |
//! | this one | what a figure is |

mod prometheus;
mod table;

use std::fmt;

use prometheus::write;
pub use prometheus::write_prometheus;

use super::Metrics;
use crate::observe::profile::Histogram;

/// What kind of figures a [`MetricFamily`] has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum MetricKind {
    /// It only grows, while its runtime lives.
    Counter,
    /// It grows and shrinks.
    Gauge,
    /// A histogram of times.
    Histogram,
}

/// Figures of one name, for a monitoring system: [`Metrics::families`].
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct MetricFamily {
    /// The name in OpenTelemetry's manner: `threadlet.handoffs`. Names do not change.
    pub name: &'static str,
    /// A sentence on it.
    pub help: &'static str,
    /// What kind of figures they are.
    pub kind: MetricKind,
    /// The unit, as OpenTelemetry writes it: `s` for seconds, `{call}` for calls.
    pub unit: &'static str,
    /// The figures, each with other labels.
    pub series: Vec<MetricSeries>,
}

/// A figure of a [`MetricFamily`], with its labels.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct MetricSeries {
    /// Names and values. `runtime` is always there: the runtime's name, or its number if it has none.
    pub labels: Vec<(&'static str, String)>,
    /// The figure.
    pub value: MetricValue,
}

/// What a [`MetricSeries`] says.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum MetricValue {
    /// A number, in the family's unit.
    Number(f64),
    /// A histogram of times.
    Histogram(Histogram),
}

impl MetricFamily {
    /// The name in Prometheus' manner, made from the other one as OpenTelemetry lays down: with
    /// underscores, the unit, and `_total` behind a counter.
    ///
    /// # Examples
    ///
    /// ```
    /// use threadlet::runtime::Handle;
    ///
    /// threadlet::block_on(async {
    ///     for family in Handle::current().metrics().families() {
    ///         println!("{} ({}): {}", family.prometheus_name(), family.unit, family.help);
    ///     }
    /// });
    /// ```
    pub fn prometheus_name(&self) -> String {
        let unit = if self.unit == "s" { "_seconds" } else { "" };
        let total = if self.kind == MetricKind::Counter { "_total" } else { "" };
        format!("{}{unit}{total}", self.name.replace('.', "_"))
    }
}

impl Metrics {
    /// These figures, those of each site, and the histograms if there are any, for a monitoring
    /// system: in a stable order, by stable names. (Fields are as of the call of
    /// [`Handle::metrics`](super::Handle::metrics); the rest is looked up now.)
    ///
    /// There are as many sites as there are calls in the program's source, and not more than 4,094.
    ///
    /// # Examples
    ///
    /// To an OpenTelemetry meter, each family is an observable instrument of that name and unit, and
    /// the labels are its attributes.
    ///
    /// ```
    /// use threadlet::runtime::{Handle, MetricValue};
    ///
    /// threadlet::block_on(async {
    ///     for family in Handle::current().metrics().families() {
    ///         for series in family.series {
    ///             if let MetricValue::Number(number) = series.value {
    ///                 println!("{} {:?} {number}", family.name, series.labels);
    ///             }
    ///         }
    ///     }
    /// });
    /// ```
    pub fn families(&self) -> Vec<MetricFamily> {
        table::families(&[self])
    }

    /// Writes them in Prometheus' text format, version 0.0.4: see [`write_prometheus`], which does it
    /// for several runtimes.
    ///
    /// # Errors
    ///
    /// Those of `out`.
    ///
    /// # Examples
    ///
    /// ```
    /// use threadlet::runtime::Handle;
    ///
    /// threadlet::block_on(async {
    ///     let mut text = String::new();
    ///     Handle::current().metrics().write_prometheus(&mut text).unwrap();
    ///     assert!(text.contains("\nthreadlet_workers{runtime=\""));
    /// });
    /// ```
    pub fn write_prometheus(&self, out: &mut impl fmt::Write) -> fmt::Result {
        write(out, &self.families())
    }
}
