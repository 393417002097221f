//! A published crate, unmodified, that reads in place where no tokio is current: `object_store`'s
//! files, of which ranges of 4 KiB are asked for, all in memory. On tokio it sends each call to
//! `spawn_blocking`; in a task of ours, which it takes for a plain thread, it makes it. Nothing says
//! that it may block: what does is noticed.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use object_store::local::LocalFileSystem;
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt};

use crate::peer::Peer;
use crate::{Plan, compare};

const PAGE: usize = 4096;
const PAGES: usize = 1024;
const NAME: &str = "object";

/// A folder with one object, until this is dropped.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Folder {
        let name = format!("threadlet-bench-objects-{}", std::process::id());
        let folder = Folder(std::env::temp_dir().join(name));
        std::fs::create_dir_all(&folder.0).expect("a folder for temporary files");
        std::fs::write(folder.0.join(NAME), vec![7; PAGES * PAGE]).expect("room for a file");
        folder
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

pub(crate) fn run(plan: Plan) {
    let folder = Folder::new();
    let store = LocalFileSystem::new_with_prefix(&folder.0).expect("the folder is there");
    let store: Arc<dyn ObjectStore> = Arc::new(store);
    let ours = |tasks, each| reads::<threadlet::runtime::Runtime>(plan, &store, tasks, each);
    let theirs = |tasks, each| reads::<tokio::runtime::Runtime>(plan, &store, tasks, each);
    for (what, tasks, each) in [
        ("4 KiB of object_store's files, 1 task", 1, plan.size(4_000)),
        ("4 KiB of object_store's files, 64 tasks", 64, plan.size(200)),
    ] {
        let sides: [crate::Side<'_>; 2] =
            [("ours", &mut || ours(tasks, each)), ("tokio", &mut || theirs(tasks, each))];
        compare(plan, what, sides);
    }
}

fn reads<P: Peer>(plan: Plan, store: &Arc<dyn ObjectStore>, tasks: usize, each: usize) -> Duration {
    let runtime = P::start(plan);
    let store = store.clone();
    runtime.run(async move {
        // The threads are there, and what is read first has been read, before the clock is.
        read_some::<P>(&store, tasks, each / 10 + 1).await;
        let begin = Instant::now();
        read_some::<P>(&store, tasks, each).await;
        begin.elapsed()
    })
}

async fn read_some<P: Peer>(store: &Arc<dyn ObjectStore>, tasks: usize, each: usize) {
    let task = |first: usize| {
        let store = store.clone();
        P::spawn(async move {
            let path = Path::from(NAME);
            for nth in 0..each {
                let at = ((first * 31 + nth * 7) % PAGES * PAGE) as u64;
                let page = store.get_range(&path, at..at + PAGE as u64).await;
                assert_eq!(page.expect("it is there").len(), PAGE);
                if tasks > 1 {
                    P::yield_now().await;
                }
            }
        })
    };
    let tasks: Vec<_> = (0..tasks).map(task).collect();
    for task in tasks {
        task.await;
    }
}
