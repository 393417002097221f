//! Finds the names by which a module reaches above its layer.
//!
//! A *layer* is a row of a table in the documents, with one or several modules; the rows stand from
//! the bottom to the top. A module may name what is in the rows before its own, and in its own. The
//! crate's root, where no row lists it as `lib`, is above them all.
//!
//! What counts as a name is a path that begins with `crate`, `$crate`, `super`, `self` or a child
//! module, in a `use` or anywhere else, in tests too. Comments and strings do not count. What the
//! root shows of a module (`pub use`, an exported macro) is that module's.
//!
//! Not seen: what is reached by a method, by a macro that is in scope by its bare name or is given
//! the word `crate`, by `extern crate self`, by `include!`, or by a `#[path]` that leads into
//! another room.
//!
//! It is meant for several test binaries, by `#[path]`:
//!
//! ```ignore
//! let layers = layers::table(include_str!("../docs/ARCHITECTURE.md"), "layer");
//! let violations = layers::violations(Path::new("src"), &layers);
//! assert!(violations.is_empty(), "{}", violations.join("\n"));
//! ```
#![allow(dead_code, reason = "each test uses a part of it")]

mod names;
mod tokens;

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use self::names::Scan;

/// The modules of one row: `scheduler`, `driver::parking`.
pub(crate) type Layer = Vec<String>;

/// A path of this crate by its parts, without `crate`: a module, or something in it.
type Parts = Vec<String>;

/// A file of the crate.
#[derive(Clone, Debug)]
pub(crate) struct Source {
    /// Its path below the source folder.
    pub(crate) file: String,
    pub(crate) text: String,
}

/// The layers of a Markdown table, also of one in a doc comment: from the rows below the heading
/// whose first cell is `heading`, what stands there in backquotes in the first cell.
///
/// `scheduler/{core, idle}` means two modules.
pub(crate) fn table(document: &str, heading: &str) -> Vec<Layer> {
    let lines = document.lines().map(|line| line.trim_start_matches("//!").trim());
    let rows = lines.map(|line| line.strip_prefix('|'));
    let mut cells = rows.map(|row| Some(row?.split('|').next()?.trim()));
    let heading_is_there = cells.any(|cell| cell == Some(heading));
    assert!(heading_is_there, "no table with the heading `{heading}`");
    let rows = cells.skip(1).map_while(|cell| cell);
    let layers: Vec<Layer> =
        rows.map(|cell| cell.split('`').skip(1).step_by(2).flat_map(modules).collect()).collect();
    assert!(!layers.is_empty(), "the table `{heading}` has no rows");
    layers
}

fn modules(word: &str) -> Vec<String> {
    let path = |word: &str| word.trim_end_matches(".rs").trim_matches('/').replace('/', "::");
    match word.trim_end_matches('}').split_once('{') {
        Some((folder, names)) => names
            .split(',')
            .map(|name| path(&format!("{}/{}", folder.trim_end_matches([':', '/']), name.trim())))
            .collect(),
        None => vec![path(word)],
    }
}

/// The violations of the crate whose sources are in `folder`, a line each.
pub(crate) fn violations(folder: &Path, layers: &[Layer]) -> Vec<String> {
    violations_in(&read(folder), layers)
}

/// The sources in a folder and in those below it, in the order of their names.
pub(crate) fn read(folder: &Path) -> Vec<Source> {
    let mut sources = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(place) = folders.pop() {
        let entries = fs::read_dir(&place).unwrap_or_else(|error| panic!("{place:?}: {error}"));
        for path in entries.map(|entry| entry.unwrap().path()) {
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let file = path.strip_prefix(folder).unwrap().to_str().unwrap().to_owned();
                sources.push(Source { file, text: fs::read_to_string(path).unwrap() });
            }
        }
    }
    sources.sort_by(|a, b| a.file.cmp(&b.file));
    sources
}

/// The same for sources that were read before.
pub(crate) fn violations_in(sources: &[Source], layers: &[Layer]) -> Vec<String> {
    let map = Map::new(sources, layers);
    let mut violations = map.stale(sources);
    for source in sources {
        let module = module_of(&source.file);
        if !module.is_empty() && map.room(&module).is_none() {
            violations.push(format!("{}: stands in no layer", source.file));
            continue;
        }
        for name in Scan::of(&module, &source.text).names {
            let (from, to) = (map.room_or_root(&name.module), map.target(&name.path));
            if to.row > from.row {
                let (file, line, path) = (&source.file, name.line, name.path.join("::"));
                let (lower, upper) = (from.name, to.name);
                violations.push(format!(
                    "{file}:{line}: `{lower}` names `crate::{path}`; `{upper}` comes behind it"
                ));
            }
        }
    }
    violations
}

