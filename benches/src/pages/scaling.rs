//! The measured part of `docs/internals/scaling.md`: tables and pictures.

use std::error::Error;
use std::fmt::Write;

use plotters::prelude::*;

use super::figures::made_on;
use super::plot::{CARD, FAINT, GRID, INK, OURS};
use crate::data::Run;
use crate::report::{Row, in_thousands};
use crate::scaling::{self, CORES, MEASURED, MODELLED};
use crate::suite::Column;

const SIZE: (u32, u32) = (980, 460);
const PEER: [RGBColor; 4] = [
    RGBColor(0xC0, 0x22, 0x22),
    RGBColor(0xE0, 0x74, 0x14),
    RGBColor(0xEE, 0x8C, 0x80),
    RGBColor(0x99, 0x55, 0x55),
];
const GREENS: [RGBColor; 4] =
    [OURS[0], OURS[1], RGBColor(0x5C, 0xB8, 0x85), RGBColor(0x1A, 0x58, 0xBA)];

/// The rows of one detector: perf's, or the monitor's where there was no perf.
fn rows(run: &Run) -> Vec<&Row> {
    let of = |column| {
        let records = run.records.iter().filter(move |record| record.detector == column);
        records.map(|record| &record.row).collect::<Vec<_>>()
    };
    let perf = of(Column::Perf);
    if perf.is_empty() { of(Column::Monitor) } else { perf }
}

/// What a row of `count` things, and the step that its words name, was measured to be, on a side.
fn median(rows: &[&Row], things: &str, count: usize, step: &str, side: usize) -> Option<f64> {
    let words = format!("{} {things}, {step}:", in_thousands(count as f64, 0));
    let row = rows.iter().find(|row| row.what.starts_with(&words))?;
    Some(row.sides.get(side)?.samples.median())
}

/// A table with a line for each count that was measured, and two columns for each step.
fn grown(text: &mut String, rows: &[&Row], things: &str, counts: &[usize], steps: &[&str]) {
    let heads = steps.iter().map(|step| format!("{step}: ours | tokio"));
    let _ = writeln!(text, "| {things} | {} |", heads.collect::<Vec<_>>().join(" | "));
    let _ = writeln!(text, "|---|{}", "---|".repeat(2 * steps.len()));
    for count in counts {
        let cell = |(step, side): (&str, usize)| {
            let words = format!("{} {things}, {step}:", in_thousands(*count as f64, 0));
            let row = rows.iter().find(|row| row.what.starts_with(&words))?;
            let side = &row.sides[side];
            Some(side.unit.show(side.samples.median()))
        };
        let both = steps.iter().flat_map(|step| [(*step, 0), (*step, 1)]);
        let Some(cells) = both.map(cell).collect::<Option<Vec<_>>>() else { continue };
        let _ = writeln!(text, "| {} | {} |", in_thousands(*count as f64, 0), cells.join(" | "));
    }
    text.push('\n');
}

/// How many cores the table shows; the picture has them all.
const SHOWN: [usize; 4] = [2, 8, 64, 256];

fn modelled<'a>(rows: &[&'a Row], path: &str, cores: usize) -> Option<&'a Row> {
    let words = format!("{MODELLED}{path} on {cores} cores,");
    rows.iter().copied().find(|row| row.what.starts_with(&words))
}

fn cores(text: &mut String, rows: &[&Row]) {
    let measured: Vec<&&Row> = rows.iter().filter(|row| row.what.starts_with(MEASURED)).collect();
    let Some(first) = measured.first() else { return };
    let all = first.sides[1].name.trim_start_matches("on ");
    let shown = SHOWN.map(|cores| cores.to_string()).join(" | ");
    let _ = writeln!(text, "| path | one worker | {all}, measured | {shown} | at 256 |");
    let _ = writeln!(text, "|---|---|---|{}", "---|".repeat(SHOWN.len() + 1));
    for row in measured {
        let path = row.what.trim_start_matches(MEASURED).split(',').next().unwrap_or_default();
        let times = |value: f64| in_thousands(value, if value < 10.0 { 2 } else { 0 });
        let of = |cores| modelled(rows, path, cores);
        let shown = SHOWN.map(|cores| of(cores).map_or("-".to_owned(), |row| times(row.value())));
        let bound = of(SHOWN[SHOWN.len() - 1]).map_or("", |row| &*row.note);
        let one = &row.sides[0];
        let _ = writeln!(
            text,
            "| {path} | {} | {} | {} | {bound} |",
            one.unit.show(one.samples.median()),
            times(row.value()),
            shown.join(" | "),
        );
    }
    text.push('\n');
}

