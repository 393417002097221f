//! `Unblock` as a reader, a writer, and both.

use std::collections::VecDeque;
use std::io::{self, BufWriter, ErrorKind, Read, Seek, SeekFrom, Write};
use std::panic::AssertUnwindSafe;
use std::process::{Command, Stdio};
use std::task::Poll;

use futures::FutureExt;
use futures::io::{AsyncReadExt, AsyncSeekExt, AsyncWriteExt};
use threadlet::Unblock;

use super::support::{Barrier, os, wait_until};
use super::{each_task, file_of, pattern, poll_once, text_of};

/// Answers as it is told to.
#[derive(Debug, Default)]
struct Script(VecDeque<Answer>);

#[derive(Debug)]
enum Answer {
    Bytes(&'static [u8]),
    Error(ErrorKind),
    Panic,
}

impl Script {
    fn new(answers: impl IntoIterator<Item = Answer>) -> Unblock<Script> {
        Unblock::new(Script(answers.into_iter().collect()))
    }

    fn next(&mut self) -> io::Result<&'static [u8]> {
        match self.0.pop_front() {
            None => Ok(b""),
            Some(Answer::Bytes(bytes)) => Ok(bytes),
            Some(Answer::Error(kind)) => Err(kind.into()),
            Some(Answer::Panic) => panic!("as it is told"),
        }
    }
}

impl Read for Script {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let bytes = self.next()?;
        buf[..bytes.len()].copy_from_slice(bytes);
        Ok(bytes.len())
    }
}

impl Write for Script {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        self.next().map(|_| buf.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.next().map(drop)
    }
}

#[test]
fn twenty_mebibytes_through_a_pipe() {
    each_task(|| async {
        const LENGTH: usize = 20 << 20;
        for (write_chunk, read_chunk, capacity) in [(8192, 8192, None), (70_001, 999, Some(4097))] {
            let (reader, writer) = os::pipe();
            let (mut reader, mut writer) = match capacity {
                None => (Unblock::new(reader), Unblock::new(writer)),
                Some(bytes) => {
                    (Unblock::with_capacity(bytes, reader), Unblock::with_capacity(bytes, writer))
                }
            };
            let write = threadlet::spawn(async move {
                for chunk in pattern(LENGTH).chunks(write_chunk) {
                    writer.write_all(chunk).await.unwrap();
                }
                writer.close().await.unwrap();
            });
            let (mut read, mut chunk) = (Vec::with_capacity(LENGTH), vec![0; read_chunk]);
            loop {
                match reader.read(&mut chunk).await.unwrap() {
                    0 => break,
                    count => read.extend_from_slice(&chunk[..count]),
                }
            }
            write.await.unwrap();
            assert!(read == pattern(LENGTH), "{} bytes came", read.len());
        }
    });
}

#[test]
fn a_seek_counts_from_what_was_read() {
    each_task(|| async {
        let (file, path) = file_of(b"0123456789");
        let mut file = Unblock::new(file);
        let mut three = [0; 3];
        file.read_exact(&mut three).await.unwrap();
        assert_eq!((&three, file.buffer()), (b"012", &b"3456789"[..]));
        assert!(file.seek(SeekFrom::Current(-4)).await.is_err(), "before the start");
        assert!(file.seek(SeekFrom::Current(i64::MIN)).await.is_err(), "before the start");
        assert_eq!(file.buffer(), b"3456789", "and nothing is lost");
        assert_eq!(file.seek(SeekFrom::Current(-1)).await.unwrap(), 2);
        file.read_exact(&mut three).await.unwrap();
        assert_eq!(&three, b"234");
        assert_eq!(file.seek(SeekFrom::Current(0)).await.unwrap(), 5);
        file.write_all(b"ab").await.unwrap();
        // A seek waits for what was written.
        assert_eq!(file.seek(SeekFrom::Current(0)).await.unwrap(), 7);
        let mut rest = String::new();
        file.read_to_string(&mut rest).await.unwrap();
        assert_eq!(rest, "789");
        assert_eq!(file.seek(SeekFrom::End(-10)).await.unwrap(), 0);
        file.read_to_string(&mut rest).await.unwrap();
        assert_eq!(rest, "78901234ab789");
        std::fs::remove_file(path).unwrap();
    });
}

