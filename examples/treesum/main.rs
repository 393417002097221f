//! The SHA-256 of every file of a directory tree, and one digest of the whole.
//!
//! ```sh
//! cargo run --release --example treesum -- PATH
//! ```
//!
//! A job as people have it: a directory to walk, files to open, read and hash. Every call that may
//! block stands in a `threadlet!`, so what is in the page cache is done in place, without a hop to
//! another thread; what has to wait for a disk blocks a thread of its own, and the worker's other
//! tasks go on. The table at the end says how often which was the case.
//!
//! # The digest of the tree
//!
//! It is the SHA-256 of one record for each entry below PATH, sorted by the bytes of its path:
//!
//! | entry | record |
//! |---|---|
//! | regular file | `f`, space, SHA-256 of its contents as 64 hexadecimal digits, space, path, NUL |
//! | symbolic link | `l`, space, SHA-256 of the text of its target, space, path, NUL |
//! | directory | `d`, space, `-`, space, path, NUL |
//!
//! Paths are relative to PATH, without `./` in front, as raw bytes. If PATH is a file, its path is
//! empty. So the digest depends neither on where the tree stands nor on owners, modes and times,
//! the order in which the system lists a directory, the state of the page cache or the number of
//! jobs. Links are not followed (PATH itself is, if it is one); a tree cannot loop.
//!
//! # What cannot be read
//!
//! is named on standard error, counted, and left out of the digest and the list: what is
//! unreadable, has vanished, or changed while it was read. Pipes, sockets and devices are named and
//! counted as well, but never opened. A link that leads nowhere is named and counted; its text is
//! in the digest all the same. Of a directory that cannot be read in full, what could be read is
//! there, and so is its own record; if PATH itself is such a directory, that may be nothing.
//!
//! # Exit status
//!
//! 0: everything was read. 1: something was not, or standard output could not be written. 2: PATH
//! does not exist or is neither a directory nor a file, or the arguments are wrong.
//!
//! # What is kept in memory
//!
//! Nothing grows with the size of the tree. The walk keeps the names not yet visited in each
//! directory between PATH and where it is; sorting them by what follows next (a directory's
//! contents under its name and a slash) makes it the order of whole paths. Beside that there are
//! the entries in work, `--jobs` at most, with a buffer of up to 128 KiB for each file. (With a
//! progress bar a second walk adds up the sizes; it keeps the directories it has seen and not yet
//! visited.)

mod digest;
mod file;
mod list;
mod progress;
mod report;
mod walk;

