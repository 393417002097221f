//! Reads and writes whose future is dropped while they run on another thread.

use std::io::{ErrorKind, Read, SeekFrom, Write};
use std::task::Poll;
use std::time::Duration;

use futures::io::{AsyncReadExt, AsyncSeekExt, AsyncWriteExt};
use threadlet::fs::{File, OpenOptions};

use crate::support::{foreign_block_on, os, within};
use crate::{LIMIT, Scratch, evict, pattern, poll_once};

/// All of them: once more behind a filter, where every call moves.
pub(crate) fn abandoned_everything() {
    read_of_a_pipe();
    write_to_a_pipe();
    read_then_seek();
    read_then_write();
    read_at_then_into_std();
    crate::vectored::abandoned();
}

#[test]
fn an_abandoned_read_keeps_its_data() {
    within(LIMIT, read_of_a_pipe);
}

fn read_of_a_pipe() {
    let (reader, mut writer) = os::pipe();
    let mut file = File::from_std(reader);
    assert!(poll_once(file.read(&mut [0; 100])).is_pending());
    // Nothing of this waits for the read.
    foreign_block_on(file.metadata()).unwrap();
    foreign_block_on(file.flush()).unwrap();
    writer.write_all(b"hello, world").unwrap();
    drop(writer);
    let mut five = [0; 5];
    foreign_block_on(file.read_exact(&mut five)).unwrap();
    assert_eq!(&five, b"hello");
    let file = file.try_into_std().expect_err("some of it has not been read");
    let mut file = file;
    let mut rest = String::new();
    foreign_block_on(file.read_to_string(&mut rest)).unwrap();
    assert_eq!(rest, ", world");
    // And in a task of ours it is no different.
    let (reader, mut writer) = os::pipe();
    let mut file = File::from_std(reader);
    assert!(poll_once(file.read(&mut [0; 100])).is_pending());
    writer.write_all(b"moved").unwrap();
    drop(writer);
    let mut all = String::new();
    threadlet::block_on(file.read_to_string(&mut all)).unwrap();
    assert_eq!(all, "moved");
}

#[test]
fn an_abandoned_write_counts_once() {
    within(LIMIT, write_to_a_pipe);
}

fn write_to_a_pipe() {
    for same in [true, false] {
        let (mut reader, writer) = os::pipe();
        let filled = fill(&writer);
        let mut file = File::from_std(writer);
        assert!(poll_once(file.write(b"abcdef")).is_pending());
        assert!(poll_once(file.write(b"abcdef")).is_pending(), "the pipe is full");
        // What was there makes room.
        reader.read_exact(&mut vec![0; filled]).unwrap();
        let retried: &[u8] = if same { b"abcdefgh" } else { b"xyz" };
        foreign_block_on(file.write_all(retried)).unwrap();
        foreign_block_on(file.flush()).unwrap();
        drop(file);
        let mut all = String::new();
        reader.read_to_string(&mut all).unwrap();
        assert_eq!(all, if same { "abcdefgh" } else { "abcdefxyz" });
    }
    // One that fails: the reader has gone.
    let (reader, writer) = os::pipe();
    fill(&writer);
    let mut file = File::from_std(writer);
    assert!(poll_once(file.write(b"abcdef")).is_pending());
    drop(reader);
    let error = foreign_block_on(file.flush()).unwrap_err();
    assert_eq!(error.raw_os_error(), Some(libc::EPIPE));
    foreign_block_on(file.flush()).expect("it is told once");
    let error = foreign_block_on(file.write(b"abcdef")).unwrap_err();
    assert_eq!(error.raw_os_error(), Some(libc::EPIPE));
}

/// Fills a pipe to the last byte; returns how much was in it then.
pub(crate) fn fill(writer: &std::fs::File) -> usize {
    use std::os::fd::AsRawFd;
    let fd = writer.as_raw_fd();
    // SAFETY: numbers only.
    let flags = unsafe { libc::fcntl(fd, libc::F_GETFL) };
    // SAFETY: numbers only.
    unsafe { libc::fcntl(fd, libc::F_SETFL, flags | libc::O_NONBLOCK) };
    let mut filled = 0;
    for length in [4096, 1] {
        while let Ok(n) = (&*writer).write(&vec![0; length]) {
            filled += n;
        }
    }
    // SAFETY: numbers only.
    unsafe { libc::fcntl(fd, libc::F_SETFL, flags) };
    filled
}