#[test]
fn into_inner_gives_up_what_was_read_ahead() {
    each_task(|| async {
        let (file, path) = file_of(b"0123456789");
        let mut ahead = Unblock::with_capacity(6, file.try_clone().unwrap());
        ahead.read_exact(&mut [0; 2]).await.unwrap();
        let rest = ahead.buffer().to_vec();
        let mut inner = ahead.into_inner().await;
        assert_eq!((&rest[..], inner.stream_position().unwrap()), (&b"2345"[..], 6));
        inner.rewind().unwrap();
        let mut exact = Unblock::with_capacity(6, inner);
        exact.read_exact(&mut [0; 2]).await.unwrap();
        exact.seek(SeekFrom::Current(0)).await.unwrap();
        let mut inner = exact.into_inner().await;
        assert_eq!(inner.stream_position().unwrap(), 2);
        std::fs::remove_file(path).unwrap();
    });
}

#[test]
fn what_was_read_ahead_outlives_a_write_and_access() {
    each_task(|| async {
        let (ours, mut theirs) = std::os::unix::net::UnixStream::pair().unwrap();
        let mut socket = Unblock::new(ours);
        theirs.write_all(b"one two").unwrap();
        let mut word = [0; 3];
        socket.read_exact(&mut word).await.unwrap();
        socket.write_all(b"yes").await.unwrap();
        socket.flush().await.unwrap();
        theirs.read_exact(&mut word).unwrap();
        assert_eq!(&word, b"yes");
        socket.get_mut().await.set_nonblocking(false).unwrap();
        assert!(socket.with_mut(|socket| socket.peer_addr().is_ok()).await);
        let mut rest = [0; 4];
        socket.read_exact(&mut rest).await.unwrap();
        assert_eq!(&rest, b" two");
    });
}

#[test]
fn a_cancelled_read_loses_nothing() {
    each_task(|| async {
        let (reader, mut writer) = os::pipe();
        let mut reader = Unblock::new(reader);
        let mut byte = [0];
        for sent in 0..20_u8 {
            assert!(poll_once(reader.read(&mut byte)).is_pending(), "nothing is there");
            writer.write_all(&[sent]).unwrap();
            if sent % 2 == 0 {
                // Whatever waits for the call leaves its bytes here.
                reader.get_mut().await;
            }
            assert_eq!(reader.read(&mut byte).await.unwrap(), 1);
            assert_eq!(byte, [sent]);
        }
    });
}

#[test]
fn what_a_reader_may_answer() {
    each_task(|| async {
        let mut reader = Script::new([
            Answer::Error(ErrorKind::Interrupted),
            Answer::Bytes(b"a"),
            Answer::Error(ErrorKind::WouldBlock),
            Answer::Error(ErrorKind::NotFound),
            Answer::Bytes(b""),
            Answer::Bytes(b"b"),
            Answer::Panic,
            Answer::Bytes(b"c"),
        ]);
        let mut byte = [0];
        assert_eq!(reader.read(&mut []).await.unwrap(), 0);
        assert_eq!((reader.read(&mut byte).await.unwrap(), &byte), (1, b"a"));
        // Nobody will wake who waits for that.
        assert_eq!(reader.read(&mut byte).await.unwrap_err().kind(), ErrorKind::Other);
        assert_eq!(reader.read(&mut byte).await.unwrap_err().kind(), ErrorKind::NotFound);
        assert_eq!(reader.read(&mut byte).await.unwrap(), 0, "the end");
        assert_eq!((reader.read(&mut byte).await.unwrap(), &byte), (1, b"b"), "no end for ever");
        let panicked = AssertUnwindSafe(reader.read(&mut byte)).catch_unwind().await;
        assert_eq!(text_of(&*panicked.unwrap_err()), "as it is told");
        assert_eq!((reader.read(&mut byte).await.unwrap(), &byte), (1, b"c"), "it is still there");
        assert!(reader.into_inner().await.0.is_empty());
    });
}

#[test]
fn an_error_is_the_answer_to_what_comes_next() {
    each_task(|| async {
        for next in ["write", "flush", "close"] {
            let mut writer = Script::new([Answer::Error(ErrorKind::StorageFull)]);
            assert_eq!(writer.write(b"taken over").await.unwrap(), 10);
            // Neither waits for it nor hears of it.
            writer.get_mut().await;
            let result = match next {
                "write" => writer.write(b"more").await.map(drop),
                "flush" => writer.flush().await,
                _ => writer.close().await,
            };
            assert_eq!(result.unwrap_err().kind(), ErrorKind::StorageFull, "{next}");
            writer.write_all(b"again").await.unwrap();
            writer.close().await.unwrap();
        }
        let mut full =
            Unblock::new(std::fs::File::options().write(true).open("/dev/full").unwrap());
        full.write_all(b"x").await.unwrap();
        assert_eq!(full.flush().await.unwrap_err().kind(), ErrorKind::StorageFull);
        full.flush().await.unwrap();
        // The error of a flush itself, whose future was dropped.
        let mut writer = Script::new([Answer::Error(ErrorKind::StorageFull)]);
        assert!(poll_once(writer.flush()).is_pending());
        writer.get_mut().await;
        assert!(writer.write(b"x").await.is_err());
    });
}

