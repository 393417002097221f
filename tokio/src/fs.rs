//! Files, as [`tokio::fs`](https://docs.rs/tokio/1.54/tokio/fs/): those of [`threadlet::fs`], which
//! reads on the spot what needs no waiting.

mod file;
mod open_options;

pub use std::fs::FileTimes;

pub use threadlet::fs::{
    DirBuilder, DirEntry, ReadDir, canonicalize, copy, create_dir, create_dir_all, hard_link,
    metadata, read, read_dir, read_link, read_to_string, remove_dir, remove_dir_all, remove_file,
    rename, set_permissions, symlink, symlink_metadata, try_exists, write,
};

pub use self::file::File;
pub use self::open_options::OpenOptions;
