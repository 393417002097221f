//! Asynchronous I/O.

#[cfg_attr(
    not(feature = "raw"),
    allow(dead_code, unreachable_pub, reason = "the feature `raw` shows all of it")
)]
pub(crate) mod pump;
