//! tokio's I/O traits on our types, in a program of tokio's: `tokio::fs` and `tokio::net` replaced,
//! and nothing else.

use std::io::SeekFrom;

use threadlet::fs::{self, File};
use threadlet::{Unblock, net};
use tokio::io::{AsyncReadExt, AsyncSeekExt, AsyncWrite, AsyncWriteExt};

fn in_tokio<F: Future>(future: F) -> F::Output {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    runtime.block_on(future)
}

fn scratch(name: &str) -> std::path::PathBuf {
    std::env::temp_dir().join(format!("threadlet-tokio1-{name}-{}", std::process::id()))
}

#[test]
fn a_file_is_written_sought_and_read_in_tokio_s_words() {
    let path = scratch("file");
    let text = in_tokio(async {
        let mut file = File::create(&path).await?;
        file.write_all(b"one two three").await?;
        // No write-behind: it is there, flushed or not.
        assert_eq!(fs::read(&path).await?, b"one two three");
        let mut file = File::open(&path).await?;
        assert_eq!(file.seek(SeekFrom::Start(4)).await?, 4);
        let mut three = [0; 3];
        file.read_exact(&mut three).await?;
        assert_eq!(&three, b"two");
        assert_eq!(file.stream_position().await?, 7);
        assert_eq!(file.seek(SeekFrom::Current(-3)).await?, 4);
        let mut text = String::new();
        file.read_to_string(&mut text).await?;
        file.shutdown().await?;
        std::io::Result::Ok(text)
    });
    std::fs::remove_file(&path).unwrap();
    assert_eq!(text.unwrap(), "two three");
}

#[test]
fn a_file_takes_several_buffers_at_once() {
    let path = scratch("vectored");
    let text = in_tokio(async {
        let mut file = File::create(&path).await?;
        assert!(AsyncWrite::is_write_vectored(&file));
        let bufs = [&b"one "[..], b"", b"two"].map(std::io::IoSlice::new);
        assert_eq!(file.write_vectored(&bufs).await?, 7);
        fs::read_to_string(&path).await
    });
    std::fs::remove_file(&path).unwrap();
    assert_eq!(text.unwrap(), "one two");
}

#[test]
fn tokio_s_copy_takes_them() {
    let path = scratch("copy");
    std::fs::write(&path, vec![7; 300_000]).unwrap();
    let copied = in_tokio(async {
        let mut from = File::open(&path).await.unwrap();
        let mut to = Unblock::new(std::io::sink());
        tokio::io::copy(&mut from, &mut to).await.unwrap()
    });
    std::fs::remove_file(&path).unwrap();
    assert_eq!(copied, 300_000);
}

#[test]
fn a_socket_of_ours_takes_tokio_s_words() {
    let runtime = threadlet::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let listener = net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let client = threadlet::spawn(async move {
            let mut stream = net::TcpStream::connect(address).await.unwrap();
            stream.write_all(b"ping").await.unwrap();
            // The inherent `shutdown` is that of the standard library, and comes first.
            AsyncWriteExt::shutdown(&mut stream).await.unwrap();
            let mut answer = String::new();
            stream.read_to_string(&mut answer).await.unwrap();
            answer
        });
        let (stream, _) = listener.accept().await.unwrap();
        let (mut reader, mut writer) = stream.into_split();
        let mut question = String::new();
        reader.read_to_string(&mut question).await.unwrap();
        writer.write_all(question.to_uppercase().as_bytes()).await.unwrap();
        drop((reader, writer));
        assert_eq!(client.await.unwrap(), "PING");
    });
}
