//! Asynchronous I/O on files: many operations at once, freely ordered, with barriers.
//!
//! A [`Queue`] takes operations ([`Op`]) on buffers that they own until they end, and gives a
//! [`Completion`] for each, which is a future; [`Completions`] makes a stream of them. Any kind of
//! file will do, and any executor.
//!
//! What an operation costs depends on where its data is:
//!
//! * *In memory*, and the file system can be *asked* for it (see [`fs`](crate::fs)): the operation
//!   is done within `submit`, on the calling thread. No other thread exists because of it.
//! * *Elsewhere*: it runs on a thread that may block, of the current runtime if that has worker
//!   threads, and else of the global one. A few such threads run all of them.
//!
//! What a barrier or a fence holds back runs on such a thread too, when its turn has come.
//!
//! Of data in memory more than 1 MiB is not copied within `submit`.
//!
//! To read a page here and there in a task, [`threadlet!`](crate::threadlet) or
//! [`fs::File::read_at`](crate::fs::File::read_at) is simpler, borrows its buffer, and costs less:
//! it holds up that task alone. A queue is for one task that has many operations under way.
//!
//! `docs/internals/aio.md` in the repository compares it with the C library's `aio_*`, the
//! kernel's, and io_uring.
//!
//! # Examples
//!
//! A journal: records side by side, then one word that makes them valid.
//!
//! ```
//! use threadlet::aio::{File, Op, Queue};
//!
//! async fn commit(
//!     queue: &Queue,
//!     journal: &File,
//!     records: Vec<(u64, Vec<u8>)>,
//! ) -> std::io::Result<()> {
//!     let mut under_way = Vec::new();
//!     for (offset, record) in records {
//!         under_way.push(queue.submit(Op::write_at(journal, record, offset)).await);
//!     }
//!     queue.fence();
//!     let on_device = queue.submit(Op::fdatasync(journal)).await;
//!     for write in under_way {
//!         write.await.0?;
//!     }
//!     on_device.await.0?;
//!     queue.submit(Op::write_at(journal, b"valid".to_vec(), 0)).await.await.0?;
//!     Ok(())
//! }
//! # fn main() -> std::io::Result<()> {
//! # let path = std::env::temp_dir().join(format!("threadlet-doc-aio-{}", std::process::id()));
//! # let file = File::from(std::fs::File::create(&path)?);
//! # let records = vec![(8, vec![1; 64]), (72, vec![2; 64])];
//! # threadlet::block_on(commit(&Queue::new(4), &file, records))?;
//! # assert_eq!(std::fs::read(&path)?.len(), 136);
//! # std::fs::remove_file(&path)
//! # }
//! ```

mod list;
mod op;
mod order;
mod places;
#[cfg_attr(not(feature = "raw"), allow(unreachable_pub, reason = "the feature `raw` shows it"))]
pub(crate) mod pump;
mod queue;
mod request;
mod shared;

pub use self::list::{Completions, Mode, lio_listio};
pub use self::op::{File, Op};
pub use self::queue::{Full, Queue};
pub use self::request::Completion;
