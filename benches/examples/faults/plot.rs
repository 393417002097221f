//! The picture: how late the ticker is, and how many look-ups there are.
//!
//! It stands on a light card of its own, so that it reads the same on a dark page.

use std::error::Error;
use std::path::Path;

use plotters::coord::Shift;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

use crate::device::{DEPTH, LATENCY};
use crate::load::{Load, percentile};
use crate::{Summary, short};

const SIZE: (u32, u32) = (980, 496);
const CARD: RGBColor = RGBColor(0xFB, 0xFB, 0xF9);
const INK: RGBColor = RGBColor(0x22, 0x26, 0x2A);
const FAINT: RGBColor = RGBColor(0x66, 0x6C, 0x72);
const GRID: RGBColor = RGBColor(0xE2, 0xE3, 0xE0);

/// The colour of a row: red, green, blue.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Colour(pub(crate) u8, pub(crate) u8, pub(crate) u8);

impl From<Colour> for RGBColor {
    fn from(colour: Colour) -> RGBColor {
        RGBColor(colour.0, colour.1, colour.2)
    }
}

/// Microseconds that the axis of lateness covers.
const LATE: (f64, f64) = (10.0, 300_000.0);
/// The percentiles that the other axis covers and names. What lies between them is measured in
/// decades of what is left: 90 %, 99 %, 99.9 % are equally far from each other.
const PERCENTS: [f64; 4] = [50.0, 90.0, 99.0, 99.9];

fn decades(percent: f64) -> f64 {
    -(1.0 - percent / 100.0).log10()
}

/// How many straight pieces a line has.
const STEPS: i32 = 110;

/// Pixels from the left and from the top.
type Place = (i32, i32);
type Canvas<'a> = DrawingArea<SVGBackend<'a>, Shift>;
type Drawn = Result<(), Box<dyn Error>>;

/// What was measured.
#[derive(Debug)]
pub(crate) struct Caption {
    /// In words.
    pub(crate) line: String,
    /// The look-ups in a second that the device allows.
    device: f64,
}

impl Caption {
    pub(crate) fn of(load: Load) -> Caption {
        let line = format!(
            "{} workers, {} clients; {} % of the look-ups wait {} ms or more for a page of a \
             mapped file, from a device that reads {} at once",
            load.workers,
            load.clients,
            load.cold_percent,
            LATENCY.as_millis(),
            DEPTH,
        );
        let cold = load.cold_percent as f64 / 100.0;
        Caption { line, device: DEPTH as f64 / LATENCY.as_secs_f64() / cold }
    }
}

/// Draws it into a file.
pub(crate) fn draw(path: &Path, rows: &[Summary], caption: &Caption) -> Drawn {
    let canvas = SVGBackend::new(path, SIZE).into_drawing_area();
    canvas.fill(&CARD)?;
    let corners = [(0, 0), (SIZE.0 as i32 - 1, SIZE.1 as i32 - 1)];
    canvas.draw(&Rectangle::new(corners, GRID))?;
    let text = |size: i32, colour: &RGBColor| ("sans-serif", size).into_font().color(colour);
    let title = "A task that wakes every millisecond, beside look-ups that page-fault";
    canvas.draw_text(title, &text(22, &INK), (24, 18))?;
    canvas.draw_text(&caption.line, &text(15, &FAINT), (24, 48))?;
    let (left, right) = canvas.margin(84, 18, 0, 0).split_horizontally(590);
    lateness(&left, rows)?;
    lookups(&right, rows, caption.device)?;
    canvas.present()?;
    Ok(())
}

/// One line a row: the lateness that so many of the ticks do not exceed.
fn lateness(canvas: &Canvas<'_>, rows: &[Summary]) -> Drawn {
    let heading = ("sans-serif", 16).into_font().style(FontStyle::Bold).color(&INK);
    canvas.draw_text("How late it wakes (lower is better)", &heading, (24, 0))?;
    let percents = decades(PERCENTS[0])..decades(PERCENTS[3]);
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
        .y_label_formatter(&|us| short(*us).replace(".0", ""))
        .x_desc("share of its wake-ups that are no later than this")
        .draw()?;
    for percent in PERCENTS {
        let upright = [(decades(percent), LATE.0), (decades(percent), LATE.1)];
        chart.draw_series(LineSeries::new(upright, GRID.stroke_width(1)))?;
        let (x, y) = chart.backend_coord(&upright[0]);
        write(canvas, &format!("{percent} %"), (x, y + 14), 14, HPos::Center, FAINT)?;
    }
    let mut ends = Vec::new();
    for row in rows {
        let colour = RGBColor::from(row.colour);
        let points: Vec<_> = (0..=STEPS)
            .map(|step| {
                let way = f64::from(step) / f64::from(STEPS);
                let at = percents.start + way * (percents.end - percents.start);
                let percent = 100.0 * (1.0 - 10f64.powf(-at));
                (at, percentile(&row.late, percent).clamp(LATE.0, LATE.1))
            })
            .collect();
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
        canvas.draw(&Rectangle::new(corners, RGBColor::from(row.colour).filled()))?;
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

/// A number with a comma before every three digits.
fn thousands(number: f64) -> String {
    let digits = format!("{number:.0}");
    let mut text = String::new();
    for (nth, digit) in digits.chars().enumerate() {
        if nth > 0 && (digits.len() - nth) % 3 == 0 {
            text.push(',');
        }
        text.push(digit);
    }
    text
}