/// The module that a file is: `a/b.rs` and `a/b/mod.rs` are `a::b`; the root is nothing.
fn module_of(file: &str) -> Parts {
    let mut module: Parts = file.trim_end_matches(".rs").split('/').map(str::to_owned).collect();
    if module.last().is_some_and(|last| last == "mod" || last == "lib") {
        module.pop();
    }
    module
}

/// A listed module, and its row.
#[derive(Clone, Copy, Debug)]
struct Room<'a> {
    row: usize,
    name: &'a str,
}

/// Who stands where.
#[derive(Debug)]
struct Map<'a> {
    layers: &'a [Layer],
    /// What the root shows under a name, and where it really is.
    shown: BTreeMap<Parts, Parts>,
}

impl Map<'_> {
    fn new<'a>(sources: &[Source], layers: &'a [Layer]) -> Map<'a> {
        let mut shown = BTreeMap::new();
        for source in sources {
            let module = module_of(&source.file);
            let scan = Scan::of(&module, &source.text);
            for name in scan.macros {
                let path = module.iter().chain([&name]).cloned().collect();
                shown.insert(vec![name], path);
            }
            if module.is_empty() {
                shown.extend(scan.imports.into_iter().filter(|(name, path)| name != path));
            }
        }
        Map { layers, shown }
    }

    /// The longest listed module that a path begins with.
    fn room(&self, path: &[String]) -> Option<Room<'_>> {
        let rows = self.layers.iter().enumerate();
        let rooms = rows.flat_map(|(row, layer)| layer.iter().map(move |name| Room { row, name }));
        let is_in = |room: &Room<'_>| {
            let mut rest = path.iter();
            room.name.split("::").all(|part| rest.next().is_some_and(|other| other == part))
        };
        rooms.filter(is_in).max_by_key(|room| room.name.split("::").count())
    }

    fn room_or_root(&self, path: &[String]) -> Room<'_> {
        let listed = || self.layers.iter().position(|layer| layer.iter().any(|name| name == "lib"));
        let root = || Room { row: listed().unwrap_or(self.layers.len()), name: "lib" };
        self.room(path).unwrap_or_else(root)
    }

    /// Where that is which a name means.
    fn target(&self, path: &[String]) -> Room<'_> {
        let mut path = path.to_vec();
        // Something shown may be shown again; a circle of names means nothing.
        for _ in 0..8 {
            if self.room(&path).is_some() {
                break;
            }
            let known = (1..=path.len()).rev().find_map(|n| Some((n, self.shown.get(&path[..n])?)));
            let Some((length, real)) = known else { break };
            path = real.iter().chain(&path[length..]).cloned().collect();
        }
        self.room_or_root(&path)
    }

    /// Modules of the table that do not exist, or stand there twice.
    fn stale(&self, sources: &[Source]) -> Vec<String> {
        let mut complaints = Vec::new();
        let mut seen = Vec::new();
        for module in self.layers.iter().flatten() {
            let parts: Parts = module.split("::").map(str::to_owned).collect();
            let is_there = |source: &Source| module_of(&source.file).starts_with(&parts);
            if module != "lib" && !sources.iter().any(is_there) {
                complaints.push(format!("the table lists `{module}`, which does not exist"));
            }
            if seen.contains(&module) {
                complaints.push(format!("the table lists `{module}` twice"));
            }
            seen.push(module);
        }
        complaints
    }
}

#[cfg(test)]
mod tests {
    use super::{Layer, Source, table, violations_in};

    const LAYERS: &[&[&str]] = &[&["low"], &["mid::deep"], &["mid", "peer"], &["top"]];

