//! Traits and helpers for reading and writing, as [`tokio::io`](https://docs.rs/tokio/1.54/tokio/io/).

mod stdio;

pub use real::io::*;
pub use threadlet::io::{Interest, Ready, unix};

pub use self::stdio::{Stderr, Stdin, Stdout, stderr, stdin, stdout};
