//! `reqwest` as a client of the example `serve`, which runs beside these tests.
#![cfg(test)]

use std::path::PathBuf;
use std::time::Duration;

use reqwest::header::{CONTENT_RANGE, CONTENT_TYPE, ETAG, IF_NONE_MATCH, RANGE};
use reqwest::{Client, StatusCode};
use tokio::net::TcpListener;
use tokio::task::JoinSet;

fn variable(name: &str) -> String {
    std::env::var(name).expect("`../services` sets it")
}

fn url(name: &str) -> String {
    format!("{}{name}", variable("SERVE_URL"))
}

fn file(name: &str) -> Vec<u8> {
    std::fs::read(PathBuf::from(variable("SERVE_FOLDER")).join(name)).unwrap()
}

#[tokio::test]
async fn a_file_comes_whole_and_in_chunks() {
    let client = Client::new();
    let text = client.get(url("guide/start.md")).send().await.unwrap();
    assert_eq!(text.status(), StatusCode::OK);
    assert!(text.headers()[CONTENT_TYPE].to_str().unwrap().starts_with("text/"));
    assert_eq!(text.bytes().await.unwrap(), file("guide/start.md"));
    let mut large = client.get(url("large")).send().await.unwrap();
    let (mut bytes, mut chunks) = (Vec::new(), 0);
    while let Some(chunk) = large.chunk().await.unwrap() {
        bytes.extend_from_slice(&chunk);
        chunks += 1;
    }
    assert!(bytes == file("large") && chunks > 1, "{} bytes in {chunks} chunks", bytes.len());
}

#[tokio::test]
async fn a_part_comes_and_what_it_has_does_not() {
    let client = Client::new();
    let part = client.get(url("large")).header(RANGE, "bytes=100000-100009").send().await.unwrap();
    assert_eq!(part.status(), StatusCode::PARTIAL_CONTENT);
    assert!(part.headers()[CONTENT_RANGE].to_str().unwrap().starts_with("bytes 100000-100009/"));
    assert_eq!(part.bytes().await.unwrap(), file("large")[100_000..100_010]);
    let first = client.head(url("large")).send().await.unwrap();
    let tag = first.headers()[ETAG].clone();
    let again = client.get(url("large")).header(IF_NONE_MATCH, tag).send().await.unwrap();
    assert_eq!(again.status(), StatusCode::NOT_MODIFIED);
    let missing = client.get(url("nothing")).send().await.unwrap();
    assert_eq!(missing.status(), StatusCode::NOT_FOUND);
    assert!(missing.error_for_status().is_err());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn five_hundred_requests_of_fifty_tasks() {
    let client = Client::new();
    let expected = file("guide/tuning.md");
    let mut tasks = JoinSet::new();
    for _ in 0..50 {
        let client = client.clone();
        tasks.spawn(async move {
            let mut last = None;
            for _ in 0..10 {
                let answer = client.get(url("guide/tuning.md")).send().await.unwrap();
                last = Some(answer.bytes().await.unwrap());
            }
            last.unwrap()
        });
    }
    for bytes in tasks.join_all().await {
        assert_eq!(bytes, expected);
    }
}

/// Its own runtime, in a thread that it starts.
#[test]
fn a_client_of_plain_code() {
    let answer = reqwest::blocking::get(url("guide/start.md")).unwrap();
    assert_eq!(answer.bytes().unwrap(), file("guide/start.md"));
}

#[tokio::test]
async fn a_server_that_is_silent_and_one_that_is_not_there() {
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = silent.local_addr().unwrap();
    let client = Client::builder().timeout(Duration::from_millis(200)).build().unwrap();
    let late = client.get(format!("http://{address}/")).send().await.unwrap_err();
    assert!(late.is_timeout(), "{late:?}");
    drop(silent);
    let refused = client.get(format!("http://{address}/")).send().await.unwrap_err();
    assert!(refused.is_connect(), "{refused:?}");
}