/// Polls reads of an evicted file until one of them moves, and drops that.
fn abandon_a_read(file: &mut File, path: &std::path::Path, length: usize) -> bool {
    for _ in 0..100 {
        evict(path);
        foreign_block_on(file.seek(SeekFrom::Start(10))).unwrap();
        if poll_once(file.read(&mut vec![0; length])).is_pending() {
            return true;
        }
    }
    let skipped = crate::support::skip("evicted");
    assert!(skipped, "no read had to move: name `evicted` in THREADLET_SKIP");
    false
}

/// The story: a write is dropped, then waited for by something else, and made once more. It is
/// another one by then: to count it as the first would leave its bytes nowhere.
#[test]
fn a_write_that_was_waited_for_is_not_the_next_one() {
    within(LIMIT, || {
        let scratch = Scratch::new();
        // `true`: the file has both.
        let between: [(&str, bool); 3] = [("set_len", false), ("flush", true), ("metadata", true)];
        for (what, both) in between {
            let path = scratch.file(what, b"");
            let mut file = foreign_block_on(File::create(&path)).unwrap();
            let pending = poll_once(file.write(b"tick")).is_pending();
            foreign_block_on(async {
                match what {
                    "set_len" => file.set_len(0).await.unwrap(),
                    "flush" => file.flush().await.unwrap(),
                    _ => drop(file.metadata().await.unwrap()),
                }
                if what == "set_len" {
                    file.seek(SeekFrom::Start(0)).await.unwrap();
                }
                assert_eq!(file.write(b"tick").await.unwrap(), 4);
            });
            let expected: &[u8] = if both { b"ticktick" } else { b"tick" };
            assert_eq!(std::fs::read(&path).unwrap(), expected, "{what}, pending: {pending}");
        }
    });
}

#[test]
fn a_seek_after_an_abandoned_read() {
    within(LIMIT, read_then_seek);
}

fn read_then_seek() {
    let scratch = Scratch::new();
    let data = pattern(100_000);
    let path = scratch.file("file", &data);
    let mut file = foreign_block_on(File::open(&path)).unwrap();
    let mut ten = [0; 10];
    if !abandon_a_read(&mut file, &path, 5000) {
        return;
    }
    assert_eq!(foreign_block_on(file.stream_position()).unwrap(), 10);
    foreign_block_on(file.read_exact(&mut ten)).unwrap();
    assert_eq!(ten, data[10..20]);
    abandon_a_read(&mut file, &path, 5000);
    // A part of it is taken; the rest counts.
    foreign_block_on(file.read_exact(&mut ten)).unwrap();
    assert_eq!(ten, data[10..20]);
    assert_eq!(foreign_block_on(file.seek(SeekFrom::Current(100))).unwrap(), 120);
    foreign_block_on(file.read_exact(&mut ten)).unwrap();
    assert_eq!(ten, data[120..130]);
    abandon_a_read(&mut file, &path, 5000);
    assert_eq!(foreign_block_on(file.seek(SeekFrom::Start(7))).unwrap(), 7);
    foreign_block_on(file.read_exact(&mut ten)).unwrap();
    assert_eq!(ten, data[7..17]);
    // The position of a clone, and of what it is turned into, is the user's.
    abandon_a_read(&mut file, &path, 5000);
    let mut clone = foreign_block_on(file.try_clone()).unwrap();
    assert_eq!(foreign_block_on(clone.stream_position()).unwrap(), 10);
    abandon_a_read(&mut file, &path, 5000);
    let mut std = foreign_block_on(file.into_std());
    std.read_exact(&mut ten).unwrap();
    assert_eq!(ten, data[10..20]);
}

#[test]
fn a_write_after_an_abandoned_read() {
    within(LIMIT, read_then_write);
}

fn read_then_write() {
    let scratch = Scratch::new();
    let mut data = pattern(100_000);
    let path = scratch.file("file", &data);
    let mut file = foreign_block_on(OpenOptions::new().read(true).write(true).open(&path)).unwrap();
    if !abandon_a_read(&mut file, &path, 5000) {
        return;
    }
    foreign_block_on(file.write_all(b"written")).unwrap();
    data[10..17].copy_from_slice(b"written");
    assert!(std::fs::read(&path).unwrap() == data);
    assert_eq!(foreign_block_on(file.stream_position()).unwrap(), 17);
}

#[test]
fn into_std_waits_for_what_is_under_way() {
    within(LIMIT, read_at_then_into_std);
}

