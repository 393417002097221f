//! The list that `sha256sum -c` accepts.
//!
//! A line is the sum, two spaces and the name, in whatever bytes it has. A name with a newline, a
//! carriage return or a backslash is written with `\n`, `\r` and `\\` in their place, and its line
//! begins with a backslash. (Before 9.0, coreutils did not know `\r`.) A name that is nothing but
//! `-` would be standard input.

use std::io::{self, BufWriter, Stdout, Write};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use crate::digest::hex;
use crate::file::Sum;

/// Standard output, with room for many lines: each call of it may block.
pub(crate) struct Writer(BufWriter<Stdout>);

impl Writer {
    pub(crate) fn new() -> Self {
        Writer(BufWriter::with_capacity(64 * 1024, io::stdout()))
    }

    pub(crate) fn line(&mut self, sum: &Sum, path: &Path) -> io::Result<()> {
        self.0.write_all(&line(sum, path.as_os_str().as_bytes()))
    }

    pub(crate) fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

fn line(sum: &Sum, name: &[u8]) -> Vec<u8> {
    let escaped = name.iter().any(|byte| matches!(byte, b'\n' | b'\r' | b'\\'));
    let mut line = Vec::with_capacity(name.len() + 68);
    if escaped {
        line.push(b'\\');
    }
    line.extend_from_slice(hex(sum).as_bytes());
    line.extend_from_slice(b"  ");
    if name == b"-" {
        line.extend_from_slice(b"./");
    }
    for byte in name {
        match byte {
            b'\n' => line.extend_from_slice(b"\\n"),
            b'\r' => line.extend_from_slice(b"\\r"),
            b'\\' => line.extend_from_slice(b"\\\\"),
            other => line.push(*other),
        }
    }
    line.push(b'\n');
    line
}
