//! What a figure measures: rows of raw samples, from which everything that is shown is computed.
//!
//! A row compares what was measured on two sides, or looks at one. It goes as one JSON line from
//! the process that measures to the one that prints, and into `docs/benchmarks/`.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use crate::harness::Samples;

/// What a figure must reach.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Bar {
    AtMost(f64),
    AtLeast(f64),
    Below(f64),
    /// For information.
    Open,
}

impl Bar {
    pub(crate) fn is_met_by(self, value: f64) -> bool {
        match self {
            Bar::AtMost(limit) => value <= limit,
            Bar::AtLeast(limit) => value >= limit,
            Bar::Below(limit) => value < limit,
            Bar::Open => true,
        }
    }

    pub(crate) fn show(self, unit: Unit) -> String {
        let limit = |value: f64| format!("{value}{}", unit.suffix());
        match self {
            Bar::AtMost(value) => format!("<= {}", limit(value)),
            Bar::AtLeast(value) => format!(">= {}", limit(value)),
            Bar::Below(value) => format!("< {}", limit(value)),
            Bar::Open => "-".to_owned(),
        }
    }
}

/// What a number is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Unit {
    /// One side over the other.
    Ratio,
    Ns,
    Us,
    Ms,
    S,
    Percent,
    /// So many in a second.
    PerSecond,
    Bytes,
    /// Just a number.
    Count,
}

impl Unit {
    fn suffix(self) -> &'static str {
        match self {
            Unit::Ratio | Unit::Count => "",
            Unit::Ns => " ns",
            Unit::Us => " us",
            Unit::Ms => " ms",
            Unit::S => " s",
            Unit::Percent => " %",
            Unit::PerSecond => "/s",
            Unit::Bytes => " bytes",
        }
    }

    pub(crate) fn show(self, value: f64) -> String {
        let places = match value.abs() {
            // Some bars are this near to 1.
            ..2.0 if self == Unit::Ratio => 3,
            _ if self == Unit::Count && value.fract() == 0.0 => 0,
            ..10.0 => 2,
            ..100.0 => 1,
            _ => 0,
        };
        format!("{}{}", in_thousands(value, places), self.suffix())
    }
}

/// A number with a comma before every three digits.
pub(crate) fn in_thousands(value: f64, places: usize) -> String {
    let plain = format!("{value:.places$}");
    let (sign, digits) = plain.strip_prefix('-').map_or(("", &*plain), |digits| ("-", digits));
    let (whole, rest) = digits.find('.').map_or((digits, ""), |point| digits.split_at(point));
    let mut text = sign.to_owned();
    for (nth, digit) in whole.chars().enumerate() {
        if nth > 0 && (whole.len() - nth).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text + rest
}

/// What was measured of one side, a sample a round.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Side {
    /// Whose it is; where it is not what the row is about, also what it is.
    pub(crate) name: Cow<'static, str>,
    pub(crate) unit: Unit,
    pub(crate) samples: Samples,
}

impl Side {
    pub(crate) fn new(name: impl Into<Cow<'static, str>>, unit: Unit, samples: &Samples) -> Side {
        Side { name: name.into(), unit, samples: samples.clone() }
    }
}

/// How the number of a row comes from its sides.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum How {
    /// The first side's median over the second's.
    Quotient,
    /// The median of the quotients of what was measured in turn: what both rounds of a pair suffered
    /// goes away.
    Pairs,
    /// The first side's median less the second's.
    Difference,
    /// The first side's median.
    Median,
    /// The first side's largest sample.
    Worst,
}

/// One number with what it was made of.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Row {
    /// What it is, in words; rows of the two detectors with the same words stand on one line.
    pub(crate) what: Cow<'static, str>,
    pub(crate) bar: Bar,
    pub(crate) how: How,
    /// What `how` says is made of the first one or two; the others are for information.
    pub(crate) sides: Vec<Side>,
    /// More for information.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub(crate) note: String,
}

impl Row {
    /// One side's median over the other's.
    pub(crate) fn quotient(
        what: impl Into<Cow<'static, str>>,
        bar: Bar,
        over: Side,
        under: Side,
    ) -> Row {
        Row::of(what, bar, How::Quotient, vec![over, under])
    }

    /// The median of one side over the other, by pairs.
    pub(crate) fn pairs(
        what: impl Into<Cow<'static, str>>,
        bar: Bar,
        over: Side,
        under: Side,
    ) -> Row {
        assert_eq!(over.samples.len(), under.samples.len(), "they were measured in turn");
        let quotients = quotients(&over, &under).expect("they are as many");
        let known = quotients.median_within().map(|(low, high)| {
            let (low, high) = (Unit::Ratio.show(low), Unit::Ratio.show(high));
            format!(", whose median is known to lie within {low} and {high} (95 %)")
        });
        let text = format!("of {} pairs{}", quotients.len(), known.unwrap_or_default());
        Row::of(what, bar, How::Pairs, vec![over, under]).note(text)
    }

    /// One side's median less the other's.
    pub(crate) fn difference(
        what: impl Into<Cow<'static, str>>,
        bar: Bar,
        from: Side,
        less: Side,
    ) -> Row {
        Row::of(what, bar, How::Difference, vec![from, less])
    }

    /// A side's median.
    pub(crate) fn median(what: impl Into<Cow<'static, str>>, bar: Bar, side: Side) -> Row {
        Row::of(what, bar, How::Median, vec![side])
    }

    /// A side's largest sample.
    pub(crate) fn worst(what: impl Into<Cow<'static, str>>, bar: Bar, side: Side) -> Row {
        Row::of(what, bar, How::Worst, vec![side])
    }

