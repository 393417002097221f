//! Statements go in braces.

use threadlet::{Group, threadlet};

static DB: Group = Group::new("db", 16);

#[threadlet::main]
async fn main() {
    threadlet!(let a = 1; a + 1);
    threadlet!(let a = 1);
    threadlet!(println!("one"); println!("two"));
    threadlet!(println!("one"););
    threadlet!(in &DB; let a = 1; a + 1);
    threadlet!(will_block, or_fail; println!("one"); println!("two"));
    threadlet!({
        let a = 1;
        a + 1
    });
}
