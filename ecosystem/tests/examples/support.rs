//! A program that is started, talked to and stopped; nothing of it outlives its test.

use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStderr, ChildStdout, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// How long anything may take.
pub const LIMIT: Duration = Duration::from_secs(60);

/// Where cargo has put an example; it is built if only this test was.
fn program(name: &str) -> PathBuf {
    static BUILT: Mutex<BTreeMap<String, PathBuf>> = Mutex::new(BTreeMap::new());
    let mut built = BUILT.lock().unwrap_or_else(PoisonError::into_inner);
    built.entry(name.to_owned()).or_insert_with(|| build(name)).clone()
}

fn build(name: &str) -> PathBuf {
    // This test is target/PROFILE/deps/examples-HASH.
    let test = std::env::current_exe().unwrap();
    let example = test.parent().and_then(Path::parent).unwrap().join("examples").join(name);
    if let Some(cargo) = std::env::var_os("CARGO") {
        let mut build = Command::new(cargo);
        build.args(["build", "--quiet", "--example", name]).current_dir(env!("CARGO_MANIFEST_DIR"));
        assert!(build.status().unwrap().success(), "cargo build --example {name} fails");
    }
    example
}

/// A command of an example, which is ended if it takes too long.
pub fn command(name: &str) -> Command {
    let mut command = Command::new("timeout");
    command.arg(format!("{}", LIMIT.as_secs())).arg(program(name));
    command
}

/// A server that runs.
pub struct Server {
    child: Child,
    stdout: BufReader<ChildStdout>,
    stderr: ChildStderr,
}

impl Server {
    /// Starts it, and returns with the first line that it prints.
    pub fn start(name: &str, arguments: &[&str]) -> (Server, String) {
        // Not even a test that is killed leaves it behind.
        let mut command = Command::new("setpriv");
        command.args(["--pdeathsig", "KILL"]).arg(program(name)).args(arguments);
        let command = command.stdin(Stdio::null());
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let (stdout, stderr) = (child.stdout.take().unwrap(), child.stderr.take().unwrap());
        let mut server = Server { child, stdout: BufReader::new(stdout), stderr };
        let mut line = String::new();
        server.stdout.read_line(&mut line).unwrap();
        if line.is_empty() {
            let (status, said) = server.end();
            panic!("{name} {arguments:?} ended, {status}: {said}");
        }
        (server, line.trim_end().to_owned())
    }

    pub fn signal(&self, signal: libc::c_int) {
        let sent = unsafe { libc::kill(self.child.id().cast_signed(), signal) };
        assert_eq!(sent, 0);
    }

    /// Waits until it has ended; returns what it wrote to its standard error.
    pub fn end(mut self) -> (ExitStatus, String) {
        let begun = Instant::now();
        let status = loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                break status;
            }
            assert!(begun.elapsed() < LIMIT, "it does not end");
            std::thread::sleep(Duration::from_millis(5));
        };
        let mut said = String::new();
        self.stderr.read_to_string(&mut said).unwrap();
        (status, said)
    }

    /// As Ctrl-C does it.
    pub fn stop(self) -> String {
        self.signal(libc::SIGINT);
        let (status, said) = self.end();
        assert!(status.success(), "{status}: {said}");
        said
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

pub fn connect(address: &str) -> TcpStream {
    let stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(LIMIT)).unwrap();
    stream.set_write_timeout(Some(LIMIT)).unwrap();
    stream
}

/// A client of HTTP/1.1 that keeps its connection.
pub struct Client(BufReader<TcpStream>);

#[derive(Debug)]
pub struct Response {
    pub status: u16,
    pub headers: HashMap<String, String>,
    pub body: Vec<u8>,
}

impl Client {
    pub fn new(address: &str) -> Client {
        Client(BufReader::new(connect(address)))
    }

    /// Sends a request: its first line without the version, and its further headers.
    pub fn ask(&mut self, request: &str, headers: &[&str]) -> Response {
        self.send(request, headers);
        self.answer(request.starts_with("HEAD "))
    }

    pub fn post(&mut self, request: &str, json: &str) -> Response {
        let length = format!("Content-Length: {}", json.len());
        self.send(request, &["Content-Type: application/json", &length]);
        self.0.get_mut().write_all(json.as_bytes()).unwrap();
        self.answer(false)
    }

    fn send(&mut self, request: &str, headers: &[&str]) {
        let mut text = format!("{request} HTTP/1.1\r\nHost: here\r\n");
        for header in headers {
            text += &format!("{header}\r\n");
        }
        text += "\r\n";
        self.0.get_mut().write_all(text.as_bytes()).unwrap();
    }

    /// The answer, without a body if it is one to HEAD.
    fn answer(&mut self, head_only: bool) -> Response {
        let status = self.line();
        let status = status.split(' ').nth(1).and_then(|status| status.parse().ok());
        let mut response =
            Response { status: status.unwrap(), headers: HashMap::new(), body: Vec::new() };
        loop {
            let line = self.line();
            let Some((name, value)) = line.split_once(':') else { break };
            response.headers.insert(name.to_lowercase(), value.trim().to_owned());
        }
        let length = response.headers.get("content-length").map_or(0, |n| n.parse().unwrap());
        if !head_only && response.status != 304 {
            response.body = vec![0; length];
            self.0.read_exact(&mut response.body).unwrap();
        }
        response
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        self.0.read_line(&mut line).unwrap();
        assert!(line.ends_with("\r\n"), "the connection was closed: {line:?}");
        line.trim_end().to_owned()
    }

    /// Whether the server closes the connection, with nothing more to say.
    pub fn is_closed(&mut self) -> bool {
        self.0.fill_buf().unwrap().is_empty()
    }
}

impl Response {
    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }

    #[track_caller]
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).unwrap_or_else(|| panic!("no {name} in {self:?}"))
    }
}

/// A folder of this test's own.
pub struct Folder(pub PathBuf);

impl Folder {
    pub fn new() -> Folder {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("threadlet-examples-{}-{count}", std::process::id());
        let path = std::env::temp_dir().join(name);
        fs::create_dir(&path).unwrap();
        Folder(path)
    }

    pub fn file(&self, name: &str, contents: impl AsRef<[u8]>) {
        let path = self.0.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, contents).unwrap();
    }

    pub fn path(&self) -> &str {
        self.0.to_str().unwrap()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// Whether the environment says that a tool may be missing; that is said aloud.
pub fn may_skip(what: &str) -> bool {
    let listed = std::env::var("THREADLET_SKIP").unwrap_or_default();
    let may = listed.split(',').any(|word| word == what);
    if may {
        let _ = writeln!(std::io::stdout(), "\nSKIPPED: {what}");
    }
    may
}
