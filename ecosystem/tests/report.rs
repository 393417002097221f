//! The report's page, in a real browser: it is sorted by a click, without a word from elsewhere.

#[path = "examples/support.rs"]
#[allow(dead_code, reason = "one test uses a part of it")]
mod support;

use std::process::{Command, Stdio};

use support::{Folder, may_skip};
use threadlet::runtime::Builder;
use threadlet::threadlet;

/// The places in the table, from top to bottom, as the browser has them behind `script`.
fn places(page: &str, script: &str) -> Vec<String> {
    let folder = Folder::new();
    let script = format!("<script>{script}</script></body>");
    folder.file("report.html", page.replace("</body>", &script));
    let profile = Folder::new();
    let output = Command::new("timeout")
        .args(["120", "chromium", "--headless", "--no-sandbox", "--disable-gpu"])
        .args(["--disable-dev-shm-usage", "--no-first-run", "--disable-background-networking"])
        .arg(format!("--user-data-dir={}", profile.path()))
        .args(["--dump-dom", &format!("file://{}/report.html", folder.path())])
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let shown = String::from_utf8_lossy(&output.stdout);
    let rows = shown.split("<td class=\"where\" data-v=\"").skip(1);
    rows.map(|row| row.split('"').next().unwrap().to_owned()).collect()
}

#[test]
fn a_browser_sorts_the_page_by_a_click() {
    if may_skip("chromium") {
        return;
    }
    let runtime = Builder::new_multi_thread().worker_threads(2).build().unwrap();
    let line = line!() + 3;
    let task = runtime.spawn(async {
        for _ in 0..3 {
            threadlet!(will_block; std::thread::sleep(std::time::Duration::from_millis(5)));
        }
        for nth in 0..200 {
            threadlet!(std::hint::black_box(nth));
        }
    });
    runtime.block_on(task).unwrap();
    let page = runtime.handle().report().to_html();
    let [slow, many] = [line, line + 3].map(|line| format!("{}:{line}", file!()));
    // By the cost, and then by how often they were called.
    assert_eq!(places(&page, ""), [slow.clone(), many.clone()]);
    let click = |times| "document.querySelectorAll('th button')[2].click();".repeat(times);
    assert_eq!(places(&page, &click(1)), [many.clone(), slow.clone()]);
    assert_eq!(places(&page, &click(2)), [slow, many]);
}
