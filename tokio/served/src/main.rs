//! Serves a hundred files of 4 KiB: at `/file/N` by `tokio::fs`, at `/dir/N` by `ServeDir`, and at
//! `/slow` an answer for which a thread sleeps for 50 ms without saying so.
//!
//! `served check` asks itself for all of it, stops gracefully, and ends; `served` serves for ever.

use std::path::{Path as File, PathBuf};
use std::time::Duration;

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::{Router, routing::get};
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::task::JoinSet;
use tower_http::services::ServeDir;

const FILES: u32 = 100;
const SIZE: usize = 4096;

async fn file(Path(n): Path<u32>, State(folder): State<PathBuf>) -> Result<Vec<u8>, StatusCode> {
    tokio::fs::read(folder.join(n.to_string())).await.map_err(|_| StatusCode::NOT_FOUND)
}

async fn slow() -> &'static str {
    std::thread::sleep(Duration::from_millis(50));
    "slow"
}

fn routes(folder: &File) -> Router {
    Router::new()
        .route("/", get(|| async { "hello" }))
        .route("/slow", get(slow))
        .route("/file/{n}", get(file))
        .nest_service("/dir", ServeDir::new(folder))
        .with_state(folder.to_owned())
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    let folder = std::env::temp_dir().join(format!("served-{}", std::process::id()));
    tokio::fs::create_dir_all(&folder).await?;
    for n in 0..FILES {
        tokio::fs::write(folder.join(n.to_string()), vec![b'x'; SIZE]).await?;
    }
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    println!("{address}");
    let (stop, stopped) = oneshot::channel::<()>();
    let (routes, checks) = (routes(&folder), std::env::args().any(|word| word == "check"));
    let server = tokio::spawn(async move {
        let stopped = async move {
            tokio::select! {
                _ = stopped => {}
                _ = tokio::signal::ctrl_c() => {}
            }
        };
        axum::serve(listener, routes).with_graceful_shutdown(stopped).await
    });
    if checks {
        check(&format!("http://{address}")).await?;
        let _ = stop.send(());
        server.await??;
        println!("checked");
    } else {
        server.await??;
        drop(stop);
    }
    tokio::fs::remove_dir_all(&folder).await?;
    Ok(())
}

async fn check(server: &str) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    let client = reqwest::Client::new();
    let mut asked = JoinSet::new();
    for n in 0..4 * FILES {
        let (path, size) = match n % 4 {
            0 => (String::from("/"), 5),
            1 => (String::from("/slow"), 4),
            2 => (format!("/file/{}", n % FILES), SIZE),
            _ => (format!("/dir/{}", n % FILES), SIZE),
        };
        let request = client.get(format!("{server}{path}")).send();
        asked.spawn(async move {
            let body = request.await?.error_for_status()?.bytes().await?;
            assert_eq!(body.len(), size, "{path}");
            Ok::<_, reqwest::Error>(())
        });
    }
    for answer in asked.join_all().await {
        answer?;
    }
    let missing = client.get(format!("{server}/file/{FILES}")).send().await?;
    assert_eq!(missing.status(), 404);
    Ok(())
}
