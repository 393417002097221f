//! Channels, locks and the like, as [`tokio::sync`](https://docs.rs/tokio/1.54/tokio/sync/): tokio's
//! own.

pub mod mpsc;

pub use real::sync::*;
