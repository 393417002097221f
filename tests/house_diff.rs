//! A program that the guide shows as moved over is the one in the repository.

use std::process::Command;

const ROOT: &str = env!("CARGO_MANIFEST_DIR");
const PAGE: &str = "docs/guide/from-tokio.md";

/// What the page says, and what `diff` says without its first two lines, which have the time.
fn shown_and_real() -> (String, String) {
    let page = std::fs::read_to_string(format!("{ROOT}/{PAGE}")).unwrap();
    let mut blocks = page.split("\n```diff\n").skip(1);
    let shown = blocks.next().and_then(|rest| rest.split_once("\n```\n")).expect("it shows one").0;
    assert!(blocks.next().is_none(), "there is one, or this test has to know which");

    let mut diff = Command::new("diff");
    let diff = diff.args(["-U1", "ecosystem/examples/kv_tokio.rs", "ecosystem/examples/kv.rs"]);
    let output = diff.current_dir(ROOT).output().expect("diff can be run");
    assert_eq!(output.status.code(), Some(1), "{}", String::from_utf8_lossy(&output.stderr));
    let real = String::from_utf8(output.stdout).unwrap();
    (format!("{shown}\n"), real.split_inclusive('\n').skip(2).collect())
}

#[test]
fn the_diff_in_the_guide_is_the_real_one() {
    let (shown, real) = shown_and_real();
    assert!(shown == real, "{PAGE} shows\n{shown}\nand `diff -U1` says\n{real}");
}
