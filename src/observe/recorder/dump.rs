//! How a flight recorder is written out: in the form of `trace`, as one whole array.
//!
//! | track | events |
//! |---|---|
//! | `threads`, one line a thread | each poll, with its task; in it calls that blocked or took long; wakes; what the thread was seen to do while it was stuck |
//! | `cores`, one line a core | which thread had it, and each hand-off with its cause |
//! | `waits` | each wait for a permit, or for a place in a group |
//!
//! The memory is read a part at a time while everybody goes on writing, so no second copy of it is
//! made.

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::io::{self, Write};
use std::panic::Location;
use std::time::Instant;

use super::Recorder;
use super::entry::{Entry, How, Kind, unpack_seen};
use crate::observe::backtrace::Backtrace;
use crate::observe::site::Site;
use crate::observe::trace::{CORES, Escaped, THREADS, TRACKS, WAITS};
use crate::sys::whereabouts::{Doing, call_text};

impl Doing {
    /// In words.
    pub(crate) fn text(self) -> String {
        match self {
            Doing::Running => "computes".to_owned(),
            Doing::Fault => "page fault".to_owned(),
            Doing::Asleep => "sleeps".to_owned(),
            Doing::Call(number) => call_text(number),
        }
    }
}

impl Recorder {
    /// Writes all that is there, as far as nobody overwrites it meanwhile. `name`: that of the
    /// runtime's threads; `under_way`, asked last: the polls that have not ended.
    ///
    /// # Errors
    ///
    /// Those of `out`.
    pub(crate) fn dump(
        &self,
        name: &str,
        under_way: impl FnOnce() -> Vec<UnderWay>,
        out: &mut dyn Write,
    ) -> io::Result<()> {
        let channels = self.channels.lock().clone();
        let backtraces = self.backtraces.lock().iter().cloned().collect();
        let (sites, threads) = (Site::all(), HashSet::new());
        let mut dump = Dump { out, sites, channels, backtraces, threads, waits: 0 };
        dump.begin(self)?;
        let since = self.horizon();
        for nth in 0..self.chunks.count() {
            let Some(page) = self.chunks.read(nth) else { continue };
            dump.thread(page.by, name)?;
            // A thread that has slept for hours still has what it wrote before that.
            for entry in Entry::all(&page.words).filter(|entry| entry.end() >= since) {
                dump.entry(page.by, &entry)?;
            }
        }
        for poll in under_way() {
            let tid = u64::from(poll.tid.unsigned_abs());
            dump.thread(tid, name)?;
            dump.under_way(tid, self.nanos(poll.since), &poll)?;
        }
        dump.out.write_all(b"\n]\n")
    }

    /// From when on nothing is missing, about: the first entry of the chunk that is overwritten next.
    fn horizon(&self) -> u64 {
        if !self.chunks.is_full() {
            return 0;
        }
        let first = |nth| {
            let page = self.chunks.read(nth).filter(|page| !page.open)?;
            Entry::all(&page.words).next().map(|entry| entry.at)
        };
        (0..self.chunks.count()).filter_map(first).min().unwrap_or(0)
    }
}

/// A poll that has not ended.
#[derive(Clone, Copy, Debug)]
pub(crate) struct UnderWay {
    pub(crate) tid: i32,
    /// 0: it is of a root future.
    pub(crate) task: u64,
    pub(crate) since: Instant,
    /// The call that it is in.
    pub(crate) call: Option<&'static Site>,
    pub(crate) spawned: Option<&'static Location<'static>>,
}

struct Dump<'a> {
    out: &'a mut dyn Write,
    sites: Vec<&'static Site>,
    channels: Vec<String>,
    /// By the time of their entries.
    backtraces: HashMap<u64, Backtrace>,
    /// Those that have been named.
    threads: HashSet<u64>,
    waits: u64,
}

