//! The macro contains an await; in a plain function `threadlet::run` does the same.

use threadlet::threadlet;

fn main() {
    let n = threadlet!(1 + 1);
    println!("{n}");
}
