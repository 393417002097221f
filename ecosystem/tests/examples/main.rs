//! The programs of `examples/`, each started as a user starts it, and talked to.

mod axum_sqlite;
mod chat;
mod kv;
mod proxy;
mod resolve;
mod serve;
mod support;
