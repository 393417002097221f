//! `serve`: files over HTTP, with a client that says what it likes, and with a browser.

use std::io::{Read, Write};
use std::os::unix::fs::symlink;
use std::process::{Command, Stdio};
use std::time::Duration;

use crate::support::{Client, Folder, Server, connect, may_skip};

/// Starts it on any port; returns its address.
fn start(folder: &Folder) -> (Server, String) {
    let (server, line) = Server::start("serve", &[folder.path(), "--port", "0", "--report"]);
    let address = line.strip_prefix("http://").and_then(|line| line.strip_suffix('/'));
    let address = address.unwrap_or_else(|| panic!("it says where it is: {line}")).to_owned();
    (server, address)
}

/// Larger than what is read at once, and not a multiple of it.
fn large() -> Vec<u8> {
    (0..200_001_u32).map(|n| (n % 251) as u8).collect()
}

#[test]
fn files_come_whole_with_their_type_over_one_connection() {
    let folder = Folder::new();
    folder.file("index.html", "<p>here");
    folder.file("a b/ü.txt", "text");
    folder.file("empty.css", "");
    folder.file("large", large());
    let (server, address) = start(&folder);
    let mut client = Client::new(&address);
    for (path, kind, contents) in [
        ("/", "text/html; charset=utf-8", &b"<p>here"[..]),
        ("/index.html?what=ever", "text/html; charset=utf-8", b"<p>here"),
        ("/a%20b/%C3%BC.txt", "text/plain; charset=utf-8", b"text"),
        ("//a%20b//%C3%BC.txt", "text/plain; charset=utf-8", b"text"),
        ("/empty.css", "text/css; charset=utf-8", b""),
        ("/large", "application/octet-stream", &large()),
    ] {
        let response = client.ask(&format!("GET {path}"), &[]);
        assert_eq!((response.status, response.header("content-type")), (200, kind), "{path}");
        assert!(response.body == contents, "{path}");
        let head = client.ask(&format!("HEAD {path}"), &[]);
        assert_eq!(head.header("content-length"), contents.len().to_string(), "{path}");
        assert_eq!((head.status, head.header("content-type")), (200, kind), "{path}");
    }
    let refused = client.ask("DELETE /large", &[]);
    assert_eq!((refused.status, refused.header("allow")), (405, "GET, HEAD"));
    assert_eq!(client.ask("GET /nothing", &[]).status, 404);
    assert_eq!(client.ask("GET /index.html/", &[]).status, 404);
    assert_eq!(client.ask("GET /large/more", &[]).status, 404);
    let report = server.stop();
    assert!(report.contains("folder.find(&name)"), "the report has its calls: {report}");
}

#[test]
fn parts_of_a_file_are_given_out() {
    let folder = Folder::new();
    folder.file("large", large());
    folder.file("empty", "");
    let (_server, address) = start(&folder);
    let mut client = Client::new(&address);
    let mut ask = |range: &str| client.ask("GET /large", &[&format!("Range: bytes={range}")]);
    for (range, part, about) in [
        ("0-0", 0..1, "bytes 0-0/200001"),
        ("65530-131080", 65530..131081, "bytes 65530-131080/200001"),
        ("200000-", 200_000..200_001, "bytes 200000-200000/200001"),
        ("-5", 199_996..200_001, "bytes 199996-200000/200001"),
        ("-999999", 0..200_001, "bytes 0-200000/200001"),
    ] {
        let response = ask(range);
        assert_eq!((response.status, response.header("content-range")), (206, about));
        assert!(response.body == large()[part], "{range}");
    }
    let response = ask("200001-");
    assert_eq!((response.status, response.header("content-range")), (416, "bytes */200001"));
    for unknown in ["0-1,5-6", "5-4", "x"] {
        let response = ask(unknown);
        assert_eq!((response.status, response.body.len()), (200, 200_001), "{unknown}");
    }
    assert_eq!(client.ask("GET /empty", &["Range: bytes=0-"]).status, 416);
    let head = client.ask("HEAD /large", &["Range: bytes=1-2"]);
    assert_eq!((head.status, head.header("content-length")), (206, "2"));
}

