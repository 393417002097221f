//! There is no filter.

pub(crate) fn is_filtered() -> bool {
    false
}

pub(crate) fn filters() -> u32 {
    0
}
