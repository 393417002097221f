//! The example `treesum`, run as a user runs it.

mod sha256;
mod support;

use std::fs::{self, File, Permissions};
use std::io::Read;
use std::os::fd::AsRawFd;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use support::{
    Run, Tree, command, expected, finish, may_skip, pattern, run, sha256sum_accepts, treesum,
};

#[test]
fn it_says_what_others_say_with_every_detector() {
    let tree = Tree::filled();
    let all = expected(&tree.0, "./");
    for detector in ["auto", "perf", "monitor", "off"] {
        let report = finish(command(&tree.0).arg(".").env("THREADLET_DETECTOR", detector));
        assert_eq!((report.status, report.stderr.as_str()), (0, ""), "{detector}");
        assert_eq!(report.value("digest"), all.digest, "{detector}");
        assert_eq!(report.value("files"), all.files.to_string(), "{detector}");
        assert_eq!(report.value("bytes"), all.bytes.to_string(), "{detector}");
        let used = report.value("detector");
        // Perf may be refused, and the report says why then.
        let fell_back = detector != "off" && used.starts_with("monitor (");
        assert!(detector == "auto" || used == detector || fell_back, "{used}");

        let list =
            finish(command(&tree.0).args(["--list", "."]).env("THREADLET_DETECTOR", detector));
        assert_eq!((list.status, list.stderr.as_str()), (0, ""), "{detector}");
        assert_eq!(
            String::from_utf8_lossy(&list.stdout),
            String::from_utf8_lossy(&all.list),
            "{detector}"
        );
        assert_eq!(list.stdout, all.list);
    }
}

#[test]
fn coreutils_accepts_the_list_and_notices_a_change() {
    let tree = Tree::filled();
    let parent = tree.0.parent().unwrap();
    let name = tree.0.file_name().unwrap();
    let list = run(parent, &[Path::new("--list"), Path::new(name)]);
    assert_eq!(list.status, 0);
    let check = sha256sum_accepts(parent, &list.stdout);
    assert_eq!((check.status, check.stdout.as_slice()), (0, &b""[..]), "{}", check.stderr);
    tree.file("new\nline", "changed");
    let check = sha256sum_accepts(parent, &list.stdout);
    assert_eq!(check.status, 1);
    assert!(String::from_utf8_lossy(&check.stdout).contains("new\\nline: FAILED"), "{check:?}");
}

#[test]
fn the_digest_depends_on_the_tree_and_on_nothing_else() {
    let (one, other) = (Tree::filled(), Tree::filled());
    let digest = |directory: &Path, args: &[&str]| {
        let report = run(directory, args);
        assert_eq!(report.status, 0, "{}", report.stderr);
        report.value("digest")
    };
    let here = digest(&one.0, &["."]);
    assert_eq!(here, digest(Path::new("/"), &[one.0.to_str().unwrap()]));
    assert_eq!(here, digest(&one.0, &["--jobs", "1", "a/../"]));
    assert_eq!(here, digest(&one.0, &["--jobs", "512", "here"]), "PATH may be a link");
    assert_eq!(here, digest(&other.0, &["."]));
    for change in [
        || ("empty", "no more"),
        || ("another", ""),
        || ("a/deep/d", ""),
        || ("empty directory/file", ""),
    ] {
        let (name, contents) = change();
        let before = digest(&other.0, &["."]);
        other.file(name, contents);
        assert_ne!(before, digest(&other.0, &["."]), "{name}");
    }
    fs::remove_file(one.0.join("a/link")).unwrap();
    symlink("../largE", one.0.join("a/link")).unwrap();
    fs::write(one.0.join("largE"), "").unwrap();
    let retargeted = digest(&one.0, &["."]);
    fs::remove_file(one.0.join("a/link")).unwrap();
    symlink("../large", one.0.join("a/link")).unwrap();
    assert_ne!(retargeted, digest(&one.0, &["."]), "a link's target counts");
}

/// Whether the first page of a file is in memory; `None` if the file system does not say.
fn is_cached(file: &File) -> Option<bool> {
    let mut byte = 0u8;
    let part = libc::iovec { iov_base: (&raw mut byte).cast(), iov_len: 1 };
    // SAFETY: `part` describes one writable byte, which lives as long as the call.
    let n = unsafe { libc::preadv2(file.as_raw_fd(), &raw const part, 1, 0, libc::RWF_NOWAIT) };
    match (n, std::io::Error::last_os_error().raw_os_error()) {
        (1, _) => Some(true),
        (_, Some(libc::EAGAIN)) => Some(false),
        _ => None,
    }
}

