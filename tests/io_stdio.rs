//! The standard input and outputs, as a program has them: in processes of their own.

mod support;

use std::io::{Read, Write};
use std::os::fd::AsRawFd;
use std::process::Stdio;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use futures::future::join;
use futures::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use futures::stream::StreamExt;
use threadlet::io::{stderr, stdin, stdout};
use threadlet::runtime::{Builder, Runtime};
use threadlet::time::{sleep, timeout};

use support::{child, foreign_block_on, is_child, passes, run_with_open_stdin, ticker, wait_until};

const LIMIT: Duration = Duration::from_secs(60);
const SHORT: Duration = Duration::from_millis(30);

async fn all_of_stdin() -> String {
    let mut text = String::new();
    stdin().read_to_string(&mut text).await.unwrap();
    text
}

/// The calling test as a child, which must pass, with `input` and then the end.
fn passes_with(input: Stdio, feed: &[u8]) {
    let mut child = child().stdin(input).stdout(Stdio::piped()).spawn().unwrap();
    if let Some(mut stdin) = child.stdin.take() {
        for part in feed.chunks(feed.len().div_ceil(2).max(1)) {
            stdin.write_all(part).unwrap();
            std::thread::sleep(SHORT);
        }
    }
    let output = child.wait_with_output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && text.contains("1 passed"), "{text}");
}

#[test]
fn a_pending_read_holds_up_no_shutdown() {
    if !is_child() {
        let ended = run_with_open_stdin(LIMIT, &mut child());
        return ended.demand_a_pass();
    }
    let runtime = Runtime::new().unwrap();
    let reads = runtime.spawn(async { stdin().read(&mut [0; 10]).await });
    std::thread::sleep(SHORT);
    assert!(!reads.is_finished());
    assert_eq!(runtime.metrics().async_threads, 0, "it waits, and no thread does");
    let start = Instant::now();
    drop(runtime);
    assert!(start.elapsed() < Duration::from_secs(5), "{:?}", start.elapsed());
    // The same in the root future of another runtime, given up.
    let runtime = Builder::new_current_thread().build().unwrap();
    let read = async { timeout(SHORT, stdin().read(&mut [0; 10])).await };
    assert!(runtime.block_on(read).is_err());
}

#[test]
fn lines_come_as_they_are_written() {
    if !is_child() {
        return passes_with(Stdio::piped(), b"one\ntwo\nthree\nlast without an end");
    }
    threadlet::block_on(async {
        let lines = BufReader::new(stdin()).lines().map(Result::unwrap);
        let lines: Vec<String> = lines.collect().await;
        assert_eq!(lines, ["one", "two", "three", "last without an end"]);
        assert_eq!(stdin().read(&mut [0]).await.unwrap(), 0, "the end is for good");
    });
}

#[test]
fn two_handles_and_two_runtimes_read_one_input() {
    if !is_child() {
        return passes_with(Stdio::piped(), &[b'x'; 1000]);
    }
    let mut first = stdin();
    threadlet::block_on(async {
        let mut second = stdin();
        let (mut one, mut other) = ([0; 100], [0; 100]);
        let (a, b) = join(first.read_exact(&mut one), second.read_exact(&mut other)).await;
        a.and(b).unwrap();
    });
    // In another runtime, the first one being gone.
    threadlet::block_on(async {
        let mut rest = Vec::new();
        first.read_to_end(&mut rest).await.unwrap();
        assert_eq!(rest.len(), 800);
    });
}

#[test]
fn a_file_is_read_and_so_is_nothing() {
    if !is_child() {
        passes_with(std::fs::File::open("/etc/hosts").unwrap().into(), b"");
        return passes_with(Stdio::null(), b"");
    }
    let link = std::fs::read_link("/proc/self/fd/0").unwrap();
    let text = threadlet::block_on(all_of_stdin());
    let expected = std::fs::read_to_string(link).unwrap();
    assert_eq!(text, expected);
}

#[test]
fn an_input_that_is_closed_is_at_its_end_or_an_error() {
    if !is_child() {
        passes(LIMIT, &mut child());
        return;
    }
    // SAFETY: nobody reads it here.
    unsafe { libc::close(0) };
    let start = Instant::now();
    threadlet::block_on(async {
        // An error is an answer, too; what must not be is a wait.
        let _ = stdin().read(&mut [0]).await;
    });
    assert!(start.elapsed() < Duration::from_secs(5));
}

#[test]
fn an_executor_that_is_none_of_ours_reads_it_too() {
    if !is_child() {
        return passes_with(Stdio::piped(), b"hello");
    }
    assert_eq!(foreign_block_on(all_of_stdin()), "hello");
}

/// Not flushed, and the process ends at once.
#[test]
fn what_was_written_is_there_at_the_exit() {
    if is_child() {
        threadlet::block_on(async {
            print!("<begin>");
            stdout().write_all(b"out of order? ").await.unwrap();
            print!("no");
            stdout().write_all(&[b'x'; 100_000]).await.unwrap();
            stderr().write_all(b"<errors>").await.unwrap();
            stdout().write_all(b"<end>").await.unwrap();
        });
        std::process::exit(17);
    }
    let output = child().output().unwrap();
    assert_eq!(output.status.code(), Some(17));
    let text = String::from_utf8(output.stdout).unwrap();
    let expected = format!("<begin>out of order? no{}<end>", "x".repeat(100_000));
    assert!(text.contains(&expected), "{} bytes", text.len());
    assert!(String::from_utf8(output.stderr).unwrap().ends_with("<errors>"));
}

/// Nobody reads the output: the one that writes waits, and the others do not.
#[test]
fn a_reader_that_is_slow_holds_up_the_writer_alone() {
    if is_child() {
        let runtime = Builder::new_multi_thread().worker_threads(1).build().unwrap();
        let (ticks, _ticker) = ticker(&runtime);
        let writes = runtime.spawn(async { stdout().write_all(&[b'y'; 1_000_000]).await });
        let before = ticks.load(Ordering::Relaxed);
        wait_until("the others go on", || ticks.load(Ordering::Relaxed) > before + 50);
        assert!(!writes.is_finished(), "nobody reads");
        // The sign for the other side to begin.
        eprintln!("go");
        runtime.block_on(writes).unwrap().unwrap();
        std::process::exit(0);
    }
    let mut child = child().stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut sign = [0; 2];
    child.stderr.as_mut().unwrap().read_exact(&mut sign).unwrap();
    assert_eq!(&sign, b"go");
    let mut all = Vec::new();
    child.stdout.as_mut().unwrap().read_to_end(&mut all).unwrap();
    assert_eq!(all.iter().filter(|byte| **byte == b'y').count(), 1_000_000);
    assert!(child.wait().unwrap().success());
}

#[test]
fn they_are_the_process_s_descriptors() {
    let numbers = [stdin().as_raw_fd(), stdout().as_raw_fd(), stderr().as_raw_fd()];
    assert_eq!(numbers, [0, 1, 2]);
    threadlet::block_on(async { sleep(Duration::ZERO).await });
}
