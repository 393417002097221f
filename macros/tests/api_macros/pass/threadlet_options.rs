//! Every option and how they combine.
#![deny(warnings)]

use threadlet::{Group, Saturated, threadlet};

static DB: Group = Group::new("db", 16);

#[threadlet::main]
async fn main() {
    let plain: u32 = threadlet!(1 + 1);
    let will_block: u32 = threadlet!(will_block; 1 + 1);
    let or_inline: u32 = threadlet!(or_inline; 1 + 1);
    let or_fail: Result<u32, Saturated> = threadlet!(or_fail; 1 + 1);
    let both: Result<u32, Saturated> = threadlet!(or_fail, will_block; 1 + 1);
    let inline_both: u32 = threadlet!(or_inline, will_block; 1 + 1);
    assert_eq!((plain, will_block, or_inline, inline_both), (2, 2, 2, 2));
    assert_eq!(or_fail.expect("far below the cap"), 2);
    assert_eq!(both.expect("far below the cap"), 2);

    // A group is an expression, and combines with the others in any order.
    let own = Group::new("own", 1);
    let grouped: u32 = threadlet!(in &DB; 1 + 1);
    let local: u32 = threadlet!(will_block, in &own; 1 + 1);
    let fails: Result<u32, Saturated> = threadlet!(in &DB, or_fail; 1 + 1);
    let all: Result<u32, Saturated> = threadlet!(or_fail, in [&DB, &own][1], will_block; 1 + 1);
    assert_eq!((grouped, local, fails.unwrap(), all.unwrap()), (2, 2, 2, 2));

    // A `;` inside of the expression belongs to the expression.
    let block = threadlet!(will_block; {
        let n = 3;
        n + 1
    });
    assert_eq!(block, 4);

    // The options are words of the macro only before a semicolon.
    let will_block = 5;
    assert_eq!(threadlet!(will_block), 5);
}
