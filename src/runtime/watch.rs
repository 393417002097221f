//! What a program can be asked to say of itself: the flight recorder, stalls, tasks.

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use super::{Builder, Handle, TaskInfo};
use crate::observe::recorder::Recorder;
use crate::primitive::Mutex;
use crate::shared::{Shared, Watch};
use crate::sys::fork::PerFork;

/// The smallest memory of a flight recorder, and the largest, in bytes.
const RECORDER_MIN: usize = 64 << 10;
const RECORDER_MAX: usize = 4 << 30;

/// The least bound on a stall: the watcher looks no more often.
const STALL_MIN: Duration = Duration::from_millis(1);

impl Builder {
    /// Keeps the last that happened in so many bytes of memory, from 64 KiB to 4 GiB: a *flight
    /// recorder*. [`Handle::dump_recorder`] writes it out. Default: none, which costs nothing. The
    /// environment variable `THREADLET_RECORDER` (`16M`, `512K`, a number of bytes; `0`: none) has
    /// the last word.
    ///
    /// What is in it: each poll of a task, with its place and its length; each call that lost its
    /// core or was seen to take long; who had which core, and why it changed hands; waits at a gate;
    /// wakes. A call that keeps its core and is over soon is in its poll's length and nowhere else:
    /// so it costs no more than without a recorder. The future that is given to `block_on` in a
    /// multi-thread runtime, and tasks of a [`LocalSet`](crate::task::LocalSet) by themselves, are
    /// not in it.
    ///
    /// The memory is taken at the start, and never grows, however many threads come and go. A poll
    /// takes 24 bytes of it, and as much again for the wake before it: 16 MiB hold a third of a million
    /// polls.
    ///
    /// # Examples
    ///
    /// ```
    /// # fn main() -> std::io::Result<()> {
    /// let runtime = threadlet::runtime::Builder::new_multi_thread().flight_recorder(1 << 20).build()?;
    /// runtime.block_on(async { threadlet::spawn(async { 7 }).await })?;
    /// let mut text = Vec::new();
    /// runtime.handle().write_recorder(&mut text)?;
    /// assert!(text.starts_with(b"["));
    /// # Ok(())
    /// # }
    /// ```
    pub fn flight_recorder(&mut self, bytes: usize) -> &mut Self {
        self.config.watch.recorder = Some(bytes);
        self
    }

    /// The folder into which the flight recorder is written by itself, when a poll or a call lasts
    /// longer than [`stall_after`](Self::stall_after): at most every ten seconds, as
    /// `threadlet-PROCESS-RUNTIME-N.json`, with `N` from 0 to 7, and then from 0 again. Default: none,
    /// and then it is not written for that. (For a signal and a panic it is, in the current folder.)
    /// The environment variable `THREADLET_RECORDER_DIR` has the last word.
    pub fn recorder_directory(&mut self, path: impl Into<PathBuf>) -> &mut Self {
        self.config.watch.directory = Some(path.into());
        self
    }

    /// Tells of each poll or call that lasts for so long, as soon as it does: where it is, in which
    /// task, and what its thread is doing, by the name of the system call and of the function of the
    /// kernel in which it waits. Default: nothing is told. 100 ms is a good bound for a server. The
    /// environment variable `THREADLET_STALL` (`100ms`, `2s`; `0`: nothing) has the last word. At
    /// least 1 ms.
    ///
    /// With the feature `tracing` it is a warning of the target `threadlet::stall`, if somebody listens;
    /// otherwise it is a line on the standard error stream. No more than ten come at once, and no
    /// more than one each second after that; the next one says how many were left out. A
    /// [`spawn_blocking`](crate::task::spawn_blocking) is there to last, and is not told. It is also
    /// told when tasks are queued and none is polled for so long. With the feature `backtrace` the functions
    /// of the program that the thread is in stand at the end, if it sleeps.
    ///
    /// Each poll is timed then: a look at the clock, or two.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// # fn main() -> std::io::Result<()> {
    /// let runtime = threadlet::runtime::Builder::new_multi_thread()
    ///     .stall_after(Duration::from_millis(100))
    ///     .build()?;
    /// # drop(runtime);
    /// # Ok(())
    /// # }
    /// ```
    pub fn stall_after(&mut self, bound: Duration) -> &mut Self {
        self.config.watch.stall_after = Some(bound);
        self
    }

