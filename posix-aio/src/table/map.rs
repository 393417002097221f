//! Maps whose keys are numbers or addresses.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

/// Numbers and addresses need no hashing against an adversary, who is the program itself.
#[derive(Debug, Default)]
pub(super) struct Multiply(u64);

impl Hasher for Multiply {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.write_u64(u64::from(*byte));
        }
    }

    fn write_i32(&mut self, number: i32) {
        self.write_u64(number as u64);
    }

    fn write_usize(&mut self, number: usize) {
        self.write_u64(number as u64);
    }

    fn write_u64(&mut self, number: u64) {
        let mixed = (self.0 ^ number).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        self.0 = mixed ^ mixed >> 32;
    }
}

/// A map from numbers or addresses.
pub(super) type Map<K, V> = HashMap<K, V, BuildHasherDefault<Multiply>>;
