//! Options that do not exist, and options that exclude each other.

use threadlet::{Group, threadlet};

static DB: Group = Group::new("db", 16);

#[threadlet::main]
async fn main() {
    let unknown = threadlet!(wont_block; 1 + 1);
    let one_of_two = threadlet!(will_block, or_else; 1 + 1);
    let exclusive = threadlet!(or_inline, or_fail; 1 + 1);
    let twice = threadlet!(will_block, will_block; 1 + 1);
    let two_groups = threadlet!(in &DB, in &DB; 1 + 1);
    println!("{two_groups} {unknown} {one_of_two} {exclusive} {twice}");
}
