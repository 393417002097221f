//! Nothing to run.

use threadlet::threadlet;

#[threadlet::main]
async fn main() {
    threadlet!();
    threadlet!(will_block;);
}
