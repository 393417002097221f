//! Files, from any executor.
//!
//! The names are those of `tokio::fs`, and each function does what its namesake in [`std::fs`]
//! does. Where the call is made depends on who polls:
//!
//! * *A task of a threadlet runtime*: the call is made in the poll, with the caller's buffers, as
//!   in [`threadlet!`](crate::threadlet). If it blocks, another thread takes over the worker's
//!   other tasks.
//! * *The root future of `block_on`*: the call is made in the poll, as the thread has nothing else
//!   to do.
//! * *Any other executor* (tokio, smol, `futures`): the kernel is *asked* first. What needs no
//!   waiting is done in the poll, and no thread of ours is involved. Anything else moves to a
//!   thread of a global threadlet runtime, which is started when it is first needed, and works on
//!   copies of the buffers.
//!
//! `docs/internals/fs.md` in the repository tells what can be asked, what is believed of the
//! answers, and what it costs.
//!
//! # Cancel safety
//!
//! Where the call is made in the poll, a future dropped before it is ready has done nothing. In any
//! other executor a call that has moved to another thread runs on: it may still create, write or
//! remove what it was told to. What each operation means for the next is said with it.
//!
//! # Errors
//!
//! Each function has the errors of its namesake. In any other executor there is one more: the
//! global runtime cannot be started, for want of memory, descriptors or threads. It says so.
//!
//! # Examples
//!
//! ```
//! # fn main() -> std::io::Result<()> {
//! threadlet::block_on(async {
//!     let hosts = threadlet::fs::read_to_string("/etc/hosts").await?;
//!     assert!(!hosts.is_empty());
//!     Ok(())
//! })
//! # }
//! ```

mod call;
mod cursor;
mod dir;
mod file;
mod file_ref;
mod open_options;
mod path;
mod whole;

pub use self::dir::{DirBuilder, DirEntry, ReadDir, create_dir, create_dir_all, read_dir};
pub use self::file::File;
pub use self::path::{
    canonicalize, copy, hard_link, metadata, read_link, remove_dir, remove_dir_all, remove_file,
    rename, set_permissions, symlink, symlink_metadata, try_exists,
};
pub use self::whole::{read, read_to_string, write};
pub use crate::syslet::OpenOptions;
