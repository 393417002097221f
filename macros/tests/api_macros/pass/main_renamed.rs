//! The crate under another name, in both spellings; `::threadlet` is not needed then.
#![deny(warnings)]

mod facade {
    pub(crate) use threadlet as engine;
}

#[facade::engine::main(crate = "facade::engine")]
async fn main() {
    quoted();
    bare();
}

#[facade::engine::main(crate = "crate::facade::engine", worker_threads = 1)]
async fn quoted() {}

#[facade::engine::main(crate = crate::facade::engine)]
async fn bare() {}
