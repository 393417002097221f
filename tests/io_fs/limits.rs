//! Where the operating system says no. Each in a process of its own.

use std::future::Future;
use std::io::ErrorKind;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use futures::io::AsyncWriteExt;
use threadlet::fs::{self, File};

use crate::support::{alone, foreign_block_on, os, skip};
use crate::{Scratch, pattern};

const APART: Duration = Duration::from_secs(60);

/// By an executor of a stranger's, in a task, and in the root.
fn everywhere<F>(work: fn(PathBuf) -> F, dir: PathBuf)
where
    F: Future<Output = ()> + Send + 'static,
{
    foreign_block_on(work(dir.clone()));
    let runtime = threadlet::runtime::Builder::new_multi_thread().build().unwrap();
    runtime.block_on(runtime.spawn(work(dir.clone()))).unwrap();
    runtime.block_on(work(dir));
}

#[test]
fn too_many_open_files() {
    if !alone(APART) {
        return;
    }
    let scratch = Scratch::new();
    let path = scratch.file("file", b"hello");
    let runtime = threadlet::runtime::Builder::new_multi_thread().build().unwrap();
    // The global runtime is there before the descriptors are used up.
    foreign_block_on(fs::canonicalize("/")).unwrap();
    let known = std::fs::File::open(&path).unwrap();
    os::set_limit(libc::RLIMIT_NOFILE, 64);
    let mut hoard = Vec::new();
    while let Ok(file) = known.try_clone() {
        hoard.push(file);
    }
    let work = |path: PathBuf| async move {
        let emfile = Some(libc::EMFILE);
        assert_eq!(File::open(&path).await.unwrap_err().raw_os_error(), emfile);
        assert_eq!(fs::read(&path).await.unwrap_err().raw_os_error(), emfile);
        assert_eq!(fs::write(&path, "").await.unwrap_err().raw_os_error(), emfile);
        // What needs no descriptor works, and what is only asked with one.
        assert_eq!(fs::metadata(&path).await.unwrap().len(), 5);
        assert!(fs::try_exists(&path).await.unwrap());
    };
    foreign_block_on(work(path.clone()));
    runtime.block_on(runtime.spawn(work(path.clone()))).unwrap();
    runtime.block_on(work(path.clone()));
    drop(hoard);
    assert_eq!(foreign_block_on(fs::read(&path)).unwrap(), b"hello");
}

#[test]
fn permission_denied() {
    if !alone(APART) {
        return;
    }
    use std::os::unix::fs::PermissionsExt;
    let scratch =
        Scratch(std::env::temp_dir().join(format!("threadlet-fs-{}", std::process::id())));
    std::fs::create_dir_all(&scratch.0).unwrap();
    scratch.file("secret", b"x");
    std::fs::create_dir(scratch.0.join("locked")).unwrap();
    scratch.file("locked/file", b"x");
    for name in ["secret", "locked"] {
        let none = std::fs::Permissions::from_mode(0o000);
        std::fs::set_permissions(scratch.0.join(name), none).unwrap();
    }
    // A user for whom the mode means something.
    let dir = scratch.0.clone();
    let user = std::thread::spawn(move || {
        os::become_nobody();
        everywhere(denied, dir);
    });
    user.join().unwrap();
}

async fn denied(dir: PathBuf) {
    let denied = ErrorKind::PermissionDenied;
    assert_eq!(File::open(dir.join("secret")).await.unwrap_err().kind(), denied);
    assert_eq!(fs::read(dir.join("secret")).await.unwrap_err().kind(), denied);
    assert_eq!(fs::metadata(dir.join("locked/file")).await.unwrap_err().kind(), denied);
    assert_eq!(fs::try_exists(dir.join("locked/file")).await.unwrap_err().kind(), denied);
    assert_eq!(fs::read_dir(dir.join("locked")).await.unwrap_err().kind(), denied);
    assert!(fs::metadata(dir.join("secret")).await.is_ok(), "looking needs no permission");
}

/// Not a panic: an error that says what is missing, and the next call tries again.
#[test]
fn no_threads_for_the_global_runtime() {
    if !alone(APART) {
        return;
    }
    let user = std::thread::spawn(|| {
        os::become_nobody();
        let before = os::set_thread_limit(0);
        let error = foreign_block_on(fs::canonicalize("/")).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::WouldBlock, "{error}");
        assert!(error.to_string().contains("global threadlet runtime"), "{error}");
        let (reader, mut writer) = os::pipe();
        let mut file = File::from_std(reader);
        let mut byte = [0; 4];
        let read = futures::io::AsyncReadExt::read(&mut file, &mut byte);
        assert!(foreign_block_on(read).is_err());
        os::set_thread_limit(before);
        std::io::Write::write_all(&mut writer, b"x").unwrap();
        let read = futures::io::AsyncReadExt::read(&mut file, &mut byte);
        assert_eq!(foreign_block_on(read).unwrap(), 1);
        foreign_block_on(fs::canonicalize("/")).unwrap();
    });
    user.join().unwrap();
}

/// Unmounts when it goes.
struct Mount(PathBuf);

impl Drop for Mount {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(&self.0).status();
    }
}

/// A disk of one megabyte.
#[test]
fn a_full_disk() {
    if skip("mount") {
        return;
    }
    let scratch = Scratch::new();
    let mut mount = Command::new("mount");
    mount.args(["-t", "tmpfs", "-o", "size=1m", "threadlet-test"]).arg(&scratch.0);
    let mounted = mount.output().is_ok_and(|output| output.status.success());
    if !mounted {
        let hint = "a tmpfs cannot be mounted: THREADLET_SKIP=mount skips this";
        assert!(!os::is_root(), "{hint}");
        return crate::support::say(&format!("SKIPPED: mount ({hint})"));
    }
    let mount = Mount(scratch.0.clone());
    everywhere(full, mount.0.clone());
}

async fn full(dir: PathBuf) {
    let path = dir.join("file");
    let mut file = File::create(&path).await.unwrap();
    let data = pattern(300_000);
    let mut written = 0;
    let error = loop {
        match file.write(&data).await {
            Ok(n) => written += n as u64,
            Err(error) => break error,
        }
    };
    assert_eq!(error.raw_os_error(), Some(libc::ENOSPC));
    // Every byte that was said to be written is, and no other.
    assert_eq!(std::fs::metadata(&path).unwrap().len(), written);
    assert!((900_000..=1 << 20).contains(&written), "{written}");
    file.close().await.unwrap();
    let error = fs::write(dir.join("other"), &data).await.unwrap_err();
    assert_eq!(error.raw_os_error(), Some(libc::ENOSPC));
    drop(file);
    fs::remove_file(&path).await.unwrap();
    fs::remove_file(dir.join("other")).await.unwrap();
}
