//! The expansion does not depend on what the user's names mean.
#![deny(warnings)]
#![no_implicit_prelude]

mod threadlet {}
mod core {}
mod std {}

use ::threadlet::main as run_it;

#[run_it]
async fn main() {
    #[allow(dead_code, reason = "only its name matters")]
    struct Entry;
}

#[::threadlet::test]
async fn works() {}
