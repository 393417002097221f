//! Reads and writes at an offset.

use std::io;
use std::os::unix::fs::FileExt;

use super::File;
use crate::call::in_place::in_place;
use crate::call::region::run_at_once;
use crate::context;
use crate::fs::call::{answered, moved, site};
use crate::fs::cursor::{COPY_MAX, read_into_new};
use crate::task::yield_now;

impl File {
    /// Reads at `offset`, at most as many bytes as there is room for; 0 is the end of the file (or
    /// an empty buffer). The position stays.
    ///
    /// On a thread of ours the kernel reads into `buf`. Elsewhere it does so with what is in
    /// memory; what is not is read into a buffer of at most 256 KiB on another thread, and copied.
    ///
    /// # Cancel safety
    ///
    /// Dropped, nothing has happened.
    ///
    /// # Errors
    ///
    /// As `pread(2)`, but for `EINTR`: the call is made again.
    ///
    /// # Examples
    ///
    /// ```
    /// # fn main() -> std::io::Result<()> {
    /// threadlet::block_on(async {
    ///     let file = threadlet::fs::File::open("/etc/hosts").await?;
    ///     let mut page = [0; 4096];
    ///     let n = file.read_at(&mut page, 0).await?;
    ///     assert!(n > 0);
    ///     Ok(())
    /// })
    /// # }
    /// ```
    pub async fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        let site = site!("fs::File::read_at");
        // Here, too, and not in `in_place` alone: a future within this one costs some nanoseconds.
        if let Ok(result) = run_at_once(site, || self.open.read(buf, Some(offset))) {
            return result;
        }
        if context::is_ours() {
            return in_place(site, || self.open.read(buf, Some(offset))).await;
        }
        if let Some(result) = answered(site, self.open.ask_read(buf, Some(offset))) {
            return result;
        }
        let (file, length) = (self.open.clone(), buf.len().min(COPY_MAX));
        let data = moved(site, move || read_into_new(&file, length, Some(offset))).await?;
        buf[..data.len()].copy_from_slice(&data);
        Ok(data.len())
    }

    /// Writes at `offset`, as many bytes as the kernel takes. The position stays.
    ///
    /// On a thread of ours the kernel takes them from `buf`, elsewhere at most 256 KiB at a time
    /// from a copy, if it would block. On a file opened to append, Linux writes at the end,
    /// whatever `offset` says.
    ///
    /// # Cancel safety
    ///
    /// In a task of ours: dropped, nothing has happened. Elsewhere a call that has moved to another
    /// thread runs on, and nobody waits for it.
    ///
    /// # Errors
    ///
    /// As `pwrite(2)`, but for `EINTR`: the call is made again.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// use threadlet::fs::File;
    ///
    /// # async fn example() -> std::io::Result<()> {
    /// let file = File::create("pages").await?;
    /// let n = file.write_at(b"the second page", 4096).await?;
    /// println!("{n} bytes were taken");
    /// # Ok(())
    /// # }
    /// ```
    pub async fn write_at(&self, buf: &[u8], offset: u64) -> io::Result<usize> {
        let site = site!("fs::File::write_at");
        self.settled().await?;
        if let Ok(result) = run_at_once(site, || self.open.write(buf, Some(offset))) {
            return result;
        }
        if context::is_ours() {
            return in_place(site, || self.open.write(buf, Some(offset))).await;
        }
        if let Some(result) = answered(site, self.open.ask_write(buf, Some(offset))) {
            return result;
        }
        let (file, data) = (self.open.clone(), buf[..buf.len().min(COPY_MAX)].to_vec());
        moved(site, move || file.write(&data, Some(offset))).await
    }

    /// Fills `buf` with the bytes at `offset`. The position stays.
    ///
    /// # Cancel safety
    ///
    /// Dropped, nothing has happened, but that a part of `buf` may have been overwritten.
    ///
    /// # Errors
    ///
    /// As [`read_at`](Self::read_at); `UnexpectedEof` if the file ends before. What is in `buf`
    /// then is not specified.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// use threadlet::fs::File;
    ///
    /// # async fn example() -> std::io::Result<()> {
    /// let file = File::open("pages").await?;
    /// let mut page = [0; 4096];
    /// file.read_exact_at(&mut page, 4096).await?;
    /// # Ok(())
    /// # }
    /// ```
    pub async fn read_exact_at(&self, mut buf: &mut [u8], mut offset: u64) -> io::Result<()> {
        if context::is_ours() {
            let site = site!("fs::File::read_exact_at");
            return in_place(site, || self.open.get().read_exact_at(buf, offset)).await;
        }
        while !buf.is_empty() {
            match self.read_at(buf, offset).await? {
                0 => {
                    let text = "the file ends before the buffer is full";
                    return Err(io::Error::new(io::ErrorKind::UnexpectedEof, text));
                }
                n => {
                    buf = &mut buf[n..];
                    offset += n as u64;
                }
            }
            if !buf.is_empty() {
                // However much of it is in memory, others have their turn.
                yield_now().await;
            }
        }
        Ok(())
    }

    /// Writes all of `buf` at `offset`. The position stays.
    ///
    /// # Cancel safety
    ///
    /// In a task of ours: dropped, nothing has happened. Elsewhere a part may have been written,
    /// and the call that is under way runs on.
    ///
    /// # Errors
    ///
    /// As [`write_at`](Self::write_at); a part may have been written then. `WriteZero` if the
    /// kernel takes no more.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// use threadlet::fs::File;
    ///
    /// # async fn example() -> std::io::Result<()> {
    /// let file = File::create("pages").await?;
    /// file.write_all_at(&[7; 4096], 4096).await?;
    /// # Ok(())
    /// # }
    /// ```
    pub async fn write_all_at(&self, mut buf: &[u8], mut offset: u64) -> io::Result<()> {
        if context::is_ours() {
            self.settled().await?;
            let site = site!("fs::File::write_all_at");
            return in_place(site, || self.open.get().write_all_at(buf, offset)).await;
        }
        while !buf.is_empty() {
            match self.write_at(buf, offset).await? {
                0 => return Err(io::ErrorKind::WriteZero.into()),
                n => {
                    buf = &buf[n..];
                    offset += n as u64;
                }
            }
            if !buf.is_empty() {
                // However much of it is in memory, others have their turn.
                yield_now().await;
            }
        }
        Ok(())
    }
}