    /// What is found in `file`, in a crate with a file for each layer.
    fn found(file: &str, text: &str) -> Vec<String> {
        let source = |file: &str, text: &str| Source { file: file.into(), text: text.into() };
        let root = "mod low; mod mid; mod peer; mod top; pub use crate::low::Shown;
                    pub mod raw { pub use crate::top::Pump; }";
        let mut sources = vec![source("lib.rs", root), source("top/mod.rs", "")];
        for other in ["low.rs", "mid/mod.rs", "mid/deep.rs", "peer.rs"] {
            sources.push(source(other, ""));
        }
        sources.retain(|source| source.file != file);
        sources.push(source(file, text));
        let layer = |names: &&[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        violations_in(&sources, &LAYERS.iter().map(layer).collect::<Vec<Layer>>())
    }

    #[track_caller]
    fn is_red(file: &str, text: &str) {
        assert_eq!(found(file, text).len(), 1, "{file}: {text}: {:?}", found(file, text));
    }

    #[track_caller]
    fn is_green(file: &str, text: &str) {
        assert_eq!(found(file, text), [""; 0], "{file}: {text}");
    }

    #[test]
    fn a_name_from_above_is_found() {
        is_red("low.rs", "use crate::top::A;");
        is_red("low.rs", "pub(crate) use crate::top as other;");
        is_red("low.rs", "use super::{top::{A, }};");
        is_red("low.rs", "use crate::{low::B, mid::{self}, };");
        is_red("low.rs", "fn f() -> crate::peer::A { todo!() }");
        is_red("low.rs", "fn f() { let _ = super::top::f::<u8>(); }");
        is_red("low.rs", "macro_rules! m { () => { $crate::top::f() }; }");
        is_red("low.rs", "macro_rules! m { () => { use $crate::top::f; }; }");
        is_red("low.rs", "mod inside { use super::super::mid; } use self::inside::A;");
        is_red("low.rs", "fn f() { for n in 0..crate::top::LIMIT {} }");
        is_red("low.rs", "fn f() -> S { S { ..crate::top::DEFAULT } }");
        is_red("low.rs", "struct S(pub (crate::top::A, u8));");
        is_red("low.rs", "use {::std::fmt, crate::top::A};");
        is_red("low.rs", "use crate::*;");
        is_red("low.rs", "use crate::raw::Pump;");
        is_red("low.rs", "const C: char = '\"'; use crate::top::A; const D: char = '\"';");
        is_red("low.rs", "/* /* */ */ use crate::top::A; // use crate::top::B;");
        is_red("low.rs", "const S: &str = r#\"\"#; use crate::top::A;");
        is_red("mid/deep.rs", "use super::other;");
        is_red("mid/deep.rs", "#[cfg(test)] mod tests { use crate::mid; }");
        is_red("peer.rs", "fn f<'a>(a: &'a u8) { crate::top::g(a) }");
    }

    #[test]
    fn what_stands_below_or_beside_may_be_named() {
        is_green("top/mod.rs", "use crate::{low, mid::{self, deep::A}, peer::*};");
        is_green(
            "mid/mod.rs",
            "mod deep; use self::deep::A; use crate::peer; fn f() { deep::g() }",
        );
        is_green("peer.rs", "use super::mid::B; use crate::Shown;");
        is_green("low.rs", "use std::top::A; use ::top::B; use peer::C; fn f() { top::g() }");
        is_green("low.rs", "pub(in crate::top) fn f() -> impl Sized + use<'static> {}");
        is_green("low.rs", "/// [`A`](crate::top::A)\nconst S: &[u8] = b\"crate::top::A\";");
        is_green("low.rs", "mod inside { use super::A; } fn f(a: A) { a.top::<B>() }");
        is_green("lib.rs", "use crate::top::A;");
    }

    #[test]
    fn an_exported_macro_is_its_modules() {
        let export = "#[macro_export] macro_rules! m { () => {}; }";
        is_green("low.rs", &format!("{export} fn f() {{ crate::m!() }}"));
        is_green("top/mod.rs", &format!("{export} fn f() {{ crate::m!() }}"));
        is_red("low.rs", "fn f() { crate::m!() }");
    }

    #[test]
    fn the_table_is_whole() {
        is_red("new.rs", "");
        let text = "#| no | table |\n//! | layer | what |\n//! |---|---|\n\
                    //! | `a/`, `b` | `c` |\n//! | `d/{e, f}`, `g::h` | |\n//!\n//! | `i` | |\n";
        assert_eq!(table(text, "layer"), [vec!["a", "b"], vec!["d::e", "d::f", "g::h"]]);
        let source = Source { file: "lib.rs".into(), text: String::new() };
        let layers = [vec!["gone".to_owned()], vec!["lib".to_owned()]];
        assert_eq!(violations_in(&[source], &layers).len(), 1);
    }
}
