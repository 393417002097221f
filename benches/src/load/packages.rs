//! A package tool's warm start: two thousand small files, all in memory, are opened, read and
//! parsed, by a task for each; the tool does nothing before it has them all.

use std::future::Future;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use serde_json::Value;

use crate::harness::{Plan, in_turns};
use crate::peer::{Peer, Smol};
use crate::report::{Bar, Row, Side, Unit, least};

const FILES: usize = 2_000;

/// The files, until this is dropped.
struct Packages {
    folder: PathBuf,
    paths: Arc<[PathBuf]>,
}

impl Packages {
    fn new() -> Packages {
        let folder =
            std::env::temp_dir().join(format!("threadlet-bench-load-{}", std::process::id()));
        std::fs::create_dir_all(&folder).expect("a folder for temporary files");
        let write = |nth| {
            let path = folder.join(format!("package-{nth}.json"));
            std::fs::write(&path, manifest(nth)).expect("room for small files");
            path
        };
        let paths = (0..FILES).map(write).collect();
        Packages { folder, paths }
    }
}

impl Drop for Packages {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

/// A package as registries describe them, of about a kilobyte.
fn manifest(nth: usize) -> String {
    let dependencies: serde_json::Map<_, _> = (0..24)
        .map(|other| (format!("package-{other}"), format!("^{nth}.{other}.0").into()))
        .collect();
    let text = serde_json::json!({
        "name": format!("package-{nth}"),
        "version": format!("{nth}.0.0"),
        "license": "MIT",
        "dependencies": dependencies,
    });
    text.to_string()
}

/// Checks that it is the package of this number, and counts what it depends on.
fn parse(bytes: &[u8], nth: usize) -> usize {
    let value: Value = serde_json::from_slice(bytes).expect("it is JSON");
    assert_eq!(value["name"], format!("package-{nth}"));
    value["dependencies"].as_object().expect("it has some").len()
}

/// A runtime's way to read a file.
trait Reads: Peer {
    fn read(path: &Path) -> impl Future<Output = std::io::Result<Vec<u8>>> + Send;
}

impl Reads for threadlet::runtime::Runtime {
    fn read(path: &Path) -> impl Future<Output = std::io::Result<Vec<u8>>> + Send {
        threadlet::fs::read(path)
    }
}

impl Reads for tokio::runtime::Runtime {
    fn read(path: &Path) -> impl Future<Output = std::io::Result<Vec<u8>>> + Send {
        tokio::fs::read(path)
    }
}

impl Reads for Smol {
    fn read(path: &Path) -> impl Future<Output = std::io::Result<Vec<u8>>> + Send {
        async_fs::read(path)
    }
}

/// Milliseconds.
fn start<P: Reads>(runtime: &P, paths: &Arc<[PathBuf]>) -> f64 {
    let paths = paths.clone();
    runtime.run(async move {
        let begin = Instant::now();
        let task = |nth: usize| {
            let paths = paths.clone();
            P::spawn(async move { parse(&P::read(&paths[nth]).await.expect("it is there"), nth) })
        };
        let tasks: Vec<_> = (0..paths.len()).map(task).collect();
        let mut dependencies = 0;
        for task in tasks {
            dependencies += task.await;
        }
        assert_eq!(dependencies, 24 * paths.len());
        begin.elapsed().as_secs_f64() * 1e3
    })
}

/// Plain calls, shared among as many threads.
fn by_threads(paths: &[PathBuf], threads: usize) -> f64 {
    let begin = Instant::now();
    std::thread::scope(|scope| {
        for first in 0..threads {
            scope.spawn(move || {
                for nth in (first..paths.len()).step_by(threads) {
                    parse(&std::fs::read(&paths[nth]).expect("it is there"), nth);
                }
            });
        }
    });
    begin.elapsed().as_secs_f64() * 1e3
}

pub(crate) fn run(plan: &Plan) -> Vec<Row> {
    let packages = Packages::new();
    let paths = &packages.paths;
    let [ours, tokio, smol, threads] = in_turns(
        plan.rounds(21),
        [
            &mut || start(&plan.runtime(), paths),
            &mut || start(&plan.tokio(), paths),
            &mut || start(&plan.smol(), paths),
            &mut || by_threads(paths, plan.workers),
        ],
    );
    let side = |name, samples| Side::new(name, Unit::Ms, samples);
    let (best, others) = least(vec![side("tokio::fs", &tokio), side("async-fs", &smol)]);
    let what = "2,000 small files opened, read and parsed: best peer / ours";
    let row = Row::quotient(what, Bar::AtLeast(2.0), best, side("ours", &ours));
    let what = "the same: ours / as many threads with plain calls";
    let bare =
        Row::quotient(what, Bar::AtMost(1.1), side("ours", &ours), side("threads", &threads));
    vec![others.into_iter().fold(row, Row::beside), bare]
}
