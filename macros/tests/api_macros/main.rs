//! What the macros of the library accept and what they refuse, with the words the user reads.
//!
//! After a change of a message: `TRYBUILD=overwrite cargo test -p threadlet-macros --test api_macros`, and
//! read the diff.
//!
//! They are in this package because each is built with all that its package needs for its tests, and
//! this one needs little.

/// One run of the compiler for all of them: what they need is built once.
#[test]
fn what_compiles_and_what_does_not() {
    let cases = trybuild::TestCases::new();
    cases.pass("tests/api_macros/pass/*.rs");
    cases.compile_fail("tests/api_macros/fail/*.rs");
}