    /// At this signal the runtime prints what its tasks do ([`Handle::tasks`]) on the standard error
    /// stream, and writes its flight recorder, if it has one, into the
    /// [folder](Self::recorder_directory) for it. Default: none. The environment variable
    /// `THREADLET_SIGNAL` (`USR1`, `USR2`, `HUP`, `QUIT`, or a number; `0`: none) has the last word.
    ///
    /// The signal does not do any more what the system does at it, for as long as the process lives.
    ///
    /// # Examples
    ///
    /// ```
    /// use threadlet::signal::unix::SignalKind;
    ///
    /// # fn main() -> std::io::Result<()> {
    /// let runtime = threadlet::runtime::Builder::new_multi_thread()
    ///     .tell_on_signal(SignalKind::user_defined2())
    ///     .build()?;
    /// // kill -USR2 PID
    /// # drop(runtime);
    /// # Ok(())
    /// # }
    /// ```
    pub fn tell_on_signal(&mut self, signal: impl Into<i32>) -> &mut Self {
        self.config.watch.signal = Some(signal.into());
        self
    }

    /// Writes the flight recorder when any thread of the process panics, in a task or elsewhere,
    /// before the panic is told: into the [folder](Self::recorder_directory) for it. It is done by
    /// the panic hook, in front of the one that was there; a hook that the program sets later has to
    /// call the one before it. Who panics within ten seconds of that finds it written. Default: no.
    pub fn dump_on_panic(&mut self, dump: bool) -> &mut Self {
        self.config.watch.on_panic = dump;
        self
    }

    /// Keeps each task's name, the number of its polls and their time, for [`Handle::tasks`]. Default:
    /// no, unless stalls are told, or tasks at a signal. It takes some 100 bytes a task, and some 100
    /// ns a poll.
    pub fn keep_tasks(&mut self, keep: bool) -> &mut Self {
        self.config.watch.tasks = keep;
        self
    }
}

/// The runtimes that write their recorder when somebody panics.
static ON_PANIC: PerFork<Mutex<Vec<Panicking>>> = PerFork::new();

/// One of those, and when it was last written for that.
#[derive(Debug)]
struct Panicking {
    runtime: Weak<Shared>,
    written: Option<Instant>,
}

/// How long it is left alone after that.
const PANIC_PAUSE: Duration = Duration::from_secs(10);

/// A runtime that is watched has been built.
pub(super) fn began(shared: &Arc<Shared>) {
    static HOOKED: AtomicBool = AtomicBool::new(false);
    let watch = &shared.config.watch;
    if !watch.on_panic || watch.recorder.is_none() {
        return;
    }
    {
        let mut runtimes = ON_PANIC.get().lock();
        runtimes.retain(|it| it.runtime.strong_count() > 0);
        runtimes.push(Panicking { runtime: Arc::downgrade(shared), written: None });
    }
    // Ordering: Relaxed; whoever comes second has nothing to do with what the first does.
    if HOOKED.swap(true, Ordering::Relaxed) {
        return;
    }
    if !std::thread::panicking() {
        return hook();
    }
    // Who is panicking may not set the hook: another thread does, if there is one to be had.
    if std::thread::Builder::new().spawn(hook).map(|thread| thread.join()).is_err() {
        HOOKED.store(false, Ordering::Relaxed);
    }
}

fn hook() {
    let before = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |info| {
        on_panic();
        before(info);
    }));
}

