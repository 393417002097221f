//! The pictures, each on a light card of its own, so that it reads the same on a dark page.

use std::error::Error;

use plotters::coord::Shift;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

use crate::data::{Line, Run};
use crate::report::{Bar, Row};

const WIDTH: u32 = 980;
pub(super) const CARD: RGBColor = RGBColor(0xFB, 0xFB, 0xF9);
pub(super) const INK: RGBColor = RGBColor(0x22, 0x26, 0x2A);
pub(super) const FAINT: RGBColor = RGBColor(0x66, 0x6C, 0x72);
pub(super) const GRID: RGBColor = RGBColor(0xE2, 0xE3, 0xE0);
const LOST: RGBColor = RGBColor(0xC0, 0x22, 0x22);
/// Perf and the monitor.
pub(super) const OURS: [RGBColor; 2] = [RGBColor(0x05, 0x75, 0x45), RGBColor(0x5F, 0x8F, 0x05)];

const TOP: i32 = 74;
const ROW: i32 = 20;
/// Where the words end and the axis begins, and where it ends.
const AXIS: (i32, i32) = (520, 960);
/// The axis: so many times beyond the bar. What is further is drawn at its end.
const TIMES: (f64, f64) = (0.25, 64.0);
const MARKS: [f64; 9] = [0.25, 0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0];
/// Letters that fit before the axis.
const LETTERS: usize = 74;

type Canvas<'a> = DrawingArea<SVGBackend<'a>, Shift>;

/// How far beyond its bar: above 1 it is met.
fn beyond(row: &Row) -> Option<f64> {
    let times = match row.bar {
        Bar::AtLeast(limit) => row.value() / limit,
        Bar::AtMost(limit) | Bar::Below(limit) => limit / row.value(),
        Bar::Open => return None,
    };
    // What costs nothing, or less, is as far as can be drawn.
    Some(if times > 0.0 { times.clamp(TIMES.0, TIMES.1) } else { TIMES.1 })
}

fn place(times: f64) -> i32 {
    let way = (times / TIMES.0).ln() / (TIMES.1 / TIMES.0).ln();
    AXIS.0 + (f64::from(AXIS.1 - AXIS.0) * way).round() as i32
}

/// A line a figure: how far it is beyond its bar, under each detector.
pub(super) fn bars(suite: &str, run: &Run) -> Result<String, Box<dyn Error>> {
    let lines = run.lines();
    let barred: Vec<_> = lines.iter().filter(|line| line.row().bar != Bar::Open).collect();
    let bottom = TOP + ROW * barred.len() as i32;
    let mut text = String::new();
    {
        let canvas =
            SVGBackend::with_string(&mut text, (WIDTH, bottom as u32 + 40)).into_drawing_area();
        canvas.fill(&CARD)?;
        write(&canvas, &format!("{suite}: times beyond the bar"), (24, 26), 20, HPos::Left, INK)?;
        write(&canvas, "perf", (AXIS.1 - 70, 26), 14, HPos::Right, OURS[0])?;
        write(&canvas, "monitor", (AXIS.1, 26), 14, HPos::Right, OURS[1])?;
        write(&canvas, "left of 1 is lost", (24, 48), 14, HPos::Left, LOST)?;
        for times in MARKS {
            let (x, colour) = (place(times), if times == 1.0 { LOST } else { GRID });
            canvas.draw(&PathElement::new([(x, TOP - 8), (x, bottom)], colour))?;
            write(&canvas, &format!("{times}"), (x, bottom + 16), 13, HPos::Center, FAINT)?;
        }
        for (line, nth) in barred.iter().zip(0..) {
            figure(&canvas, line, TOP + ROW * nth + ROW / 2)?;
        }
        canvas.present()?;
    }
    Ok(text)
}

fn figure(canvas: &Canvas<'_>, line: &Line<'_>, y: i32) -> Result<(), Box<dyn Error>> {
    let mut words: String = format!("{}: {}", line.figure, line.what);
    if words.chars().count() > LETTERS {
        words = words.chars().take(LETTERS - 3).chain("...".chars()).collect();
    }
    write(canvas, &words, (24, y), 13, HPos::Left, INK)?;
    for (row, colour) in line.cells.iter().zip(OURS) {
        if let Some(times) = row.and_then(beyond) {
            canvas.draw(&Circle::new((place(times), y), 5, colour.filled()))?;
        }
    }
    Ok(())
}

fn write(
    canvas: &Canvas<'_>,
    text: &str,
    place: (i32, i32),
    size: i32,
    side: HPos,
    colour: RGBColor,
) -> Result<(), Box<dyn Error>> {
    let style = ("sans-serif", size).into_font().color(&colour).pos(Pos::new(side, VPos::Center));
    canvas.draw_text(text, &style, place)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_lost_is_left_of_one() {
        let run = crate::data::tests::run();
        let lines = run.lines();
        let of = |what| {
            let line = lines.iter().find(|line| line.what == what).unwrap();
            line.cells.map(|row| row.and_then(beyond))
        };
        assert_eq!(of("won"), [Some(1.0), Some(2.4)]);
        assert_eq!(of("lost"), [Some(0.95), Some(1.1)]);
        assert_eq!(of("open"), [None, None]);
        assert!(place(0.95) < place(1.0) && place(1.0) < place(1.1));
    }

    #[test]
    fn each_figure_with_a_bar_is_drawn() {
        let picture = bars("engine", &crate::data::tests::run()).unwrap();
        assert!(picture.starts_with("<svg "), "{picture}");
        assert_eq!(picture.matches("<circle").count(), 5, "{picture}");
        assert!(picture.contains("f: lost") && !picture.contains("f: open"), "{picture}");
    }
}
