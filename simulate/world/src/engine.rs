//! Whose turn it is, the clock, and how a run ends, or fails.
//!
//! A thread of the world is a coroutine. It gives way at a *point*, which stands before each step
//! that others could see, if the number of points drawn for its turn is used up; or because it
//! sleeps. The loop in [`run`] then draws the next. Nothing happens between two points: so what
//! stands between them (the steps of the locks here, and of the kernel) is atomic by itself.

use std::cell::{Cell, RefCell};
use std::panic::Location;
use std::rc::Rc;

use corosensei::stack::DefaultStack;
use corosensei::{Coroutine, CoroutineResult, Yielder};

use crate::draw::Draw;
use crate::kernel::{Kernel, Switched};
use crate::local::Locals;

/// What a point takes, in nanoseconds of the world.
const POINT: u64 = 20;

/// When a world begins, by its clock: so late that every time before it can be named.
const BEGIN: u64 = 1 << 40;

/// A thread's stack. What is not used is never there.
const STACK: usize = 256 * 1024;

/// Outside of a world no turn ends.
const NO_END: u32 = u32::MAX;

/// How much goes wrong in a run, in 256ths of the occasions.
#[derive(Clone, Copy, Debug, Default)]
pub struct Luck {
    /// A record of a switch is not written.
    pub lost: u32,
    /// An edge comes up to half a millisecond later.
    pub late: u32,
    /// An edge comes once more, later.
    pub doubled: u32,
    /// A thread is recorded as asleep before it sleeps; or as back when it has run for a while.
    pub early: u32,
    /// A wait on a futex ends for no reason.
    pub spurious: u32,
    /// The state of a thread is told wrongly.
    pub lies: u32,
    /// The state of a thread, or a ring, cannot be opened.
    pub unreadable: u32,
    /// A thread loses its CPU for long.
    pub paused: u32,
    /// So many threads cannot be started, at the next occasions.
    pub refused: u32,
}

/// How a run goes.
#[derive(Clone, Debug)]
pub struct Settings {
    pub luck: Luck,
    /// How many points a turn has, in the mean.
    pub turn: u32,
    /// The turn is that of the thread with the highest rank, which it loses with each turn that it
    /// uses up (S. Burckhardt and others, "A randomized scheduler with probabilistic guarantees of
    /// finding bugs", 2010), instead of any thread's.
    pub ranked: bool,
    /// The run fails if it has more points than this,
    pub points: u64,
    /// or takes longer by the clock of the world, in nanoseconds.
    pub time: u64,
    /// What happens is printed.
    pub told: bool,
}

/// What is known of a run that has ended well.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// How many points it had, and how many turns.
    pub points: u64,
    pub turns: u64,
    /// How long it took, by the clock of the world, in nanoseconds.
    pub time: u64,
    /// A digest of all that happened, in order.
    pub digest: u64,
}

type Body = Coroutine<(), (), ()>;

pub(crate) struct Thread {
    body: Option<Body>,
    yielder: *const Yielder<(), ()>,
    pub(crate) name: String,
    pub(crate) state: State,
    rank: u64,
    /// What ended its last sleep: `true`, the time.
    timed_out: bool,
    locals: Rc<Locals>,
}

#[derive(Clone, Copy)]
pub(crate) enum State {
    Ready,
    Asleep { key: usize, deadline: Option<u64>, place: &'static Location<'static> },
    Ended,
}

pub(crate) struct World {
    seed: u64,
    pub(crate) settings: Settings,
    pub(crate) draw: Draw,
    /// The clock when this turn began.
    clock: u64,
    points: u64,
    turns: u64,
    digest: u64,
    pub(crate) threads: Vec<Thread>,
    pub(crate) current: usize,
    pub(crate) kernel: Kernel,
    /// Drawn for this turn.
    turn: u32,
}

std::thread_local! {
    static WORLD: RefCell<Option<World>> = const { RefCell::new(None) };
    /// Points that are left of this turn.
    static LEFT: Cell<u32> = const { Cell::new(NO_END) };
    /// Those of the thread that runs.
    static LOCALS: Cell<*const Locals> = const { Cell::new(std::ptr::null()) };
    /// Those of the real thread, outside of any world.
    static OUTSIDE: Locals = Locals::default();
    static STACKS: RefCell<Vec<DefaultStack>> = const { RefCell::new(Vec::new()) };
}

