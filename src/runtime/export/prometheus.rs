//! Prometheus' text format, version 0.0.4
//! (<https://prometheus.io/docs/instrumenting/exposition_formats/>).

use std::fmt::{self, Write};
use std::time::Duration;

use super::{MetricFamily, MetricKind, MetricValue, table};
use crate::observe::profile::Histogram;
use crate::runtime::Metrics;

/// Writes the figures of several runtimes in Prometheus' text format, version 0.0.4 (the content type
/// is `text/plain; version=0.0.4`), each with a label `runtime`: its name, or its number.
///
/// # Errors
///
/// Those of `out`.
///
/// # Examples
///
/// ```
/// use threadlet::runtime::{Builder, write_prometheus};
///
/// # fn main() -> std::io::Result<()> {
/// let front = Builder::new_multi_thread().name("front").build()?;
/// let jobs = Builder::new_multi_thread().name("jobs").build()?;
/// let mut text = String::new();
/// write_prometheus(&[front.metrics(), jobs.metrics()], &mut text).expect("strings grow");
/// assert!(text.contains("threadlet_tasks{runtime=\"jobs\"} 0"));
/// # Ok(())
/// # }
/// ```
pub fn write_prometheus(metrics: &[Metrics], out: &mut impl fmt::Write) -> fmt::Result {
    write(out, &table::families(&metrics.iter().collect::<Vec<_>>()))
}

/// The ends of a histogram's buckets: 2^10 ns, about a microsecond, and on by factors of four to 17 s.
/// They are ends of ours as well, so nothing is guessed. (A time that is exactly an end counts in
/// the next bucket.)
fn ends() -> impl Iterator<Item = Duration> {
    (10..=34).step_by(2).map(|log| Duration::from_nanos(1 << log))
}

pub(crate) fn write(out: &mut impl Write, families: &[MetricFamily]) -> fmt::Result {
    for family in families.iter().filter(|family| !family.series.is_empty()) {
        let name = family.prometheus_name();
        let kind = match family.kind {
            MetricKind::Counter => "counter",
            MetricKind::Gauge => "gauge",
            MetricKind::Histogram => "histogram",
        };
        writeln!(out, "# HELP {name} {}", Escaped(family.help, Quotes::Stay))?;
        writeln!(out, "# TYPE {name} {kind}")?;
        for series in &family.series {
            match &series.value {
                MetricValue::Number(number) => {
                    writeln!(out, "{name}{} {number}", Labels(&series.labels, None))?;
                }
                MetricValue::Histogram(times) => histogram(out, &name, &series.labels, times)?,
            }
        }
    }
    Ok(())
}

type Label = (&'static str, String);

fn histogram(out: &mut impl Write, name: &str, labels: &[Label], times: &Histogram) -> fmt::Result {
    let mut buckets = times.buckets().peekable();
    let mut below = 0;
    for end in ends() {
        while let Some((_, count)) = buckets.next_if(|(bucket, _)| *bucket <= end) {
            below += count;
        }
        let end = end.as_secs_f64().to_string();
        writeln!(out, "{name}_bucket{} {below}", Labels(labels, Some(&end)))?;
    }
    let all = below + buckets.map(|(_, count)| count).sum::<u64>();
    writeln!(out, "{name}_bucket{} {all}", Labels(labels, Some("+Inf")))?;
    writeln!(out, "{name}_sum{} {}", Labels(labels, None), times.total().as_secs_f64())?;
    writeln!(out, "{name}_count{} {all}", Labels(labels, None))
}

/// The labels of a line; in a bucket's, `le` is the last.
struct Labels<'a>(&'a [Label], Option<&'a str>);

impl fmt::Display for Labels<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let labels = self.0.iter().map(|(name, value)| (*name, value.as_str()));
        for (nth, (name, value)) in labels.chain(self.1.map(|end| ("le", end))).enumerate() {
            let before = if nth == 0 { '{' } else { ',' };
            write!(f, "{before}{name}=\"{}\"", Escaped(value, Quotes::Escaped))?;
        }
        f.write_char('}')
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Quotes {
    Escaped,
    Stay,
}

struct Escaped<'a>(&'a str, Quotes);

impl fmt::Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for char in self.0.chars() {
            match char {
                '\\' => f.write_str("\\\\")?,
                '\n' => f.write_str("\\n")?,
                '"' if self.1 == Quotes::Escaped => f.write_str("\\\"")?,
                char => f.write_char(char)?,
            }
        }
        Ok(())
    }
}
