//! The region borrows, also mutably, and moves what its expression moves.
#![deny(warnings)]

use threadlet::threadlet;

#[threadlet::main]
async fn main() {
    let mut page = [0u8; 4];
    let text = String::from("moved");
    let n = threadlet!({
        page[1] = 7;
        page.len()
    });
    assert_eq!((n, page[1]), (4, 7));
    let moved = threadlet!(text);
    assert_eq!(moved, "moved");
    threadlet!(page.fill(1),);
    assert_eq!(page, [1; 4]);
}
