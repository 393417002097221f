//! Without the feature `tracing` nothing is said.

use crate::site::Site;

#[derive(Debug)]
pub(crate) struct Told;

impl Told {
    pub(crate) const fn new() -> Self {
        Told
    }
}

#[inline(always)]
pub(crate) fn plain_call(_site: &Site, _told: &Told) {}
