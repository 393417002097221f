//! `tail -f`: the last lines of some files, and then what is written to them.
//!
//! ```sh
//! cargo run --example tail -- --lines 5 /var/log/syslog /var/log/auth.log
//! cargo run --example tail -- --self-test      # writes files, follows them, checks, ends
//! ```
//!
//! A task for each file looks every 100 ms, with the calls of the standard library. Nearly always
//! there is nothing new, or what is new is in memory still, and looking is a plain call; a file on
//! a disk that sleeps or on a server that is away holds up nobody else.
//!
//! A file is followed by descriptor: renamed, it is still the same; replaced by another, it is not
//! noticed. Truncation is, unless more was written since than there was before.

use std::fs::File;
use std::io::{self, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use clap::Parser;
use futures::channel::mpsc::{self, Receiver, Sender};
use futures::{SinkExt, StreamExt};
use threadlet::time::{self, MissedTickBehavior};
use threadlet::{task, threadlet};

const LOOK_EVERY: Duration = Duration::from_millis(100);
const BLOCK: usize = 64 * 1024;

/// Prints the last lines of files, and follows them.
#[derive(Debug, Parser)]
#[command(name = "tail")]
struct Args {
    /// What to follow.
    #[arg(required_unless_present = "self_test", conflicts_with = "self_test")]
    files: Vec<PathBuf>,

    /// How many of the lines that are there already are printed.
    #[arg(long, value_name = "N", default_value_t = 10)]
    lines: usize,

    /// Follows files of its own, checks what comes, and ends.
    #[arg(long)]
    self_test: bool,
}

/// What a task has to say of its file.
#[derive(Debug)]
enum News {
    Bytes(Vec<u8>),
    Truncated,
    /// And it is not followed any longer.
    Failed(io::Error),
}

type Said = (Arc<Path>, News);

#[threadlet::main]
async fn main() -> ExitCode {
    let args = Args::parse();
    let result = if args.self_test {
        self_test().await
    } else {
        print(follow_all(&args.files, args.lines)).await
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        // Whoever read our output has seen enough.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("tail: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Prints until no file is left to be followed. Standard output may block, but this is the root
/// future: it is on a thread of its own, and the channel holds up who reads ahead of it.
async fn print(mut news: Receiver<Said>) -> io::Result<()> {
    let mut last: Option<Arc<Path>> = None;
    while let Some((path, news)) = news.next().await {
        let mut out = io::stdout().lock();
        match news {
            News::Bytes(bytes) => {
                if last.as_ref() != Some(&path) {
                    let between = if last.is_some() { "\n" } else { "" };
                    writeln!(out, "{between}==> {} <==", path.display())?;
                    last = Some(path);
                }
                out.write_all(&bytes)?;
                out.flush()?;
            }
            News::Truncated => eprintln!("tail: {}: file truncated", path.display()),
            News::Failed(error) => eprintln!("tail: {}: {error}", path.display()),
        }
    }
    Err(io::Error::other("no files remaining"))
}

/// Starts a task for each file.
fn follow_all(paths: &[PathBuf], lines: usize) -> Receiver<Said> {
    let (says, news) = mpsc::channel(16);
    for path in paths {
        let (path, mut says) = (Arc::from(path.as_path()), says.clone());
        threadlet::spawn(async move {
            if let Err(error) = follow(&path, lines, &mut says).await {
                // Nobody there any more: nobody to tell.
                let _ = says.send((path, News::Failed(error))).await;
            }
        });
    }
    news
}

/// Follows one file until it fails, or until nobody listens.
async fn follow(path: &Arc<Path>, lines: usize, says: &mut Sender<Said>) -> io::Result<()> {
    let file = threadlet!(File::open(path))?;
    let mut position = threadlet!(start_of_last(&file, lines))?;
    let mut block = vec![0; BLOCK];
    let mut looks = time::interval(LOOK_EVERY);
    looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        looks.tick().await;
        loop {
            // Borrows the buffer: no other thread will have it, however long the call takes.
            let n = threadlet!(file.read_at(&mut block, position))?;
            if n == 0 {
                break;
            }
            position += n as u64;
            if says.send((path.clone(), News::Bytes(block[..n].to_vec()))).await.is_err() {
                return Ok(());
            }
        }
        if threadlet!(file.metadata())?.len() < position {
            position = 0;
            if says.send((path.clone(), News::Truncated)).await.is_err() {
                return Ok(());
            }
        }
    }
}

/// Where the last `lines` lines of a file begin.
fn start_of_last(file: &File, lines: usize) -> io::Result<u64> {
    let end = file.metadata()?.len();
    if lines == 0 {
        return Ok(end);
    }
    let mut block = vec![0; BLOCK];
    let (mut start, mut seen) = (end, 0);
    while start > 0 {
        let length = BLOCK.min(usize::try_from(start).unwrap_or(BLOCK));
        start -= length as u64;
        file.read_exact_at(&mut block[..length], start)?;
        for at in (0..length).rev().filter(|&at| block[at] == b'\n') {
            let behind = start + at as u64 + 1;
            // Behind one at the very end there is no line.
            seen += usize::from(behind < end);
            if seen == lines {
                return Ok(behind);
            }
        }
    }
    Ok(0)
}

/// A directory that is gone with its owner.
#[derive(Debug)]
struct Directory(PathBuf);

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

async fn self_test() -> io::Result<()> {
    let place = std::env::temp_dir().join(format!("threadlet-tail-{}", std::process::id()));
    std::fs::create_dir_all(&place)?;
    let place = Directory(place);
    let (old, new) = (place.0.join("old"), place.0.join("new"));
    std::fs::write(&old, many_lines(20_000))?;
    std::fs::write(&new, "no end")?;
    let missing = place.0.join("missing");

    let mut seen = Seen::new(follow_all(&[old.clone(), new.clone(), missing.clone()], 2));
    seen.wants(&missing, "(failed)").await?;
    seen.wants(&old, "19998\n19999\n").await?;
    seen.wants(&new, "no end").await?;

    append(&new, " yet\nmore\n").await?;
    append(&old, "20000\n").await?;
    seen.wants(&new, "no end yet\nmore\n").await?;
    seen.wants(&old, "19998\n19999\n20000\n").await?;

    let empty = new.clone();
    task::spawn_blocking(move || File::create(empty)).await??;
    seen.wants(&new, "no end yet\nmore\n(truncated)").await?;
    append(&new, "again\n").await?;
    seen.wants(&new, "no end yet\nmore\n(truncated)again\n").await?;

    for (lines, start) in [(0, 108_890), (1, 108_884), (20_000, 0), (usize::MAX, 0)] {
        std::fs::write(&old, many_lines(20_000))?;
        let found = start_of_last(&File::open(&old)?, lines)?;
        if found != start {
            return Err(io::Error::other(format!("{lines} lines: at {found}, not {start}")));
        }
    }
    println!(
        "3 files followed: last lines, what was appended, a truncation, and one that is missing"
    );
    Ok(())
}

fn many_lines(count: usize) -> String {
    (0..count).map(|line| format!("{line}\n")).collect()
}

async fn append(path: &Path, text: &'static str) -> io::Result<()> {
    threadlet!(File::options().append(true).open(path)?.write_all(text.as_bytes()))
}

/// What was said of each file so far.
#[derive(Debug)]
struct Seen {
    news: Receiver<Said>,
    said: Vec<(Arc<Path>, String)>,
}

impl Seen {
    fn new(news: Receiver<Said>) -> Self {
        Seen { news, said: Vec::new() }
    }

    fn of(&self, path: &Path) -> String {
        self.said.iter().filter(|(of, _)| **of == *path).map(|(_, text)| &**text).collect()
    }

    /// Listens until all that was said of a file is `text`.
    async fn wants(&mut self, path: &Path, text: &str) -> io::Result<()> {
        while self.of(path) != text {
            let next = time::timeout(Duration::from_secs(10), self.news.next()).await;
            let Ok(Some((of, news))) = next else {
                let text = format!("{}: {:?}, not {text:?}", path.display(), self.of(path));
                return Err(io::Error::other(text));
            };
            let text = match news {
                News::Bytes(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
                News::Truncated => "(truncated)".to_owned(),
                News::Failed(_) => "(failed)".to_owned(),
            };
            self.said.push((of, text));
        }
        Ok(())
    }
}
