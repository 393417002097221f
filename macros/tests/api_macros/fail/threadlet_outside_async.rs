//! The macro contains an await; in a plain function `threadlet::run` does the same.

use threadlet::{Group, threadlet};

static DB: Group = Group::new("db", 16);

fn main() {
    let n = threadlet!(1 + 1);
    let grouped = threadlet!(in &DB; 1 + 1);
    let refused = threadlet!(or_fail; 1 + 1);
    println!("{n} {grouped} {refused:?}");
}