fn on_panic() {
    // Whoever panics while another does, or while it has the lock itself, has nothing to add.
    let Some(mut runtimes) = ON_PANIC.get().try_lock() else { return };
    for it in runtimes.iter_mut() {
        let is_fresh = it.written.is_some_and(|written| written.elapsed() < PANIC_PAUSE);
        let Some(shared) = it.runtime.upgrade().filter(|_| !is_fresh) else { continue };
        it.written = Some(Instant::now());
        let line = match shared.dump_recorder_by_itself() {
            Ok(path) => format!("the flight recorder is in {}", path.display()),
            Err(error) => error.to_string(),
        };
        let _unheard = writeln!(io::stderr(), "{}: {line}", shared.config.thread_name);
    }
}

impl Watch {
    /// What the builder was told, unless the environment says otherwise.
    ///
    /// # Errors
    ///
    /// `InvalidInput`, in words, if a variable is none of its words, or a value is out of bounds.
    pub(super) fn checked(mut self) -> io::Result<Watch> {
        if let Some(word) = variable("THREADLET_RECORDER")? {
            let bytes = size(&word).ok_or_else(|| {
                invalid(format!("THREADLET_RECORDER is {word:?}: it must be a size, such as 16M"))
            })?;
            self.recorder = (bytes > 0).then_some(bytes);
        }
        if let Some(word) = variable("THREADLET_RECORDER_DIR")? {
            self.directory = Some(word.into());
        }
        if let Some(word) = variable("THREADLET_STALL")? {
            let bound = time(&word).ok_or_else(|| {
                invalid(format!("THREADLET_STALL is {word:?}: it must be a time, such as 100ms"))
            })?;
            self.stall_after = (!bound.is_zero()).then_some(bound);
        }
        if let Some(word) = variable("THREADLET_SIGNAL")? {
            let number = signal(&word).ok_or_else(|| {
                invalid(format!("THREADLET_SIGNAL is {word:?}: it must be a signal, such as USR2"))
            })?;
            self.signal = (number != 0).then_some(number);
        }
        self.stall_after = self.stall_after.map(|bound| bound.max(STALL_MIN));
        match self.recorder {
            Some(bytes) if !(RECORDER_MIN..=RECORDER_MAX).contains(&bytes) => {
                Err(invalid(format!(
                    "flight_recorder is {bytes} bytes: it must be from {RECORDER_MIN} to {RECORDER_MAX}"
                )))
            }
            _ => Ok(self),
        }
    }
}

fn invalid(text: String) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, text)
}

/// A variable of the environment that is set, and not to nothing.
fn variable(name: &str) -> io::Result<Option<String>> {
    let Some(word) = std::env::var_os(name) else { return Ok(None) };
    let word =
        word.into_string().map_err(|word| invalid(format!("{name} is {word:?}: no text")))?;
    Ok((!word.is_empty()).then_some(word))
}

/// A number of bytes, or of what its last letter stands for.
fn size(word: &str) -> Option<usize> {
    let digits = word.trim_end_matches(|c: char| !c.is_ascii_digit());
    let shift = match word[digits.len()..].to_ascii_lowercase().as_str() {
        "" => 0,
        "k" | "kib" => 10,
        "m" | "mib" => 20,
        "g" | "gib" => 30,
        _ => return None,
    };
    digits.parse::<usize>().ok()?.checked_mul(1 << shift)
}

/// A number of seconds, or of what its last letters stand for.
fn time(word: &str) -> Option<Duration> {
    let digits = word.trim_end_matches(|c: char| !c.is_ascii_digit());
    let unit = match &word[digits.len()..] {
        "us" => Duration::from_micros(1),
        "ms" => Duration::from_millis(1),
        "s" => Duration::from_secs(1),
        "" if digits == "0" => Duration::ZERO,
        _ => return None,
    };
    unit.checked_mul(digits.parse().ok()?)
}

/// A signal by its name, with or without the first three letters, or its number.
fn signal(word: &str) -> Option<i32> {
    match word.strip_prefix("SIG").unwrap_or(word) {
        "HUP" => Some(libc::SIGHUP),
        "QUIT" => Some(libc::SIGQUIT),
        "USR1" => Some(libc::SIGUSR1),
        "USR2" => Some(libc::SIGUSR2),
        number => number.parse().ok(),
    }
}

