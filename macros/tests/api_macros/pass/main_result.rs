//! `?`, `return`, a tail expression and a trait object as the error.
#![deny(warnings)]

use std::error::Error;

#[threadlet::main]
async fn main() -> Result<(), Box<dyn Error>> {
    if std::env::args().count() == 0 {
        return Err("no program".into());
    }
    let n: u32 = "7".parse()?;
    assert_eq!(n, 7);
    assert_eq!(tail(), Some(3));
    early();
    println!("{:?}", opaque());
    Ok(())
}

#[threadlet::main]
async fn tail() -> Option<usize> {
    let text = Some("abc")?;
    Some(text.len())
}

#[threadlet::main]
async fn early() {
    if std::env::args().count() > 0 {
        return;
    }
    unreachable!("a program has a name");
}

#[threadlet::main]
async fn opaque() -> impl std::fmt::Debug {
    [1, 2, 3]
}

#[allow(dead_code, reason = "it need only compile")]
#[threadlet::main]
async fn never() -> ! {
    std::process::exit(0)
}
