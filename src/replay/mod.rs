//! What a seed decides in a runtime that a test replays: numbers, and the log of what was done with
//! them. (`off` stands here without the feature `test-util`.)
//!
//! A run is the answers to questions: who of those that are ready goes on, whether a call blocks and
//! for how long, how much of what was written is read. Each is asked here, in the order in which the
//! run comes to it, and answered from one generator. Nothing else of the runtime's is left open (one
//! thread at a time has its turn, and the clock stands), so the same seed gives the same questions, the
//! same answers, and the same log.
//!
//! Seeds differ in their *mood*, too: how often calls block, and whether the one that has waited longest,
//! the one that came last or anybody is next. A race that needs two long blocks in a row is found by
//! seeds that block often, one that needs an undisturbed task by those that seldom do.

use std::cell::RefCell;
use std::fmt::Write;
use std::sync::Arc;
use std::time::Duration;

use crate::primitive::Mutex;

/// For how long a call blocks at most, unless the builder was told otherwise.
const LONGEST: Duration = Duration::from_secs(10);

/// How many decisions the log keeps: those behind it are in its sum only.
const KEPT: usize = 1 << 18;

/// What the builder was told.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Plan {
    /// `None`: an ordinary runtime.
    pub(crate) seed: Option<u64>,
    /// For how long a call blocks at most.
    pub(crate) longest: Duration,
}

impl Default for Plan {
    fn default() -> Self {
        Plan { seed: None, longest: LONGEST }
    }
}

impl Plan {
    /// Whether the runtime is to be one that replays.
    pub(crate) fn is_set(&self) -> bool {
        self.seed.is_some()
    }
}

/// What was decided.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum What {
    /// A task is polled next.
    Task,
    /// The root future is.
    Root,
    /// A call goes on whose time is over.
    Back,
    /// Of the tasks that stay on one thread this is next.
    Local,
    /// Nobody is ready, and the clock jumps.
    Jump,
    /// A call waits at the gate.
    Gate,
    /// A call blocks before it is made.
    Before,
    /// It comes back late.
    After,
    /// There is no permit, and it waits in line or passes.
    Cap,
    /// So much of what there is goes over a stream in memory.
    Part,
    /// What was written, or a connection, is on its way for so long.
    Way,
}

impl What {
    fn word(self) -> &'static str {
        match self {
            What::Task => "task",
            What::Root => "root",
            What::Back => "back",
            What::Local => "local task",
            What::Jump => "clock",
            What::Gate => "waits at the gate",
            What::Before => "blocks",
            What::After => "comes back late",
            What::Cap => "at the cap",
            What::Part => "part",
            What::Way => "on its way",
        }
    }
}