/// Has the kernel forget a file's contents; returns whether it did.
fn cool(path: &Path) -> Option<bool> {
    let file = File::open(path).unwrap();
    // Only what is on the disk can be forgotten.
    file.sync_all().unwrap();
    // SAFETY: the call touches no memory of ours.
    let refused = unsafe { libc::posix_fadvise(file.as_raw_fd(), 0, 0, libc::POSIX_FADV_DONTNEED) };
    assert_eq!(refused, 0);
    is_cached(&file).map(|cached| !cached)
}

#[test]
fn a_cold_cache_changes_nothing() {
    let tree = Tree::new();
    let files: Vec<_> =
        (0..60).map(|n| tree.file(format!("{}/{n}", n % 7), pattern(n * 5_000 + 1))).collect();
    let all = expected(&tree.0, "");
    for detector in ["perf", "monitor"] {
        let cold: Vec<_> = files.iter().map(|path| cool(path)).collect();
        if cold.iter().all(Option::is_none) {
            assert!(may_skip("cold"), "this file system does not tell what is cached");
        }
        assert!(cold.contains(&Some(true)) || may_skip("cold"), "nothing was forgotten");
        for state in ["cold", "warm"] {
            let report = finish(command(&tree.0).arg(".").env("THREADLET_DETECTOR", detector));
            assert_eq!(report.status, 0, "{}", report.stderr);
            assert_eq!(report.value("digest"), all.digest, "{detector}, {state}");
            assert_eq!(report.value("bytes"), all.bytes.to_string(), "{detector}, {state}");
        }
    }
}

#[test]
fn a_path_that_is_not_there_is_one_line_and_status_2() {
    let tree = Tree::new();
    symlink("nowhere", tree.0.join("dangling")).unwrap();
    for path in ["missing", "missing/below", "dangling"] {
        let missing = run(&tree.0, &[path]);
        assert_eq!((missing.status, missing.stdout.as_slice()), (2, &b""[..]), "{path}");
        assert_eq!(missing.stderr, format!("treesum: {path:?}: No such file or directory\n"));
    }
    let device = run(&tree.0, &["/dev/null"]);
    assert_eq!(device.status, 2);
    assert_eq!(device.stderr, "treesum: \"/dev/null\": neither a file nor a directory\n");
}

#[test]
fn wrong_arguments_are_a_usage_and_status_2() {
    let tree = Tree::new();
    for args in [
        &[][..],
        &["--nonsense"],
        &[".", "."],
        &[""],
        &["--jobs", "0", "."],
        &["--jobs", "513", "."],
        &["--jobs", "x"],
    ] {
        let wrong = run(&tree.0, args);
        assert_eq!((wrong.status, wrong.stdout.as_slice()), (2, &b""[..]), "{args:?}");
        assert!(wrong.stderr.starts_with("error: "), "{args:?}: {}", wrong.stderr);
        assert!(wrong.stderr.contains("--help"), "{args:?}: {}", wrong.stderr);
    }
    assert!(run::<&str>(&tree.0, &[]).stderr.contains("Usage: treesum"));
    assert_eq!(run(&tree.0, &["--help"]).status, 0);
    let detector = finish(command(&tree.0).arg(".").env("THREADLET_DETECTOR", "guess"));
    assert_eq!(detector.status, 2);
    assert_eq!(detector.stderr.lines().count(), 1, "{}", detector.stderr);
}

#[test]
fn one_file_is_a_tree_too() {
    let tree = Tree::new();
    let contents = pattern(70_000);
    tree.file("one", &contents);
    symlink("one", tree.0.join("link")).unwrap();
    tree.file("-", &contents);
    let sum = sha256::hex(&contents);
    let digest = sha256::hex(format!("f {sum} \0").as_bytes());
    for path in ["one", "./one", "link", "-"] {
        let report = run(&tree.0, &["--", path]);
        assert_eq!((report.status, report.value("digest")), (0, digest.clone()), "{path}");
        let name = if path == "-" { "./-" } else { path };
        let list = run(&tree.0, &["--list", "--", path]).stdout;
        assert_eq!(String::from_utf8(list.clone()).unwrap(), format!("{sum}  {name}\n"));
        assert_eq!(sha256sum_accepts(&tree.0, &list).status, 0);
    }
}