/// What stands between the marks.
pub(super) fn render(run: &Run) -> String {
    let rows = rows(run);
    let mut text = String::new();
    let _ = writeln!(text, "{}\n", made_on(run));
    let _ = writeln!(text, "### Tasks\n\n![What a task costs](../benchmarks/scaling-tasks.svg)\n");
    grown(&mut text, &rows, "tasks", &scaling::TASKS, &scaling::TASK_STEPS);
    let picture = "![What a blocked thread costs](../benchmarks/scaling-blocked.svg)";
    let _ = writeln!(text, "### Blocked threads\n\n{picture}\n");
    grown(&mut text, &rows, "blocked threads", &scaling::BLOCKED, &scaling::BLOCKED_STEPS);
    let picture = "![Throughput over one core's, by the model](../benchmarks/scaling-cores.svg)";
    let _ = writeln!(text, "### Cores\n\n{picture}\n");
    cores(&mut text, &rows);
    text.trim_end().to_owned() + "\n"
}

/// A line of a picture.
type Series = (String, RGBColor, Vec<(f64, f64)>);

/// The pictures, each with the name of its file.
pub(super) fn pictures(run: &Run) -> Result<Vec<(&'static str, String)>, Box<dyn Error>> {
    let rows = rows(run);
    let grown = |things: &str, counts: &[usize], steps: &[&str]| -> Vec<Series> {
        let one = |(nth, step): (usize, &&str), side: usize| {
            let at =
                |count: &usize| Some((*count as f64, median(&rows, things, *count, step, side)?));
            let (whose, colour) = [("ours", GREENS[nth]), ("tokio", PEER[nth])][side];
            (format!("{whose}: {step}"), colour, counts.iter().filter_map(at).collect())
        };
        let steps = || steps.iter().enumerate();
        steps().map(|step| one(step, 0)).chain(steps().map(|step| one(step, 1))).collect()
    };
    let times = BLOCKED_TIMES.map(|nth| scaling::BLOCKED_STEPS[nth]);
    let tasks = grown("tasks", &scaling::TASKS, &scaling::TASK_STEPS);
    let blocked = grown("blocked threads", &scaling::BLOCKED, &times);
    let mut cores: Vec<Series> = Vec::new();
    let ideal = CORES.map(|cores| (cores as f64, cores as f64)).into();
    cores.push(("as many times as cores".to_owned(), GRID, ideal));
    let colours = GREENS.into_iter().chain(PEER);
    for ((path, _), colour) in scaling::VISITS.iter().zip(colours.cycle()) {
        let at = |cores: &usize| Some((*cores as f64, modelled(&rows, path, *cores)?.value()));
        cores.push(((*path).to_owned(), colour, CORES.iter().filter_map(at).collect()));
    }
    Ok(vec![
        ("scaling-tasks.svg", draw("ns a task, by the number of tasks", (1.0, 1e6), &tasks)?),
        (
            "scaling-blocked.svg",
            draw("us a thread, by the number of blocked threads", (1.0, 1e4), &blocked)?,
        ),
        ("scaling-cores.svg", draw("times one core's throughput, by cores", (1.0, 256.0), &cores)?),
    ])
}

/// Those of the steps that are times.
const BLOCKED_TIMES: [usize; 3] = [0, 1, 3];

