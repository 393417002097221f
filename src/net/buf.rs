//! The buffers of the `poll_` functions.

/// What a `poll_` function of a socket reads into: a slice of bytes, an array, a `Vec` as far as it
/// is filled, or, with the feature `tokio1`, tokio's `ReadBuf`.
///
/// How much was read is told by the buffer, if it keeps an account of that, or else by what the
/// function returns.
pub trait PollBuf: sealed::Sealed {}

use sealed::Sealed;

mod sealed {
    /// The private half of `PollBuf`.
    pub trait Sealed {
        /// What is told of the number of bytes read.
        type Read;

        /// The room there is.
        fn room(&mut self) -> &mut [u8];

        /// The same beside an address.
        type ReadFrom<A>;

        /// So many bytes were read into the room.
        fn filled(&mut self, count: usize) -> Self::Read;

        /// The same, and from where.
        fn filled_from<A>(&mut self, count: usize, from: A) -> Self::ReadFrom<A>;
    }
}

impl<T: Sealed + ?Sized> PollBuf for T {}

/// A buffer that keeps no account of how far it is filled.
macro_rules! plain {
    ([$($generics:tt)*] $type:ty) => {
        impl<$($generics)*> Sealed for $type {
            type Read = usize;
            type ReadFrom<A> = (usize, A);

            fn room(&mut self) -> &mut [u8] {
                self
            }

            fn filled(&mut self, count: usize) -> usize {
                count
            }

            fn filled_from<A>(&mut self, count: usize, from: A) -> (usize, A) {
                (count, from)
            }
        }
    };
}

plain!([][u8]);
plain!([const N: usize] [u8; N]);
plain!([] Vec<u8>);

#[cfg(feature = "tokio1")]
impl Sealed for tokio::io::ReadBuf<'_> {
    type Read = ();
    type ReadFrom<A> = A;

    fn room(&mut self) -> &mut [u8] {
        self.initialize_unfilled()
    }

    fn filled(&mut self, count: usize) {
        self.advance(count);
    }

    fn filled_from<A>(&mut self, count: usize, from: A) -> A {
        self.advance(count);
        from
    }
}
