//! Why a core changes hands.

/// Why a core was handed over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Cause {
    /// The call in a region blocked in the kernel.
    Blocked,
    /// The call in a region neither returned nor blocked for `hog_after`.
    Hog,
    /// The region handed over before the call: by `will_block`, by its site's history, or because
    /// it had waited for its permit.
    Predicted,
    /// A poll that had not said so blocked for `rescue_after`, or computed for 10 ms.
    Rescued,
}

impl Cause {
    pub(crate) const ALL: [Cause; 4] =
        [Cause::Blocked, Cause::Hog, Cause::Predicted, Cause::Rescued];
}
