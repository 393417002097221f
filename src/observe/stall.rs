//! A poll or a call that lasts too long: what is said of it, and how often.

use std::fmt;
use std::panic::Location;
use std::time::{Duration, Instant};

use crate::observe::backtrace::Backtrace;
use crate::observe::site::Site;
use crate::sys::whereabouts::Doing;

/// One that was seen, with all that is known of it.
#[derive(Clone, Debug)]
pub(crate) struct Stall {
    /// The call that it is in; `None`: it is in none that says so.
    pub(crate) site: Option<&'static Site>,
    /// Where its task was spawned; `None`: it is a root future.
    pub(crate) spawned: Option<&'static Location<'static>>,
    pub(crate) task: u64,
    /// Of the task; nothing: it has none.
    pub(crate) name: String,
    pub(crate) lasts: Duration,
    pub(crate) tid: i32,
    pub(crate) doing: Doing,
    /// The function of the kernel in which it waits, if that is told.
    pub(crate) channel: String,
    /// The functions of the kernel that it is in, innermost first, where they are told.
    pub(crate) stack: Vec<String>,
    /// The functions of the program that it is in, where they are known.
    pub(crate) backtrace: Backtrace,
    /// How many before it were not told.
    pub(crate) untold: u64,
}

impl Stall {
    /// What it is, up to its length.
    pub(crate) fn subject(&self) -> String {
        let mut text = match self.site {
            Some(site) => format!("the call at {site} in "),
            None => "a poll of ".to_owned(),
        };
        match self.spawned {
            Some(place) => {
                text += &format!("task {}", self.task);
                if !self.name.is_empty() {
                    text += &format!(" {:?}", self.name);
                }
                text += &format!(" (spawned at {}:{})", place.file(), place.line());
            }
            None => text += "the root future",
        }
        text
    }

    /// What its thread does, in words.
    pub(crate) fn doing(&self) -> String {
        match (self.doing, self.channel.as_str()) {
            (Doing::Running, _) => "computes".to_owned(),
            (doing, "") => format!("waits in {}", doing.text()),
            (doing, channel) => format!("waits in {} ({channel})", doing.text()),
        }
    }
}

/// As one line, without an end, and without the backtrace, whose names may take long to look up.
impl fmt::Display for Stall {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (subject, lasts, tid) = (self.subject(), self.lasts.as_millis(), self.tid);
        write!(f, "{subject} has lasted for {lasts} ms: thread {tid} {}", self.doing())?;
        if !self.stack.is_empty() {
            write!(f, "; in the kernel: {}", self.stack.join(" < "))?;
        }
        if self.untold > 0 {
            write!(f, " (and {} more since the last line)", self.untold)?;
        }
        Ok(())
    }
}

/// So many lines may come at once; after that one in each [`PAUSE`].
const BURST: u32 = 10;
const PAUSE: Duration = Duration::from_secs(1);

/// How often something is said.
#[derive(Debug)]
pub(crate) struct Limit {
    /// How many lines may come now, as of `since`.
    left: u32,
    since: Instant,
    untold: u64,
}

impl Limit {
    pub(crate) fn new(now: Instant) -> Self {
        Limit { left: BURST, since: now, untold: 0 }
    }

    /// Something is to be said. How many were not said before it; `None`: neither is this.
    pub(crate) fn say(&mut self, now: Instant) -> Option<u64> {
        self.refill(now);
        if self.left == 0 {
            self.untold += 1;
            return None;
        }
        self.left = self.left.saturating_sub(1);
        Some(std::mem::take(&mut self.untold))
    }

    /// How many were not said, if there has been nothing to say for a while since.
    pub(crate) fn rest(&mut self, now: Instant) -> Option<u64> {
        self.refill(now);
        let rests = self.untold > 0 && self.left > 0;
        rests.then(|| std::mem::take(&mut self.untold))
    }

    /// How many were not said so far.
    pub(crate) fn untold(&self) -> u64 {
        self.untold
    }

    fn refill(&mut self, now: Instant) {
        let passed = now.saturating_duration_since(self.since).as_nanos() / PAUSE.as_nanos();
        let passed = u32::try_from(passed).unwrap_or(u32::MAX);
        if passed > 0 {
            self.left = self.left.saturating_add(passed).min(BURST);
            self.since = now;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_comes_too_often_is_counted_and_not_said() {
        let start = Instant::now();
        let mut limit = Limit::new(start);
        let said = (0..1000).filter(|_| limit.say(start).is_some()).count();
        assert_eq!(said, BURST as usize);
        assert_eq!(limit.say(start + PAUSE / 2), None);
        assert_eq!(limit.say(start + PAUSE), Some(991));
        assert_eq!(limit.say(start + PAUSE), None);
        assert_eq!(limit.rest(start + PAUSE), None);
        assert_eq!(limit.rest(start + 3 * PAUSE), Some(1), "it is said though nothing comes");
        assert_eq!(limit.rest(start + 3 * PAUSE), None);
        let later = start + 1000 * PAUSE;
        let said = (0..1000).filter(|_| limit.say(later).is_some()).count();
        assert_eq!(said, BURST as usize, "a long pause is no more than a pause");
    }

    #[test]
    fn a_line_says_what_where_and_how_long() {
        static SITE: Site = Site::new("src/a.rs", 7, 1, "file.read(&mut buf)");
        let place = Location::caller();
        let mut stall = Stall {
            site: Some(&SITE),
            spawned: Some(place),
            task: 17,
            name: "reader".to_owned(),
            lasts: Duration::from_millis(104),
            tid: 42,
            doing: Doing::Call(libc::SYS_read as u16),
            channel: "fuse_get_req".to_owned(),
            stack: vec!["a".to_owned(), "b".to_owned()],
            backtrace: Backtrace::default(),
            untold: 3,
        };
        let spawned = format!("{}:{}", place.file(), place.line());
        assert_eq!(
            stall.to_string(),
            format!(
                "the call at src/a.rs:7: file.read(&mut buf) in task 17 \"reader\" (spawned at {spawned}) has \
                 lasted for 104 ms: thread 42 waits in read (fuse_get_req); in the kernel: a < b (and 3 \
                 more since the last line)"
            )
        );
        stall = Stall {
            site: None,
            spawned: None,
            doing: Doing::Running,
            stack: Vec::new(),
            untold: 0,
            ..stall
        };
        let line = "a poll of the root future has lasted for 104 ms: thread 42 computes";
        assert_eq!(stall.to_string(), line);
    }
}
