//! The report, as a new user reads it: which line is to be changed, and how? And its forms: plain, in
//! colours, as a page.

mod support;

#[path = "../examples/planted.rs"]
mod planted;

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use support::{build, child, detectors, is_child, passes, run_within, skip};
use threadlet::runtime::{Builder, Report};
use threadlet::threadlet;

const LIMIT: Duration = Duration::from_secs(60);

/// What the report says of each place: the place, and the verdict in the line below it.
fn verdicts(report: &str) -> Vec<(String, String)> {
    let mut lines = report.lines().skip(2);
    let mut found = Vec::new();
    while let (Some(row), Some(verdict)) = (lines.next(), lines.next()) {
        let place = row.split_whitespace().find(|word| word.contains(".rs:"));
        let verdict = verdict.strip_prefix("  => ").unwrap_or_else(|| panic!("{verdict:?}"));
        found.push((place.expect("a place").to_owned(), verdict.to_owned()));
    }
    found
}

/// From the report alone: the right line and the right cure, for all five.
#[test]
fn five_planted_mistakes_are_found_and_nothing_else() {
    let source = include_str!("../examples/planted.rs");
    let cures = [
        "in `futex`, as a lock or a channel does: put that call into `threadlet!`",
        "in `read`: put that call into `threadlet!`",
        "computes without giving way",
        "a group would bound it",
        "the guard costs nanoseconds and finds nothing",
    ];
    for detector in detectors() {
        let runtime = build(Builder::new_multi_thread().worker_threads(2), detector);
        planted::work(&runtime).unwrap();
        let report = runtime.handle().report().to_string();
        let found = verdicts(&report);
        for (number, cure) in (1..).zip(cures) {
            let mark = format!("// {number}: ");
            let above = source.lines().position(|line| line.contains(&mark)).unwrap();
            // Lines count from 1, and the mistake stands below its mark.
            let place = format!("examples/planted.rs:{}", above + 2);
            let verdict = found.iter().find(|(found, _)| found.ends_with(&place));
            let (_, verdict) = verdict.unwrap_or_else(|| panic!("{place} is not in\n{report}"));
            assert!(verdict.contains(cure), "{place}: not {cure:?} but\n{report}");
        }
        assert_eq!(found.len(), cures.len(), "{report}");
    }
}

fn one_call() {
    let runtime = Builder::new_multi_thread().worker_threads(1).build().unwrap();
    let call = async { threadlet!(std::hint::black_box("</script><b>'&\u{7}'") < "x") };
    assert!(runtime.block_on(runtime.spawn(call)).unwrap());
    runtime.shutdown_background();
}

#[test]
fn the_page_is_written_where_the_environment_says() {
    if is_child() {
        return one_call();
    }
    let file = std::env::temp_dir().join(format!("threadlet-report-{}.html", std::process::id()));
    let told = passes(LIMIT, child().env("THREADLET_REPORT", &file));
    assert!(!told.contains("calls by site"), "{told}");
    let page = std::fs::read_to_string(&file).unwrap();
    std::fs::remove_file(&file).unwrap();
    well_formed(&page);
    // As text, and not as what it would be.
    let text =
        "black_box(&quot;&lt;/script&gt;&lt;b&gt;&#39;&amp;\\u{7}&#39;&quot;) &lt; &quot;x&quot;";
    assert!(page.contains(text), "{page}");
    assert_eq!(page.matches("</script>").count(), 1, "{page}");

    // A folder that is not there is said, and what could be done.
    let nowhere = Path::new("/nonexistent/report.html");
    let told = passes(LIMIT, child().env("THREADLET_REPORT", nowhere));
    assert!(told.contains("cannot be written to /nonexistent/report.html: No such"), "{told}");
    assert!(told.contains("a folder that is there"), "{told}");
}

