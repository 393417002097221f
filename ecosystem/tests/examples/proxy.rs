//! `proxy`: what passes, and that the two directions end apart.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener};

use crate::support::{LIMIT, Server, connect};

fn start(target: &str) -> (Server, String) {
    let (server, line) = Server::start("proxy", &["127.0.0.1:0", target]);
    let address = line.strip_prefix("listening on ").expect("it says where it is").to_owned();
    (server, address)
}

fn target() -> (TcpListener, String) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    (listener, address)
}

/// The server answers only when it has read the client's end: with both directions ended at once,
/// nothing would come back.
#[test]
fn a_half_that_is_closed_leaves_the_other_open() {
    let (listener, to) = target();
    let (proxy, address) = start(&to);
    let server = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        stream.set_read_timeout(Some(LIMIT)).unwrap();
        let mut all = Vec::new();
        stream.read_to_end(&mut all).unwrap();
        all.reverse();
        stream.write_all(&all).unwrap();
    });
    let sent: Vec<u8> = (0..1_000_000_u32).map(|n| (n % 253) as u8).collect();
    let mut client = connect(&address);
    client.write_all(&sent).unwrap();
    client.shutdown(Shutdown::Write).unwrap();
    let mut came = Vec::new();
    client.read_to_end(&mut came).unwrap();
    server.join().unwrap();
    came.reverse();
    assert!(came == sent, "{} of {} bytes came back", came.len(), sent.len());
    proxy.stop();
}

/// And the other way round: the server says all it has to say first.
#[test]
fn the_server_s_half_may_end_first() {
    let (listener, to) = target();
    let (proxy, address) = start(&to);
    let mut client = connect(&address);
    let (mut server, _) = listener.accept().unwrap();
    server.set_read_timeout(Some(LIMIT)).unwrap();
    server.write_all(b"all I know").unwrap();
    server.shutdown(Shutdown::Write).unwrap();
    let mut text = String::new();
    client.read_to_string(&mut text).unwrap();
    assert_eq!(text, "all I know");
    client.write_all(b"thanks").unwrap();
    drop(client);
    text.clear();
    server.read_to_string(&mut text).unwrap();
    assert_eq!(text, "thanks");
    proxy.stop();
}

#[test]
fn clients_without_a_server_are_sent_away_and_others_are_served() {
    // A port that nobody listens on.
    let (listener, nobody) = target();
    drop(listener);
    let (proxy, address) = start(&nobody);
    for _ in 0..3 {
        assert_eq!(connect(&address).read(&mut [0; 8]).unwrap_or(0), 0);
    }
    let said = proxy.stop();
    assert_eq!(said.lines().filter(|line| line.contains("refused")).count(), 3, "{said}");
}

/// Those that are there go on; nobody new is let in.
#[test]
fn it_stops_when_its_clients_have_gone() {
    let (listener, to) = target();
    let (proxy, address) = start(&to);
    let mut client = connect(&address);
    let (mut server, _) = listener.accept().unwrap();
    client.write_all(b"?").unwrap();
    server.read_exact(&mut [0]).unwrap();
    proxy.signal(libc::SIGINT);
    while std::net::TcpStream::connect(&address).is_ok() {
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
    server.write_all(b"!").unwrap();
    client.read_exact(&mut [0]).unwrap();
    // With it go those that came while the proxy was stopping.
    drop((client, server, listener));
    let (status, said) = proxy.end();
    assert!(status.success() && !said.contains("did not end"), "{status}: {said}");
}