/// Both axes in decades.
fn draw(title: &str, across: (f64, f64), all: &[Series]) -> Result<String, Box<dyn Error>> {
    let values = || all.iter().flat_map(|(_, _, points)| points.iter().map(|(_, y)| *y));
    let low = 10f64.powf(values().fold(f64::INFINITY, f64::min).log10().floor());
    let high = 10f64.powf(values().fold(0.0, f64::max).log10().ceil());
    // Nothing was measured: a picture without lines.
    let (low, high) =
        if low < high && low > 0.0 && high.is_finite() { (low, high) } else { (1.0, 10.0) };
    let text = |size: i32, colour: &RGBColor| ("sans-serif", size).into_font().color(colour);
    let mut picture = String::new();
    {
        let canvas = SVGBackend::with_string(&mut picture, SIZE).into_drawing_area();
        canvas.fill(&CARD)?;
        canvas.draw_text(title, &text(20, &INK), (24, 14))?;
        let panel = canvas.margin(44, 8, 8, 8);
        let mut chart = ChartBuilder::on(&panel)
            .margin_right(20)
            .x_label_area_size(30)
            .y_label_area_size(76)
            .build_cartesian_2d((across.0..across.1).log_scale(), (low..high).log_scale())?;
        chart
            .configure_mesh()
            .light_line_style(TRANSPARENT)
            .bold_line_style(GRID)
            .axis_style(FAINT)
            .label_style(text(13, &FAINT))
            .x_label_formatter(&|x| in_thousands(*x, 0))
            .y_label_formatter(&|y| in_thousands(*y, if *y < 1.0 { 2 } else { 0 }))
            .draw()?;
        for (name, colour, points) in all.iter().filter(|(_, _, points)| !points.is_empty()) {
            let style = colour.stroke_width(3);
            let line = LineSeries::new(points.iter().copied(), style).point_size(4);
            let sample = move |(x, y)| PathElement::new([(x, y), (x + 18, y)], style);
            chart.draw_series(line)?.label(name).legend(sample);
        }
        let labels = &mut chart.configure_series_labels();
        let labels = labels.position(SeriesLabelPosition::UpperLeft).label_font(text(13, &FAINT));
        labels.background_style(CARD.mix(0.8)).draw()?;
        canvas.present()?;
    }
    Ok(picture)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::Record;
    use crate::report::{Bar, Side, Unit};

    fn made_up() -> Run {
        let mut run = crate::data::tests::run();
        let side =
            |name: &'static str, unit, value| Side::new(name, unit, &[value].into_iter().collect());
        let mut add = |row| {
            let (figure, detector) = ("f".to_owned(), Column::Perf);
            run.records.push(Record { figure, detector, row });
        };
        for step in scaling::TASK_STEPS {
            let what = format!("1,000 tasks, {step}: a task, ours / tokio");
            let (ours, tokio) = (side("ours", Unit::Ns, 120.0), side("tokio", Unit::Ns, 240.0));
            add(Row::quotient(what, Bar::Open, ours, tokio));
        }
        let (one, two) = (side("on one", Unit::Ns, 200.0), side("on 2", Unit::Ns, 100.0));
        let what = format!("{MEASURED}spawn, throughput of 2 workers over one's");
        add(Row::quotient(what, Bar::Open, one, two));
        for cores in [2, 256] {
            let what = format!("{MODELLED}spawn on {cores} cores, throughput over one's");
            let row = Row::median(what, Bar::Open, side("model", Unit::Ratio, cores as f64 / 2.0));
            add(row.note("the lock is in use 99 % of the time".to_owned()));
        }
        run
    }

    #[test]
    fn each_count_and_each_path_has_its_line() {
        let text = render(&made_up());
        let line = "| 1,000 | 120 ns | 240 ns | 120 ns | 240 ns | 120 ns | 240 ns |";
        assert!(text.lines().any(|found| found == line), "{text}");
        let line =
            "| spawn | 200 ns | 2.00 | 1.00 | - | - | 128 | the lock is in use 99 % of the time |";
        assert!(text.lines().any(|found| found == line), "{text}");
    }

    #[test]
    fn what_was_measured_is_drawn() {
        let pictures = pictures(&made_up()).unwrap();
        assert_eq!(pictures.len(), 3);
        let (_, tasks) = &pictures[0];
        assert!(tasks.starts_with("<svg ") && tasks.contains("tokio: woken and ended"), "{tasks}");
        let (_, cores) = &pictures[2];
        assert!(cores.contains("spawn") && !cores.contains("timeout"), "{cores}");
    }
}
