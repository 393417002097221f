//! In tokio, in smol's executor and in ours, at the same time.

use std::io::Write;
use std::sync::Arc;

use futures::io::{AsyncReadExt, AsyncWriteExt};
use threadlet::runtime::Builder;
use threadlet::{Unblock, unblock};

use super::support::{build, foreign_block_on, os};
use super::{each, pattern};

const LENGTH: usize = 20 << 20;

async fn write_all(pipe: std::fs::File) {
    let mut writer = Unblock::new(pipe);
    for chunk in unblock(|| pattern(LENGTH)).await.chunks(50_000) {
        writer.write_all(chunk).await.unwrap();
    }
    writer.close().await.unwrap();
}

async fn read_all(pipe: std::fs::File) {
    let (mut reader, mut read) = (Unblock::new(pipe), vec![0; LENGTH]);
    reader.read_exact(&mut read).await.unwrap();
    assert_eq!(reader.read(&mut [0]).await.unwrap(), 0, "the end");
    assert!(read == pattern(LENGTH));
}

#[test]
fn each_writes_what_the_next_one_reads() {
    each(|detector| {
        let ours = build(Builder::new_multi_thread().worker_threads(2), detector);
        let mut tokio = tokio::runtime::Builder::new_multi_thread();
        let tokio = tokio.worker_threads(1).build().unwrap();
        let smol = Arc::new(async_executor::Executor::new());
        let [a, b, c] = [os::pipe(), os::pipe(), os::pipe()];
        let in_tokio = tokio.spawn(futures::future::join(write_all(a.1), read_all(c.0)));
        let in_smol = smol.spawn(futures::future::join(write_all(b.1), read_all(a.0)));
        let in_ours = ours.spawn(futures::future::join(write_all(c.1), read_all(b.0)));
        foreign_block_on(smol.run(in_smol));
        ours.block_on(in_ours).unwrap();
        tokio.block_on(in_tokio).unwrap();
    });
}

/// The call of a task in a foreign executor does not hold up its one thread.
#[test]
fn tokio_goes_on_meanwhile() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    runtime.block_on(async {
        let (reader, mut writer) = os::pipe();
        let mut reader = Unblock::new(reader);
        let mut text = String::new();
        let read = reader.read_to_string(&mut text);
        let write = async move {
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
            writer.write_all(b"late").unwrap();
        };
        let (read, ()) = futures::future::join(read, write).await;
        assert_eq!(read.unwrap(), 4);
        assert_eq!(text, "late");
    });
}
