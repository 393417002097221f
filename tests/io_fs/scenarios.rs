//! What must hold whoever polls. Each scenario is a future that any executor can run.

use std::ffi::OsStr;
use std::future::Future;
use std::io::{ErrorKind, SeekFrom};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::pin::Pin;

use futures::io::{AsyncReadExt, AsyncSeekExt, AsyncWriteExt};
use futures::stream::TryStreamExt;
use threadlet::fs::{self, DirBuilder, File, OpenOptions};

use crate::{Scratch, evict, pattern, support, vectored};

type Boxed = Pin<Box<dyn Future<Output = ()> + Send>>;

/// A name, and what to do in a directory.
type Scenario = (&'static str, fn(PathBuf) -> Boxed);

/// All of them, each in a directory of its own.
pub(crate) fn all() -> Vec<Scenario> {
    vec![
        ("whole files", |dir| Box::pin(whole_files(dir))),
        ("position", |dir| Box::pin(position(dir))),
        ("offsets", |dir| Box::pin(offsets(dir))),
        ("short reads, holes and the end", |dir| Box::pin(ends(dir))),
        ("several buffers at once", |dir| Box::pin(vectored::scenario(dir))),
        ("append", |dir| Box::pin(append(dir))),
        ("truncated while read", |dir| Box::pin(truncated(dir))),
        ("paths", |dir| Box::pin(paths(dir))),
        ("directories", |dir| Box::pin(directories(dir))),
        ("errors", |dir| Box::pin(errors(dir))),
        ("no write-behind", |dir| Box::pin(no_write_behind(dir))),
        ("conversions", |dir| Box::pin(conversions(dir))),
        ("special files", |dir| Box::pin(special(dir))),
    ]
}

/// Runs them all by `run`.
pub(crate) fn each(mut run: impl FnMut(Boxed)) {
    for (name, scenario) in all() {
        let scratch = Scratch::new();
        eprintln!("scenario: {name}");
        run(scenario(scratch.0.clone()));
    }
}

async fn whole_files(dir: PathBuf) {
    let path = dir.join("file");
    for length in [0, 1, 4095, 4096, 4097, 300_000, 3_000_000] {
        let data = pattern(length);
        fs::write(&path, &data).await.unwrap();
        assert_eq!(fs::read(&path).await.unwrap(), data, "cached, {length}");
        evict(&path);
        assert_eq!(fs::read(&path).await.unwrap(), data, "evicted, {length}");
        assert_eq!(fs::metadata(&path).await.unwrap().len(), length as u64);
    }
    fs::write(&path, "häuser").await.unwrap();
    assert_eq!(fs::read_to_string(&path).await.unwrap(), "häuser");
    fs::write(&path, b"\xFFx").await.unwrap();
    let error = fs::read_to_string(&path).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidData);
    // Its size is 0, which says nothing.
    let status = fs::read_to_string("/proc/self/status").await.unwrap();
    assert!(status.contains("Threads:"), "{status}");
    // Short reads in the middle: only the first part is in memory.
    let data = pattern(900_000);
    fs::write(&path, &data).await.unwrap();
    evict(&path);
    let file = File::open(&path).await.unwrap();
    file.read_exact_at(&mut [0; 4096], 0).await.unwrap();
    assert!(fs::read(&path).await.unwrap() == data);
}

async fn position(dir: PathBuf) {
    let path = dir.join("file");
    let data = pattern(1_000_000);
    let mut file = File::create_new(&path).await.unwrap();
    file.write_all(&data).await.unwrap();
    assert_eq!(file.stream_position().await.unwrap(), 1_000_000);
    assert_eq!(file.read(&mut [0; 8]).await.unwrap(), 0);
    assert_eq!(file.seek(SeekFrom::Start(10)).await.unwrap(), 10);
    let mut back = Vec::new();
    file.read_to_end(&mut back).await.unwrap();
    assert!(back == data[10..]);
    assert_eq!(file.seek(SeekFrom::End(-4)).await.unwrap(), 999_996);
    let mut four = [0; 4];
    file.read_exact(&mut four).await.unwrap();
    assert_eq!(four, data[999_996..]);
    assert_eq!(file.seek(SeekFrom::Current(-8)).await.unwrap(), 999_992);
    assert!(file.seek(SeekFrom::Current(i64::MIN)).await.is_err());
    file.write_all(b"abc").await.unwrap();
    assert_eq!(file.stream_position().await.unwrap(), 999_995);
    assert_eq!(file.write(b"").await.unwrap(), 0);
    assert_eq!(file.read(&mut []).await.unwrap(), 0);
    file.flush().await.unwrap();
    file.close().await.unwrap();
    assert_eq!(&std::fs::read(&path).unwrap()[999_992..999_995], b"abc");
}