/// Where each fault is to be named, and what is to be said of it.
fn assert_faults(run: &Run, faults: &[(&str, &str)]) {
    assert_eq!(run.status, 1, "{}", run.stderr);
    for (name, text) in faults {
        let line = format!("treesum: \"./{name}\": {text}");
        assert!(run.stderr.lines().any(|l| l.starts_with(&line)), "no {line} in {}", run.stderr);
    }
    let entries = if faults.len() == 1 { "entry" } else { "entries" };
    let last = format!(
        "treesum: {} {entries} could not be read, led nowhere or were no files (see above)",
        faults.len()
    );
    assert_eq!(run.stderr.lines().last(), Some(last.as_str()));
    assert_eq!(run.stderr.lines().count(), faults.len() + 1, "{}", run.stderr);
}

#[test]
fn what_cannot_be_read_is_named_and_never_waited_for() {
    let tree = Tree::new();
    tree.file("good", "good");
    let all = expected(&tree.0, "./");
    let fifo = Command::new("mkfifo").arg(tree.0.join("pipe")).status();
    assert!(fifo.expect("`mkfifo` of coreutils is there").success());
    let _listener = UnixListener::bind(tree.0.join("socket")).unwrap();
    let faults = [("pipe", "skipped: a pipe"), ("socket", "skipped: a socket")];
    let skipped = run(&tree.0, &["."]);
    assert_faults(&skipped, &faults);
    assert_eq!(skipped.value("digest"), all.digest, "what was skipped is not in the digest");
    assert_eq!(skipped.value("faults"), "2");

    symlink("nowhere", tree.0.join("dangling")).unwrap();
    symlink("loop", tree.0.join("loop")).unwrap();
    let broken = run(&tree.0, &["."]);
    let links = [
        ("dangling", "a link that leads nowhere: No such file"),
        ("loop", "a link that leads nowhere: Too many levels"),
    ];
    assert_faults(&broken, &[faults[0], faults[1], links[0], links[1]]);
    assert_ne!(broken.value("digest"), all.digest, "a broken link's text is in the digest");
    let list = run(&tree.0, &["--list", "."]);
    assert_eq!((list.status, list.stdout), (1, all.list));
}

/// A file that even root can open but not read: nothing is mapped at its beginning.
#[test]
fn an_error_of_a_read_is_noticed_for_root_too() {
    let tree = Tree::new();
    let denied = run(&tree.0, &["/proc/self/mem"]);
    assert_eq!((denied.status, denied.value("files").as_str()), (1, "0"));
    assert!(denied.stderr.contains("Input/output error"), "{}", denied.stderr);
}

