//! `chat`: what one says, all hear, in order; and how it ends.

use std::net::TcpStream;

use async_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use async_tungstenite::tungstenite::{Error, Message, WebSocket, client};

use crate::support::{Server, connect};

fn start() -> (Server, String) {
    let (server, line) = Server::start("chat", &["127.0.0.1:0"]);
    let address = line.strip_prefix("ws://").expect("it says where it is").to_owned();
    (server, address)
}

fn join(address: &str, name: &str) -> WebSocket<TcpStream> {
    let (mut client, _) = client(format!("ws://{address}/{name}"), connect(address)).unwrap();
    // Its own arrival is what it hears first.
    assert_eq!(hear(&mut client), format!("{name} is here"));
    client
}

#[track_caller]
fn hear(client: &mut WebSocket<TcpStream>) -> String {
    client.read().unwrap().into_text().unwrap().to_string()
}

#[test]
fn what_one_says_all_hear() {
    let (server, address) = start();
    let mut ann = join(&address, "Ann");
    let mut bob = join(&address, "Bob");
    assert_eq!(hear(&mut ann), "Bob is here");
    for n in 0..100 {
        ann.send(Message::text(format!("{n}"))).unwrap();
    }
    bob.send(Message::Ping("?".into())).unwrap();
    let mut pongs = 0;
    for n in 0..100 {
        assert_eq!(hear(&mut ann), format!("Ann: {n}"));
        let mut heard = bob.read().unwrap();
        if heard.is_pong() {
            pongs += 1;
            heard = bob.read().unwrap();
        }
        assert_eq!(heard.into_text().unwrap(), format!("Ann: {n}"));
    }
    if pongs == 0 {
        assert!(bob.read().unwrap().is_pong());
    }
    bob.close(None).unwrap();
    assert!(bob.read().unwrap().is_close());
    assert!(matches!(bob.read(), Err(Error::ConnectionClosed)));
    assert_eq!(hear(&mut ann), "Bob is gone");
    // One who goes without a word.
    let carl = join(&address, "Carl");
    assert_eq!(hear(&mut ann), "Carl is here");
    drop(carl);
    assert_eq!(hear(&mut ann), "Carl is gone");
    drop(ann);
    server.stop();
}

#[test]
fn everybody_is_told_of_the_end() {
    let (server, address) = start();
    let mut clients: Vec<_> = (0..10).map(|n| join(&address, &n.to_string())).collect();
    server.signal(libc::SIGINT);
    for client in &mut clients {
        let frame = loop {
            match client.read().unwrap() {
                Message::Close(frame) => break frame,
                message => assert!(message.to_text().unwrap().ends_with(" is here")),
            }
        };
        assert_eq!(frame.unwrap().code, CloseCode::Away);
        assert!(matches!(client.read(), Err(Error::ConnectionClosed)));
    }
    let (status, said) = server.end();
    assert!(status.success() && said.is_empty(), "{status}: {said}");
}

#[test]
fn who_has_no_name_is_sent_away() {
    let (server, address) = start();
    let refused = client(format!("ws://{address}/"), connect(&address)).unwrap_err();
    assert!(refused.to_string().contains("400"), "{refused}");
    let mut ann = join(&address, "Ann");
    ann.send(Message::text("x".repeat(100_000))).unwrap();
    loop {
        match ann.read() {
            Ok(message) => assert!(!message.to_string().contains("xxx")),
            Err(_) => break,
        }
    }
    let said = server.stop();
    assert!(said.contains("too long"), "{said}");
}