#[test]
fn a_panic_in_the_writer() {
    each_task(|| async {
        let mut writer = Script::new([Answer::Panic]);
        writer.write_all(b"x").await.unwrap();
        let panicked = AssertUnwindSafe(writer.flush()).catch_unwind().await;
        assert_eq!(text_of(&*panicked.unwrap_err()), "as it is told");
        writer.write_all(b"y").await.unwrap();
        writer.flush().await.unwrap();
        // In a call of ours.
        let call = writer.with_mut(|_| panic!("in the closure"));
        let panicked = AssertUnwindSafe(call).catch_unwind().await;
        assert_eq!(text_of(&*panicked.unwrap_err()), "in the closure");
        assert_eq!(writer.with_mut(|script| script.0.len()).await, 0);
    });
}

/// Blocks in each write.
struct Slow(Barrier);

impl Write for Slow {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        self.0.block();
        Ok(buf.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn no_more_than_the_capacity_is_taken_over() {
    each_task(|| async {
        let barrier = Barrier::default();
        let mut writer = Unblock::with_capacity(100, Slow(barrier.clone()));
        assert_eq!(writer.write(&[0; 60]).await.unwrap(), 60);
        threadlet::unblock({
            let barrier = barrier.clone();
            move || wait_until("it blocks", || barrier.blocked() == 1)
        })
        .await;
        assert_eq!(writer.write(&[0; 60]).await.unwrap(), 60);
        assert_eq!(writer.write(&[0; 60]).await.unwrap(), 40);
        assert!(poll_once(writer.write(&[0; 60])).is_pending());
        barrier.let_go(1);
        // There is room while the rest is being written.
        assert_eq!(writer.write(&[0; 60]).await.unwrap(), 60);
        assert!(poll_once(writer.flush()).is_pending());
        barrier.let_go(2);
        writer.flush().await.unwrap();
        assert_eq!(barrier.came(), 3);
    });
}

#[test]
fn a_flush_reaches_what_has_a_buffer_of_its_own() {
    each_task(|| async {
        let (file, path) = file_of(b"");
        let mut early = BufWriter::new(file);
        early.write_all(b"early, ").unwrap();
        let mut writer = Unblock::from(early);
        writer.flush().await.unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"early, ");
        writer.write_all(b"late, ").await.unwrap();
        writer.flush().await.unwrap();
        writer.get_mut().await.write_all(b"behind its back").unwrap();
        writer.close().await.unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"early, late, behind its back");
        std::fs::remove_file(path).unwrap();
    });
}

#[test]
fn close_closes() {
    each_task(|| async {
        let mut cat =
            Command::new("cat").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let mut stdin = Unblock::new(cat.stdin.take().unwrap());
        let mut stdout = Unblock::new(cat.stdout.take().unwrap());
        stdin.write_all(b"through a process").await.unwrap();
        stdin.close().await.unwrap();
        let mut text = String::new();
        stdout.read_to_string(&mut text).await.unwrap();
        assert_eq!(text, "through a process");
        threadlet::unblock(move || cat.wait()).await.unwrap();
        assert_eq!(format!("{stdin:?}"), "Unblock { io: <closed>, .. }");
        stdin.close().await.unwrap();
        stdin.flush().await.unwrap();
        assert_eq!(stdin.write(b"x").await.unwrap_err().kind(), ErrorKind::NotConnected);
        let panicked = AssertUnwindSafe(stdin.get_mut()).catch_unwind().await;
        assert!(panicked.is_err());
    });
}

#[test]
fn what_it_shows_of_itself() {
    each_task(|| async {
        let (reader, mut writer) = os::pipe();
        let mut reader = Unblock::new(reader);
        assert!(format!("{reader:?}").starts_with("Unblock { io: File"));
        let mut byte = [0];
        let poll = poll_once(reader.read(&mut byte));
        assert!(matches!(poll, Poll::Pending));
        while format!("{reader:?}") != "Unblock { io: <in a call>, .. }" {
            threadlet::task::yield_now().await;
        }
        writer.write_all(b"x").unwrap();
        reader.get_mut().await;
        assert!(format!("{reader:?}").starts_with("Unblock { io: File"));
    });
}