impl Dump<'_> {
    fn begin(&mut self, recorder: &Recorder) -> io::Result<()> {
        let (bytes, lost) = (recorder.bytes(), recorder.lost());
        write!(
            self.out,
            "[\n{{\"ph\":\"M\",\"name\":\"threadlet_recorder\",\"pid\":{THREADS},\"args\":{{\"bytes\":{bytes},\"lost\":{lost}}}}}"
        )?;
        for (process, name) in TRACKS {
            self.event(format_args!(
                r#""ph":"M","name":"process_name","pid":{process},"args":{{"name":"{name}"}}"#
            ))?;
        }
        Ok(())
    }

    fn event(&mut self, event: fmt::Arguments<'_>) -> io::Result<()> {
        write!(self.out, ",\n{{{event}}}")
    }

    fn thread(&mut self, tid: u64, name: &str) -> io::Result<()> {
        if !self.threads.insert(tid) {
            return Ok(());
        }
        let name = Escaped(name);
        self.event(format_args!(
            r#""ph":"M","name":"thread_name","pid":{THREADS},"tid":{tid},"args":{{"name":"{name} {tid}"}}"#
        ))
    }

    fn entry(&mut self, tid: u64, entry: &Entry) -> io::Result<()> {
        let Entry { kind, at, task, site, more, value } = *entry;
        let site = site.checked_sub(1).and_then(|row| self.sites.get(row as usize)).copied();
        let (ts, dur) = (Micros(at), Micros(value));
        match kind {
            Kind::Poll => {
                let name = if task == 0 { "root" } else { "task" };
                let place = Place(site);
                self.event(format_args!(
                    r#""ph":"X","name":"{name} {task}","cat":"poll","pid":{THREADS},"tid":{tid},"ts":{ts},"dur":{dur},"args":{{"task":{task},"spawned":"{place}","cores_lost":{more}}}"#
                ))
            }
            Kind::Call => {
                let (text, place) = (Escaped(site.map_or("?", Site::text)), Place(site));
                let how = How::of(more).map_or("?", How::word);
                self.event(format_args!(
                    r#""ph":"X","name":"{text}","cat":"call","pid":{THREADS},"tid":{tid},"ts":{ts},"dur":{dur},"args":{{"at":"{place}","how":"{how}","task":{task}}}"#
                ))
            }
            Kind::Core => {
                self.event(format_args!(
                    r#""ph":"X","name":"thread {tid}","cat":"core","pid":{CORES},"tid":{task},"ts":{ts},"dur":{dur}"#
                ))?;
                let Some(How::Lost(cause)) = How::of(more) else { return Ok(()) };
                let end = Micros(at.saturating_add(value));
                self.event(format_args!(
                    r#""ph":"i","s":"t","name":"hand-off: {cause:?}","cat":"core","pid":{CORES},"tid":{task},"ts":{end},"args":{{"from":{tid}}}"#
                ))
            }
            Kind::Wait => {
                self.waits += 1;
                let (text, place) = (Escaped(site.map_or("?", Site::text)), Place(site));
                let id = self.waits;
                for (phase, at) in [("b", at), ("e", at.saturating_add(value))] {
                    let ts = Micros(at);
                    self.event(format_args!(
                        r#""ph":"{phase}","cat":"wait","id":{id},"name":"{text}","pid":{WAITS},"tid":0,"ts":{ts},"args":{{"at":"{place}","task":{task}}}"#
                    ))?;
                }
                Ok(())
            }
            Kind::Wake => self.event(format_args!(
                r#""ph":"i","s":"t","name":"wakes task {task}","cat":"wake","pid":{THREADS},"tid":{tid},"ts":{ts},"args":{{"task":{task},"by":{value}}}"#
            )),
            Kind::Late => self.event(format_args!(
                r#""ph":"i","s":"t","name":"a timer was late","cat":"timer","pid":{THREADS},"tid":{tid},"ts":{ts},"args":{{"by_us":{dur}}}"#
            )),
            Kind::Seen | Kind::Stall => self.seen(entry, site),
        }
    }

    /// It begins, and has no end.
    fn under_way(&mut self, tid: u64, at: u64, poll: &UnderWay) -> io::Result<()> {
        let UnderWay { task, call, spawned, .. } = *poll;
        let name = if task == 0 { "root" } else { "task" };
        let spawned =
            spawned.map_or("?".to_owned(), |place| format!("{}:{}", place.file(), place.line()));
        let (ts, spawned) = (Micros(at), Escaped(&spawned));
        self.event(format_args!(
            r#""ph":"B","name":"{name} {task}","cat":"poll","pid":{THREADS},"tid":{tid},"ts":{ts},"args":{{"task":{task},"spawned":"{spawned}"}}"#
        ))?;
        let Some(site) = call else { return Ok(()) };
        // When the call began nobody has noted: its poll did then, or later.
        let (text, place) = (Escaped(site.text()), Place(Some(site)));
        self.event(format_args!(
            r#""ph":"B","name":"{text}","cat":"call","pid":{THREADS},"tid":{tid},"ts":{ts},"args":{{"at":"{place}","how":"under way","task":{task}}}"#
        ))
    }

    fn seen(&mut self, entry: &Entry, site: Option<&Site>) -> io::Result<()> {
        let Entry { kind, at, task, more: tid, value, .. } = *entry;
        let (lasts, doing, channel) = unpack_seen(value);
        let (what, scope) = if kind == Kind::Stall { ("stall", "g") } else { ("seen", "t") };
        let channel = self.channels.get(usize::from(channel)).map_or("", String::as_str);
        let (kernel, doing) = (Escaped(channel).to_string(), doing.text());
        let (text, place) = (Escaped(site.map_or("?", Site::text)), Place(site));
        let (ts, lasts) = (Micros(at), lasts.as_micros());
        let backtrace = self.backtraces.get(&at).map_or(String::new(), Backtrace::to_string);
        let backtrace = match backtrace.is_empty() {
            true => String::new(),
            false => format!(r#","backtrace":"{}""#, Escaped(&backtrace)),
        };
        self.event(format_args!(
            r#""ph":"i","s":"{scope}","name":"{what}: {doing}","cat":"{what}","pid":{THREADS},"tid":{tid},"ts":{ts},"args":{{"doing":"{doing}","kernel":"{kernel}","at":"{place}","call":"{text}","task":{task},"lasts_us":{lasts}{backtrace}}}"#
        ))
    }
}

/// Nanoseconds, as the format counts.
struct Micros(u64);

impl fmt::Display for Micros {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{:03}", self.0 / 1000, self.0 % 1000)
    }
}

/// Where a site is.
struct Place<'a>(Option<&'a Site>);

impl fmt::Display for Place<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(site) => write!(f, "{}:{}", Escaped(site.file()), site.line()),
            None => f.write_str("?"),
        }
    }
}