/// The values of the calling thread's `thread_local!`s. They are there as long as it is.
#[inline]
pub(crate) fn locals() -> *const Locals {
    let locals = LOCALS.get();
    if locals.is_null() { OUTSIDE.with(std::ptr::from_ref) } else { locals }
}

/// Asks the world; `None` outside of any. Nothing in `f` may be a point.
pub(crate) fn with<R>(f: impl FnOnce(&mut World) -> R) -> Option<R> {
    WORLD.with_borrow_mut(|world| world.as_mut().map(f))
}

/// Before a step that others could see.
#[inline]
pub(crate) fn point() {
    let left = LEFT.get();
    if left == 0 {
        give_way();
    } else {
        LEFT.set(left - 1);
    }
}

/// The turn is used up.
#[cold]
fn give_way() {
    with(World::demote);
    suspend();
}

/// The calling thread would go on if others let it.
pub(crate) fn yields() {
    if with(World::demote).is_some() {
        suspend();
    }
}

/// The calling thread sleeps until it is woken by this key, or until the time. `true`: until the
/// time.
#[track_caller]
pub(crate) fn sleep(key: usize, deadline: Option<u64>) -> bool {
    let place = Location::caller();
    let asleep = with(|world| {
        let id = world.current;
        world.threads[id].state = State::Asleep { key, deadline, place };
        world.threads[id].timed_out = false;
        world.switched(id, Switched::Asleep);
        id
    });
    let Some(id) = asleep else { panic!("outside of a world nobody else could end this wait") };
    suspend();
    with(|world| world.threads[id].timed_out).expect("the same world")
}

fn suspend() {
    let yielder = with(|world| world.threads[world.current].yielder).expect("within a world");
    // SAFETY: it was given to the calling thread's coroutine, which is the one that runs, and stands
    // on its stack until that ends.
    let yielder = unsafe { &*yielder };
    yielder.suspend(());
}

/// Wakes up to `count` threads that sleep by this key. Returns how many.
pub(crate) fn wake(key: usize, count: usize) -> usize {
    with(|world| world.wake(key, count)).unwrap_or(0)
}

/// The clock, in nanoseconds.
pub(crate) fn now() -> u64 {
    with(|world| world.now()).unwrap_or(BEGIN)
}

/// The calling thread computes for so long.
pub(crate) fn compute(nanos: u64) {
    const STRETCH: u64 = 5_000;
    let mut left = nanos;
    while left > 0 {
        let now = left.min(STRETCH);
        with(|world| world.clock += now);
        left -= now;
        // Nobody knows how much of it others had.
        yields();
    }
}

/// Whether the caller is a thread of a world.
pub fn is_within() -> bool {
    LEFT.get() != NO_END
}

/// A number below `bound` from the seed of the run.
pub fn draw(bound: u64) -> u64 {
    with(|world| world.draw.below(bound)).expect("within a world")
}

/// How many points the run has had.
pub fn steps() -> u64 {
    with(|world| world.points + u64::from(world.used())).unwrap_or(0)
}

/// For whoever looks at the run again: printed, with the time and the thread.
pub fn note(text: impl FnOnce() -> String) {
    if with(|world| world.settings.told).unwrap_or(false) {
        let text = text();
        with(|world| world.tell(world.current, &text));
    }
}

/// The run has failed: says why, and ends the process.
pub fn fail(text: &str) -> ! {
    let report = WORLD.try_with(|world| match world.try_borrow() {
        Ok(world) => world.as_ref().map(|world| world.report(text)),
        Err(_) => None,
    });
    let report = report.ok().flatten().unwrap_or_else(|| format!("{text}\n"));
    end(&report)
}

/// Ends the process, at once: the threads are where they are.
fn end(report: &str) -> ! {
    // Not by way of the test harness, which would keep it to itself.
    let _unheard = std::io::Write::write_all(&mut std::io::stderr(), report.as_bytes());
    // SAFETY: takes a number, and does not return.
    unsafe { libc::_exit(101) }
}

impl World {
    fn used(&self) -> u32 {
        self.turn.saturating_sub(LEFT.get())
    }

    pub(crate) fn now(&self) -> u64 {
        self.clock + u64::from(self.used()) * POINT
    }

