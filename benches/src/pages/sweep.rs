//! The picture of calls of which some block: calls a second by the share that does, a panel for each
//! length of a block.

use std::error::Error;

use plotters::coord::Shift;
use plotters::prelude::*;

use super::plot::{CARD, FAINT, GRID, INK, OURS};
use crate::data::Run;
use crate::suite::Column::{self, Monitor, Perf};

const SIZE: (u32, u32) = (980, 420);
/// Calls a second that the axis covers.
const RATES: (f64, f64) = (1e2, 1e7);

/// The panels: how long a block is.
const BLOCKS: [&str; 2] = ["100 us", "10 ms"];
/// Of a hundred calls, how many block.
const SHARES: [&str; 6] = ["0", "0.1", "1", "10", "50", "100"];

/// What is drawn: its name here, and which side it is under which detector.
const WAYS: [(&str, Column, &str, RGBColor); 5] = [
    ("ours", Perf, "ours", OURS[0]),
    ("ours, monitor", Monitor, "ours", OURS[1]),
    ("tokio spawn_blocking", Perf, "spawn_blocking", RGBColor(0xC0, 0x22, 0x22)),
    ("tokio block_in_place", Perf, "block_in_place", RGBColor(0xE0, 0x74, 0x14)),
    ("smol unblock", Perf, "smol unblock", RGBColor(0x1A, 0x58, 0xBA)),
];

/// How the words of the row begin that has a share and a block.
fn words(share: &str, block: &str) -> String {
    if share == "0" { "0 %:".to_owned() } else { format!("{share} % for {block}:") }
}

/// A way's calls a second where so many block for so long.
fn rate(run: &Run, column: Column, side: &str, share: &str, block: &str) -> Option<f64> {
    let words = format!("{} calls/s", words(share, block));
    let of = |record: &&crate::data::Record| {
        let (figure, detector) = (record.figure.as_str(), record.detector);
        figure == "mixed" && detector == column && record.row.what.starts_with(&words)
    };
    let sides = run.records.iter().find(of)?.row.sides.iter();
    Some(sides.into_iter().find(|one| one.name == side)?.samples.median())
}

pub(super) fn draw(run: &Run) -> Result<String, Box<dyn Error>> {
    let mut text = String::new();
    {
        let canvas = SVGBackend::with_string(&mut text, SIZE).into_drawing_area();
        canvas.fill(&CARD)?;
        let title = ("sans-serif", 20).into_font().color(&INK);
        let words = "64 tasks, a yield after each call: calls/s by the share that blocks";
        canvas.draw_text(words, &title, (24, 14))?;
        let (left, right) = canvas.margin(44, 8, 8, 8).split_horizontally(482);
        for (panel, block) in [left, right].iter().zip(BLOCKS) {
            one(panel, run, block)?;
        }
        canvas.present()?;
    }
    Ok(text)
}

fn one(
    panel: &DrawingArea<SVGBackend<'_>, Shift>,
    run: &Run,
    block: &str,
) -> Result<(), Box<dyn Error>> {
    let last = SHARES.len() as f64 - 1.0;
    let text = |size: i32| ("sans-serif", size).into_font().color(&FAINT);
    let mut chart = ChartBuilder::on(panel)
        .caption(format!("for {block}"), text(15))
        .margin_right(20)
        .x_label_area_size(40)
        .y_label_area_size(76)
        .build_cartesian_2d(-0.2..last + 0.2, (RATES.0..RATES.1).log_scale())?;
    chart
        .configure_mesh()
        .light_line_style(TRANSPARENT)
        .bold_line_style(GRID)
        .axis_style(FAINT)
        .label_style(text(13))
        .x_labels(SHARES.len())
        .x_label_formatter(&|at| {
            SHARES.get(at.round() as usize).map_or(String::new(), |share| format!("{share} %"))
        })
        .y_label_formatter(&|rate| crate::report::in_thousands(*rate, 0))
        .draw()?;
    for (name, column, side, colour) in WAYS {
        let rates = SHARES.iter().map(|share| rate(run, column, side, share, block));
        let points: Vec<_> = (0..)
            .zip(rates)
            .filter_map(|(nth, rate)| Some((f64::from(nth), rate?.clamp(RATES.0, RATES.1))))
            .collect();
        if !points.is_empty() {
            let line = LineSeries::new(points, colour.stroke_width(3)).point_size(4);
            let sample =
                move |(x, y)| PathElement::new([(x, y), (x + 18, y)], colour.stroke_width(3));
            chart.draw_series(line)?.label(name).legend(sample);
        }
    }
    let labels = &mut chart.configure_series_labels();
    let labels = labels.position(SeriesLabelPosition::LowerLeft).label_font(text(13));
    labels.background_style(CARD.mix(0.8)).draw()?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::Record;
    use crate::report::{Bar, Row, Side, Unit};

    #[test]
    fn each_way_has_its_line_in_each_panel() {
        let mut run = crate::data::tests::run();
        for (column, share, block) in [(Perf, "0", ""), (Perf, "50", "10 ms"), (Monitor, "0", "")] {
            let what = format!("{} calls/s, ours / best peer", words(share, block));
            let side = Side::new("ours", Unit::PerSecond, &[5e4].into_iter().collect());
            let row = Row::median(what, Bar::Open, side);
            run.records.push(Record { figure: "mixed".to_owned(), detector: column, row });
        }
        assert_eq!(rate(&run, Perf, "ours", "50", "10 ms"), Some(5e4));
        assert_eq!(rate(&run, Perf, "ours", "50", "100 us"), None);
        let picture = draw(&run).unwrap();
        assert_eq!(picture.matches("ours, monitor").count(), 2, "{picture}");
        assert!(!picture.contains("smol"), "{picture}");
    }
}
