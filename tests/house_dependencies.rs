//! What this repository is built from: licences, sources, banned and doubled crates by `deny.toml`,
//! as cargo-deny reads it, but with nothing to install (that takes minutes); and what the pages
//! say.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

use serde_json::Value;
use toml::Table;

const ROOT: &str = env!("CARGO_MANIFEST_DIR");

fn read(path: &str) -> String {
    let path = format!("{ROOT}/{path}");
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// A part of `deny.toml`; what is not there is a mistake in this file or that one.
fn deny(section: &str, key: &str) -> Vec<toml::Value> {
    let all: Table = read("deny.toml").parse().expect("deny.toml is TOML");
    let part = all.get(section).and_then(|section| section.get(key)).and_then(|v| v.as_array());
    part.unwrap_or_else(|| panic!("deny.toml has no list {section}.{key}")).clone()
}

fn words(list: &[toml::Value]) -> Vec<&str> {
    list.iter().map(|word| word.as_str().expect("a list of words")).collect()
}

/// The name in an entry of `bans.deny` or `bans.skip`.
fn crate_of(entry: &toml::Value) -> &str {
    let name = entry.get("crate").and_then(toml::Value::as_str).expect("each entry has its crate");
    assert!(!name.contains(['@', ':']), "{name}: versions are not understood here");
    assert!(entry.get("reason").is_some(), "{name}: no reason is given");
    name
}

#[derive(Debug)]
struct Package {
    licence: String,
    source: Option<String>,
    rust: Option<String>,
}

/// A name and a version.
type Key = (String, String);

fn cargo(arguments: &[&str]) -> Vec<u8> {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.args(arguments).args(["--locked", "--all-features"]).current_dir(ROOT);
    let output = command.output().expect("cargo can be run");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    output.stdout
}

/// Those that `cargo tree` names, for each of the targets of `deny.toml`.
fn tree(arguments: &[&str]) -> BTreeSet<Key> {
    let mut all = BTreeSet::new();
    for target in words(&deny("graph", "targets")) {
        let mut full = vec!["tree", "--prefix=none", "--target", target];
        full.extend(arguments);
        let lines = String::from_utf8(cargo(&full)).expect("names are ASCII");
        all.extend(lines.lines().filter_map(|line| {
            let (name, version) = line.split_once(" v")?;
            Some((name.to_owned(), version.split(' ').next()?.to_owned()))
        }));
    }
    all
}

/// All that this workspace is built from: with its tests, its benchmarks and all features.
fn packages() -> BTreeMap<Key, Package> {
    let all: Value = serde_json::from_slice(&cargo(&["metadata", "--format-version=1"])).unwrap();
    let list = |value: &Value| value.as_array().expect("a list").clone();
    let text = |value: &Value| value.as_str().map(str::to_owned);
    let mut known: BTreeMap<Key, Package> = BTreeMap::new();
    for of in list(&all["packages"]) {
        let key = (text(&of["name"]).unwrap(), text(&of["version"]).unwrap());
        let (licence, source) = (text(&of["license"]).unwrap_or_default(), text(&of["source"]));
        known.insert(key, Package { licence, source, rust: text(&of["rust_version"]) });
    }
    // `cargo metadata` lists what some other target or feature would need, too.
    let tree = tree(&["--workspace"]);
    assert!(tree.len() > 50, "`cargo tree` was not understood: {tree:?}");
    let missing: Vec<_> = tree.iter().filter(|key| !known.contains_key(key)).collect();
    assert!(missing.is_empty(), "`cargo metadata` has no {missing:?}");
    known.retain(|key, _| tree.contains(key));
    known
}

/// Whether `expression` (SPDX) can be met with the licences `allowed`.
fn is_allowed(expression: &str, allowed: &[&str]) -> bool {
    let spaced = expression.replace('/', " OR ").replace('(', " ( ").replace(')', " ) ");
    let mut words = spaced.split_whitespace().peekable();
    let met = either(&mut words, allowed);
    met && words.next().is_none()
}

type Words<'a> = std::iter::Peekable<std::str::SplitWhitespace<'a>>;

fn either(words: &mut Words<'_>, allowed: &[&str]) -> bool {
    let mut met = both(words, allowed);
    while words.next_if_eq(&"OR").is_some() {
        // Not `||`: the words have to be read in any case.
        met |= both(words, allowed);
    }
    met
}

fn both(words: &mut Words<'_>, allowed: &[&str]) -> bool {
    let mut met = one(words, allowed);
    while words.next_if_eq(&"AND").is_some() {
        met &= one(words, allowed);
    }
    met
}

fn one(words: &mut Words<'_>, allowed: &[&str]) -> bool {
    match words.next() {
        Some("(") => {
            let met = either(words, allowed);
            met & words.next_if_eq(&")").is_some()
        }
        Some(name) if words.next_if_eq(&"WITH").is_some() => {
            let exception = words.next().unwrap_or_default();
            allowed.contains(&format!("{name} WITH {exception}").as_str())
        }
        Some(name) => allowed.contains(&name),
        None => false,
    }
}

#[test]
fn an_expression_of_licences_is_understood() {
    let allowed = ["MIT", "Zlib", "Apache-2.0 WITH LLVM-exception"];
    for expression in [
        "MIT",
        "GPL-3.0 OR MIT",
        "MIT/GPL-3.0",
        "MIT AND Zlib",
        "(GPL-3.0 OR MIT) AND Zlib",
        "GPL-3.0 AND MIT OR Zlib",
        "Apache-2.0 WITH LLVM-exception",
    ] {
        assert!(is_allowed(expression, &allowed), "{expression}");
    }
    for expression in [
        "",
        "GPL-3.0",
        "MIT AND GPL-3.0",
        "(MIT OR Zlib) AND GPL-3.0",
        "GPL-3.0 OR MIT AND GPL-2.0",
        "Apache-2.0",
        "MIT WITH LLVM-exception",
        "(MIT",
        "MIT)",
    ] {
        assert!(!is_allowed(expression, &allowed), "{expression}");
    }
}

#[test]
fn every_licence_is_on_the_list() {
    let (allowed, all) = (deny("licenses", "allow"), packages());
    let allowed = words(&allowed);
    for ((name, _), package) in &all {
        let licence = &package.licence;
        assert!(
            is_allowed(licence, &allowed),
            "{name} comes under {licence:?}, which deny.toml refuses"
        );
    }
    for licence in allowed {
        let anybody = all.values().any(|package| package.licence.contains(licence));
        assert!(anybody, "nothing comes under {licence} any more: deny.toml need not allow it");
    }
}

#[test]
fn no_crate_is_one_of_the_banned() {
    let (banned, all) = (deny("bans", "deny"), packages());
    for ban in &banned {
        let banned = crate_of(ban);
        let wrappers = ban.get("wrappers").and_then(toml::Value::as_array);
        let wrappers = wrappers.map(|list| words(list)).unwrap_or_default();
        for (name, version) in all.keys().filter(|(name, _)| name == banned) {
            let which = format!("{name}@{version}");
            let mut by = tree(&["--workspace", "--depth=1", "--invert", &which]);
            by.retain(|(by, _)| by != banned && !wrappers.contains(&by.as_str()));
            assert!(by.is_empty(), "{by:?} bring {ban}");
        }
    }
}

#[test]
fn no_crate_comes_twice() {
    let (skipped, all) = (deny("bans", "skip"), packages());
    let skipped: Vec<_> = skipped.iter().map(crate_of).collect();
    let mut versions = BTreeMap::<&str, Vec<&str>>::new();
    for (name, version) in all.keys() {
        versions.entry(name).or_default().push(version);
    }
    for (name, versions) in &versions {
        assert!(versions.len() == 1 || skipped.contains(name), "{name} comes as {versions:?}");
    }
    for name in skipped {
        let left = versions.get(name).map_or(0, Vec::len);
        assert!(left > 1, "{name} does not come twice any more: deny.toml need not skip it");
    }
}

#[test]
fn every_crate_is_ours_or_the_registry_s() {
    let all = packages();
    let mut registries = BTreeSet::new();
    for ((name, _), package) in &all {
        let Some(source) = &package.source else {
            assert!(name.starts_with("threadlet"), "{name} is none of ours, and comes from a path");
            continue;
        };
        let registry = source.strip_prefix("registry+");
        registries.insert(registry.unwrap_or_else(|| panic!("{name} comes from {source}")));
    }
    assert_eq!(registries.len(), 1, "one registry is enough: {registries:?}");
}

#[test]
fn nothing_in_a_program_asks_for_a_newer_rust() {
    let all = packages();
    let rust = |key: &Key| -> Vec<u32> {
        let rust = all[key].rust.as_deref().unwrap_or("1");
        rust.split('.').map(|part| part.parse().expect("a number")).collect()
    };
    for ours in ["threadlet", "threadlet-aio", "threadlet-tokio"] {
        let program = tree(&["-p", ours, "--edges=normal,build"]);
        let promised = rust(program.iter().find(|(name, _)| name == ours).expect("it is there"));
        for key in &program {
            let needed = rust(key);
            assert!(
                needed <= promised,
                "{key:?} needs Rust {needed:?}, and {ours} has {promised:?}"
            );
        }
    }
}

/// The page weighs each crate with its version. One that came or changed since was not weighed.
#[test]
fn every_crate_of_a_program_was_weighed() {
    let page = read("docs/internals/dependencies.md");
    let rows: Vec<&str> = page.lines().collect();
    for (name, version) in tree(&["-p", "threadlet", "--edges=normal"]) {
        if name.starts_with("threadlet") {
            continue;
        }
        let row = rows.iter().find(|row| row.contains(&format!("`{name}`")));
        let row = row.unwrap_or_else(|| panic!("docs/internals/dependencies.md has no `{name}`"));
        assert!(row.contains(&version), "`{name}` is {version} by now, and the page says: {row}");
    }
}

/// `tokio/patch` is `tokio` under another name: what it is made of is the same, but for where that
/// comes from. And it takes the tokio that `tokio/prepare` finds on the disk.
#[test]
fn the_patch_is_the_same_package() {
    let table = |path: &str| -> Table { read(path).parse().expect("a manifest is TOML") };
    let parts = |path: &str| {
        let mut manifest = table(path);
        let mut dependencies = manifest.remove("dependencies").expect("it has dependencies");
        for (_, of) in dependencies.as_table_mut().expect("a table") {
            for key in ["path", "git", "tag"] {
                of.as_table_mut().and_then(|of| of.remove(key));
            }
        }
        let real = dependencies.get_mut("real").and_then(toml::Value::as_table_mut);
        let version = real.expect("the real tokio").remove("version");
        (manifest.remove("features"), dependencies, version)
    };
    let (features, dependencies, wanted) = parts("tokio/Cargo.toml");
    let (patch_features, patch_dependencies, _) = parts("tokio/patch/Cargo.toml");
    assert_eq!(features, patch_features);
    assert_eq!(dependencies, patch_dependencies);

    let patch = table("tokio/patch/Cargo.toml");
    let tag = patch["dependencies"]["real"]["tag"].as_str().expect("a tag of tokio's repository");
    let version = tag.strip_prefix("tokio-").expect("they are named so");
    assert_eq!(wanted.expect("a version").as_str(), Some(&*format!("~{version}")));
    assert_eq!(patch["package"]["version"].as_str(), Some(&*format!("{version}+threadlet")));
    let locked = packages().keys().any(|(name, of)| name == "tokio" && of == version);
    assert!(locked, "Cargo.lock has another tokio than {version}");
}
