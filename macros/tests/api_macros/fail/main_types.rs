//! An error in the body is reported where it was made, and once.

use std::io;

#[threadlet::main]
async fn wrong_tail() -> io::Result<()> {
    std::fs::read("file")?;
    7
}

#[threadlet::main]
async fn no_tail() -> io::Result<()> {
    std::fs::read("file")?;
}

#[threadlet::main]
async fn wrong_return() -> io::Result<()> {
    if std::env::args().count() == 1 {
        return 5;
    }
    Ok(())
}

#[threadlet::main]
async fn no_result() {
    std::fs::read("file")?;
}

#[threadlet::main]
async fn wrong_call() {
    let n: u32 = "text";
    drop(n);
}

fn main() {}
