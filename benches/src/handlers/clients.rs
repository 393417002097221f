//! The clients: one thread in a process of its own, the same for every side.
//!
//! The thread waits in one epoll for the answers on all connections. It asks again on each as soon
//! as it is answered, so that a connection has one request under way, always. That is about the
//! least that a client can cost; what it takes of a CPU is printed, because the server shares the
//! machine with it. In a process of its own it has nothing to do with the runtimes: their threads,
//! rings and signals, their allocator.
//!
//! The program starts itself again for this, with the hidden command `clients`. It connects, and
//! begins a round with each line that its parent writes; the answers to what it has asked last wait in
//! its sockets meanwhile. It tells its parent when the time begins that counts and when it ends, and
//! then what came of it.

use std::io::{self, BufRead, BufReader, ErrorKind, Read, Write};
use std::net::SocketAddr;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

use mio::net::TcpStream;
use mio::{Events, Interest, Poll, Token};

use super::server::SLOW;
use crate::harness::Samples;
use crate::sys;

/// How they ask.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Options {
    pub(crate) address: SocketAddr,
    /// What they ask for
    #[arg(long)]
    pub(crate) path: String,
    #[arg(long)]
    pub(crate) connections: usize,
    /// One request of so many is slow; 0: none
    #[arg(long)]
    pub(crate) slow_each: u64,
    #[arg(long)]
    pub(crate) warm_up_ms: u64,
    /// What counts of a round, behind its warm-up
    #[arg(long)]
    pub(crate) length_ms: u64,
}

/// What came of it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Answers {
    /// How many there were, of the slow requests too.
    pub(crate) count: f64,
    pub(crate) seconds: f64,
    /// Processor seconds that the clients took.
    pub(crate) cpu_seconds: f64,
    /// Microseconds that the others took.
    pub(crate) median_us: f64,
    pub(crate) p99_us: f64,
}

/// The process, from the side that is asked.
pub(crate) struct Clients {
    child: Child,
    /// It ends when this does.
    told: ChildStdin,
    says: BufReader<ChildStdout>,
}

impl Clients {
    pub(crate) fn start(options: &Options) -> Clients {
        let program = std::env::current_exe().expect("the program's own file");
        let mut child = Command::new(program)
            .arg("clients")
            .arg(options.address.to_string())
            .args(["--path", &options.path])
            .args(["--connections", &options.connections.to_string()])
            .args(["--slow-each", &options.slow_each.to_string()])
            .args(["--warm-up-ms", &options.warm_up_ms.to_string()])
            .args(["--length-ms", &options.length_ms.to_string()])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("one more process");
        let told = child.stdin.take().expect("a pipe was asked for");
        let says = BufReader::new(child.stdout.take().expect("a pipe was asked for"));
        Clients { child, told, says }
    }

    /// Begins a round, and waits for the begin of the time that counts.
    pub(crate) fn begin(&mut self) {
        self.told.write_all(b"\n").expect("the pipe holds");
        self.wait();
    }

    /// Waits for the end of the time that counts.
    pub(crate) fn wait(&mut self) {
        let _ = self.line();
    }

    /// What came of the round.
    pub(crate) fn answers(&mut self) -> Answers {
        let line = self.line();
        Answers::parse(&line).unwrap_or_else(|| panic!("the clients say {line:?}"))
    }

    /// There is no other round.
    pub(crate) fn end(self) {
        let Clients { mut child, told, says: _ } = self;
        drop(told);
        let status = child.wait().expect("it is our child");
        assert!(status.success(), "the clients end well: {status}");
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        let length = self.says.read_line(&mut line).expect("the pipe holds");
        assert_ne!(length, 0, "the clients gave up");
        line
    }
}

impl Answers {
    fn parse(line: &str) -> Option<Answers> {
        let words = line.split_whitespace();
        let numbers: Option<Vec<f64>> = words.map(|word| word.parse().ok()).collect();
        let [count, seconds, cpu_seconds, median_us, p99_us] = numbers?.try_into().ok()?;
        Some(Answers { count, seconds, cpu_seconds, median_us, p99_us })
    }

