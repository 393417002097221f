//! What can be found by a table has a row in it.

use std::fs;
use std::path::Path;

const ROOT: &str = env!("CARGO_MANIFEST_DIR");

/// The programs of a folder: a file each, or a folder with a `main.rs`.
fn programs(folder: &str) -> Vec<String> {
    let entries = fs::read_dir(Path::new(ROOT).join(folder)).expect("the folder is there");
    let paths = entries.map(|entry| entry.unwrap().path());
    let programs = paths.filter(|path| {
        path.join("main.rs").exists() || path.extension().is_some_and(|end| end == "rs")
    });
    programs.map(|path| path.file_stem().unwrap().to_str().unwrap().to_owned()).collect()
}

#[track_caller]
fn each_has_a_row(folder: &str, index: &str, row: impl Fn(&str) -> String) {
    let text = fs::read_to_string(Path::new(ROOT).join(index)).unwrap();
    let programs = programs(folder);
    assert!(!programs.is_empty(), "{folder} is not empty");
    for name in programs {
        let row = row(&name);
        let rows = text.lines().filter(|line| line.starts_with(&row)).count();
        assert_eq!(rows, 1, "rows of {index} that begin with `{row}`");
    }
}

#[test]
fn each_test_is_in_the_index() {
    each_has_a_row("tests", "tests/README.md", |name| format!("| `{name}` |"));
}

#[test]
fn each_example_is_in_the_index() {
    for folder in ["examples", "ecosystem/examples", "benches/examples"] {
        each_has_a_row(folder, "examples/README.md", |name| format!("| [`{name}`]("));
    }
}
