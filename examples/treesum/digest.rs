//! The digest of the whole tree, as `main.rs` defines it.

use sha2::{Digest, Sha256};

use crate::file::{Examined, Sum};

/// The digest so far. Entries come in the order of their paths.
pub(crate) struct TreeDigest(Sha256);

impl TreeDigest {
    pub(crate) fn new() -> Self {
        TreeDigest(Sha256::new())
    }

    /// Adds the record of one entry; faults have none.
    pub(crate) fn add(&mut self, path: &[u8], examined: &Examined) {
        let (kind, sum) = match examined {
            Examined::File { sum, .. } => ("f", hex(sum)),
            Examined::Link { sum, .. } => ("l", hex(sum)),
            Examined::Directory => ("d", "-".to_owned()),
            Examined::Nothing | Examined::Fault(_) => return,
        };
        self.0.update(format!("{kind} {sum} "));
        self.0.update(path);
        self.0.update([0]);
    }

    pub(crate) fn finish(self) -> Sum {
        self.0.finalize().into()
    }
}

/// 64 hexadecimal digits.
pub(crate) fn hex(sum: &Sum) -> String {
    let digit = |nibble: u8| char::from_digit(nibble.into(), 16).expect("four bits");
    sum.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]).collect()
}
