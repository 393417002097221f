//! A timeline of a runtime, written to a file: who has which core, what the threads call, hand-offs
//! and waits.
//!
//! The form is the "Trace Event Format" that Chrome's tracing introduced (as an array of events
//! whose closing bracket may be missing, so that what was written before a crash can be read).
//! Perfetto opens it, and so does `chrome://tracing`.
//!
//! | track | events |
//! |---|---|
//! | `threads`, one line a thread | each call, with its site and how it ran |
//! | `cores`, one line a core | which thread had it, and each hand-off with its cause |
//! | `waits` | each wait for a permit |

use std::fmt::{self, Write as _};
use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::Path;
use std::time::{Duration, Instant};

use crate::observe::site::Site;
use crate::primitive::Mutex;
use crate::protocol::Cause;

pub(super) const THREADS: u32 = 1;
pub(super) const CORES: u32 = 2;
pub(super) const WAITS: u32 = 3;

/// The tracks, with their names.
pub(super) const TRACKS: [(u32, &str); 3] =
    [(THREADS, "threads"), (CORES, "cores"), (WAITS, "waits")];

/// The file of a timeline.
#[derive(Debug)]
pub(crate) struct Trace {
    /// When it begins.
    start: Instant,
    out: Mutex<Out>,
}

#[derive(Debug)]
struct Out {
    file: BufWriter<File>,
    /// Nothing more is written: the disk is full, or the like.
    failed: bool,
    /// The runtime has ended: what still comes is written at once.
    ended: bool,
    waits: u64,
}

impl Trace {
    /// Begins a timeline in a new file, or in place of what is in an old one.
    pub(crate) fn create(path: &Path) -> io::Result<Trace> {
        let file = File::create(path).map_err(|error| {
            let text = format!("the timeline {} cannot be written: {error}", path.display());
            io::Error::new(error.kind(), text)
        })?;
        let file = BufWriter::with_capacity(1 << 16, file);
        let out = Out { file, failed: false, ended: false, waits: 0 };
        let trace = Trace { start: Instant::now(), out: Mutex::new(out) };
        trace.write("[");
        for (process, name) in TRACKS {
            trace.write(&format!(
                r#"{{"ph":"M","name":"process_name","pid":{process},"args":{{"name":"{name}"}}}},"#
            ));
        }
        Ok(trace)
    }

    /// A thread has begun.
    pub(crate) fn thread(&self, tid: i32, name: &str) {
        let name = Escaped(name);
        self.write(&format!(
            r#"{{"ph":"M","name":"thread_name","pid":{THREADS},"tid":{tid},"args":{{"name":"{name} {tid}"}}}},"#
        ));
    }

    /// A thread made a call from `begin` to now; `how` it ran.
    pub(crate) fn call(&self, tid: i32, site: &Site, begin: Instant, how: &str) {
        let (name, file, line) = (Escaped(site.text()), Escaped(site.file()), site.line());
        let span = self.span(begin, Instant::now());
        self.write(&format!(
            r#"{{"ph":"X","name":"{name}","pid":{THREADS},"tid":{tid},{span},"args":{{"at":"{file}:{line}","how":"{how}"}}}},"#
        ));
    }

    /// A thread had a core from `begin` to `end`.
    pub(crate) fn core(&self, seat: usize, tid: i32, begin: Instant, end: Instant) {
        let span = self.span(begin, end);
        self.write(&format!(
            r#"{{"ph":"X","name":"thread {tid}","pid":{CORES},"tid":{seat},{span}}},"#
        ));
    }

    /// A core was handed over.
    pub(crate) fn handoff(&self, seat: usize, cause: Cause) {
        let at = self.micros(Instant::now());
        self.write(&format!(
            r#"{{"ph":"i","s":"t","name":"hand-off: {cause:?}","pid":{CORES},"tid":{seat},"ts":{at}}},"#
        ));
    }

    /// A task waited for a permit, from `begin` to now.
    pub(crate) fn wait(&self, site: &Site, begin: Instant) {
        let id = {
            let mut out = self.out.lock();
            out.waits += 1;
            out.waits
        };
        let name = Escaped(site.text());
        for (phase, at) in [("b", begin), ("e", Instant::now())] {
            let at = self.micros(at);
            self.write(&format!(
                r#"{{"ph":"{phase}","cat":"wait","id":{id},"name":"{name}","pid":{WAITS},"tid":0,"ts":{at}}},"#
            ));
        }
    }

    /// The runtime has ended.
    pub(crate) fn end(&self) {
        let mut out = self.out.lock();
        out.ended = true;
        out.flush();
    }

    fn write(&self, event: &str) {
        let mut out = self.out.lock();
        if out.failed {
            return;
        }
        let written = out.file.write_all(event.as_bytes()).and_then(|()| out.file.write_all(b"\n"));
        out.note(written);
        if out.ended {
            out.flush();
        }
    }

    fn span(&self, begin: Instant, end: Instant) -> String {
        let length = end.saturating_duration_since(begin).as_nanos() as f64 / 1e3;
        format!(r#""ts":{},"dur":{length:.3}"#, self.micros(begin))
    }

    /// The format counts in microseconds.
    fn micros(&self, at: Instant) -> String {
        let since: Duration = at.saturating_duration_since(self.start);
        format!("{:.3}", since.as_nanos() as f64 / 1e3)
    }
}

impl Out {
    fn flush(&mut self) {
        let flushed = self.file.flush();
        self.note(flushed);
    }

    fn note(&mut self, result: io::Result<()>) {
        if let Err(error) = result {
            if !std::mem::replace(&mut self.failed, true) {
                let text = format!("threadlet: the timeline ends here: {error}\n");
                let _ = io::stderr().write_all(text.as_bytes());
            }
        }
    }
}

/// Text inside of a JSON string.
pub(super) struct Escaped<'a>(pub(super) &'a str);

impl fmt::Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for char in self.0.chars() {
            match char {
                '"' => f.write_str("\\\"")?,
                '\\' => f.write_str("\\\\")?,
                char if char < ' ' => write!(f, "\\u{:04x}", char as u32)?,
                char => f.write_char(char)?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_stays_inside_of_its_string() {
        assert_eq!(Escaped("a \"b\"\\\n").to_string(), "a \\\"b\\\"\\\\\\u000a");
    }
}
