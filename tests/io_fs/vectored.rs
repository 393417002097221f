//! Several buffers at once: a scenario for every executor, and calls that are dropped.

use std::future::poll_fn;
use std::io::{self, IoSlice, IoSliceMut, Read, SeekFrom, Write};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixDatagram;
use std::path::PathBuf;
use std::pin::Pin;

use futures::io::{AsyncRead, AsyncSeekExt, AsyncWriteExt};
use threadlet::fs::{File, OpenOptions};

use crate::support::{foreign_block_on, os, within};
use crate::{LIMIT, evict, pattern, poll_once};

/// The most that Linux takes in one call.
const IOV_MAX: usize = 1024;

/// One call. (That of `AsyncReadExt` has the buffers for good.)
pub(crate) async fn read(file: &mut File, bufs: &mut [IoSliceMut<'_>]) -> io::Result<usize> {
    poll_fn(|cx| Pin::new(&mut *file).poll_read_vectored(cx, bufs)).await
}

/// Writes all of it, by as few calls as that takes.
async fn write_all(file: &mut File, data: &[u8], size: usize) {
    let mut bufs: Vec<_> = data.chunks(size).map(IoSlice::new).collect();
    let mut bufs = &mut bufs[..];
    while !bufs.is_empty() {
        let n = file.write_vectored(bufs).await.unwrap();
        assert!(n > 0);
        IoSlice::advance_slices(&mut bufs, n);
    }
}

/// Reads until all of it is full; returns how many calls that took.
async fn read_all(file: &mut File, data: &mut [u8], size: usize) -> usize {
    let mut bufs: Vec<_> = data.chunks_mut(size).map(IoSliceMut::new).collect();
    let (mut bufs, mut calls) = (&mut bufs[..], 0);
    while !bufs.is_empty() {
        let n = read(file, bufs).await.unwrap();
        assert!(n > 0);
        IoSliceMut::advance_slices(&mut bufs, n);
        calls += 1;
    }
    calls
}

pub(crate) async fn scenario(dir: PathBuf) {
    ends_and_empty_ones(dir.join("short")).await;
    many_and_large(dir.join("long")).await;
    // One message: one call made it, or took it, with all of the buffers.
    let (ours, theirs) = UnixDatagram::pair().unwrap();
    let mut file = File::from_std(OwnedFd::from(ours).into());
    let bufs = [&b"ab"[..], b"", b"cde"].map(IoSlice::new);
    assert_eq!(file.write_vectored(&bufs).await.unwrap(), 5);
    let mut message = [0; 10];
    assert_eq!(theirs.recv(&mut message).unwrap(), 5);
    assert_eq!(&message[..5], b"abcde");
    theirs.send(b"fghij").unwrap();
    let (mut one, mut two) = ([0; 2], [0; 8]);
    let mut bufs = [&mut one[..], &mut [], &mut two].map(IoSliceMut::new);
    assert_eq!(read(&mut file, &mut bufs).await.unwrap(), 5);
    assert_eq!((&one, &two[..3]), (b"fg", &b"hij"[..]));
}

async fn ends_and_empty_ones(path: PathBuf) {
    let mut options = OpenOptions::new();
    let mut file = options.read(true).write(true).create(true).open(&path).await.unwrap();
    assert_eq!(file.write_vectored(&[]).await.unwrap(), 0);
    assert_eq!(file.write_vectored(&[IoSlice::new(b""), IoSlice::new(b"")]).await.unwrap(), 0);
    // More empty ones than one call takes.
    let mut bufs = vec![IoSlice::new(b""); 2 * IOV_MAX];
    bufs.extend([&b"hello"[..], b", ", b"world"].map(IoSlice::new));
    assert_eq!(file.write_vectored(&bufs).await.unwrap(), 12);
    // No write-behind: it is there.
    assert_eq!(std::fs::read(&path).unwrap(), b"hello, world");
    assert_eq!(file.stream_position().await.unwrap(), 12);

    file.seek(SeekFrom::Start(7)).await.unwrap();
    assert_eq!(read(&mut file, &mut []).await.unwrap(), 0);
    let (mut two, mut rest) = ([0; 2], [b'-'; 8]);
    let mut bufs: Vec<_> = (0..2 * IOV_MAX).map(|_| IoSliceMut::new(&mut [])).collect();
    bufs.extend([&mut two[..], &mut rest].map(IoSliceMut::new));
    assert_eq!(read(&mut file, &mut bufs).await.unwrap(), 5, "short, as the file is");
    assert_eq!(read(&mut file, &mut bufs).await.unwrap(), 0, "the end");
    assert_eq!((&two, &rest), (b"wo", b"rld-----"));
}

async fn many_and_large(path: PathBuf) {
    let data = pattern(3_000_000);
    let mut file = File::create_new(&path).await.unwrap();
    // The first is larger than what is asked for at once.
    for size in [2_000_000, 200_000, 1000, 37] {
        file.seek(SeekFrom::Start(0)).await.unwrap();
        file.set_len(0).await.unwrap();
        // Many calls, if the slices are small.
        let part = &data[..data.len().min(size * 3 * IOV_MAX)];
        write_all(&mut file, part, size).await;
        assert!(std::fs::read(&path).unwrap() == part, "{size}");
        for evicted in [false, true] {
            if evicted {
                evict(&path);
            }
            file.seek(SeekFrom::Start(0)).await.unwrap();
            let mut back = vec![0; part.len()];
            let calls = read_all(&mut file, &mut back, size).await;
            assert!(back == part, "{size}, {calls} calls");
            assert_eq!(read(&mut file, &mut [IoSliceMut::new(&mut [0])]).await.unwrap(), 0);
        }
    }
}

#[test]
fn abandoned_calls_keep_their_promises() {
    within(LIMIT, abandoned);
}

pub(crate) fn abandoned() {
    let (reader, mut writer) = os::pipe();
    let mut file = File::from_std(reader);
    let (mut one, mut two) = ([0; 3], [0; 4]);
    let mut bufs = [&mut one[..], &mut two].map(IoSliceMut::new);
    assert!(poll_once(read(&mut file, &mut bufs)).is_pending());
    writer.write_all(b"hello, world").unwrap();
    // The read that was dropped had room for seven; the next, in other buffers, has what it read.
    let (mut one, mut two) = ([0; 1], [0; 100]);
    let mut bufs = [&mut [][..], &mut one, &mut two].map(IoSliceMut::new);
    assert_eq!(foreign_block_on(read(&mut file, &mut bufs)).unwrap(), 7);
    assert_eq!((&one, &two[..6]), (b"h", &b"ello, "[..]));
    let mut bufs = [&mut one[..], &mut two].map(IoSliceMut::new);
    assert_eq!(foreign_block_on(read(&mut file, &mut bufs)).unwrap(), 5);
    assert_eq!((&one, &two[..4]), (b"w", &b"orld"[..]));

    let same = ([&b"a"[..], b"bcd", b"ef", b"gh"], "abcdefgh");
    let other = ([&b"ab"[..], b"", b"xd", b"ef"], "abcdefabxdef");
    for (retried, expected) in [same, other] {
        let (mut reader, writer) = os::pipe();
        let filled = crate::cursor::fill(&writer);
        let mut file = File::from_std(writer);
        let bufs = [&b"abc"[..], b"def"].map(IoSlice::new);
        assert!(poll_once(file.write_vectored(&bufs)).is_pending());
        reader.read_exact(&mut vec![0; filled]).unwrap();
        let mut bufs = &mut retried.map(IoSlice::new)[..];
        while !bufs.is_empty() {
            let n = foreign_block_on(file.write_vectored(bufs)).unwrap();
            IoSlice::advance_slices(&mut bufs, n);
        }
        drop(file);
        let mut all = String::new();
        reader.read_to_string(&mut all).unwrap();
        assert_eq!(all, expected);
    }
}