use std::io::{self, IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Instant;

use clap::Parser;
use futures::StreamExt;
use futures::channel::mpsc;
use threadlet::runtime::{Builder, Handle};
use threadlet::threadlet;

use crate::digest::TreeDigest;
use crate::file::Examined;
use crate::progress::Progress;
use crate::report::Totals;
use crate::walk::Root;

/// Takes the SHA-256 of every file of a tree, and one digest of the whole.
#[derive(Debug, Parser)]
#[command(name = "treesum")]
struct Args {
    /// The directory, or the file.
    path: PathBuf,
    /// Print nothing but what `sha256sum -c` accepts.
    #[arg(long)]
    list: bool,
    /// How many entries are in work at once; each may have a file open.
    #[arg(long, value_name = "N", default_value_t = 64, value_parser = clap::value_parser!(u16).range(1..=512))]
    jobs: u16,
}

/// Why there is no result at all.
enum Failure {
    /// PATH is of no use.
    Path(String),
    /// Standard output could not be written.
    Output(io::Error),
}

fn main() -> ExitCode {
    let args = Args::parse();
    let runtime = match Builder::new_multi_thread().build() {
        Ok(runtime) => runtime,
        Err(error) => return complain(&format!("the runtime cannot be started: {error}"), 2),
    };
    // A task of its own: the root future of a multi-thread runtime has no core to hand over.
    let job = runtime.spawn(run(args));
    let result = match runtime.block_on(job) {
        Ok(result) => result,
        Err(error) => std::panic::resume_unwind(error.into_panic()),
    };
    // After an early end some files may still be read, from a dead server for ever.
    runtime.shutdown_background();
    match result {
        Ok(0) => ExitCode::SUCCESS,
        Ok(faults) => {
            let entries = if faults == 1 { "entry" } else { "entries" };
            complain(
                &format!(
                    "{faults} {entries} could not be read, led nowhere or were no files (see above)"
                ),
                1,
            )
        }
        Err(Failure::Path(text)) => complain(&text, 2),
        // Whoever read the output has had enough, and needs no telling.
        Err(Failure::Output(error)) if error.kind() == io::ErrorKind::BrokenPipe => {
            ExitCode::from(1)
        }
        Err(Failure::Output(error)) => complain(&format!("standard output: {error}"), 1),
    }
}

/// One line on standard error. If nobody can read it, nobody is to be told.
fn complain(text: &str, status: u8) -> ExitCode {
    let _ = writeln!(io::stderr(), "treesum: {text}");
    ExitCode::from(status)
}

/// The whole job; returns how many entries were at fault.
async fn run(args: Args) -> Result<u64, Failure> {
    let start = Instant::now();
    let root: Arc<Path> = args.path.into();
    let kind = threadlet!(walk::root(&root))
        .map_err(|error| Failure::Path(format!("{root:?}: {}", plain(&error))))?;
    // A list on the same terminal would run through the bar.
    let visible = io::stderr().is_terminal() && !(args.list && io::stdout().is_terminal());
    let progress = Progress::start(visible, &root, kind);
    let jobs = usize::from(args.jobs);
    let totals = collect(&root, kind, jobs, args.list, &progress).await;
    progress.stop().await;
    let totals = totals.map_err(Failure::Output)?;
    if !args.list {
        let runtime = Handle::current();
        let text = report::text(&totals, start.elapsed(), &runtime.metrics(), &runtime.sites());
        threadlet!(io::stdout().write_all(text.as_bytes())).map_err(Failure::Output)?;
    }
    Ok(totals.faults)
}

/// Walks, examines several entries at once, and takes the results in the order of the walk.
async fn collect(
    root: &Arc<Path>,
    kind: Root,
    jobs: usize,
    list: bool,
    progress: &Progress,
) -> io::Result<Totals> {
    let (send, entries) = mpsc::channel(jobs);
    let walker = threadlet::spawn(walk::walk(root.clone(), kind, send));
    let mut results = entries
        .map(|entry| {
            threadlet::spawn(file::examine(root.clone(), kind, entry, progress.bytes().clone()))
        })
        .buffered(jobs);
    let mut out = list::Writer::new();
    let mut tree = TreeDigest::new();
    let mut totals = Totals::default();
    while let Some(result) = results.next().await {
        let (entry, examined) = match result {
            Ok(result) => result,
            Err(error) => std::panic::resume_unwind(error.into_panic()),
        };
        for fault in &entry.faults(&examined) {
            totals.faults += 1;
            let line = format!("treesum: {:?}: {fault}\n", entry.display(root));
            threadlet!(progress.print(&line));
        }
        tree.add(&entry.path, &examined);
        if let Examined::File { sum, bytes } = &examined {
            totals.files += 1;
            totals.bytes += bytes;
            if list {
                threadlet!(out.line(sum, &entry.display(root)))?;
            }
        }
    }
    threadlet!(out.flush())?;
    if let Err(error) = walker.await {
        std::panic::resume_unwind(error.into_panic());
    }
    totals.digest = tree.finish();
    Ok(totals)
}

/// The words of the system for an error, without its number.
fn plain(error: &io::Error) -> String {
    let text = error.to_string();
    match text.find(" (os error") {
        Some(end) => text[..end].to_owned(),
        None => text,
    }
}
