//! The example's binary, trees to run it on, and what it should say of them.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};

use crate::sha256;

/// No run of these tests may take so long, in seconds; `timeout` ends with this status if one does.
const LIMIT: &str = "100";
const TIMED_OUT: i32 = 124;

/// The example, built. Cargo names binaries to tests, but not examples.
pub(crate) fn treesum() -> &'static Path {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    BUILT.get_or_init(|| {
        // This test is target/PROFILE/deps/whole_treesum-HASH (a triple may stand before PROFILE).
        let test = std::env::current_exe().unwrap();
        let profile = test.parent().and_then(Path::parent).unwrap();
        let example = profile.join("examples/treesum");
        // `cargo test` has built it, but `cargo test --test whole_treesum` has not. A cargo that
        // may not write there is no failure if it is there.
        if let Some(cargo) = std::env::var_os("CARGO") {
            let mut build = Command::new(cargo);
            build.args(["build", "--quiet", "--package", "threadlet", "--example", "treesum"]);
            if profile.ends_with("release") {
                build.arg("--release");
            }
            let status = build.current_dir(env!("CARGO_MANIFEST_DIR")).status();
            assert!(status.is_ok_and(|s| s.success()) || example.exists(), "cargo build failed");
        }
        assert!(example.exists(), "build it first: cargo build --example treesum");
        example
    })
}

/// A run of the example in `directory`, which is killed if it hangs.
pub(crate) fn command(directory: &Path) -> Command {
    let mut command = Command::new("timeout");
    command.arg(LIMIT).arg(treesum()).current_dir(directory).stdin(Stdio::null());
    command
}

/// Runs the example with `args` in `directory`.
pub(crate) fn run<A: AsRef<OsStr>>(directory: &Path, args: &[A]) -> Run {
    finish(command(directory).args(args))
}

/// Runs what `command` made ready.
pub(crate) fn finish(command: &mut Command) -> Run {
    Run::from(command.output().expect("`timeout` of coreutils is there"))
}

/// What a run left.
#[derive(Debug)]
pub(crate) struct Run {
    pub(crate) status: i32,
    pub(crate) stdout: Vec<u8>,
    pub(crate) stderr: String,
}

impl From<Output> for Run {
    fn from(output: Output) -> Self {
        let stderr = String::from_utf8(output.stderr).expect("names are quoted there");
        let status = output.status.code().expect("no signal ended it");
        assert_ne!(status, TIMED_OUT, "it hung: {stderr}");
        assert!(!stderr.contains("panicked"), "{stderr}");
        Run { status, stdout: output.stdout, stderr }
    }
}

impl Run {
    /// The value behind `name` in the report.
    pub(crate) fn value(&self, name: &str) -> String {
        let report = std::str::from_utf8(&self.stdout).unwrap();
        let line = report.lines().find_map(|line| line.strip_prefix(name));
        line.unwrap_or_else(|| panic!("no {name} in {report}")).trim().to_owned()
    }
}

/// A directory of its own, gone at the end.
#[derive(Debug)]
pub(crate) struct Tree(pub(crate) PathBuf);

impl Tree {
    pub(crate) fn new() -> Tree {
        // On a disk, if possible: what is in a tmpfs is never cold.
        Tree::in_one_of(&[Path::new(env!("CARGO_TARGET_TMPDIR")), &std::env::temp_dir()])
    }

    pub(crate) fn in_one_of(places: &[&Path]) -> Tree {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let nth = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("treesum-{}-{nth}", std::process::id());
        let mut made = places.iter().map(|place| place.join(&name));
        Tree(made.find(|path| fs::create_dir(path).is_ok()).expect("a place to write to"))
    }