async fn offsets(dir: PathBuf) {
    let path = dir.join("file");
    let data = pattern(700_000);
    let mut file = File::create_new(&path).await.unwrap();
    file.write_all_at(&data, 0).await.unwrap();
    assert_eq!(file.stream_position().await.unwrap(), 0, "the position stays");
    let mut back = vec![0; 699_990];
    for evicted in [false, true] {
        if evicted {
            evict(&path);
        }
        back.fill(0);
        file.read_exact_at(&mut back, 10).await.unwrap();
        assert!(back == data[10..]);
    }
    let n = file.write_at(b"xyz", 5).await.unwrap();
    assert_eq!(n, 3);
    let mut five = [0; 5];
    assert_eq!(file.read_at(&mut five, 4).await.unwrap(), 5);
    assert_eq!(five, [data[4], b'x', b'y', b'z', data[8]]);
    assert_eq!(file.stream_position().await.unwrap(), 0);
    let error = file.read_exact_at(&mut back, 11).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::UnexpectedEof);
    assert_eq!(file.read_at(&mut [], 0).await.unwrap(), 0);
    file.write_all_at(&[], 0).await.unwrap();
}

async fn ends(dir: PathBuf) {
    let path = dir.join("file");
    let mut file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(true)
        .open(&path)
        .await
        .unwrap();
    assert_eq!(file.read(&mut [0; 8]).await.unwrap(), 0, "empty");
    file.write_all_at(b"head", 0).await.unwrap();
    file.set_len(1 << 20).await.unwrap();
    file.write_all_at(b"tail", (1 << 20) - 4).await.unwrap();
    file.sync_data().await.unwrap();
    for evicted in [false, true] {
        if evicted {
            evict(&path);
        }
        let all = fs::read(&path).await.unwrap();
        assert_eq!(all.len(), 1 << 20);
        assert!(all.starts_with(b"head\0\0") && all.ends_with(b"\0\0tail"));
        let mut buf = [1; 16];
        file.read_exact_at(&mut buf, 500_000).await.unwrap();
        assert_eq!(buf, [0; 16], "a hole");
        // Across the end and behind it.
        let mut short = [0; 64];
        let n = file.read_at(&mut short, (1 << 20) - 4).await.unwrap();
        assert_eq!(&short[..n], b"tail");
        assert_eq!(file.read_at(&mut short, 1 << 20).await.unwrap(), 0);
        assert_eq!(file.read_at(&mut short, 5 << 30).await.unwrap(), 0);
    }
    // It grows under a reader that has seen the end.
    file.seek(SeekFrom::End(0)).await.unwrap();
    assert_eq!(file.read(&mut [0; 8]).await.unwrap(), 0);
    file.write_all_at(b"more", 1 << 20).await.unwrap();
    let mut four = [0; 4];
    file.read_exact(&mut four).await.unwrap();
    assert_eq!(&four, b"more");
}

async fn append(dir: PathBuf) {
    let path = dir.join("file");
    fs::write(&path, "one ").await.unwrap();
    let mut file = OpenOptions::new().append(true).read(true).open(&path).await.unwrap();
    file.write_all(b"two ").await.unwrap();
    std::fs::OpenOptions::new()
        .append(true)
        .open(&path)
        .and_then(|mut other| std::io::Write::write_all(&mut other, b"three "))
        .unwrap();
    file.seek(SeekFrom::Start(0)).await.unwrap();
    file.write_all(b"four").await.unwrap();
    assert_eq!(fs::read_to_string(&path).await.unwrap(), "one two three four");
    file.seek(SeekFrom::Start(4)).await.unwrap();
    let mut rest = String::new();
    file.read_to_string(&mut rest).await.unwrap();
    assert_eq!(rest, "two three four");
}

