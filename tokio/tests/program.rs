//! A program that was written for tokio, with this package in the place of it.

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::time::{sleep, timeout};

const LONG: Duration = Duration::from_secs(20);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_echo() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let server = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let (mut read, mut write) = stream.split();
        tokio::io::copy(&mut read, &mut write).await.unwrap()
    });
    let talk = async {
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(b"hello").await.unwrap();
        stream.shutdown().await.unwrap();
        let mut echo = String::new();
        stream.read_to_string(&mut echo).await.unwrap();
        echo
    };
    assert_eq!(timeout(LONG, talk).await.unwrap(), "hello");
    assert_eq!(timeout(LONG, server).await.unwrap().unwrap(), 5);
}

/// The halves are of the stream, which is whole again when they are put together.
#[tokio::test]
async fn halves_show_their_stream_and_make_it_again() {
    let (mut here, mut there) = tokio::net::UnixStream::pair().unwrap();
    let (read, write) = here.split();
    assert!(std::ptr::eq::<tokio::net::UnixStream>(read.as_ref(), write.as_ref()));
    let (read, mut write) = here.into_split();
    write.write_all(b"one ").await.unwrap();
    let (other, _peer) = tokio::net::UnixStream::pair().unwrap();
    let error = read.reunite(other.into_split().1).unwrap_err();
    let mut here = error.0.reunite(write).unwrap();
    here.write_all(b"two ").await.unwrap();
    let (_read, mut write) = here.into_split();
    write.write_all(b"three").await.unwrap();
    drop(write);
    let mut text = String::new();
    there.read_to_string(&mut text).await.unwrap();
    assert_eq!(text, "one two three");
    let (mut here, mut there) = tokio::net::UnixStream::pair().unwrap();
    here.split().1.write_all(b"x").await.unwrap();
    let (read, write) = here.into_split();
    write.forget();
    let mut byte = [0];
    there.read_exact(&mut byte).await.unwrap();
    let end = timeout(Duration::from_millis(10), there.read(&mut byte)).await;
    assert!(end.is_err(), "forgotten, not shut down");
    drop(read);
    assert_eq!(timeout(LONG, there.read(&mut byte)).await.unwrap().unwrap(), 0);
}

#[tokio::test]
async fn a_call_that_blocks_holds_up_neither_the_root_nor_a_timer() {
    let (release, released) = std::sync::mpsc::channel();
    let blocked = tokio::task::spawn_blocking(move || released.recv_timeout(LONG).unwrap());
    tokio::select! {
        _ = sleep(Duration::from_millis(1)) => release.send(7).unwrap(),
        _ = sleep(LONG) => panic!("the first comes first"),
    }
    assert_eq!(timeout(LONG, blocked).await.unwrap().unwrap(), 7);
    assert_eq!(tokio::task::block_in_place(|| 7), 7);
}

/// What tokio has with `--cfg tokio_unstable` only.
#[tokio::test]
async fn a_task_has_a_name_and_a_child_a_start_of_its_own() {
    let set = tokio::task::LocalSet::new();
    let handle = tokio::runtime::Handle::current();
    let named = |name| tokio::task::Builder::new().name(name);
    let spawned = named("spawned").spawn(async { 1 }).unwrap();
    let elsewhere = named("elsewhere").spawn_on(async { 2 }, &handle).unwrap();
    let local = named("local").spawn_local_on(async { 3 }, &set).unwrap();
    let call = named("call").spawn_blocking_on(|| 4, &handle).unwrap();
    set.await;
    let mut sum = 0;
    for task in [spawned, elsewhere, local, call] {
        sum += task.await.unwrap();
    }
    assert_eq!(sum, 10);
    let mut shell = tokio::process::Command::new("sh");
    let mut child = shell.spawn_with(|std| std.args(["-c", "exit 3"]).spawn()).unwrap();
    assert_eq!(child.wait().await.unwrap().code(), Some(3));
}

/// tokio's own needs tokio's timer, whose runtime does not run.
#[tokio::test]
async fn a_sender_waits_for_so_long() {
    let (sender, mut receiver) = mpsc::channel(1);
    sender.send(1).await.unwrap();
    let late = sender.send_timeout(2, Duration::from_millis(1)).await.unwrap_err();
    assert_eq!(late.into_inner(), 2);
    assert_eq!(receiver.recv().await, Some(1));
    sender.send_timeout(3, LONG).await.unwrap();
    drop(receiver);
    let closed = sender.send_timeout(4, LONG).await.unwrap_err();
    assert!(matches!(closed, mpsc::error::SendTimeoutError::Closed(4)));
}

/// Nothing of it is ours: the channel counts units of tokio's budget. Without them the poll would
/// never end, and the time would never be up.
#[tokio::test]
async fn a_channel_that_is_never_empty_lets_others_go_on() {
    let (sender, mut receiver) = mpsc::unbounded_channel();
    let mut received = 0_u64;
    let never_empty = async {
        loop {
            sender.send(()).unwrap();
            receiver.recv().await.unwrap();
            received += 1;
        }
    };
    timeout(Duration::from_millis(10), never_empty).await.unwrap_err();
    assert!(received > 128, "{received}: more than one poll");
}

/// A plain thread has no budget before, nor behind.
#[test]
fn a_plain_thread_counts_nothing() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let (sender, mut receiver) = mpsc::unbounded_channel();
        for _ in 0..1000 {
            sender.send(()).unwrap();
            receiver.recv().await.unwrap();
        }
    });
    let (sender, mut receiver) = mpsc::unbounded_channel();
    for number in 0..1000 {
        sender.send(number).unwrap();
        let mut cx = std::task::Context::from_waker(std::task::Waker::noop());
        assert!(receiver.poll_recv(&mut cx).is_ready(), "number {number}");
    }
}

#[tokio::test]
async fn a_file_is_written_sought_and_read() {
    let path = std::env::temp_dir().join(format!("threadlet-tokio-{}", std::process::id()));
    let mut options = tokio::fs::OpenOptions::new();
    options.read(true).write(true).create_new(true);
    let mut file = options.open(&path).await.unwrap();
    tokio::fs::remove_file(&path).await.unwrap();
    file.write_all(b"0123456789").await.unwrap();
    use tokio::io::AsyncSeekExt;
    assert_eq!(file.seek(std::io::SeekFrom::End(-3)).await.unwrap(), 7);
    let mut end = String::new();
    file.read_to_string(&mut end).await.unwrap();
    assert_eq!(end, "789");
    assert!(format!("{file:?}").starts_with("tokio::fs::File"));
}

/// In a call there is no budget: whoever runs another executor in it would wait for ever.
#[tokio::test]
async fn a_call_counts_nothing() {
    fn many() {
        let (sender, mut receiver) = mpsc::unbounded_channel();
        let mut cx = std::task::Context::from_waker(std::task::Waker::noop());
        for number in 0..1000 {
            sender.send(number).unwrap();
            assert!(receiver.poll_recv(&mut cx).is_ready(), "number {number}");
        }
    }
    tokio::task::spawn_blocking(many).await.unwrap();
    tokio::task::block_in_place(many);
    tokio::spawn(async { tokio::task::block_in_place(many) }).await.unwrap();
}
