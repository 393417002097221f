//! `?` and `return` end the expression, not the function around it.
#![deny(warnings)]

use std::num::ParseIntError;

use threadlet::threadlet;

async fn parse(text: &str) -> Result<u32, String> {
    let parsed: Result<u32, ParseIntError> = threadlet!({
        let n: u32 = text.parse()?;
        Ok(n)
    });
    // The function is still running: the `?` above has left only the region.
    parsed.map_err(|_| format!("{text} is no number"))
}

#[threadlet::main]
async fn main() {
    assert_eq!(parse("7").await, Ok(7));
    assert_eq!(parse("x").await, Err("x is no number".to_owned()));

    let word = threadlet!({
        if std::env::args().count() > 0 {
            return "early";
        }
        "late"
    });
    assert_eq!(word, "early");
}