    fn text(&self) -> String {
        let Answers { count, seconds, cpu_seconds, median_us, p99_us } = self;
        format!("{count} {seconds} {cpu_seconds} {median_us} {p99_us}")
    }
}

/// The process itself.
pub(crate) fn run(options: &Options) -> io::Result<()> {
    let mut asking = Asking::connect(options)?;
    for line in io::stdin().lines() {
        let _go = line?;
        round(&mut asking, options)?;
    }
    Ok(())
}

fn round(asking: &mut Asking, options: &Options) -> io::Result<()> {
    asking.go_on(Duration::from_millis(options.warm_up_ms))?;
    say("begin")?;
    asking.forget();
    let (begin, cpu) = (Instant::now(), sys::process_cpu_time());
    asking.go_on(Duration::from_millis(options.length_ms))?;
    let (took, cpu) = (begin.elapsed(), sys::process_cpu_time() - cpu);
    say("end")?;
    let answers = Answers {
        count: asking.answered as f64,
        seconds: took.as_secs_f64(),
        cpu_seconds: cpu.as_secs_f64(),
        median_us: asking.others.median(),
        p99_us: asking.others.percentile(99.0),
    };
    say(&answers.text())
}

fn say(line: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    writeln!(out, "{line}")?;
    out.flush()
}

/// Slower than this, there is no server.
const PATIENCE: Duration = Duration::from_secs(20);

/// What is read at once.
const ROOM: usize = 256 * 1024;

struct Connection {
    stream: TcpStream,
    asked: Instant,
    slow: bool,
    /// How much of the answer has come.
    length: usize,
}

struct Asking {
    poll: Poll,
    connections: Vec<Connection>,
    requests: Requests,
    answer: Answer,
    answered: u64,
    /// Microseconds from request to answer, of those that are not slow.
    others: Samples,
}

impl Asking {
    /// Connects all, and asks on each.
    fn connect(options: &Options) -> io::Result<Asking> {
        let poll = Poll::new()?;
        let mut requests = Requests::new(&options.path, options.slow_each);
        let mut connections = Vec::new();
        for nth in 0..options.connections {
            let stream = std::net::TcpStream::connect(options.address)?;
            stream.set_nodelay(true)?;
            stream.set_nonblocking(true)?;
            let mut stream = TcpStream::from_std(stream);
            poll.registry().register(&mut stream, Token(nth), Interest::READABLE)?;
            let (asked, slow) = (Instant::now(), false);
            let mut connection = Connection { stream, asked, slow, length: 0 };
            connection.ask(&mut requests)?;
            connections.push(connection);
        }
        let (answer, others) = (Answer::new(), Samples::default());
        Ok(Asking { poll, connections, requests, answer, answered: 0, others })
    }

    fn forget(&mut self) {
        (self.answered, self.others) = (0, Samples::default());
    }

    /// Takes answers and asks again, for so long.
    fn go_on(&mut self, length: Duration) -> io::Result<()> {
        let mut events = Events::with_capacity(self.connections.len());
        let end = Instant::now() + length;
        let mut last = Instant::now();
        loop {
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(());
            }
            match self.poll.poll(&mut events, Some(left)) {
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                polled => polled?,
            }
            for event in &events {
                let connection = &mut self.connections[event.token().0];
                let Some(took) = connection.receive(&mut self.answer)? else { continue };
                last = Instant::now();
                self.answered += 1;
                if !connection.slow {
                    self.others.push(took.as_nanos() as f64 / 1000.0);
                }
                connection.ask(&mut self.requests)?;
            }
            assert!(last.elapsed() < PATIENCE, "no answer for {} s", PATIENCE.as_secs());
        }
    }
}

impl Connection {
    fn ask(&mut self, requests: &mut Requests) -> io::Result<()> {
        let (slow, request) = requests.next();
        self.slow = slow;
        self.asked = Instant::now();
        // A few bytes always have room where nothing is under way.
        self.stream.write_all(request.as_bytes())
    }

