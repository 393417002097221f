//! Files over HTTP: a folder with one of 4 KiB and one of 1 MiB, both in memory, is served by
//! tower-http's `ServeDir`: with its own backend on tokio, and with ours on our runtime. What `ServeDir`
//! does for a request is the same on both: it looks at the path, opens the file, asks for its length
//! and times, and reads it 64 KiB at a time.

use std::path::{Path, PathBuf};

use hyper::server::conn::http1;
use hyper::service::service_fn;
use tower_http::services::ServeDir;
use tower_http::services::fs::{Backend, DefaultServeDirFallback};

use super::server::{self, Sockets};
use super::{Ours, Side, Tokio, compare};
use crate::harness::Plan;
use crate::report::{Bar, Row};

/// The files, until this is dropped.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Folder {
        let name = format!("threadlet-bench-folder-{}", std::process::id());
        let folder = Folder(std::env::temp_dir().join(name));
        std::fs::create_dir_all(&folder.0).expect("a folder for temporary files");
        for (name, length) in [("small", 4 << 10), ("large", 1 << 20)] {
            std::fs::write(folder.0.join(name), vec![7; length]).expect("room for a file");
        }
        folder
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

type Dir<B> = ServeDir<DefaultServeDirFallback, B>;

/// A runtime's own way to files.
trait Files: Sockets {
    type Backend: Backend;

    fn dir(folder: &Path) -> Dir<Self::Backend>;
}

impl Files for Ours {
    type Backend = threadlet::tower_http::Backend;

    fn dir(folder: &Path) -> Dir<Self::Backend> {
        ServeDir::with_backend(folder, threadlet::tower_http::Backend::new())
    }
}

impl Files for Tokio {
    type Backend = tower_http::services::fs::TokioBackend;

    fn dir(folder: &Path) -> Dir<Self::Backend> {
        ServeDir::new(folder)
    }
}

/// One connection, until the client closes it.
async fn serve<R: Files>(stream: R::Stream, dir: Dir<R::Backend>) {
    let service = service_fn(move |request| dir.clone().try_call(request));
    // An error is a client that went before it had its answer.
    let _ = http1::Builder::new().serve_connection(stream, service).await;
}

impl Side {
    fn fetch<R: Files>(&mut self, plan: &Plan, runtime: &R, folder: &Path, path: &str) {
        let dir = R::dir(folder);
        let address = server::start(runtime, move |stream| serve::<R>(stream, dir.clone()));
        self.ask(plan, address, path);
    }
}

pub(super) fn run(plan: &Plan) -> Vec<Row> {
    let folder = Folder::new();
    let of = |path, names| {
        let [mut ours, mut theirs] = ["ours", "tokio"].map(|name| Side::new(name, 0));
        for _ in 0..plan.rounds(5) {
            ours.fetch::<Ours>(plan, &plan.runtime(), &folder.0, path);
            theirs.fetch::<Tokio>(plan, &plan.tokio(), &folder.0, path);
        }
        compare(names, &ours, &theirs)
    };
    let small = [
        ("a file of 4 KiB: requests/s, ours / tokio", Bar::AtLeast(2.0)),
        ("a file of 4 KiB: p50, ours / tokio", Bar::AtMost(1.0)),
        ("a file of 4 KiB: p99, ours / tokio", Bar::AtMost(1.0)),
    ];
    let large = [
        ("a file of 1 MiB: requests/s, ours / tokio", Bar::AtLeast(1.0)),
        ("a file of 1 MiB: p50, ours / tokio", Bar::AtMost(1.0)),
        ("a file of 1 MiB: p99, ours / tokio", Bar::AtMost(1.0)),
    ];
    [of("/small", small), of("/large", large)].into_iter().flatten().collect()
}
