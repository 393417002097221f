//! Traits and helpers for reading and writing, as [`tokio::io`](https://docs.rs/tokio/1.54/tokio/io/).

pub use real::io::*;
pub use threadlet::io::{Interest, Ready, unix};
