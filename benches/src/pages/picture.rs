//! The picture of the look-ups: how late the ticker is, and how many look-ups there are.

use std::error::Error;

use plotters::coord::Shift;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

use super::plot::{CARD, FAINT, GRID, INK};
use crate::data::Run;
use crate::faults::{DECADES, TICKS, decades};
use crate::report::{Side, in_thousands};
use crate::suite::Column::{self, Monitor, Perf};

const SIZE: (u32, u32) = (980, 496);

/// What is drawn: its name here, and which way it is under which detector. Green is ours, red is
/// tokio, blue is smol; the plain calls are the pale ones.
const WAYS: [(&str, Column, &str, RGBColor); 8] = [
    ("threadlet!", Perf, "threadlet!", RGBColor(0x05, 0x75, 0x45)),
    ("threadlet!, no perf", Monitor, "threadlet!", RGBColor(0x5F, 0x8F, 0x05)),
    ("threadlet, plain", Perf, "threadlet, plain", RGBColor(0x5C, 0xB8, 0x85)),
    ("tokio, plain", Perf, "tokio, plain", RGBColor(0xEE, 0x8C, 0x80)),
    ("tokio spawn_blocking", Perf, "tokio spawn_blocking", RGBColor(0xC0, 0x22, 0x22)),
    ("tokio block_in_place", Perf, "tokio block_in_place", RGBColor(0xE0, 0x74, 0x14)),
    ("smol, plain", Perf, "smol, plain", RGBColor(0x86, 0xA8, 0xE0)),
    ("smol unblock", Perf, "smol unblock", RGBColor(0x1A, 0x58, 0xBA)),
];

/// What is drawn of a way.
#[derive(Debug)]
struct Summary {
    name: &'static str,
    colour: RGBColor,
    lookups_per_second: f64,
    /// How late so many of the ticks are at most, see [`decades`].
    late: Vec<f64>,
}

/// Microseconds that the axis of lateness covers.
const LATE: (f64, f64) = (10.0, 300_000.0);
/// The percentiles that the other axis covers and names. What lies between them is measured in
/// decades of what is left: 90 %, 99 %, 99.9 % are equally far from each other.
const PERCENTS: [f64; 4] = [50.0, 90.0, 99.0, 99.9];

fn in_decades(percent: f64) -> f64 {
    -(1.0 - percent / 100.0).log10()
}

/// Pixels from the left and from the top.
type Place = (i32, i32);
type Canvas<'a> = DrawingArea<SVGBackend<'a>, Shift>;
type Drawn = Result<(), Box<dyn Error>>;

/// What the run has of the ways; a detector that was not there is left out.
fn summaries(run: &Run) -> Vec<Summary> {
    let way = |&(name, column, way, colour): &(&'static str, Column, &str, RGBColor)| {
        let sides = |starts: &str| -> Vec<&Side> {
            let records = run.records.iter().filter(|record| record.detector == column);
            let rows = records.filter(|record| record.row.what.starts_with(starts));
            rows.flat_map(|record| &record.row.sides).filter(|side| side.name == way).collect()
        };
        let rate = sides("look-ups/s, ").first()?.samples.median();
        let late = sides(TICKS).first()?.samples.iter().collect();
        Some(Summary { name, colour, lookups_per_second: rate, late })
    };
    WAYS.iter().filter_map(way).collect()
}

/// The table under the picture.
pub(super) fn table(run: &Run) -> String {
    let mut text = "| | look-ups/s | ticks late: p50 | p99 | latest | alone: p50 | CPU a look-up | threads |\n\
                    |---|---|---|---|---|---|---|---|\n"
        .to_owned();
    let others = run.machine.others_percent;
    text.insert_str(
        0,
        &format!("Other programs took {others} % of the processor time spent meanwhile.\n\n"),
    );
    for (name, column, way, _) in WAYS {
        let rows = || run.records.iter().filter(|record| record.detector == column);
        // A number of this way, from a row that begins so.
        let of = |starts: &str, wanted: &str| {
            let rows = rows().filter(|record| record.row.what.starts_with(starts));
            let mut sides = rows.flat_map(|record| &record.row.sides);
            let side = sides.find(|side| side.name == wanted);
            side.map_or("-".to_owned(), |side| side.unit.show(side.samples.median()))
        };
        let ticks = format!("{TICKS}{way}:");
        let cells = [
            of("look-ups/s, ", way),
            of(&ticks, "the median"),
            of(&ticks, "the 99th percentile"),
            of(&ticks, "the latest"),
            of(&ticks, "alone, the median"),
            of("CPU a look-up", way),
            of("threads", way),
        ];
        text += &format!("| {name} | {} |\n", cells.join(" | "));
    }
    text
}