/// A place in the source.
pub(crate) type Place = Option<(&'static str, u32)>;

/// One decision.
#[derive(Clone, Copy, Debug)]
struct Event {
    what: What,
    /// Which it was of how many, or for how many nanoseconds.
    answer: u64,
    among: u64,
    place: Place,
}

/// How a run is, as a whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Mood {
    order: Order,
    /// How many of 16 questions whether a call blocks have the answer yes.
    blocks: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Order {
    /// Anybody.
    Any,
    /// Mostly the first.
    First,
    /// Mostly the last.
    Last,
}

/// What one seed has decided so far.
#[derive(Debug)]
pub(crate) struct Decisions {
    seed: u64,
    mood: Mood,
    longest: Duration,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    /// Of the generator.
    number: u64,
    log: Vec<Event>,
    count: u64,
    /// Of all decisions, those that the log has no room for included.
    sum: u64,
}

impl State {
    /// Steele, Lea and Flood's SplitMix, "Fast splittable pseudorandom number generators", 2014.
    fn next(&mut self) -> u64 {
        self.number = self.number.wrapping_add(0x9E37_79B9_7F4A_7C15);
        mix(self.number)
    }

    /// A number below `bound`.
    fn below(&mut self, bound: u64) -> u64 {
        debug_assert!(bound > 0, "there is something to choose from");
        ((u128::from(self.next()) * u128::from(bound)) >> 64) as u64
    }

    fn note(&mut self, event: Event) {
        self.count += 1;
        let place = event.place.map_or(0, |(_, line)| u64::from(line));
        for part in [event.what as u64, event.answer, event.among, place] {
            self.sum = mix(self.sum.wrapping_add(part).wrapping_mul(0x9E37_79B9_7F4A_7C15));
        }
        if self.log.len() < KEPT {
            self.log.push(event);
        }
    }
}

fn mix(number: u64) -> u64 {
    let number = (number ^ number >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let number = (number ^ number >> 27).wrapping_mul(0x94D0_49BB_1331_11EB);
    number ^ number >> 31
}

impl Decisions {
    pub(crate) fn new(seed: u64, longest: Duration) -> Self {
        let mut state = State { number: seed, log: Vec::new(), count: 0, sum: 0 };
        // The first numbers of neighbouring seeds are to have nothing in common either.
        let order = match state.below(4) {
            0 => Order::First,
            1 => Order::Last,
            _ => Order::Any,
        };
        let blocks = [2, 5, 8, 13][state.below(4) as usize];
        Decisions { seed, mood: Mood { order, blocks }, longest, state: Mutex::new(state) }
    }

    /// Which of so many that are ready, in the order in which they became so, goes on.
    pub(crate) fn pick(&self, among: usize) -> usize {
        let mut state = self.state.lock();
        let anybody = state.below(among as u64) as usize;
        let faithful = state.below(4) > 0;
        match self.mood.order {
            Order::First if faithful => 0,
            Order::Last if faithful => among - 1,
            _ => anybody,
        }
    }

    /// Keeps what was decided in another way, or tells where.
    pub(crate) fn note(&self, what: What, answer: u64, among: u64, place: Place) {
        self.state.lock().note(Event { what, answer, among, place });
    }

    /// A number below `bound`.
    pub(crate) fn below(&self, what: What, bound: u64, place: Place) -> u64 {
        let mut state = self.state.lock();
        let answer = state.below(bound);
        state.note(Event { what, answer, among: bound, place });
        answer
    }

    /// Whether somebody waits, and for how long. `sure`: it does.
    pub(crate) fn pause(&self, what: What, sure: bool, place: Place) -> Option<Duration> {
        let mut state = self.state.lock();
        let waits = state.below(16) < self.mood.blocks || sure;
        let pause = waits.then(|| length(&mut state, self.longest));
        let nanos = pause.map_or(0, |pause| pause.as_nanos() as u64);
        // That it goes on at once is an answer, too.
        state.note(Event { what, answer: nanos, among: 1 + u64::from(waits), place });
        pause
    }

    /// How many of so many bytes go over at once: all, or fewer.
    pub(crate) fn part(&self, most: usize) -> usize {
        let mut state = self.state.lock();
        let all = most <= 1 || state.below(2) == 0;
        let part = if all { most } else { 1 + state.below(most as u64 - 1) as usize };
        state.note(Event {
            what: What::Part,
            answer: part as u64,
            among: most as u64,
            place: None,
        });
        part
    }

    /// All that was decided, a line each.
    pub(crate) fn log(&self) -> String {
        self.last(usize::MAX)
    }

    /// The last `count` decisions, a line each.
    pub(crate) fn last(&self, count: usize) -> String {
        let state = self.state.lock();
        let from = state.log.len().saturating_sub(count);
        let mut text = String::new();
        for (nth, event) in state.log.iter().enumerate().skip(from) {
            write_event(&mut text, nth, event);
        }
        // A string takes all that is written to it.
        let _ =
            writeln!(text, "{} decisions of seed {}, {:016x}", state.count, self.seed, state.sum);
        text
    }
}

/// A time of any order of magnitude: none, or from a microsecond on.
fn length(state: &mut State, longest: Duration) -> Duration {
    let longest = u64::try_from(longest.as_nanos()).unwrap_or(u64::MAX).max(1000);
    let orders = u64::from(longest.ilog2()) - 9;
    if state.below(4) == 0 {
        return Duration::ZERO;
    }
    let order = 9 + state.below(orders + 1) as u32;
    let nanos = (1 << order) + state.below(1 << order);
    Duration::from_nanos(nanos.min(longest))
}

fn write_event(text: &mut String, nth: usize, event: &Event) {
    let Event { what, answer, among, place } = event;
    let word = what.word();
    let _ = match what {
        What::Task | What::Root | What::Back | What::Local => {
            write!(text, "{nth} {word}, {answer} of {among}")
        }
        What::Jump => write!(text, "{nth} {word} at {:?}", Duration::from_nanos(*answer)),
        What::Gate | What::Before | What::After | What::Way if *among == 1 => {
            write!(text, "{nth} {word}: no")
        }
        What::Gate | What::Before | What::After | What::Way => {
            write!(text, "{nth} {word} for {:?}", Duration::from_nanos(*answer))
        }
        What::Cap | What::Part => write!(text, "{nth} {word}, {answer} of {among}"),
    };
    let _ = match place {
        Some((file, line)) => writeln!(text, " ({file}:{line})"),
        None => writeln!(text),
    };
}

thread_local! {
    static HERE: RefCell<Option<Arc<Decisions>>> = const { RefCell::new(None) };
}

/// Undone when dropped: the thread belongs to a run.
#[derive(Debug)]
#[must_use]
pub(crate) struct Entered(Option<Arc<Decisions>>);

impl Drop for Entered {
    fn drop(&mut self) {
        let before = self.0.take();
        // In a thread-local destructor it may be gone.
        let _gone = HERE.try_with(|here| here.replace(before));
    }
}

/// The thread belongs to that run until the answer is dropped.
pub(crate) fn enter(decisions: Arc<Decisions>) -> Entered {
    Entered(HERE.with(|here| here.replace(Some(decisions))))
}

/// The run that the thread belongs to.
pub(crate) fn here() -> Option<Arc<Decisions>> {
    HERE.try_with(|here| here.borrow().clone()).ok().flatten()
}

/// Which of so many tasks that stay on this thread is next: the first, unless it belongs to a run.
pub(crate) fn next_local(among: usize) -> usize {
    let chosen = HERE.try_with(|here| {
        let here = here.borrow();
        let decisions = here.as_ref().filter(|_| among > 0)?;
        let nth = decisions.pick(among);
        decisions.note(What::Local, nth as u64, among as u64, None);
        Some(nth)
    });
    chosen.ok().flatten().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(seed: u64) -> String {
        let decisions = Decisions::new(seed, LONGEST);
        for nth in 1..200 {
            let chosen = decisions.pick(nth);
            assert!(chosen < nth);
            decisions.note(What::Task, chosen as u64, nth as u64, None);
            let pause = decisions.pause(What::Before, nth % 2 == 0, Some(("here", 7)));
            assert!(pause.is_some() || nth % 2 == 1);
            assert!(pause.unwrap_or_default() <= LONGEST);
            assert!(decisions.below(What::Cap, nth as u64, None) < nth as u64);
            assert!((1..=nth).contains(&decisions.part(nth)));
        }
        decisions.log()
    }

    #[test]
    fn a_seed_decides_the_same_each_time_and_another_does_not() {
        for seed in [0, 1, 2, 4711, u64::MAX] {
            assert_eq!(run(seed), run(seed));
            assert_ne!(run(seed), run(seed.wrapping_add(1)));
        }
    }

    #[test]
    fn a_pause_has_any_order_of_magnitude_and_its_bound() {
        for longest in [0, 1000, 1_000_000, 10_000_000_000, u64::MAX].map(Duration::from_nanos) {
            let mut state = State { number: 7, log: Vec::new(), count: 0, sum: 0 };
            let pauses = [(); 1000].map(|()| length(&mut state, longest));
            let bound = longest.max(Duration::from_micros(1));
            assert!(pauses.iter().all(|pause| *pause <= bound), "{longest:?}");
            assert!(
                pauses.iter().any(|pause| *pause > bound / 2) && pauses.contains(&Duration::ZERO)
            );
        }
    }

    #[test]
    fn what_the_log_has_no_room_for_is_in_its_sum() {
        let [one, other] = [0, 1].map(|last| {
            let decisions = Decisions::new(7, LONGEST);
            (0..KEPT as u64).for_each(|nth| decisions.note(What::Jump, nth, 0, None));
            decisions.note(What::Jump, last, 0, None);
            decisions.last(0)
        });
        assert_ne!(one, other);
    }
}
