//! Unix sockets and pipes.

use std::ffi::OsString;
use std::io::{self, Read, Write};
use std::net::Shutdown;
use std::os::unix::ffi::OsStringExt;
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures::future::{join, join_all};
use futures::io::{AsyncReadExt, AsyncWriteExt};

use super::datagram::UnixDatagram;
use super::listener::UnixListener;
use super::pipe;
use super::stream::UnixStream;
use super::{ReuniteError, SocketAddr, UnixSocket};
use crate::driver::testing::block_on;
use crate::driver::{Interest, Ready};
use crate::time::{sleep, timeout};

const SHORT: Duration = Duration::from_millis(5);

/// A name in the abstract namespace that nobody else has.
fn name() -> OsString {
    static COUNT: AtomicUsize = AtomicUsize::new(0);
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    OsString::from_vec(format!("\0threadlet-{}-{count}", std::process::id()).into_bytes())
}

/// A path that nothing is at, and that nothing is at afterwards.
struct Scratch(PathBuf);

impl Scratch {
    fn new(name: &str) -> Scratch {
        let path = std::env::temp_dir().join(format!("threadlet-{name}-{}", std::process::id()));
        let _ = std::fs::remove_file(&path);
        Scratch(path)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

#[test]
fn a_stream_by_a_path_knows_its_addresses_and_its_peer() {
    block_on(async {
        let path = Scratch::new("stream");
        let listener = UnixListener::bind(&path.0).expect("bound");
        let address = listener.local_addr().expect("bound");
        assert_eq!(address.as_pathname(), Some(&*path.0));
        let error = UnixListener::bind(&path.0).expect_err("taken");
        assert_eq!(error.kind(), io::ErrorKind::AddrInUse);
        let (client, server) = join(UnixStream::connect(&path.0), listener.accept()).await;
        let (client, (server, peer)) = (client.expect("connected"), server.expect("accepted"));
        assert!(peer.is_unnamed());
        assert_eq!(client.peer_addr().expect("connected").as_pathname(), Some(&*path.0));
        assert_eq!(server.local_addr().expect("connected").as_pathname(), Some(&*path.0));
        let who = server.peer_cred().expect("known");
        assert_eq!(who.pid(), Some(std::process::id() as i32));
        assert_eq!(who, client.peer_cred().expect("known"));
        let again = UnixStream::connect_addr(&address).await.expect("by the address");
        drop(listener);
        let error = UnixStream::connect(&path.0).await.expect_err("nobody listens");
        assert_eq!(error.kind(), io::ErrorKind::ConnectionRefused);
        // One that nobody has accepted is reset with the listener, which is told once.
        let reset = again.take_error().expect("asked").expect("reset");
        assert_eq!(reset.kind(), io::ErrorKind::ConnectionReset);
        assert!(again.take_error().expect("asked").is_none());
    });
}

#[test]
fn a_stream_by_an_abstract_name() {
    block_on(async {
        let name = name();
        let listener = UnixListener::bind(&name).expect("bound");
        let address = listener.local_addr().expect("bound");
        assert_eq!(address.as_abstract_name(), Some(&name.as_encoded_bytes()[1..]));
        let client = UnixStream::connect(&name).await.expect("connected");
        let again = UnixStream::connect_addr(&address).await.expect("connected");
        for client in [client, again] {
            let (server, _) = listener.accept().await.expect("accepted");
            (&client).write_all(b"x").await.expect("written");
            (&server).read_exact(&mut [0]).await.expect("read");
        }
        // A socket that was bound first.
        let socket = UnixSocket::new_stream().expect("made");
        let own = self::name();
        socket.bind(&own).expect("bound");
        let client = socket.connect(&name).await.expect("connected");
        let (_server, peer) = listener.accept().await.expect("accepted");
        assert_eq!(peer.as_abstract_name(), Some(&own.as_encoded_bytes()[1..]));
        drop(client);
        let socket = UnixSocket::new_stream().expect("made");
        let other = self::name();
        socket.bind(&other).expect("bound");
        let listener = socket.listen(4).expect("listens");
        let (client, server) = join(UnixStream::connect(&other), listener.accept()).await;
        assert!(client.is_ok() && server.is_ok());
        assert!(UnixSocket::new_datagram().expect("made").listen(1).is_err());
        assert!(UnixSocket::new_stream().expect("made").datagram().is_err());
    });
}

#[test]
fn halves_and_readiness() {
    block_on(async {
        let (mut here, there) = UnixStream::pair().expect("a pair");
        {
            let (mut read, mut write) = UnixStream::split(&mut here);
            write.write_all(b"ping").await.expect("written");
            (&there).write_all(b"pong").await.expect("written");
            let mut text = [0; 4];
            read.read_exact(&mut text).await.expect("read");
            assert_eq!(&text, b"pong");
            let error = read.try_read(&mut text).expect_err("nothing is left");
            assert_eq!(error.kind(), io::ErrorKind::WouldBlock);
            assert_eq!(write.ready(Interest::WRITABLE).await.expect("room"), Ready::WRITABLE);
        }
        let (read, write) = here.into_split();
        let (mut other_read, other_write) = there.into_split();
        let ReuniteError(read, other_write) = read.reunite(other_write).expect_err("not of one");
        assert!(read.peer_addr().expect("connected").is_unnamed());
        other_write.forget();
        other_read.read_exact(&mut [0; 4]).await.expect("read");
        // The end, since the writing half goes.
        drop(write);
        assert_eq!(other_read.read(&mut [0]).await.expect("the end"), 0);
        sleep(SHORT).await;
        let ready = other_read.ready(Interest::READABLE).await.expect("the end");
        assert!(ready.is_read_closed());
    });
}

#[test]
fn from_std_and_back() {
    block_on(async {
        let (here, mut there) = std::os::unix::net::UnixStream::pair().expect("a pair");
        let here = UnixStream::try_from(here).expect("registered");
        let read = async {
            let mut byte = [0];
            (&here).read_exact(&mut byte).await.expect("read");
            byte[0]
        };
        let write = async {
            sleep(SHORT).await;
            there.write_all(b"x").expect("written");
        };
        assert_eq!(join(read, write).await.0, b'x');
        here.shutdown_std(Shutdown::Write).expect("connected");
        assert_eq!(there.read(&mut [0]).expect("the end"), 0);
        let here = here.into_std().expect("unregistered");
        here.set_nonblocking(false).expect("set");
    });
}

#[test]
fn datagrams_keep_their_bounds_and_what_does_not_fit_is_lost() {
    block_on(async {
        let (here, there) = UnixDatagram::pair().expect("a pair");
        here.send(b"one").await.expect("sent");
        here.send(b"three").await.expect("sent");
        let mut buf = [0; 4];
        assert_eq!(there.recv(&mut buf).await.expect("received"), 3);
        assert_eq!(there.recv(&mut buf).await.expect("received"), 4);
        assert_eq!(&buf, b"thre");
        assert_eq!(there.try_recv(&mut buf).expect_err("none").kind(), io::ErrorKind::WouldBlock);
        // The queue is full: the sender waits until somebody receives.
        let mut count = 0;
        while here.try_send(&[0; 1000]).is_ok() {
            count += 1;
        }
        assert!(timeout(SHORT, here.send(b"last")).await.is_err(), "no room");
        let drain = async {
            sleep(SHORT).await;
            let mut big = [0; 1000];
            for _ in 0..count {
                there.recv(&mut big).await.expect("received");
            }
        };
        let (sent, ()) = join(here.send(b"last"), drain).await;
        assert_eq!(sent.expect("sent"), 4);
        assert_eq!(there.recv(&mut buf).await.expect("received"), 4);
        assert_eq!(&buf, b"last");
    });
}

#[test]
fn datagrams_by_name() {
    block_on(async {
        let (name, path) = (name(), Scratch::new("datagram"));
        let by_name = UnixDatagram::bind(&name).expect("bound");
        let by_path = UnixDatagram::bind(&path.0).expect("bound");
        by_path.send_to(b"hello", &name).await.expect("sent");
        let mut buf = [0; 16];
        let (count, from) = by_name.recv_from(&mut buf).await.expect("received");
        assert_eq!((&buf[..count], from.as_pathname()), (&b"hello"[..], Some(&*path.0)));
        by_name.try_send_to(b"back", &path.0).expect("sent");
        let (count, from) = by_path.recv_from(&mut buf).await.expect("received");
        let expected = &name.as_encoded_bytes()[1..];
        assert_eq!((&buf[..count], from.as_abstract_name()), (&b"back"[..], Some(expected)));
        let nameless = UnixDatagram::unbound().expect("made");
        nameless.connect(&name).expect("connected");
        nameless.send(b"!").await.expect("sent");
        let (_, from) = by_name.recv_from(&mut buf).await.expect("received");
        assert!(from.is_unnamed());
        assert_eq!(nameless.peer_addr().expect("set").as_abstract_name(), Some(expected));
        drop(by_name);
        let error = nameless.send(b"!").await.expect_err("nobody");
        assert_eq!(error.kind(), io::ErrorKind::ConnectionRefused);
        let socket = UnixSocket::new_datagram().expect("made").datagram().expect("one");
        socket.shutdown(Shutdown::Both).expect("shut down");
    });
}

#[test]
fn a_pipe_ends_with_its_sender() {
    block_on(async {
        let (mut sender, mut receiver) = pipe::pipe().expect("a pipe");
        let write = async {
            sleep(SHORT).await;
            sender.write_all(&[7; 200_000]).await.expect("written");
            drop(sender);
        };
        let mut all = Vec::new();
        let (read, ()) = join(receiver.read_to_end(&mut all), write).await;
        assert_eq!((read.expect("read"), all.len()), (200_000, 200_000));
        let (sender, receiver) = pipe::pipe().expect("a pipe");
        drop(receiver);
        let error = sender.try_write(b"x").expect_err("nobody reads");
        assert_eq!(error.kind(), io::ErrorKind::BrokenPipe);
        assert!(sender.ready(Interest::WRITABLE).await.expect("the end").is_write_closed());
    });
}

#[test]
fn a_named_pipe_waits_for_its_first_writer() {
    block_on(async {
        let path = Scratch::new("fifo");
        let made = std::process::Command::new("mkfifo").arg(&path.0).status();
        assert!(made.expect("mkfifo is there").success());
        let error = pipe::OpenOptions::new().open_sender(&path.0).expect_err("nobody reads");
        assert_eq!(error.raw_os_error(), Some(libc::ENXIO));
        let mut receiver = pipe::OpenOptions::new().open_receiver(&path.0).expect("opened");
        // A plain read says that it is at its end.
        assert!(timeout(SHORT, receiver.read(&mut [0])).await.is_err(), "there is no writer yet");
        let error = receiver.try_read(&mut [0]).expect_err("there is no writer yet");
        assert_eq!(error.kind(), io::ErrorKind::WouldBlock);
        for _ in 0..3 {
            let mut sender = pipe::OpenOptions::new().open_sender(&path.0).expect("opened");
            sender.write_all(b"abc").await.expect("written");
            receiver.read_exact(&mut [0; 3]).await.expect("read");
            drop(sender);
            assert_eq!(receiver.read(&mut [0]).await.expect("the end"), 0);
        }
        // Open for both, there is no end.
        let both = pipe::OpenOptions::new().read_write(true).open_receiver(&path.0);
        let mut both = both.expect("opened");
        let mut sender = pipe::OpenOptions::new().open_sender(&path.0).expect("opened");
        sender.write_all(b"x").await.expect("written");
        drop(sender);
        both.read_exact(&mut [0]).await.expect("read");
        assert!(timeout(SHORT, both.read(&mut [0])).await.is_err(), "no end");
        let error = pipe::OpenOptions::new().open_receiver("/etc/hosts").expect_err("no pipe");
        assert_eq!(error.kind(), io::ErrorKind::InvalidInput);
    });
}

#[test]
fn a_pipe_is_taken_over_for_its_direction() {
    block_on(async {
        let (sender, receiver) = pipe::pipe().expect("a pipe");
        let fd = sender.into_blocking_fd().expect("unregistered");
        let error = pipe::Receiver::from_owned_fd(fd).expect_err("the wrong end");
        assert_eq!(error.kind(), io::ErrorKind::InvalidInput);
        let fd = receiver.into_blocking_fd().expect("unregistered");
        let receiver = pipe::Receiver::from_owned_fd(fd).expect("the right end");
        receiver.into_nonblocking_fd().expect("unregistered");
        let file = std::fs::File::open("/etc/hosts").expect("there is one");
        let error = pipe::Receiver::from_file(file).expect_err("no pipe");
        assert_eq!(error.kind(), io::ErrorKind::InvalidInput);
    });
}

#[test]
fn many_tasks_may_accept() {
    block_on(async {
        let name = name();
        let listener = UnixListener::bind(&name).expect("bound");
        let accepts = join_all((0..5).map(|_| listener.accept()));
        let connects = join_all((0..5).map(|_| UnixStream::connect(&name)));
        let (accepted, connected) = join(accepts, connects).await;
        assert!(accepted.iter().all(Result::is_ok) && connected.iter().all(Result::is_ok));
    });
}

#[test]
fn an_address_is_the_standard_library_s() {
    let address = std::os::unix::net::SocketAddr::from_pathname("/a/b").expect("a path");
    let address = SocketAddr::from(address);
    assert_eq!(format!("{address:?}"), r#""/a/b" (pathname)"#);
    let address = std::os::unix::net::SocketAddr::from(address);
    assert!(address.as_pathname().is_some());
}