/// Of a program in which much has happened, so that each part of the page is there.
#[test]
fn the_page_is_well_formed_and_loads_nothing() {
    let runtime = Builder::new_multi_thread().worker_threads(2).build().unwrap();
    planted::work(&runtime).unwrap();
    let page = runtime.handle().report().to_html();
    well_formed(&page);
    for word in ["http:", "https:", "src=", "href", "url(", "@import", "//"] {
        assert!(!page.contains(word), "{word:?} in\n{page}");
    }
    assert!(
        page.contains("<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none';")
    );
    assert!(page.matches("<svg").count() >= 4, "pictures");
    assert_eq!(page.matches("<tr>").count(), 1 + runtime.sites().len(), "{page}");
    // An empty one as well.
    well_formed(&Report::default().to_html());
}

/// By the rules of XML, which are stricter than a browser's: each element is closed by its own end, an
/// attribute is quoted, stands once, and no `<` or bare `&` is left in a text.
#[track_caller]
fn well_formed(page: &str) {
    let mut open = Vec::new();
    let mut rest = page.strip_prefix("<!DOCTYPE html>").expect("a page");
    while let Some(at) = rest.find('<') {
        entities(&rest[..at]);
        let end = at + rest[at..].find('>').expect("a tag has an end");
        let tag = &rest[at + 1..end];
        rest = &rest[end + 1..];
        if let Some(name) = tag.strip_prefix('/') {
            assert_eq!(open.pop(), Some(name), "closed by </{name}>");
            continue;
        }
        let (tag, is_empty) = tag.strip_suffix('/').map_or((tag, false), |tag| (tag, true));
        let name = tag.split(' ').next().unwrap();
        assert!(!name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric()), "{tag:?}");
        attributes(&tag[name.len()..]);
        if !is_empty {
            open.push(name);
        }
    }
    assert!(open.is_empty() && rest.trim().is_empty(), "open: {open:?}, behind it: {rest:?}");
}

fn attributes(mut rest: &str) {
    let mut names = Vec::new();
    while !rest.is_empty() {
        let (name, value) = rest.strip_prefix(' ').unwrap().split_once("=\"").expect("a value");
        let (value, behind) = value.split_once('"').expect("the value's end");
        assert!(name.chars().all(|c| c.is_ascii_alphabetic() || c == '-'), "{name:?}");
        assert!(!names.contains(&name), "{name} stands twice");
        entities(value);
        names.push(name);
        rest = behind;
    }
}

fn entities(text: &str) {
    assert!(!text.chars().any(|c| c.is_control() && c != '\n'), "{text:?}");
    for behind in text.split('&').skip(1) {
        let known = ["lt;", "gt;", "amp;", "quot;", "#39;"];
        assert!(known.iter().any(|entity| behind.starts_with(entity)), "&{behind}");
    }
}

#[test]
fn colours_are_for_terminals_whose_user_wants_them() {
    if is_child() {
        return one_call();
    }
    if skip("script") {
        return;
    }
    const NAME: &str = "colours_are_for_terminals_whose_user_wants_them";
    // Not a terminal.
    let plain = passes(LIMIT, child().env("THREADLET_REPORT", "1").env("TERM", "xterm"));
    assert!(plain.contains("calls by site") && !plain.contains("\x1b["), "{plain:?}");
    let on_terminal = |term: &str, no_color: &str| {
        let program = std::env::current_exe().unwrap();
        let line = format!("{} --exact {NAME} --nocapture", program.display());
        let mut script = Command::new("script");
        script.args(["-qec", &line, "/dev/null"]);
        // What `child` says to be one.
        for (name, value) in child().get_envs().filter_map(|(name, value)| Some((name, value?))) {
            script.env(name, value);
        }
        script.env("THREADLET_REPORT", "1").env("TERM", term).env("NO_COLOR", no_color);
        let ran = run_within(LIMIT, &mut script);
        assert!(ran.status.success() && ran.output.contains("=> "), "{ran:?}");
        ran.output.lines().any(|line| line.contains("=> ") && line.contains("\x1b["))
    };
    assert!(on_terminal("xterm", ""));
    assert!(!on_terminal("xterm", "1"));
    assert!(!on_terminal("dumb", ""));
}