/// What the device gives, as the run says.
fn device(run: &Run) -> f64 {
    let sides = run.records.iter().flat_map(|record| &record.row.sides);
    let device = sides.into_iter().find(|side| side.name == "the device gives");
    device.map_or(f64::INFINITY, |side| side.samples.median())
}

/// Draws it.
pub(super) fn draw(run: &Run) -> Result<String, Box<dyn Error>> {
    let rows = summaries(run);
    let mut text = String::new();
    {
        let canvas = SVGBackend::with_string(&mut text, SIZE).into_drawing_area();
        canvas.fill(&CARD)?;
        let corners = [(0, 0), (SIZE.0 as i32 - 1, SIZE.1 as i32 - 1)];
        canvas.draw(&Rectangle::new(corners, GRID))?;
        let text = |size: i32, colour: &RGBColor| ("sans-serif", size).into_font().color(colour);
        let title = "A task that wakes every millisecond, beside look-ups that page-fault";
        canvas.draw_text(title, &text(22, &INK), (24, 18))?;
        let caption = format!("{} workers, {CAPTION}", run.machine.workers);
        canvas.draw_text(&caption, &text(15, &FAINT), (24, 48))?;
        let (left, right) = canvas.margin(84, 18, 0, 0).split_horizontally(590);
        lateness(&left, &rows)?;
        lookups(&right, &rows, device(run))?;
        canvas.present()?;
    }
    Ok(text)
}

const CAPTION: &str = "64 clients; 5 % of the look-ups wait 2 ms or more for a page of a mapped file, \
                       from a device that reads 32 at once";

/// One line a row: the lateness that so many of the ticks do not exceed.
fn lateness(canvas: &Canvas<'_>, rows: &[Summary]) -> Drawn {
    let heading = ("sans-serif", 16).into_font().style(FontStyle::Bold).color(&INK);
    canvas.draw_text("How late it wakes (lower is better)", &heading, (24, 0))?;
    let percents = in_decades(PERCENTS[0])..DECADES;
    let mut chart = ChartBuilder::on(canvas)
        .margin_top(30)
        .margin_left(14)
        .margin_right(164)
        .x_label_area_size(48)
        .y_label_area_size(62)
        .build_cartesian_2d(percents.clone(), (LATE.0..LATE.1).log_scale())?;
    chart
        .configure_mesh()
        .light_line_style(TRANSPARENT)
        .bold_line_style(GRID)
        .axis_style(FAINT)
        .label_style(("sans-serif", 14).into_font().color(&FAINT))
        .disable_x_mesh()
        .x_labels(0)
        .y_labels(5)
        .y_label_formatter(&|us| short(*us))
        .x_desc("share of its wake-ups that are no later than this")
        .draw()?;
    for percent in PERCENTS {
        let upright = [(in_decades(percent), LATE.0), (in_decades(percent), LATE.1)];
        chart.draw_series(LineSeries::new(upright, GRID.stroke_width(1)))?;
        let (x, y) = chart.backend_coord(&upright[0]);
        write(canvas, &format!("{percent} %"), (x, y + 14), 14, HPos::Center, FAINT)?;
    }
    let mut ends = Vec::new();
    for row in rows {
        let colour = row.colour;
        let place = |(nth, late): (usize, &f64)| (decades(nth), late.clamp(LATE.0, LATE.1));
        let points: Vec<_> = row.late.iter().enumerate().map(place).collect();
        ends.push((chart.backend_coord(&points[points.len() - 1]), row.name, colour));
        chart.draw_series(LineSeries::new(points, colour.stroke_width(3)))?;
    }
    label(canvas, ends)
}

