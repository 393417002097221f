//! The plainest use, under the lints a strict crate switches on.
#![deny(warnings, clippy::all, clippy::pedantic)]

#[threadlet::main]
async fn main() {
    println!("in a runtime");
}
