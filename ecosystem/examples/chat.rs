//! A chat over WebSockets:
//!
//! ```sh
//! cargo run --example chat -- 127.0.0.1:7010
//! ```
//!
//! and in the console of a browser, twice:
//!
//! ```js
//! chat = new WebSocket('ws://127.0.0.1:7010/Ann'); chat.onmessage = e => console.log(e.data)
//! chat.send('hello')
//! ```
//!
//! The path is the name; what one says, all hear. Ctrl-C stops the server: everybody is told, and
//! may close in peace.

use std::io;
use std::process::ExitCode;
use std::sync::Arc;

use async_tungstenite::tungstenite::handshake::server::{ErrorResponse, Request, Response};
use async_tungstenite::tungstenite::protocol::CloseFrame;
use async_tungstenite::tungstenite::protocol::WebSocketConfig;
use async_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use async_tungstenite::tungstenite::{self, Message};
use async_tungstenite::{WebSocketStream, accept_hdr_async_with_config};
use futures::StreamExt;
use threadlet::net::{TcpListener, TcpStream};
use threadlet::signal::unix::{SignalKind, signal};
use threadlet::task::JoinSet;
use threadlet::time::{self, Duration};
use tokio::sync::broadcast::{self, error::RecvError};

/// How many messages a client may be behind before it loses some.
const BEHIND: usize = 256;

/// The longest message.
const LONGEST: usize = 16 * 1024;

/// How long a client may take to say what it wants, and to take what it is sent.
const PATIENCE: Duration = Duration::from_secs(10);

/// What everybody hears.
type Said = broadcast::Sender<Arc<str>>;

#[threadlet::main]
async fn main() -> ExitCode {
    let address = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:7010".to_owned());
    match run(&address).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("chat: {address}: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn run(address: &str) -> io::Result<()> {
    let listener = TcpListener::bind(address).await?;
    // Before anybody is told that the server is there.
    let mut interrupt = signal(SignalKind::interrupt())?;
    println!("ws://{}", listener.local_addr()?);
    let (said, _) = broadcast::channel(BEHIND);
    let mut clients = JoinSet::new();
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            Some(_) = clients.join_next() => continue,
            _ = interrupt.recv() => break,
        };
        match accepted {
            Ok((stream, peer)) => {
                let (said, hears) = (said.downgrade(), said.subscribe());
                clients.spawn(async move {
                    match chat(stream, said, hears).await {
                        Ok(()) | Err(tungstenite::Error::ConnectionClosed) => {}
                        Err(error) => eprintln!("{peer}: {error}"),
                    }
                });
            }
            // Out of descriptors, say. The next `accept` waits a little by itself.
            Err(error) => eprintln!("accept: {error}"),
        }
    }
    // The last sender: everybody hears of the end, behind what was said before.
    drop(said);
    let ended = async { while clients.join_next().await.is_some() {} };
    if time::timeout(2 * PATIENCE, ended).await.is_err() {
        eprintln!("some clients did not end in time");
    }
    Ok(())
}

async fn chat(
    stream: TcpStream,
    said: broadcast::WeakSender<Arc<str>>,
    mut hears: broadcast::Receiver<Arc<str>>,
) -> tungstenite::Result<()> {
    stream.set_nodelay(true)?;
    let (mut client, name) = limit(greet(stream)).await?;
    let say = |text: String| {
        // None is there when the server stops, and nobody has to hear it then.
        said.upgrade().map(|said: Said| said.send(text.into()))
    };
    say(format!("{name} is here"));
    loop {
        // Both may be given up for the other: neither loses a message by that.
        let next = tokio::select! {
            message = client.next() => match message {
                Some(Ok(Message::Text(text))) => {
                    say(format!("{name}: {text}"));
                    continue;
                }
                // Pings are answered by the crate; a binary message is nobody's.
                Some(Ok(message)) if !message.is_close() => continue,
                Some(Ok(_)) | None => break,
                Some(Err(error)) => {
                    say(format!("{name} is gone"));
                    return Err(error);
                }
            },
            heard = hears.recv() => heard,
        };
        match next {
            Ok(text) => limit(client.send(Message::text(&*text))).await?,
            Err(RecvError::Lagged(missed)) => {
                limit(client.send(Message::text(format!("(you missed {missed} messages)"))))
                    .await?;
            }
            Err(RecvError::Closed) => {
                let frame = CloseFrame { code: CloseCode::Away, reason: "the server stops".into() };
                limit(client.close(Some(frame))).await?;
                break;
            }
        }
    }
    say(format!("{name} is gone"));
    // Until the other side has closed, too.
    limit(async {
        while client.next().await.is_some_and(|message| message.is_ok()) {}
        Ok(())
    })
    .await
}

/// Becomes a WebSocket; returns the name of its client.
async fn greet(stream: TcpStream) -> tungstenite::Result<(WebSocketStream<TcpStream>, String)> {
    let mut name = String::new();
    let look = |request: &Request, response: Response| -> Result<Response, ErrorResponse> {
        name = request.uri().path().trim_start_matches('/').to_owned();
        if name.is_empty() {
            let mut refused = ErrorResponse::new(Some("say who you are: /NAME".to_owned()));
            *refused.status_mut() = tungstenite::http::StatusCode::BAD_REQUEST;
            return Err(refused);
        }
        Ok(response)
    };
    let config = WebSocketConfig::default().max_message_size(Some(LONGEST));
    let client = accept_hdr_async_with_config(stream, look, Some(config)).await?;
    Ok((client, name))
}

/// A client that does not take part is not waited for.
async fn limit<T>(step: impl Future<Output = tungstenite::Result<T>>) -> tungstenite::Result<T> {
    match time::timeout(PATIENCE, step).await {
        Ok(done) => done,
        Err(late) => Err(tungstenite::Error::Io(late.into())),
    }
}
