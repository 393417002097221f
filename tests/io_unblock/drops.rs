//! An `Unblock` dropped, or left by its runtime, in every state.

use std::fs::File;
use std::io::{self, Read, Write};
use std::time::Duration;

use futures::io::{AsyncReadExt, AsyncSeekExt, AsyncWriteExt};
use threadlet::runtime::Builder;
use threadlet::{Unblock, unblock};

use super::support::{
    Barrier, build, child, foreign_block_on, is_child, os, run_with_open_stdin, wait_until,
};
use super::{Counted, Drops, LIMIT, each, each_task, file_of, pattern, poll_once, stuck};

/// A file whose end is counted.
struct Watched(File, #[allow(dead_code, reason = "it is there to be dropped")] Counted);

impl Read for Watched {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        self.0.read(buf)
    }
}

impl Write for Watched {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        self.0.write(buf)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

#[test]
fn before_the_first_poll() {
    each_task(|| async {
        let drops = Drops::default();
        let mut reader = Unblock::new(Watched(File::open("/dev/null").unwrap(), drops.one()));
        drop(reader.read(&mut [0]));
        drop(reader.get_mut());
        drop(reader.with_mut(|_| panic!("it never starts")));
        drop(reader);
        assert_eq!(drops.count(), 1);
        drop(Unblock::new(Watched(File::open("/dev/null").unwrap(), drops.one())).into_inner());
        assert_eq!(drops.count(), 2);
    });
}

#[test]
fn before_a_read_has_started() {
    each(|detector| {
        let (runtime, barrier) = stuck(detector);
        let (reader, mut writer) = os::pipe();
        let (drops, mut kept) = (Drops::default(), reader.try_clone().unwrap());
        let entered = runtime.enter();
        let mut reader = Unblock::new(Watched(reader, drops.one()));
        assert!(poll_once(reader.read(&mut [0])).is_pending());
        drop((reader, entered));
        writer.write_all(b"x").unwrap();
        barrier.let_go(3);
        wait_until("it is dropped", || drops.count() == 1);
        let mut byte = [0];
        kept.read_exact(&mut byte).unwrap();
        assert_eq!(&byte, b"x", "nobody has read it");
    });
}

#[test]
fn while_it_reads() {
    each_task(|| async {
        let (reader, mut writer) = os::pipe();
        let drops = Drops::default();
        let mut reader = Unblock::new(Watched(reader, drops.one()));
        let mut byte = [0];
        let read = reader.read(&mut byte);
        assert!(threadlet::time::timeout(Duration::from_millis(10), read).await.is_err());
        drop(reader);
        assert_eq!(drops.count(), 0, "the call has it");
        writer.write_all(b"x").unwrap();
        unblock(move || wait_until("it is dropped", || drops.count() == 1)).await;
    });
}

#[test]
fn while_it_writes() {
    each_task(|| async {
        const LENGTH: usize = 1 << 20;
        let (mut reader, writer) = os::pipe();
        let mut writer = Unblock::with_capacity(LENGTH, writer);
        // More than the pipe holds: a call is in the middle of it.
        writer.write_all(&pattern(LENGTH)).await.unwrap();
        threadlet::time::sleep(Duration::from_millis(5)).await;
        // And more than that call has taken.
        writer.write_all(b"the end").await.unwrap();
        assert!(poll_once(writer.flush()).is_pending());
        drop(writer);
        let mut read = Vec::new();
        let read = unblock(move || reader.read_to_end(&mut read).map(|_| read)).await.unwrap();
        assert!(read.starts_with(&pattern(LENGTH)) && read.ends_with(b"the end"));
        assert_eq!(read.len(), LENGTH + 7);
    });
}

#[test]
fn before_what_was_written_has_been_looked_at() {
    each(|detector| {
        for shut_down in [false, true] {
            let (runtime, barrier) = stuck(detector);
            let (file, path) = file_of(b"");
            let entered = runtime.enter();
            let mut writer = Unblock::new(file);
            foreign_block_on(writer.write_all(b"written, dropped, ")).unwrap();
            foreign_block_on(writer.write_all(b"and there")).unwrap();
            drop((writer, entered));
            if shut_down {
                runtime.shutdown_background();
            }
            barrier.let_go(3);
            let there = || std::fs::read(&path).unwrap() == b"written, dropped, and there";
            wait_until("it is there", there);
            std::fs::remove_file(path).unwrap();
        }
    });
}

#[test]
fn written_by_the_last_task_of_a_runtime() {
    each(|detector| {
        for mut builder in [Builder::new_current_thread(), Builder::new_multi_thread()] {
            let runtime = build(builder.worker_threads(1), detector);
            let (file, path) = file_of(b"");
            runtime.block_on(async {
                Unblock::new(file).write_all(b"without a flush").await.unwrap();
            });
            drop(runtime);
            wait_until("it is there", || std::fs::read(&path).unwrap() == b"without a flush");
            std::fs::remove_file(path).unwrap();
        }
    });
}

#[test]
fn after_a_flush() {
    each(|detector| {
        let runtime = build(Builder::new_current_thread().worker_threads(1), detector);
        let (file, path) = file_of(b"");
        runtime.block_on(async {
            let mut writer = Unblock::new(io::BufWriter::new(file));
            writer.write_all(&pattern(100_000)).await.unwrap();
            writer.flush().await.unwrap();
        });
        // At once, whatever becomes of the runtime.
        assert!(std::fs::read(&path).unwrap() == pattern(100_000));
        drop(runtime);
        std::fs::remove_file(path).unwrap();
    });
}

/// The runtime in which a call waits is shut down: the next poll starts it in another.
#[test]
fn a_runtime_goes_and_it_stays() {
    each(|detector| {
        let (runtime, barrier) = stuck(detector);
        let (file, path) = file_of(b"0123456789");
        let entered = runtime.enter();
        let mut reader = Unblock::new(file.try_clone().unwrap());
        assert!(poll_once(reader.read(&mut [0])).is_pending());
        let mut writer = Unblock::new(Vec::new());
        foreign_block_on(writer.write_all(b"abc")).unwrap();
        let mut seeker = Unblock::new(io::Cursor::new([0; 9]));
        assert!(poll_once(seeker.seek(io::SeekFrom::End(0))).is_pending());
        drop(entered);
        runtime.shutdown_background();
        barrier.let_go(3);
        let mut text = String::new();
        foreign_block_on(reader.read_to_string(&mut text)).unwrap();
        assert_eq!(text, "0123456789");
        assert_eq!(foreign_block_on(writer.into_inner()), b"abc");
        assert_eq!(foreign_block_on(seeker.seek(io::SeekFrom::End(0))).unwrap(), 9);
        std::fs::remove_file(path).unwrap();
    });
}

/// What was to run once and was polled is run once, by whoever is there.
#[test]
fn a_closure_goes_to_another_runtime_too() {
    each(|detector| {
        let (runtime, barrier) = stuck(detector);
        let mut value = Unblock::new(1);
        let mut call = Box::pin(value.with_mut(|value| {
            *value += 1;
            *value
        }));
        let entered = runtime.enter();
        assert!(poll_once(&mut call).is_pending());
        drop(entered);
        runtime.shutdown_background();
        barrier.let_go(3);
        assert_eq!(foreign_block_on(call), 2);
    });
}

/// tokio 2466: the end of the program waited for a read of the standard input that nobody awaits.
#[test]
fn a_pending_read_of_stdin_does_not_hold_up_main() {
    #[threadlet::main]
    async fn main() {
        let mut stdin = Unblock::new(io::stdin());
        let mut byte = [0];
        let read = stdin.read(&mut byte);
        let timeout = threadlet::time::timeout(Duration::from_millis(50), read);
        timeout.await.expect_err("nobody writes");
    }
    if is_child() {
        return main();
    }
    run_with_open_stdin(LIMIT, &mut child()).demand_a_pass();
}

/// The same, where the global runtime reads.
#[test]
fn a_pending_read_of_stdin_does_not_hold_up_the_end() {
    if !is_child() {
        return run_with_open_stdin(LIMIT, &mut child()).demand_a_pass();
    }
    let barrier = Barrier::default();
    let mine = barrier.clone();
    let mut stdin = Unblock::new(io::stdin());
    foreign_block_on(stdin.with_mut(move |_| mine.let_go(1)));
    barrier.block();
    assert!(poll_once(stdin.read(&mut [0])).is_pending());
    std::thread::sleep(Duration::from_millis(50));
}

/// Its parts may go where those of `T` may.
#[test]
fn what_it_may_be_sent_to() {
    fn all<T: Send + Sync + Unpin>() {}
    all::<Unblock<File>>();
    all::<threadlet::Unblocked<std::cell::Cell<u8>>>();
}