/// Writes each line's name at its end, and moves names apart that would meet.
fn label(canvas: &Canvas<'_>, mut ends: Vec<(Place, &'static str, RGBColor)>) -> Drawn {
    const APART: i32 = 18;
    ends.sort_by_key(|((_, y), _, _)| *y);
    let mut free = 0;
    for ((x, y), name, colour) in ends {
        let at = y.max(free);
        free = at + APART;
        write(canvas, name, (x + 8, at), 15, HPos::Left, colour)?;
    }
    Ok(())
}

/// Writes at a place that is meant in pixels of the whole picture.
fn write(
    canvas: &Canvas<'_>,
    text: &str,
    (x, y): Place,
    size: i32,
    side: HPos,
    colour: RGBColor,
) -> Drawn {
    let (left, top) = canvas.get_base_pixel();
    let style = ("sans-serif", size).into_font().color(&colour);
    let style = style.pos(Pos::new(side, VPos::Center));
    canvas.draw_text(text, &style, (x - left, y - top))?;
    Ok(())
}

/// One bar a row, and a mark where the device is at its end.
fn lookups(canvas: &Canvas<'_>, rows: &[Summary], device: f64) -> Drawn {
    const LEFT: i32 = 24;
    const TOP: i32 = 34;
    const ROW: i32 = 42;
    const WIDTH: f64 = 262.0;
    let heading = ("sans-serif", 16).into_font().style(FontStyle::Bold).color(&INK);
    canvas.draw_text("Look-ups per second (higher is better)", &heading, (LEFT, 0))?;
    let most = rows.iter().map(|row| row.lookups_per_second).fold(1.0, f64::max);
    let scale = WIDTH / if device.is_finite() { most.max(device) } else { most };
    let text = |colour: &RGBColor| ("sans-serif", 15).into_font().color(colour);
    for (row, nth) in rows.iter().zip(0..) {
        let top = TOP + nth * ROW;
        canvas.draw_text(row.name, &text(&INK), (LEFT, top))?;
        let length = (scale * row.lookups_per_second) as i32;
        let corners = [(LEFT, top + 18), (LEFT + length.max(1), top + 31)];
        canvas.draw(&Rectangle::new(corners, row.colour.filled()))?;
        let figure = text(&FAINT).pos(Pos::new(HPos::Right, VPos::Top));
        let place = (LEFT + WIDTH as i32 - 8, top);
        canvas.draw_text(&thousands(row.lookups_per_second), &figure, place)?;
    }
    if device.is_finite() {
        let end = LEFT + (scale * device) as i32;
        let bottom = TOP + rows.len() as i32 * ROW;
        canvas.draw(&PathElement::new([(end, TOP + 16), (end, bottom)], FAINT))?;
        let note = format!("the device gives {}", thousands(device));
        let style = text(&FAINT).pos(Pos::new(HPos::Right, VPos::Top));
        canvas.draw_text(&note, &style, (end, bottom + 4))?;
    }
    Ok(())
}

fn thousands(number: f64) -> String {
    in_thousands(number, 0)
}

/// Microseconds, in a unit that keeps them short.
fn short(us: f64) -> String {
    if us < 999.5 { format!("{us:.0} us") } else { format!("{:.0} ms", us / 1000.0) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::Record;
    use crate::report::{Bar, Row, Unit};

    #[test]
    fn each_way_that_was_measured_is_drawn() {
        let mut run = crate::data::tests::run();
        for column in Column::ALL {
            let side =
                |unit, value| Side::new("threadlet!", unit, &[value; 111].into_iter().collect());
            let rate = Row::median("look-ups/s, w", Bar::Open, side(Unit::PerSecond, 1e5));
            let late = Row::worst(format!("{TICKS}w"), Bar::Open, side(Unit::Us, 50.0));
            let record = |row| Record { figure: "lookups".to_owned(), detector: column, row };
            run.records.extend([record(rate), record(late)]);
        }
        let names: Vec<_> = summaries(&run).iter().map(|way| way.name).collect();
        assert_eq!(names, ["threadlet!", "threadlet!, no perf"]);
        let picture = draw(&run).unwrap();
        assert!(picture.contains("threadlet!, no perf"), "{picture}");
        assert!(picture.contains("100,000"), "{picture}");
        let table = table(&run);
        assert!(table.contains("| threadlet!, no perf | 100,000/s | - |"), "{table}");
    }
}
