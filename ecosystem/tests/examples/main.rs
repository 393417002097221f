//! The programs of `examples/`, each started as a user starts it, and talked to.

mod kv;
mod proxy;
mod resolve;
mod serve;
mod support;