async fn truncated(dir: PathBuf) {
    let path = dir.join("file");
    fs::write(&path, pattern(100_000)).await.unwrap();
    let mut file = File::open(&path).await.unwrap();
    let mut buf = vec![0; 50_000];
    file.read_exact(&mut buf).await.unwrap();
    std::fs::OpenOptions::new().write(true).open(&path).unwrap().set_len(60_000).unwrap();
    let mut rest = Vec::new();
    assert_eq!(file.read_to_end(&mut rest).await.unwrap(), 10_000);
    std::fs::OpenOptions::new().write(true).open(&path).unwrap().set_len(10).unwrap();
    assert_eq!(file.read(&mut buf).await.unwrap(), 0);
    assert_eq!(file.read_at(&mut buf, 20).await.unwrap(), 0);
}

async fn paths(dir: PathBuf) {
    let (file, other) = (dir.join("file"), dir.join("other"));
    assert!(!fs::try_exists(&file).await.unwrap());
    fs::write(&file, "x").await.unwrap();
    assert!(fs::try_exists(&file).await.unwrap());
    assert_eq!(fs::copy(&file, &other).await.unwrap(), 1);
    fs::remove_file(&file).await.unwrap();
    fs::rename(&other, &file).await.unwrap();
    fs::hard_link(&file, &other).await.unwrap();
    fs::set_permissions(&file, PermissionsExt::from_mode(0o640)).await.unwrap();
    assert_eq!(fs::metadata(&other).await.unwrap().permissions().mode() & 0o777, 0o640);
    let link = dir.join("link");
    fs::symlink("file", &link).await.unwrap();
    assert_eq!(fs::read_link(&link).await.unwrap(), PathBuf::from("file"));
    assert!(fs::symlink_metadata(&link).await.unwrap().is_symlink());
    assert!(fs::metadata(&link).await.unwrap().is_file());
    let root = fs::canonicalize(&dir).await.unwrap();
    assert_eq!(fs::canonicalize(&link).await.unwrap(), root.join("file"));
    let handle = File::open(&link).await.unwrap();
    handle.set_permissions(PermissionsExt::from_mode(0o600)).await.unwrap();
    assert_eq!(handle.metadata().await.unwrap().permissions().mode() & 0o777, 0o600);
    // A link to nowhere, and one to itself.
    fs::symlink("nowhere", dir.join("dangling")).await.unwrap();
    assert!(!fs::try_exists(dir.join("dangling")).await.unwrap());
    fs::symlink("loop", dir.join("loop")).await.unwrap();
    let error = fs::read(dir.join("loop")).await.unwrap_err();
    assert_eq!(error.raw_os_error(), Some(libc::ELOOP));
    assert_eq!(
        fs::try_exists(dir.join("loop")).await.unwrap_err().raw_os_error(),
        Some(libc::ELOOP)
    );
    // Not UTF-8.
    let name = dir.join(OsStr::from_bytes(b"b\xE4h"));
    fs::write(&name, "y").await.unwrap();
    assert_eq!(fs::read(&name).await.unwrap(), b"y");
    assert!(fs::try_exists(&name).await.unwrap());
}