    fn of(what: impl Into<Cow<'static, str>>, bar: Bar, how: How, sides: Vec<Side>) -> Row {
        assert!(sides.iter().all(|side| side.samples.len() > 0), "every side was measured");
        Row { what: what.into(), bar, how, sides, note: String::new() }
    }

    /// The same with another side for information.
    pub(crate) fn beside(mut self, side: Side) -> Row {
        assert!(side.samples.len() > 0, "every side was measured");
        self.sides.push(side);
        self
    }

    /// The same with more for information.
    pub(crate) fn note(mut self, note: String) -> Row {
        self.note = note;
        self
    }

    /// The number.
    pub(crate) fn value(&self) -> f64 {
        let median = |nth: usize| self.sides[nth].samples.median();
        match self.how {
            How::Quotient => median(0) / median(1),
            How::Pairs => quotients(&self.sides[0], &self.sides[1])
                .expect("they were measured in turn")
                .median(),
            How::Difference => median(0) - median(1),
            How::Median => median(0),
            How::Worst => self.sides[0].samples.max(),
        }
    }

    /// What the number is.
    pub(crate) fn unit(&self) -> Unit {
        match self.how {
            How::Quotient | How::Pairs => Unit::Ratio,
            _ => self.sides[0].unit,
        }
    }

    /// Between what the middle half of the rounds lie; of a quotient, of the quotients of what was
    /// measured in turn. `None` where the rounds say nothing about the number's spread.
    pub(crate) fn spread(&self) -> Option<(f64, f64)> {
        let first = &self.sides[0].samples;
        let of = match self.how {
            How::Quotient | How::Pairs => quotients(&self.sides[0], &self.sides[1])?,
            How::Difference => first.by_pairs(&self.sides[1].samples, |from, less| from - less)?,
            How::Median => first.clone(),
            How::Worst => return None,
        };
        (of.len() > 2).then(|| (of.percentile(25.0), of.percentile(75.0)))
    }

    pub(crate) fn is_met(&self) -> bool {
        self.bar.is_met_by(self.value())
    }
}

/// By pairs. `None`: they were not measured in turn.
fn quotients(over: &Side, under: &Side) -> Option<Samples> {
    over.samples.by_pairs(&under.samples, |over, under| over / under)
}

/// The one of several that is best, where less is better, and the others.
pub(crate) fn least(sides: Vec<Side>) -> (Side, Vec<Side>) {
    best(sides, |one, other| one.total_cmp(&other))
}

/// The one of several that is best, where more is better, and the others.
pub(crate) fn most(sides: Vec<Side>) -> (Side, Vec<Side>) {
    best(sides, |one, other| other.total_cmp(&one))
}

fn best(mut sides: Vec<Side>, order: impl Fn(f64, f64) -> std::cmp::Ordering) -> (Side, Vec<Side>) {
    sides.sort_by(|one, other| order(one.samples.median(), other.samples.median()));
    let best = sides.remove(0);
    (best, sides)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn side(name: &'static str, samples: &[f64]) -> Side {
        Side::new(name, Unit::Us, &samples.iter().copied().collect())
    }

    #[test]
    fn the_number_comes_from_the_samples() {
        let (ours, peer) = (side("ours", &[2.0, 1.0, 9.0]), side("peer", &[4.0, 5.0, 1.0]));
        let of = |how| Row::of("w", Bar::Open, how, vec![ours.clone(), peer.clone()]);
        let show = |how: How| of(how).unit().show(of(how).value());
        assert_eq!(show(How::Quotient), "0.500");
        // By pairs: 0.5, 0.2, 9.
        assert_eq!(show(How::Pairs), "0.500");
        assert_eq!(show(How::Difference), "-2.00 us");
        assert_eq!(show(How::Median), "2.00 us");
        assert_eq!(show(How::Worst), "9.00 us");
        assert_eq!(of(How::Quotient).spread(), Some((0.2, 9.0)));
        assert_eq!(of(How::Pairs).spread(), Some((0.2, 9.0)));
        assert_eq!(of(How::Median).spread(), Some((1.0, 9.0)));
    }

    #[test]
    fn the_best_of_the_peers_is_found() {
        let peers = || vec![side("slow", &[3.0]), side("fast", &[1.0])];
        assert_eq!(least(peers()).0.name, "fast");
        assert_eq!(most(peers()).0.name, "slow");
        assert_eq!(most(peers()).1[0].name, "fast");
    }

    #[test]
    fn numbers_are_shown_with_their_units() {
        assert_eq!(Unit::PerSecond.show(1234567.8), "1,234,568/s");
        assert_eq!(Unit::Ns.show(11.72), "11.7 ns");
        assert_eq!(Unit::Ratio.show(1.0451), "1.045");
        assert_eq!(Unit::Ratio.show(20.91), "20.9");
        assert_eq!((Unit::Count.show(20.0), Unit::Count.show(20.5)), ("20".into(), "20.5".into()));
        assert_eq!(Unit::Us.show(-1234.0), "-1,234 us");
        assert_eq!(Bar::AtLeast(0.95).show(Unit::Ratio), ">= 0.95");
    }

    #[test]
    fn a_row_is_the_same_behind_a_line_of_json() {
        let row = Row::quotient("a / b", Bar::AtMost(1.2), side("a", &[1.0]), side("b", &[3.0]));
        let row = row.note("n".to_owned());
        let line = serde_json::to_string(&row).unwrap();
        assert!(!line.contains('\n'));
        assert_eq!(serde_json::from_str::<Row>(&line).unwrap(), row);
    }
}