#[test]
fn what_a_client_has_is_not_sent_again() {
    let folder = Folder::new();
    folder.file("file", "one");
    let (_server, address) = start(&folder);
    let mut client = Client::new(&address);
    let first = client.ask("GET /file", &[]);
    let (tag, modified) = (first.header("etag"), first.header("last-modified"));
    let long_ago = "Thu, 01 Jan 1970 00:00:00 GMT";
    for (header, status) in [
        (format!("If-None-Match: {tag}"), 304),
        (format!("If-None-Match: \"other\", {tag}"), 304),
        ("If-None-Match: *".to_owned(), 304),
        ("If-None-Match: \"other\"".to_owned(), 200),
        (format!("If-Modified-Since: {modified}"), 304),
        (format!("If-Modified-Since: {long_ago}"), 200),
        // The tag is what counts, where there is one.
        (format!("If-None-Match: \"other\"\r\nIf-Modified-Since: {modified}"), 200),
        (format!("If-Match: {tag}"), 200),
        ("If-Match: \"other\"".to_owned(), 412),
        (format!("If-Unmodified-Since: {modified}"), 200),
        (format!("If-Unmodified-Since: {long_ago}"), 412),
        // A part of the file that the client has, or else all of the new one.
        (format!("Range: bytes=1-\r\nIf-Range: {tag}"), 206),
        (format!("Range: bytes=1-\r\nIf-Range: {modified}"), 206),
        ("Range: bytes=1-\r\nIf-Range: \"other\"".to_owned(), 200),
        (format!("Range: bytes=1-\r\nIf-Range: {long_ago}"), 200),
    ] {
        let response = client.ask("GET /file", &[&header]);
        assert_eq!(response.status, status, "{header}");
        assert_eq!(response.header("etag"), tag, "{header}");
    }
    folder.file("file", "other");
    let second = client.ask("GET /file", &[&format!("If-None-Match: {tag}")]);
    assert_eq!((second.status, second.text()), (200, "other"));
}

#[test]
fn a_folder_is_listed() {
    let folder = Folder::new();
    folder.file("sub/<b> & \"c\"", "");
    folder.file("sub/100%.txt", "percent");
    folder.file("sub/javascript:x", "a colon");
    folder.file("sub/.hidden", "");
    folder.file("sub/deep/file", "");
    let (_server, address) = start(&folder);
    let mut client = Client::new(&address);
    for path in ["/sub", "//sub"] {
        let moved = client.ask(&format!("GET {path}"), &[]);
        assert_eq!((moved.status, moved.header("location")), (301, "/sub/"));
    }
    let page = client.ask("GET /sub/", &[]);
    assert_eq!((page.status, page.header("content-type")), (200, "text/html"));
    let names: Vec<_> = page.text().lines().filter_map(|line| line.strip_prefix("<li>")).collect();
    assert_eq!(
        names,
        [
            "<a href=\"../\">../</a>",
            "<a href=\"./100%25.txt\">100%.txt</a>",
            "<a href=\"./%3Cb%3E%20%26%20%22c%22\">&lt;b&gt; &amp; &quot;c&quot;</a>",
            "<a href=\"./deep/\">deep/</a>",
            "<a href=\"./javascript%3Ax\">javascript:x</a>",
        ]
    );
    assert_eq!(client.ask("GET /sub/100%25.txt", &[]).text(), "percent");
    assert_eq!(client.ask("GET /sub/javascript%3Ax", &[]).text(), "a colon");
    let root = client.ask("GET /", &[]);
    assert!(root.text().contains("<h1>/</h1>") && !root.text().contains("../"), "{root:?}");
}

#[test]
fn nothing_outside_the_folder_is_given_out() {
    let outside = Folder::new();
    outside.file("secret", "secret");
    outside.file("folder/secret", "secret");
    let folder = Folder::new();
    folder.file("sub/file", "within");
    folder.file(".git/config", "secret");
    let link = |to: &str, name: &str| symlink(to, folder.0.join(name)).unwrap();
    link(&format!("{}/secret", outside.path()), "absolute");
    link(&format!("../{}/secret", outside.0.file_name().unwrap().to_str().unwrap()), "relative");
    link(&format!("{}/folder", outside.path()), "folder");
    link(&format!("{}/sub/file", folder.path()), "absolute-within");
    link("/proc/self/environ", "proc");
    link("loop", "loop");
    link("sub/file", "good");
    link("sub", "good-folder");
    link("../sub/file", "sub/good");
    let fifo = Command::new("mkfifo").arg(folder.0.join("pipe")).status();
    assert!(fifo.unwrap().success());

    let (server, address) = start(&folder);
    let mut client = Client::new(&address);
    let name = outside.0.file_name().unwrap().to_str().unwrap();
    for path in [
        &format!("/../{name}/secret"),
        &format!("/%2e%2e/{name}/secret"),
        &format!("/sub/..%2f..%2f{name}/secret"),
        &format!("/..%2f{name}%2fsecret"),
        &format!("/sub/../../{name}/secret"),
        &format!("/{}/secret", outside.path().replace('/', "%2f")),
        "/absolute",
        "/relative",
        "/folder/secret",
        "/folder/",
        "/absolute-within",
        "/proc",
        "/pipe",
        "/.git/config",
        "/sub/file%00.html",
    ] {
        let response = client.ask(&format!("GET {path}"), &[]);
        assert_eq!((response.status, response.text()), (404, "no such file\n"), "{path}");
    }
    assert!(client.ask("GET /loop", &[]).status >= 404);
    for path in ["/good", "/good-folder/file", "/sub/good"] {
        let response = client.ask(&format!("GET {path}"), &[]);
        assert_eq!((response.status, response.text()), (200, "within"), "{path}");
    }
    // It was the link that was refused, and not that something is missing.
    assert!(server.stop().contains("refused: absolute"));
}