async fn directories(dir: PathBuf) {
    let deep = dir.join("a/b/c");
    assert_eq!(fs::create_dir(&deep).await.unwrap_err().kind(), ErrorKind::NotFound);
    fs::create_dir_all(&deep).await.unwrap();
    fs::create_dir(dir.join("d")).await.unwrap();
    DirBuilder::new().mode(0o700).create(dir.join("e")).await.unwrap();
    assert_eq!(fs::metadata(dir.join("e")).await.unwrap().permissions().mode() & 0o777, 0o700);
    DirBuilder::new().recursive(true).create(&deep).await.unwrap();
    let names = (0..200).map(|n| format!("{n:03}")).collect::<Vec<_>>();
    for name in &names {
        std::fs::write(deep.join(name), "").unwrap();
    }
    let mut found = Vec::new();
    let mut entries = fs::read_dir(&deep).await.unwrap();
    while let Some(entry) = entries.next_entry().await.unwrap() {
        assert!(entry.file_type().await.unwrap().is_file());
        assert_eq!(entry.metadata().await.unwrap().len(), 0);
        assert_eq!(entry.path(), deep.join(entry.file_name()));
        assert!(entry.ino() > 0);
        found.push(entry.file_name().into_string().unwrap());
    }
    assert!(entries.next_entry().await.unwrap().is_none(), "it stays at the end");
    found.sort();
    assert_eq!(found, names);
    let listed: Vec<_> = fs::read_dir(&deep).await.unwrap().try_collect().await.unwrap();
    assert_eq!(listed.len(), 200);
    let error = fs::remove_dir(&deep).await.unwrap_err();
    assert_eq!(error.raw_os_error(), Some(libc::ENOTEMPTY));
    fs::remove_dir(dir.join("d")).await.unwrap();
    fs::remove_dir_all(dir.join("a")).await.unwrap();
    assert!(!fs::try_exists(dir.join("a")).await.unwrap());
    assert_eq!(fs::read_dir(&deep).await.unwrap_err().kind(), ErrorKind::NotFound);
}

async fn errors(dir: PathBuf) {
    let missing = dir.join("missing");
    assert_eq!(fs::read(&missing).await.unwrap_err().kind(), ErrorKind::NotFound);
    assert_eq!(File::open(&missing).await.unwrap_err().kind(), ErrorKind::NotFound);
    assert_eq!(fs::metadata(&missing).await.unwrap_err().kind(), ErrorKind::NotFound);
    // A directory can be opened, but not read.
    let errno = |error: std::io::Error| error.raw_os_error();
    assert_eq!(errno(fs::read(&dir).await.unwrap_err()), Some(libc::EISDIR));
    let mut opened = File::open(&dir).await.unwrap();
    assert_eq!(errno(opened.read(&mut [0; 8]).await.unwrap_err()), Some(libc::EISDIR));
    assert_eq!(errno(opened.read_at(&mut [0; 8], 0).await.unwrap_err()), Some(libc::EISDIR));
    assert!(opened.metadata().await.unwrap().is_dir());
    opened.sync_all().await.unwrap();
    // Not opened for it.
    fs::write(dir.join("file"), "x").await.unwrap();
    let mut file = File::open(dir.join("file")).await.unwrap();
    assert_eq!(errno(file.write(b"y").await.unwrap_err()), Some(libc::EBADF));
    assert_eq!(errno(file.write_at(b"y", 0).await.unwrap_err()), Some(libc::EBADF));
    assert!(file.set_len(0).await.is_err());
    let error = File::open(dir.join("file/below")).await.unwrap_err();
    assert_eq!(errno(error), Some(libc::ENOTDIR));
    assert_eq!(errno(File::create_new(dir.join("file")).await.unwrap_err()), Some(libc::EEXIST));
    let error = fs::read(dir.join("n".repeat(300))).await.unwrap_err();
    assert_eq!(errno(error), Some(libc::ENAMETOOLONG));
    // A zero in a path.
    let zero = dir.join("a\0b");
    assert_eq!(fs::read(&zero).await.unwrap_err().kind(), ErrorKind::InvalidInput);
    assert_eq!(fs::metadata(&zero).await.unwrap_err().kind(), ErrorKind::InvalidInput);
    assert_eq!(fs::write(&zero, "").await.unwrap_err().kind(), ErrorKind::InvalidInput);
    assert_eq!(fs::rename(&zero, &missing).await.unwrap_err().kind(), ErrorKind::InvalidInput);
    // Options that make no sense.
    let error = OpenOptions::new().open(dir.join("file")).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidInput);
    let error = OpenOptions::new().read(true).create(true).open(dir.join("file")).await;
    assert_eq!(error.unwrap_err().kind(), ErrorKind::InvalidInput);
}

