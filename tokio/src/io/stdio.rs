//! The standard input and outputs.

use threadlet::io as ours;

use crate::adapt::{around, descriptor, read_zeroed, write};

around! {
    /// The standard input.
    Stdin, ours::Stdin
}
descriptor!(Stdin);
read_zeroed!([] Stdin);

/// The standard input.
pub fn stdin() -> Stdin {
    Stdin(ours::stdin())
}

around! {
    /// The standard output.
    Stdout, ours::Stdout
}
descriptor!(Stdout);
write!([] Stdout);

/// The standard output.
pub fn stdout() -> Stdout {
    Stdout(ours::stdout())
}

around! {
    /// The standard error.
    Stderr, ours::Stderr
}
descriptor!(Stderr);
write!([] Stderr);

/// The standard error.
pub fn stderr() -> Stderr {
    Stderr(ours::stderr())
}