impl Handle {
    /// What each task is doing that has not ended: the answer to "what does my program do?". Those
    /// of a [`LocalSet`](crate::task::LocalSet) are not in it.
    ///
    /// With the feature `backtrace` it reads the stack of each thread that is in a poll and sleeps: some
    /// milliseconds more at most for each.
    ///
    /// It looks at each task under a lock that spawns and ends of tasks take as well: milliseconds
    /// for 100,000 of them.
    ///
    /// # Examples
    ///
    /// ```
    /// use threadlet::runtime::{Builder, TaskState};
    ///
    /// # fn main() -> std::io::Result<()> {
    /// let runtime = Builder::new_multi_thread().keep_tasks(true).build()?;
    /// let waits = runtime.spawn(std::future::pending::<()>());
    /// let tasks = runtime.handle().tasks();
    /// assert_eq!(tasks.len(), 1);
    /// // task 7 (spawned at src/main.rs:4) waits; 1 polls, 3.1us
    /// println!("{}", tasks[0]);
    /// # waits.abort();
    /// # Ok(())
    /// # }
    /// ```
    pub fn tasks(&self) -> Vec<TaskInfo> {
        self.shared.tasks()
    }

    /// Writes what the flight recorder holds to a file, in place of what is there: an array of JSON
    /// that [Perfetto](https://ui.perfetto.dev) and `chrome://tracing` open. The recorder goes on
    /// meanwhile, and keeps what it has.
    ///
    /// It takes about a tenth of a second for a million events, and blocks: inside of a task, call
    /// it in a [`threadlet!`](crate::threadlet).
    ///
    /// # Errors
    ///
    /// [`Unsupported`](io::ErrorKind::Unsupported) if there is no
    /// [flight recorder](Builder::flight_recorder); what the system says of the file.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// # fn main() -> std::io::Result<()> {
    /// let runtime = threadlet::runtime::Builder::new_multi_thread().flight_recorder(16 << 20).build()?;
    /// runtime.handle().dump_recorder("app.json")?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn dump_recorder(&self, path: impl AsRef<Path>) -> io::Result<()> {
        self.shared.dump_recorder(self.demand_recorder()?, path.as_ref())
    }

    /// The same to whatever is given.
    ///
    /// # Errors
    ///
    /// [`Unsupported`](io::ErrorKind::Unsupported) if there is no recorder; those of `out`.
    pub fn write_recorder(&self, mut out: impl Write) -> io::Result<()> {
        self.shared.write_recorder(self.demand_recorder()?, &mut out)
    }

    fn demand_recorder(&self) -> io::Result<&Recorder> {
        if let Some(recorder) = &self.shared.watched.recorder {
            return Ok(recorder);
        }
        let text = "this runtime has no flight recorder: give it one by `Builder::flight_recorder`, or \
                    `THREADLET_RECORDER=16M` in the environment";
        Err(io::Error::new(io::ErrorKind::Unsupported, text))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_size_is_a_number_with_or_without_a_letter() {
        let known =
            [("65536", 65536), ("64k", 65536), ("16M", 16 << 20), ("1GiB", 1 << 30), ("0", 0)];
        for (word, bytes) in known {
            assert_eq!(size(word), Some(bytes), "{word}");
        }
        for word in ["", "M", "-1", "1.5M", "16T", "16 M", "99999999999999999999G"] {
            assert_eq!(size(word), None, "{word}");
        }
    }

    #[test]
    fn a_time_is_a_number_with_its_unit() {
        assert_eq!(time("100ms"), Some(Duration::from_millis(100)));
        assert_eq!(time("2s"), Some(Duration::from_secs(2)));
        assert_eq!(time("0"), Some(Duration::ZERO));
        for word in ["", "100", "ms", "1.5s", "-1s", "1 s", "5h"] {
            assert_eq!(time(word), None, "{word}");
        }
    }

    #[test]
    fn a_signal_has_a_name_or_a_number() {
        assert_eq!((signal("USR2"), signal("SIGUSR2")), (Some(12), Some(12)));
        assert_eq!((signal("10"), signal("0"), signal("usr")), (Some(10), Some(0), None));
    }
}
