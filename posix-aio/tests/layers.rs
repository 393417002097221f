//! The modules form a list without circles: the table in `src/lib.rs`, from the bottom to the top.
//! A module names only what stands before it in that table.

#[path = "../../tests/support/layers/mod.rs"]
mod layers;

use std::path::{Path, PathBuf};

use self::layers::Layer;

fn sources() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src")
}

fn table() -> Vec<Layer> {
    layers::table(include_str!("../src/lib.rs"), "module")
}

#[test]
fn no_module_names_one_above_it() {
    let violations = layers::violations(&sources(), &table());
    assert!(violations.is_empty(), "{}", violations.join("\n"));
}

/// Two modules in one row might name each other.
#[test]
fn each_module_has_a_row_of_its_own() {
    for layer in table() {
        assert_eq!(layer.len(), 1, "{layer:?}");
    }
}

/// For each module one import of the next one: found, all of them.
#[test]
fn an_import_from_above_is_found() {
    let table = table();
    for pair in table.windows(2) {
        let (lower, upper) = (&pair[0][0], &pair[1][0]);
        let mut sources = layers::read(&sources());
        let files = [format!("{lower}.rs"), format!("{lower}/mod.rs")];
        let source = sources.iter_mut().find(|source| files.contains(&source.file));
        let text = &mut source.expect("a module has a file").text;
        text.push_str(&format!("\nuse crate::{upper}::anything;\n"));
        let violations = layers::violations_in(&sources, &table);
        let expected = format!("`{lower}` names `crate::{upper}::anything`");
        assert!(violations.iter().any(|found| found.contains(&expected)), "not found: {expected}");
    }
}
