//! Things that are no function.

#[threadlet::main]
struct Main;

/// A comment is not what the message is about.
#[threadlet::main]
#[derive(Debug)]
enum Choice {
    One,
}

#[threadlet::main]
mod module {}

trait Trait {
    #[threadlet::main]
    async fn declared();
}

fn main() {
    drop(Main);
    println!("{:?}", Choice::One);
}
