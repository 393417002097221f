//! The attribute macros of `threadlet`. Use them through the main crate.
