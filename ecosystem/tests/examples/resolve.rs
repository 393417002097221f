//! `resolve`: a thousand names, each with a line of its own.

use std::collections::BTreeMap;
use std::io::Write;
use std::process::Stdio;

use crate::support::command;

/// What it prints for these names, by name; each has one line, on one of the outputs.
fn resolve(arguments: &[&str], names: &[String]) -> (bool, BTreeMap<String, String>) {
    let mut command = command("resolve");
    command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut input = child.stdin.take().unwrap();
    let text = names.join("\n");
    let writing = std::thread::spawn(move || input.write_all(text.as_bytes()));
    let output = child.wait_with_output().unwrap();
    writing.join().unwrap().unwrap();
    let mut found = BTreeMap::new();
    let both = [output.stdout, output.stderr].map(|bytes| String::from_utf8(bytes).unwrap());
    for line in both.iter().flat_map(|text| text.lines()) {
        let (name, answer) = line.split_once(' ').unwrap_or((line, ""));
        let twice = found.insert(name.to_owned(), answer.to_owned());
        assert!(twice.is_none(), "{line}");
    }
    (output.status.success(), found)
}

#[test]
fn a_thousand_names_are_looked_up() {
    // In any order of capitals it is the same name, and another line.
    let local = |n: u32| -> String {
        let letters = "localhost".chars().enumerate();
        letters.map(|(i, c)| if n >> i & 1 == 1 { c.to_ascii_uppercase() } else { c }).collect()
    };
    let mut names: Vec<_> = (0..500).map(local).collect();
    names.extend((0..500).map(|n| format!("127.0.{}.{}", n / 250, n % 250)));
    let (all, found) = resolve(&["--at-once", "32"], &names);
    assert!(all, "{found:?}");
    assert_eq!(found.len(), 1000);
    for (name, addresses) in &found {
        let expected = name.starts_with("127.").then_some(name.as_str());
        match expected {
            Some(address) => assert_eq!(addresses, address),
            None => assert!(addresses.contains("127.0.0.1") || addresses.contains("::1"), "{name}"),
        }
    }
}

/// A name that nobody knows, or that nobody answers for, is one line; the others have theirs.
#[test]
fn a_name_that_is_not_there_holds_up_nobody() {
    let names = ["nobody.invalid", "localhost", "nothing.invalid"].map(str::to_owned);
    let (all, found) = resolve(&["--limit", "2"], &names);
    assert!(!all);
    assert_eq!(found.len(), 3, "{found:?}");
    assert!(found["localhost"].contains("127.0.0.1") || found["localhost"].contains("::1"));
    assert!(!found["nobody.invalid:"].is_empty() && !found["nothing.invalid:"].is_empty());
}
