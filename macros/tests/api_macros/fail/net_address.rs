//! What is no address.

use threadlet::net::{TcpListener, TcpStream};

#[threadlet::main]
async fn main() {
    TcpListener::bind(8080).await.unwrap();
    TcpStream::connect(("localhost", "http")).await.unwrap();
}
