//! The expression is an ordinary function body: nothing can be awaited in it.

use threadlet::threadlet;

async fn answer() -> u32 {
    42
}

#[threadlet::main]
async fn main() {
    let n = threadlet!(answer().await);
    let m = threadlet!(will_block; {
        let m = answer().await;
        m + 1
    });
    println!("{n} {m}");
}