/// An answer that is under way is finished; who waits for nothing is sent away; nobody new is let in.
#[test]
fn a_signal_ends_it_gracefully() {
    for signal in [libc::SIGINT, libc::SIGTERM] {
        let folder = Folder::new();
        let length = 32 << 20;
        std::fs::File::create(folder.0.join("zeros")).unwrap().set_len(length).unwrap();
        let (server, address) = start(&folder);
        let mut idle = Client::new(&address);
        assert_eq!(idle.ask("HEAD /zeros", &[]).status, 200);
        let mut under_way = connect(&address);
        under_way.write_all(b"GET /zeros HTTP/1.1\r\nHost: here\r\n\r\n").unwrap();
        let mut first = [0; 1000];
        under_way.read_exact(&mut first).unwrap();
        server.signal(signal);
        assert!(idle.is_closed());
        let refused = std::net::TcpStream::connect(&address);
        assert_eq!(refused.unwrap_err().kind(), std::io::ErrorKind::ConnectionRefused);
        let mut rest = Vec::new();
        under_way.read_to_end(&mut rest).unwrap();
        let head = first.windows(4).position(|four| four == b"\r\n\r\n").unwrap() + 4;
        assert_eq!(first.len() - head + rest.len(), length as usize);
        let (status, said) = server.end();
        assert!(status.success(), "{status}: {said}");
    }
}

#[test]
fn a_client_that_goes_in_the_middle_is_nobody_else_s_business() {
    let folder = Folder::new();
    std::fs::File::create(folder.0.join("zeros")).unwrap().set_len(32 << 20).unwrap();
    folder.file("file", "here");
    let (server, address) = start(&folder);
    for _ in 0..20 {
        let mut gone = connect(&address);
        gone.write_all(b"GET /zeros HTTP/1.1\r\nHost: here\r\n\r\n").unwrap();
        gone.read_exact(&mut [0; 1000]).unwrap();
    }
    assert_eq!(Client::new(&address).ask("GET /file", &[]).text(), "here");
    server.stop();
}

#[test]
fn what_cannot_be_served_is_said() {
    let folder = Folder::new();
    let missing = format!("{}/missing", folder.path());
    for (arguments, said) in [
        (vec![missing.as_str()], "missing: No such file or directory"),
        (vec![folder.path(), "--port", "many"], "invalid value 'many'"),
        (vec![], "Usage: serve"),
    ] {
        let output = crate::support::command("serve").args(&arguments).output().unwrap();
        let error = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success() && error.contains(said), "{arguments:?}: {error}");
    }
}

/// A page of a hundred files, in a real browser.
#[test]
fn a_browser_loads_a_page_of_a_hundred_files() {
    if may_skip("chromium") {
        return;
    }
    let folder = Folder::new();
    let mut page = String::from(
        "<!DOCTYPE html>\n<title>a hundred</title>\n<p id=\"count\"></p>\n<script>\n\
         let loaded = 0, failed = 0;\n\
         const say = () => document.getElementById('count').textContent = \
         `${loaded} loaded, ${failed} failed`;\n\
         const good = () => { loaded += 1; say(); };\n\
         const bad = () => { failed += 1; say(); };\n</script>\n",
    );
    for n in 0..100 {
        let events = "onload=\"good()\" onerror=\"bad()\"";
        match n % 4 {
            0 => {
                folder.file(&format!("{n}.js"), format!("// {n}\n"));
                page += &format!("<script src=\"{n}.js\" {events}></script>\n");
            }
            1 => {
                folder.file(&format!("{n}.css"), format!("#x{n} {{ color: red }}\n"));
                page += &format!("<link rel=\"stylesheet\" href=\"{n}.css\" {events}>\n");
            }
            _ => {
                let size = 1 + n * 10;
                let image = format!(
                    "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{size}\" height=\"5\"/>\n"
                );
                folder.file(&format!("images/{n}.svg"), image);
                page += &format!("<img src=\"images/{n}.svg\" {events}>\n");
            }
        }
    }
    folder.file("index.html", page);
    let (server, address) = start(&folder);
    let profile = Folder::new();
    let output = Command::new("timeout")
        .args(["120", "chromium", "--headless", "--no-sandbox", "--disable-gpu"])
        .args(["--disable-dev-shm-usage", "--no-first-run", "--disable-background-networking"])
        .arg(format!("--user-data-dir={}", profile.path()))
        .args(["--dump-dom", &format!("http://{address}/")])
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let page = String::from_utf8_lossy(&output.stdout);
    assert!(
        page.contains(">100 loaded, 0 failed<"),
        "{}\n{page}\n{}",
        output.status,
        String::from_utf8_lossy(&output.stderr)
    );
    std::thread::sleep(Duration::from_millis(10));
    server.stop();
}
