//! Nothing: see `tests` and `examples`.

// What the guide shows of these crates is compiled.
#[cfg(doctest)]
#[doc = include_str!("../../docs/guide/http.md")]
mod http {}
