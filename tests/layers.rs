//! The rooms of `src/` are layers: none names what comes behind it in `docs/ARCHITECTURE.md`.

#[path = "support/layers/mod.rs"]
mod layers;

use std::path::Path;

#[test]
fn no_room_names_what_comes_behind_it() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let layers = layers::table(include_str!("../docs/ARCHITECTURE.md"), "room");
    let violations = layers::violations(&root.join("src"), &layers);
    assert!(violations.is_empty(), "{}", violations.join("\n"));
}
