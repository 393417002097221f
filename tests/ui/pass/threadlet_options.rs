//! Every option and how they combine.
#![deny(warnings)]

use threadlet::{Saturated, threadlet};

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