    pub(crate) fn file(&self, name: impl AsRef<OsStr>, contents: impl AsRef<[u8]>) -> PathBuf {
        let path = self.0.join(name.as_ref());
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, contents).unwrap();
        path
    }

    /// A file of each kind of name and size, links, and directories with and without contents.
    pub(crate) fn filled() -> Tree {
        let tree = Tree::new();
        tree.file("empty", "");
        tree.file("a/b", "in a directory");
        tree.file("a-b", "between a directory and its contents");
        tree.file("a/deep/deeper/c", "c");
        tree.file("large", pattern(300_000));
        tree.file("a page", pattern(4096));
        tree.file("one chunk", pattern(128 * 1024));
        tree.file(" *starts oddly ", "spaces");
        tree.file("new\nline", "newline");
        tree.file("back\\slash", "backslash");
        tree.file("carriage\rreturn\r", "carriage return");
        tree.file(OsStr::from_bytes(b"not \xFF\xFE UTF-8"), "bytes");
        tree.file(OsStr::from_bytes(b"\xFFdirectory\\\n/x"), "bytes on the way");
        fs::create_dir(tree.0.join("empty directory")).unwrap();
        std::os::unix::fs::symlink("../large", tree.0.join("a/link")).unwrap();
        std::os::unix::fs::symlink(".", tree.0.join("here")).unwrap();
        std::os::unix::fs::symlink("..", tree.0.join("a/up")).unwrap();
        tree
    }
}

impl Drop for Tree {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// So many bytes, not all the same.
pub(crate) fn pattern(len: usize) -> Vec<u8> {
    (0..len).map(|n| (n * 7 + n / 251) as u8).collect()
}

/// What the example should say of a tree in which all is well.
#[derive(Debug)]
pub(crate) struct Expected {
    pub(crate) digest: String,
    pub(crate) list: Vec<u8>,
    pub(crate) files: u64,
    pub(crate) bytes: u64,
}

/// All at once, and in the plainest way: every path, sorted, one by one. The list has `prefix`
/// before each name.
pub(crate) fn expected(root: &Path, prefix: &str) -> Expected {
    let mut paths = Vec::new();
    collect(root, &mut paths);
    let mut named: Vec<(Vec<u8>, PathBuf)> = paths
        .into_iter()
        .map(|p| (p.strip_prefix(root).unwrap().to_owned().into_os_string().into_vec(), p))
        .collect();
    named.sort();
    let mut records = Vec::new();
    let mut all = Expected { digest: String::new(), list: Vec::new(), files: 0, bytes: 0 };
    for (name, path) in named {
        let kind = fs::symlink_metadata(&path).unwrap().file_type();
        let record = if kind.is_dir() {
            "d - ".to_owned()
        } else if kind.is_symlink() {
            let target = fs::read_link(&path).unwrap().into_os_string().into_vec();
            format!("l {} ", sha256::hex(&target))
        } else {
            let contents = fs::read(&path).unwrap();
            let sum = sha256::hex(&contents);
            all.files += 1;
            all.bytes += contents.len() as u64;
            all.list.extend(line(&sum, &[prefix.as_bytes(), &name].concat()));
            format!("f {sum} ")
        };
        records.extend([record.as_bytes(), &name, &[0]].concat());
    }
    all.digest = sha256::hex(&records);
    all
}

fn collect(directory: &Path, paths: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(directory).unwrap() {
        let entry = entry.unwrap();
        if entry.file_type().unwrap().is_dir() {
            collect(&entry.path(), paths);
        }
        paths.push(entry.path());
    }
}

fn line(sum: &str, name: &[u8]) -> Vec<u8> {
    let mut escaped = Vec::new();
    for byte in name {
        match byte {
            b'\\' => escaped.extend(b"\\\\"),
            b'\n' => escaped.extend(b"\\n"),
            b'\r' => escaped.extend(b"\\r"),
            _ => escaped.push(*byte),
        }
    }
    let mark = if escaped == name { "" } else { "\\" };
    [format!("{mark}{sum}  ").into_bytes(), escaped, b"\n".to_vec()].concat()
}

/// Has coreutils check a list.
pub(crate) fn sha256sum_accepts(directory: &Path, list: &[u8]) -> Run {
    let file = Tree::new();
    let path = file.file("list", list);
    let mut check = Command::new("sha256sum");
    check.args(["--check", "--strict", "--quiet"]).arg(path).current_dir(directory);
    Run::from(check.output().expect("`sha256sum` of coreutils is there"))
}

/// Whether a test was allowed to be skipped, in the words of `THREADLET_SKIP`.
pub(crate) fn may_skip(what: &str) -> bool {
    let skip = std::env::var("THREADLET_SKIP").unwrap_or_default();
    skip.split([',', ' ']).any(|word| word == what)
}