    /// Reads what is there; the time that the answer took, if that was the rest of it.
    fn receive(&mut self, answer: &mut Answer) -> io::Result<Option<Duration>> {
        loop {
            let length = match self.stream.read(&mut answer.room) {
                Ok(0) => return Err(ErrorKind::UnexpectedEof.into()),
                Ok(length) => length,
                // An edge that was older than the answer read last.
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(None),
                Err(error) => return Err(error),
            };
            self.length = answer.went_on(self.length, length);
            if self.length == 0 {
                return Ok(Some(self.asked.elapsed()));
            }
            if length < ROOM {
                // The socket is empty: there will be an edge.
                return Ok(None);
            }
        }
    }
}

/// What an answer is like. All are as long as the first, and the next one comes only when it is asked
/// for: so the end of each is known by its length.
struct Answer {
    room: Vec<u8>,
    /// Of the head and the body, once an answer has been seen.
    whole: Option<usize>,
}

impl Answer {
    fn new() -> Answer {
        Answer { room: vec![0; ROOM], whole: None }
    }

    /// So many bytes have come, and there are more in `room`: how many have come now, or 0 if that is
    /// all.
    fn went_on(&mut self, before: usize, more: usize) -> usize {
        let room = &self.room[..more];
        if before == 0 {
            assert!(room.starts_with(b"HTTP/1.1 200 OK\r\n"), "the answer is no");
        }
        let whole = *self.whole.get_or_insert_with(|| length_of(room));
        let came = before + more;
        assert!(came <= whole, "the answer is longer than it should be");
        if came == whole { 0 } else { came }
    }
}

/// The length of an answer, of which at least the head is there.
fn length_of(answer: &[u8]) -> usize {
    let end = answer.windows(4).position(|four| four == b"\r\n\r\n");
    let end = end.expect("the head comes in one piece");
    let head = std::str::from_utf8(&answer[..end]).expect("a head is ASCII");
    let length = head.lines().find_map(|line| {
        let (name, value) = line.split_once(": ")?;
        name.eq_ignore_ascii_case("content-length").then(|| value.parse::<usize>())
    });
    end + 4 + length.expect("the head says how long the body is").expect("a length is a number")
}

/// What is asked: the n-th, 2n-th... request of all is slow, on whichever connection it is.
struct Requests {
    slow_each: u64,
    made: u64,
    texts: [String; 2],
}

impl Requests {
    fn new(path: &str, slow_each: u64) -> Requests {
        let text = |path: &str| format!("GET {path} HTTP/1.1\r\nhost: localhost\r\n\r\n");
        Requests { slow_each, made: 0, texts: [text(path), text(SLOW)] }
    }

    fn next(&mut self) -> (bool, &str) {
        self.made += 1;
        let slow = self.slow_each > 0 && self.made.is_multiple_of(self.slow_each);
        (slow, &self.texts[usize::from(slow)])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_request_of_so_many_is_slow() {
        let mut requests = Requests::new("/", 3);
        let slow: Vec<bool> = (0..6).map(|_| requests.next().0).collect();
        assert_eq!(slow, [false, false, true, false, false, true]);
        let mut requests = Requests::new("/", 0);
        assert!((0..6).all(|_| !requests.next().0));
    }

    #[test]
    fn an_answer_ends_when_all_of_it_has_come() {
        let text = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\ndate: now\r\n\r\nhello";
        let mut answer = Answer::new();
        answer.room[..text.len()].copy_from_slice(text);
        // All at once; and the body in two pieces.
        assert_eq!(answer.went_on(0, text.len()), 0);
        assert_eq!(answer.went_on(0, text.len() - 4), text.len() - 4);
        assert_eq!(answer.went_on(text.len() - 4, 3), text.len() - 1);
        assert_eq!(answer.went_on(text.len() - 1, 1), 0);
    }

    #[test]
    fn what_one_process_says_the_other_understands() {
        let (count, seconds, cpu_seconds) = (7.0, 1.5, 0.25);
        let answers = Answers { count, seconds, cpu_seconds, median_us: 2.125, p99_us: 3e9 };
        assert_eq!(Answers::parse(&(answers.text() + "\n")), Some(answers));
        assert_eq!(Answers::parse("1 2 3 4\n"), None);
        assert_eq!(Answers::parse("1 2 3 4 x\n"), None);
    }
}
