//! What is kept for whoever wants to know what a runtime does. Unless somebody does: nothing.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::{Duration, Instant};

use super::Shared;
use super::config::Watch;
use super::slot::Slot;
use crate::observe::recorder::{Recorder, UnderWay};
use crate::spawned::book::Book;
use crate::sys::counter;
use crate::sys::poll::ppoll_in;
use crate::sys::signal::{Bell, Watch as SignalWatch, watch_by_flag};
use crate::sys::thread::nanos;

/// What is kept.
#[derive(Debug)]
pub(crate) struct Watched {
    /// When the runtime was built: what is noted of polls that run counts from here.
    pub(crate) born: Instant,
    /// The same by the clock of `sys::thread::nanos`.
    pub(crate) born_at: u64,
    /// Whether threads may tell the time by the processor's counter.
    pub(crate) counts: bool,
    pub(crate) recorder: Option<Recorder>,
    /// What is kept of tasks.
    pub(crate) book: Option<Book>,
    /// How the watcher sleeps; none: there is no watcher.
    pub(crate) alarm: Option<Alarm>,
    /// How often the recorder was written by itself.
    pub(crate) dumps: AtomicU32,
}

impl Watched {
    /// # Errors
    ///
    /// No descriptor is left, or nobody may listen to that signal.
    pub(crate) fn new(watch: &Watch) -> io::Result<Self> {
        let keeps_tasks = watch.tasks || watch.stall_after.is_some() || watch.signal.is_some();
        let watches = keeps_tasks || watch.recorder.is_some();
        let before = nanos();
        let born = Instant::now();
        // The same moment, as nearly as can be told.
        let born_at = before + (nanos() - before) / 2;
        Ok(Watched {
            born,
            born_at,
            counts: watches && counter::makes_the_clock(),
            recorder: watch.recorder.map(|bytes| Recorder::new(bytes, born)),
            book: keeps_tasks.then(Book::default),
            alarm: watches.then(|| Alarm::new(watch.signal)).transpose()?,
            dumps: AtomicU32::new(0),
        })
    }

    /// Whether threads are to note their polls.
    pub(crate) fn is_on(&self) -> bool {
        self.alarm.is_some()
    }

    /// The watcher, if it sleeps until something happens, has reason to look.
    pub(crate) fn rouse(&self) {
        if let Some(alarm) = &self.alarm {
            // Ordering: a hint. Whoever says so says it again soon.
            if alarm.asleep.load(Ordering::Relaxed) {
                alarm.bell.ring();
            }
        }
    }
}

/// So many files are written by itself, the first of which is then written anew.
const DUMPS: u32 = 8;

impl Shared {
    /// Writes the recorder to a file of its own, in the folder that was named for it, or in the
    /// current one. Returns the file.
    pub(crate) fn dump_recorder_by_itself(&self) -> io::Result<PathBuf> {
        let Some(recorder) = &self.watched.recorder else {
            return Err(io::ErrorKind::Unsupported.into());
        };
        let nth = self.watched.dumps.fetch_add(1, Ordering::Relaxed) % DUMPS;
        let (process, runtime) = (std::process::id(), self.id);
        let name = format!("threadlet-{process}-{runtime}-{nth}.json");
        let path = self.config.watch.directory.as_deref().unwrap_or(Path::new(".")).join(name);
        self.dump_recorder(recorder, &path)?;
        Ok(path)
    }

    /// Writes the recorder, which is this runtime's, to a file, in place of what is there.
    ///
    /// # Errors
    ///
    /// What the system says of the file, which is named.
    pub(crate) fn dump_recorder(&self, recorder: &Recorder, path: &Path) -> io::Result<()> {
        let write =
            |file| self.write_recorder(recorder, &mut BufWriter::with_capacity(1 << 16, file));
        File::create(path).and_then(write).map_err(|error| {
            let text =
                format!("the flight recorder cannot be written to {}: {error}", path.display());
            io::Error::new(error.kind(), text)
        })
    }

    /// Writes the recorder, which is this runtime's.
    pub(crate) fn write_recorder(
        &self,
        recorder: &Recorder,
        out: &mut dyn Write,
    ) -> io::Result<()> {
        recorder.dump(&self.config.thread_name, || self.under_way(), out)?;
        out.flush()
    }

    /// Polls that have not ended.
    fn under_way(&self) -> Vec<UnderWay> {
        let poll = |slot: &Slot| {
            Some(UnderWay {
                since: self.began(slot)?,
                tid: slot.tid.load(Ordering::Relaxed),
                task: slot.task.load(Ordering::Relaxed),
                call: slot.site.get(),
                spawned: slot.spawned_at.get(),
            })
        };
        self.slots.iter().filter_map(|(_, slot)| poll(slot)).collect()
    }
}

/// How the watcher sleeps.
#[derive(Debug)]
pub(crate) struct Alarm {
    bell: Arc<Bell>,
    /// It sleeps without an end, or is about to.
    asleep: AtomicBool,
    signalled: Arc<AtomicBool>,
    _signal: Option<SignalWatch>,
}

impl Alarm {
    fn new(signal: Option<i32>) -> io::Result<Self> {
        let (bell, signalled) = (Arc::new(Bell::new()?), Arc::default());
        let watch =
            signal.map(|signal| watch_by_flag(signal, bell.clone(), Arc::clone(&signalled)));
        let _signal = watch.transpose()?;
        Ok(Alarm { bell, asleep: AtomicBool::new(false), signalled, _signal })
    }

    /// The watcher is to look at once: there is something new, or the end.
    pub(crate) fn ring(&self) {
        self.bell.ring();
    }

    /// By the watcher: until the bell rings, for `pause` at most. Without a pause it sleeps unless
    /// `busy`, asked behind its word that it does, says otherwise.
    pub(crate) fn sleep(&self, pause: Option<Duration>, busy: impl FnOnce() -> bool) {
        // Ordering: a hint, see `rouse`: the monitor says again that somebody is awake while
        // anybody is.
        self.asleep.store(pause.is_none(), Ordering::SeqCst);
        let pause = if pause.is_none() && busy() { Some(Duration::ZERO) } else { pause };
        // It may fail behind a filter, and then it is a short pause and not a loop.
        if ppoll_in(self.bell.as_raw_fd(), pause).is_err() {
            std::thread::sleep(pause.unwrap_or(Duration::from_millis(100)));
        }
        self.asleep.store(false, Ordering::Relaxed);
        let _rung = self.bell.take();
    }

    /// By the watcher: whether the signal has come since it was last asked.
    pub(crate) fn take_signal(&self) -> bool {
        // Ordering: Acquire. Partner: the handler's store.
        self.signalled.swap(false, Ordering::Acquire)
    }
}