/// tokio issues 4296 and 6325.
async fn no_write_behind(dir: PathBuf) {
    let path = dir.join("file");
    for round in 0..50 {
        let data = pattern(1000 + round);
        let mut file = File::create(&path).await.unwrap();
        file.write_all(&data).await.unwrap();
        // Neither flushed nor closed.
        assert_eq!(std::fs::read(&path).unwrap(), data);
        drop(file);
        assert_eq!(fs::read(&path).await.unwrap(), data);
    }
    // The call that meets the error returns it.
    let mut full = OpenOptions::new().write(true).open("/dev/full").await.unwrap();
    for _ in 0..2 {
        let error = full.write(b"x").await.unwrap_err();
        assert_eq!(error.raw_os_error(), Some(libc::ENOSPC));
    }
    full.flush().await.unwrap();
    let error = full.write_all_at(b"x", 0).await.unwrap_err();
    assert_eq!(error.raw_os_error(), Some(libc::ENOSPC));
}

async fn conversions(dir: PathBuf) {
    let path = dir.join("file");
    fs::write(&path, "hello").await.unwrap();
    let mut file = File::from(std::fs::File::open(&path).unwrap());
    let mut two = [0; 2];
    file.read_exact(&mut two).await.unwrap();
    // One position for both.
    let mut clone = file.try_clone().await.unwrap();
    clone.read_exact(&mut two).await.unwrap();
    assert_eq!(&two, b"ll");
    assert!(format!("{file:?}").contains("file"));
    let mut std = file.into_std().await;
    let mut rest = String::new();
    std::io::Read::read_to_string(&mut std, &mut rest).unwrap();
    assert_eq!(rest, "o");
    let std = clone.try_into_std().unwrap();
    assert_eq!(std.metadata().unwrap().len(), 5);
    let mut options = std::fs::OpenOptions::new();
    let opened = OpenOptions::from(options.read(true).clone()).open(&path).await.unwrap();
    assert_eq!(opened.metadata().await.unwrap().len(), 5);
}

/// What is no regular file: its size says nothing, and opening it may mean something.
async fn special(dir: PathBuf) {
    let mut zero = File::open("/dev/zero").await.unwrap();
    let mut buf = [1; 100];
    zero.read_exact(&mut buf).await.unwrap();
    assert_eq!(buf, [0; 100]);
    assert_eq!(fs::read("/dev/null").await.unwrap(), b"");
    // 20 MiB through a pipe, in both directions.
    let (reader, writer) = support::os::pipe();
    let data = pattern(20 << 20);
    let sent = data.clone();
    // The other end in a thread of its own: in a task of ours a call that blocks stops `join!`.
    let thread = std::thread::spawn(move || {
        std::io::Write::write_all(&mut &writer, &sent).unwrap();
    });
    let (mut reader, mut received) = (File::from_std(reader), Vec::new());
    // Not `read_to_end`: without optimisation it takes seconds to clear its buffer.
    let mut buf = vec![0; 300_000];
    loop {
        match reader.read(&mut buf).await.unwrap() {
            0 => break,
            n => received.extend_from_slice(&buf[..n]),
        }
    }
    thread.join().unwrap();
    assert!(received == data);
    let (reader, writer) = support::os::pipe();
    let thread = std::thread::spawn(move || {
        let mut received = Vec::new();
        std::io::Read::read_to_end(&mut &reader, &mut received).unwrap();
        received
    });
    let mut writer = File::from_std(writer);
    writer.write_all(&data).await.unwrap();
    drop(writer);
    assert!(thread.join().unwrap() == data);
    // A FIFO whose writer comes later: opening it waits, and the writer meets a reader.
    let fifo = dir.join("fifo");
    let made = std::process::Command::new("mkfifo").arg(&fifo).status().unwrap();
    assert!(made.success());
    assert!(fs::try_exists(&fifo).await.unwrap());
    let path = fifo.clone();
    let thread = std::thread::spawn(move || {
        std::thread::sleep(std::time::Duration::from_millis(20));
        std::fs::write(path, "through the fifo")
    });
    assert_eq!(fs::read_to_string(&fifo).await.unwrap(), "through the fifo");
    thread.join().unwrap().expect("no broken pipe");
}
