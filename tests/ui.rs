//! What the macros accept and what they refuse, with the words the user reads.
//!
//! After a change of a message: `TRYBUILD=overwrite cargo test --test ui`, and read the diff.

#[test]
fn attributes() {
    let cases = trybuild::TestCases::new();
    cases.pass("tests/ui/pass/main_*.rs");
    cases.pass("tests/ui/pass/test_*.rs");
    cases.compile_fail("tests/ui/fail/main_*.rs");
    cases.compile_fail("tests/ui/fail/test_*.rs");
}

#[test]
fn regions() {
    let cases = trybuild::TestCases::new();
    cases.pass("tests/ui/pass/threadlet_*.rs");
    cases.compile_fail("tests/ui/fail/threadlet_*.rs");
}
