//! What the macros accept and what they refuse, with the words the user reads.
//!
//! After a change of a message: `TRYBUILD=overwrite cargo test --test api_macros`, and read the
//! diff.

#[test]
fn attributes() {
    let cases = trybuild::TestCases::new();
    cases.pass("tests/api_macros/pass/main_*.rs");
    cases.pass("tests/api_macros/pass/test_*.rs");
    cases.compile_fail("tests/api_macros/fail/main_*.rs");
    cases.compile_fail("tests/api_macros/fail/test_*.rs");
}

#[test]
fn addresses() {
    trybuild::TestCases::new().compile_fail("tests/api_macros/fail/net_*.rs");
}

#[test]
fn regions() {
    let cases = trybuild::TestCases::new();
    cases.pass("tests/api_macros/pass/threadlet_*.rs");
    cases.compile_fail("tests/api_macros/fail/threadlet_*.rs");
}