    fn demote(&mut self) {
        let rank = &mut self.threads[self.current].rank;
        // Below all others: the turns only grow.
        *rank = (1 << 62) - self.turns;
    }

    pub(crate) fn wake(&mut self, key: usize, count: usize) -> usize {
        let mut woken = 0;
        for thread in &mut self.threads {
            if woken == count {
                break;
            }
            if matches!(thread.state, State::Asleep { key: other, .. } if other == key) {
                thread.state = State::Ready;
                woken += 1;
            }
        }
        woken
    }

    fn switched(&mut self, id: usize, how: Switched) {
        let now = self.now();
        let World { kernel, draw, settings, .. } = self;
        if let Some(epoll) = kernel.switched(id, how, now, draw, &settings.luck) {
            self.wake(epoll, usize::MAX);
        }
    }

    fn add(&mut self, name: String, body: Box<dyn FnOnce()>) -> usize {
        let id = self.threads.len();
        let stack = STACKS.with_borrow_mut(Vec::pop);
        let stack = stack.unwrap_or_else(|| DefaultStack::new(STACK).expect("room for a stack"));
        let locals = Rc::new(Locals::default());
        let mine = locals.clone();
        let body = move |yielder: &Yielder<(), ()>, ()| {
            let yielder = std::ptr::from_ref(yielder);
            with(|world| world.threads[id].yielder = yielder);
            body();
            mine.end();
        };
        let rank = 1 << 62 | self.draw.number() >> 2;
        self.threads.push(Thread {
            body: Some(Coroutine::with_stack(stack, body)),
            yielder: std::ptr::null(),
            name,
            state: State::Ready,
            rank,
            timed_out: false,
            locals,
        });
        self.kernel.begins(id);
        id
    }

    /// The next turn: whose it is. `None`: all threads have ended.
    fn next(&mut self) -> Option<usize> {
        let used = self.used();
        self.points += u64::from(used);
        self.clock += u64::from(used) * POINT;
        (self.turn, self.turns) = (0, self.turns + 1);
        LEFT.set(0);
        self.kernel.ran(self.current, self.clock);
        if self.points > self.settings.points {
            fail_now(self, "the run does not come to its end: too many steps");
        }
        let next = loop {
            match self.time_passes() {
                0 => self.jump()?,
                ready => break self.choose(ready),
            }
        };
        if self.clock - BEGIN > self.settings.time {
            fail_now(self, "the run does not come to its end: too long, by its clock");
        }
        self.digest = (self.digest ^ (next as u64) << 32 ^ u64::from(used))
            .wrapping_mul(0x9E37_79B9_7F4A_7C15)
            .rotate_left(23);
        let other = next != self.current;
        if other && matches!(self.threads[self.current].state, State::Ready) {
            self.switched(self.current, Switched::Preempted);
        }
        self.current = next;
        // It may have slept, and nobody else was there meanwhile.
        self.switched(next, Switched::Back);
        if self.settings.luck.paused > 0 && self.draw.chance(self.settings.luck.paused) {
            self.clock += self.draw.below(1_000_000);
        }
        // A geometric distribution would be right; this has its mean, and is cheaper.
        self.turn = 1 + self.draw.below(2 * u64::from(self.settings.turn)) as u32;
        LEFT.set(self.turn);
        self.kernel.runs(self.clock);
        Some(next)
    }

    fn choose(&mut self, ready: u64) -> usize {
        let is_ready = |(_, thread): &(usize, &Thread)| matches!(thread.state, State::Ready);
        if self.settings.ranked {
            let ready = self.threads.iter().enumerate().filter(is_ready);
            return ready.max_by_key(|(_, thread)| thread.rank).expect("one is ready").0;
        }
        let nth = self.draw.below(ready) as usize;
        let mut ready = self.threads.iter().enumerate().filter(is_ready);
        ready.nth(nth).expect("so many are ready").0
    }

    /// What is due by now happens. Returns how many are ready.
    fn time_passes(&mut self) -> u64 {
        let now = self.clock;
        for epoll in self.kernel.due(now) {
            self.wake(epoll, usize::MAX);
        }
        let mut ready = 0;
        for thread in &mut self.threads {
            match thread.state {
                State::Ready => ready += 1,
                State::Asleep { deadline: Some(deadline), .. } if deadline <= now => {
                    thread.state = State::Ready;
                    thread.timed_out = true;
                    ready += 1;
                }
                _ => {}
            }
        }
        ready
    }