#[test]
fn what_may_not_be_read_is_named() {
    // Others must be able to come here, and to run the example.
    let tree = Tree::in_one_of(&[&std::env::temp_dir()]);
    let everybody = Permissions::from_mode(0o755);
    fs::set_permissions(&tree.0, everybody.clone()).unwrap();
    tree.file("tree/good", "good");
    fs::set_permissions(tree.file("tree/secret", ""), Permissions::from_mode(0o000)).unwrap();
    tree.file("tree/closed/inside", "");
    let closed = tree.0.join("tree/closed");
    fs::set_permissions(&closed, Permissions::from_mode(0o000)).unwrap();
    let program = tree.0.join("treesum");
    fs::copy(treesum(), &program).unwrap();
    fs::set_permissions(&program, everybody).unwrap();

    let mut command = Command::new("timeout");
    command.arg("100").current_dir(tree.0.join("tree"));
    // SAFETY: the call touches no memory of ours.
    if unsafe { libc::geteuid() } == 0 {
        if may_skip("setpriv") {
            return;
        }
        command.args(["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]);
    }
    let run = finish(command.arg(program).arg("."));
    fs::set_permissions(&closed, Permissions::from_mode(0o755)).unwrap();
    assert_faults(&run, &[("secret", "Permission denied"), ("closed", "Permission denied")]);
    assert_eq!(run.value("files"), "1");
}

/// A run whose list is longer than all buffers on its way, stopped by a full pipe: it has read the
/// directory, and only the first files of it.
fn stopped_by_a_full_pipe(tree: &Tree) -> Child {
    for n in 0..2500 {
        tree.file(format!("{n:04}{}", "x".repeat(200)), "");
    }
    tree.file("z", "the last one");
    let mut command = command(&tree.0);
    command.args(["--list", "--jobs", "4", "."]).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let first = child.stdout.as_mut().unwrap().read(&mut [0]).unwrap();
    assert_eq!(first, 1);
    child
}

#[test]
fn a_file_that_vanishes_before_its_turn_is_named() {
    let tree = Tree::new();
    let child = stopped_by_a_full_pipe(&tree);
    fs::remove_file(tree.0.join("z")).unwrap();
    let run = Run::from(child.wait_with_output().unwrap());
    assert_faults(&run, &[("z", "vanished")]);
    assert_eq!(run.stdout.split(|byte| *byte == b'\n').count(), 2501, "all others are there");
}

#[test]
fn a_reader_that_goes_away_ends_it_quietly() {
    let tree = Tree::new();
    let mut child = stopped_by_a_full_pipe(&tree);
    drop(child.stdout.take());
    let run = Run::from(child.wait_with_output().unwrap());
    assert_eq!((run.status, run.stderr.as_str()), (1, ""));

    let full = File::options().write(true).open("/dev/full").unwrap();
    let run = finish(command(&tree.0).args(["--list", "."]).stdout(full));
    assert_eq!(run.status, 1);
    assert_eq!(run.stderr.lines().count(), 1, "{}", run.stderr);
}

/// Waits until a process below `parent` has `path` open.
fn wait_until_open(path: &Path) {
    let deadline = Instant::now() + Duration::from_secs(60);
    while Instant::now() < deadline {
        let processes = fs::read_dir("/proc").unwrap().flatten();
        for fds in processes.filter_map(|process| fs::read_dir(process.path().join("fd")).ok()) {
            if fds.flatten().any(|fd| fs::read_link(fd.path()).is_ok_and(|open| open == path)) {
                return;
            }
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    panic!("nobody opens {path:?}");
}

#[test]
fn a_file_that_changes_while_it_is_read_is_named() {
    type Change = fn(&Path);
    let changes: [(Change, &str); 2] = [
        (|path| File::options().write(true).open(path).unwrap().set_len(0).unwrap(), "shrank"),
        (
            |path| {
                let file = File::options().write(true).open(path).unwrap();
                fs::remove_file(path).unwrap();
                file.set_len(0).unwrap();
            },
            "vanished while it was read",
        ),
    ];
    for (change, text) in changes {
        let tree = Tree::new();
        let path = tree.file("sparse", "");
        // A hole that takes minutes to read.
        File::options().write(true).open(&path).unwrap().set_len(1 << 40).unwrap();
        let mut command = command(&tree.0);
        command.arg(".").stdout(Stdio::piped()).stderr(Stdio::piped());
        let child = command.spawn().unwrap();
        wait_until_open(&path.canonicalize().unwrap());
        std::thread::sleep(Duration::from_millis(20));
        change(&path);
        let run = Run::from(child.wait_with_output().unwrap());
        assert_faults(&run, &[("sparse", text)]);
        assert_eq!(run.value("files"), "0");
    }
}

#[test]
fn on_a_terminal_there_is_a_bar_and_elsewhere_none() {
    let tree = Tree::new();
    let sparse = File::create(tree.0.join("sparse")).unwrap();
    sparse.set_len(1 << 28).unwrap();
    let dark = run(&tree.0, &["."]);
    assert_eq!((dark.status, dark.stderr.as_str()), (0, ""));
    if may_skip("script") {
        return;
    }
    // `script` of util-linux gives it a terminal, and writes down what is to be seen there.
    let seen = tree.0.with_extension("seen");
    let inside = format!("'{}' .", treesum().display());
    let mut terminal = Command::new("timeout");
    terminal.args(["100", "script", "-qec", &inside]).arg(&seen).current_dir(&tree.0);
    let run = finish(terminal.stdin(Stdio::null()).env("TERM", "xterm"));
    let text = fs::read_to_string(&seen).unwrap();
    fs::remove_file(&seen).unwrap();
    assert_eq!(run.status, 0, "{text}");
    assert!(text.contains("iB/s"), "{text}");
    assert!(text.contains(&dark.value("digest")), "{text}");
}
