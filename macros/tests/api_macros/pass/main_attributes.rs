//! Visibility, comments and lint attributes reach the function and its body.
#![deny(warnings, missing_docs)]
#![allow(non_camel_case_types, reason = "the names below are odd on purpose")]

/// A module with a function for others.
pub mod inner {
    /// Shown in the documentation.
    #[allow(unused_variables, reason = "shows that the attribute covers the body")]
    #[threadlet::main]
    pub async fn run() -> u8 {
        let unused = 3;
        7
    }

    #[expect(non_snake_case, reason = "shows that one warning is seen, and expected")]
    #[threadlet::main]
    pub(crate) async fn Odd() {}
}

#[cfg(any())]
#[threadlet::main]
async fn main(absent: Type) {}

#[threadlet::main]
async fn main() {
    #![allow(unused_mut, reason = "shows that an inner attribute stays in the body")]
    let mut n = inner::run();
    assert_eq!(n, 7);
    inner::Odd();
}