    /// Nobody runs: the clock goes on to the next thing that is due. `None`: all have ended.
    fn jump(&mut self) -> Option<()> {
        let deadlines = self.threads.iter().filter_map(|thread| match thread.state {
            State::Asleep { deadline, .. } => deadline,
            _ => None,
        });
        let next = deadlines.chain(self.kernel.next_due()).min();
        match next {
            Some(next) => self.clock = self.clock.max(next),
            None if self.threads.iter().all(|thread| matches!(thread.state, State::Ended)) => {
                return None;
            }
            None => fail_now(self, "all threads sleep, and nothing is due"),
        }
        Some(())
    }

    fn tell(&self, id: usize, text: &str) {
        let time = (self.now() - BEGIN) as f64 / 1000.0;
        eprintln!("{time:>10.2} us  {id:>2} {:<14} {text}", self.threads[id].name);
    }

    fn report(&self, text: &str) -> String {
        use std::fmt::Write;
        let mut report = format!(
            "\nsimulation: the run with seed {} has failed after {} turns and {} us of its time: {text}\n",
            self.seed,
            self.turns,
            (self.now() - BEGIN) / 1000,
        );
        for (id, thread) in self.threads.iter().enumerate() {
            let state = match thread.state {
                State::Ready if id == self.current => "runs".to_owned(),
                State::Ready => "is ready to run".to_owned(),
                State::Ended => continue,
                State::Asleep { deadline, place, .. } => {
                    let until = deadline.map(|at| format!(" until {} us", (at - BEGIN) / 1000));
                    format!("sleeps{} at {place}", until.unwrap_or_default())
                }
            };
            let _ = writeln!(report, "    thread {id} ({}) {state}", thread.name);
        }
        let _ = writeln!(
            report,
            "    once more, and told: THREADLET_SIM_SEED={} (CONTRIBUTING.md)",
            self.seed
        );
        report
    }
}

/// As [`fail`], by whoever has the world in hand.
fn fail_now(world: &World, text: &str) -> ! {
    end(&world.report(text))
}

/// A thread that runs `body`. `None`: it is refused.
pub(crate) fn begin(name: String, body: Box<dyn FnOnce()>) -> Option<usize> {
    with(|world| {
        if world.settings.luck.refused > 0 && world.draw.chance(128) {
            world.settings.luck.refused -= 1;
            return None;
        }
        Some(world.add(name, body))
    })
    .expect("threads are started within a world")
}

/// Runs `main`, and all threads that come of it, to their end. A panic that nobody catches, a wait
/// without an end, and whatever else is wrong end the process, with the seed.
pub fn run(seed: u64, settings: Settings, main: impl FnOnce() + 'static) -> Outcome {
    let world = World {
        seed,
        settings,
        draw: Draw::new(seed),
        clock: BEGIN,
        points: 0,
        turns: 0,
        digest: 0,
        threads: Vec::with_capacity(16),
        current: 0,
        kernel: Kernel::default(),
        turn: 0,
    };
    let before = WORLD.replace(Some(world));
    assert!(before.is_none(), "one world at a time");
    with(|world| world.add("main".to_owned(), Box::new(main)));
    while let Some(id) = with(World::next).expect("it is there") {
        let body = with(|world| {
            let thread = &mut world.threads[id];
            LOCALS.set(Rc::as_ptr(&thread.locals));
            thread.body.take().expect("one that has not ended")
        });
        let mut body = body.expect("it is there");
        match body.resume(()) {
            CoroutineResult::Yield(()) => with(|world| world.threads[id].body = Some(body)),
            CoroutineResult::Return(()) => {
                STACKS.with_borrow_mut(|stacks| stacks.push(body.into_stack()));
                with(|world| {
                    world.threads[id].state = State::Ended;
                    world.kernel.ends(id);
                    world.wake(ended_key(id), usize::MAX);
                })
            }
        };
    }
    LEFT.set(NO_END);
    LOCALS.set(std::ptr::null());
    let world = WORLD.take().expect("it is there");
    let (points, turns) = (world.points, world.turns);
    Outcome { points, turns, time: world.clock - BEGIN, digest: world.digest }
}

/// By which key others wait for the end of a thread: no address is so low.
pub(crate) fn ended_key(id: usize) -> usize {
    id + 1
}