fn read_at_then_into_std() {
    let scratch = Scratch::new();
    let path = scratch.file("file", &pattern(100_000));
    for _ in 0..20 {
        let file = foreign_block_on(File::open(&path)).unwrap();
        evict(&path);
        let _maybe_pending = poll_once(file.read_at(&mut [0; 5000], 50_000));
        let file = match file.try_into_std() {
            Ok(file) => file,
            Err(file) => foreign_block_on(file.into_std()),
        };
        assert_eq!(file.metadata().unwrap().len(), 100_000);
    }
}

/// A stream has no position: a read that waits does not hold up a write, as in a terminal.
#[test]
fn a_stream_is_written_while_a_read_waits() {
    within(LIMIT, || {
        let (ours, mut theirs) = std::os::unix::net::UnixStream::pair().unwrap();
        let mut file = File::from_std(std::fs::File::from(std::os::fd::OwnedFd::from(ours)));
        let mut byte = [0; 1];
        assert!(poll_once(file.read(&mut byte)).is_pending());
        foreign_block_on(file.write_all(b"q")).unwrap();
        theirs.read_exact(&mut byte).unwrap();
        theirs.write_all(b"a").unwrap();
        foreign_block_on(file.read_exact(&mut byte)).unwrap();
        assert_eq!(&byte, b"a");
        // And a read in between does not make a second write of one that is tried again.
        theirs.set_read_timeout(Some(LIMIT)).unwrap();
        let mut sent = 0;
        while let Poll::Ready(n) = poll_once(file.write(&[b'x'; 10_000])) {
            sent += n.unwrap();
        }
        theirs.write_all(b"b").unwrap();
        foreign_block_on(file.read_exact(&mut byte)).unwrap();
        let reader = std::thread::spawn(move || {
            let mut received = Vec::new();
            theirs.read_to_end(&mut received).unwrap();
            received.len()
        });
        foreign_block_on(file.write_all(&[b'x'; 10_000])).unwrap();
        drop(file);
        assert_eq!(reader.join().unwrap(), sent + 10_000);
    });
}

/// A directory's entries are there for the next call, however often one is dropped.
#[test]
fn entries_abandoned() {
    within(LIMIT, || {
        let scratch = Scratch::new();
        for name in 0..150 {
            scratch.file(&name.to_string(), b"");
        }
        let mut entries = foreign_block_on(threadlet::fs::read_dir(&scratch.0)).unwrap();
        let (mut names, mut polls) = (std::collections::BTreeSet::new(), 0_u64);
        loop {
            polls += 1;
            match poll_once(entries.next_entry()) {
                Poll::Ready(entry) => match entry.unwrap() {
                    Some(entry) => assert!(names.insert(entry.file_name())),
                    None => break,
                },
                Poll::Pending => std::thread::yield_now(),
            }
        }
        assert_eq!(names.len(), 150, "in {polls} polls");
    });
}

/// The file goes while a read of it runs elsewhere, and is closed when that returns.
#[test]
fn a_file_dropped_under_a_read() {
    within(LIMIT, || {
        let (reader, mut writer) = os::pipe();
        let mut file = File::from_std(reader);
        assert!(poll_once(file.read(&mut [0; 10])).is_pending());
        drop(file);
        // The call may still be on its way to the kernel: what is written now, it reads.
        writer.write_all(b"x").unwrap();
        crate::support::wait_until("the reading end is closed", || {
            writer.write_all(b"x").is_err_and(|error| error.kind() == ErrorKind::BrokenPipe)
        });
    });
}

/// Dropped at any moment, under load: nothing is lost, doubled or out of order.
#[test]
fn reads_abandoned_at_random() {
    within(LIMIT, || {
        let (reader, mut writer) = os::pipe();
        let data = pattern(300_000);
        let sent = data.clone();
        let thread = std::thread::spawn(move || {
            for chunk in sent.chunks(1777) {
                writer.write_all(chunk).unwrap();
                if chunk[0] < 16 {
                    std::thread::sleep(Duration::from_micros(200));
                }
            }
        });
        let mut file = File::from_std(reader);
        let (mut received, mut abandoned) = (Vec::new(), 0);
        let mut buf = [0; 1000];
        loop {
            match poll_once(file.read(&mut buf)) {
                Poll::Ready(Ok(0)) => break,
                Poll::Ready(n) => received.extend_from_slice(&buf[..n.unwrap()]),
                Poll::Pending => {
                    abandoned += 1;
                    std::thread::sleep(Duration::from_micros(50));
                }
            }
        }
        thread.join().unwrap();
        assert!(received == data, "{} of {}, {abandoned} abandoned", received.len(), data.len());
    });
}
