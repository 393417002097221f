//! The twin in the models, where there are no files: nothing can be asked, and calls are plain
//! ones.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

#[path = "../../src/syslet/answer.rs"]
mod answer;

pub(crate) use answer::{Answer, INLINE_MAX, ask_all};

/// An open file.
#[derive(Debug)]
pub struct OpenFile(File);

impl OpenFile {
    pub fn new(file: File) -> OpenFile {
        OpenFile(file)
    }

    pub fn get(&self) -> &File {
        &self.0
    }

    pub fn appends(&self) -> bool {
        false
    }

    pub fn read(&self, buf: &mut [u8], offset: Option<u64>) -> io::Result<usize> {
        self.0.read_at(buf, offset.unwrap_or(0))
    }

    pub fn write(&self, buf: &[u8], offset: Option<u64>) -> io::Result<usize> {
        self.0.write_at(buf, offset.unwrap_or(0))
    }

    pub fn ask_read(&self, _buf: &mut [u8], _offset: Option<u64>) -> Answer<usize> {
        Answer::Unsupported
    }

    pub fn ask_write(&self, _buf: &[u8], _offset: Option<u64>) -> Answer<usize> {
        Answer::Unsupported
    }
}
