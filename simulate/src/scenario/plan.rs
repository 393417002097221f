//! What a seed says: the machine, its luck, and what the program does.

use std::draw::Draw;
use std::{Luck, Settings};

/// In nanoseconds.
pub(super) const US: u64 = 1_000;

/// What a task does.
#[derive(Clone, Debug)]
pub(super) enum Step {
    Yield,
    /// A marked call, which takes so many microseconds.
    Call(usize, Work, How),
    /// A marked call that blocks until the flag is up. Whoever raises it makes no call before.
    CallUntil(usize, usize),
    /// The same without saying so.
    Unmarked(Work),
    Sleep(u64),
    Raise(usize),
    Wait(usize),
    /// Another task does this meanwhile, and is waited for; if so, it is aborted so many microseconds
    /// later.
    Spawn(Vec<Step>, Option<u64>),
    /// Not waited for.
    Detach(Vec<Step>),
    SpawnBlocking(Work),
}

#[derive(Clone, Copy, Debug)]
pub(super) enum Work {
    None,
    Blocks(u64),
    Computes(u64),
}

#[derive(Clone, Copy, Debug)]
pub(super) enum How {
    Plain,
    WillBlock,
    OrInline,
    /// `run`: in code that is not async.
    Sync,
}

/// All that a seed says.
#[derive(Clone, Debug)]
pub(super) struct Plan {
    pub(super) settings: Settings,
    pub(super) current_thread: bool,
    pub(super) workers: usize,
    pub(super) cap: usize,
    pub(super) spares: usize,
    pub(super) perf: bool,
    pub(super) rescue: bool,
    /// The places that make calls are known to have blocked of late.
    pub(super) warm: bool,
    pub(super) keep_alive: u64,
    /// What the root future spawns, and what a thread of the program's own does.
    pub(super) tasks: Vec<Vec<Step>>,
    pub(super) outside: Vec<Vec<Step>>,
    pub(super) flags: usize,
    pub(super) end: End,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// When all has been done.
    AtRest,
    /// So much later than it began, whatever is done by then; and whoever ends it waits, or not.
    Early { after: u64, waits: bool },
}

impl Plan {
    pub(super) fn of(seed: u64, told: bool) -> Plan {
        // Not the numbers of the world, which has its own from the same seed.
        let mut draw = Draw::new(seed ^ 0x5EED_0F71_4E91_A115);
        let d = &mut draw;
        let workers = d.of(&[1, 1, 2, 2, 3]);
        let mut plan = Plan {
            settings: settings(d, told),
            current_thread: d.chance(40),
            workers,
            cap: d.of(&[1, 1, 2, 4]),
            spares: d.of(&[1, 1, 2]),
            perf: d.chance(128),
            rescue: !d.chance(40),
            warm: d.chance(128),
            keep_alive: d.of(&[200, 5_000, 10_000_000]),
            tasks: Vec::new(),
            outside: Vec::new(),
            flags: 0,
            end: End::AtRest,
        };
        for _ in 0..1 + d.below(3) {
            plan.add(d);
        }
        if d.chance(64) {
            let (after, waits) = (d.below(400), d.chance(128));
            plan.end = End::Early { after, waits };
        }
        plan
    }

    fn flag(&mut self) -> usize {
        self.flags += 1;
        self.flags - 1
    }

    /// One more thing for the program to do.
    fn add(&mut self, d: &mut Draw) {
        let mut tasks = Vec::new();
        match d.below(9) {
            0 | 1 => tasks.push(steps(d, 2)),
            // Many short calls in a row, by which a thread comes to its ring, and then some that block.
            8 => {
                let site = d.below(3) as usize;
                let mut all = Vec::new();
                for _ in 0..2 + d.below(4) {
                    all.extend((0..5).map(|_| Step::Call(site, Work::None, How::Plain)));
                    all.push(Step::Yield);
                }
                if d.chance(128) {
                    let flag = self.flag();
                    all.push(Step::CallUntil(site, flag));
                    tasks.push(vec![Step::Wait(self.flag()), Step::Raise(flag)]);
                    all.insert(all.len() - 1, Step::Raise(self.flags - 1));
                }
                all.extend((0..2).map(|_| Step::Call(site, work(d), How::Plain)));
                tasks.push(all);
            }
            // One blocks until another has run.
            2 | 3 => {
                let flag = self.flag();
                let mut first = few(d, 2);
                first.push(Step::CallUntil(d.below(3) as usize, flag));
                first.extend(steps(d, 1));
                let mut second = vec![Step::Yield; d.below(2) as usize];
                second.push(Step::Raise(flag));
                second.extend(steps(d, 1));
                tasks.extend([first, second]);
            }
            // Two talk to each other.
            4 | 5 => {
                let (mut first, mut second) = (few(d, 1), few(d, 1));
                for _ in 0..1 + d.below(3) {
                    let (there, back) = (self.flag(), self.flag());
                    first.extend([Step::Raise(there), Step::Wait(back)]);
                    second.extend([Step::Wait(there), Step::Raise(back)]);
                    if d.chance(100) {
                        first.extend(few(d, 1));
                    }
                }
                tasks.extend([first, second]);
            }
            // One has others.
            _ => {
                let mut all = few(d, 1);
                for _ in 0..1 + d.below(3) {
                    let child = steps(d, 1);
                    all.push(match d.below(4) {
                        0 => Step::Spawn(child, Some(d.of(&[0, 20, 100, 400]))),
                        1 => Step::Detach(child),
                        _ => Step::Spawn(child, None),
                    });
                }
                all.extend(few(d, 1));
                tasks.push(all);
            }
        }
        if d.chance(48) { &mut self.outside } else { &mut self.tasks }.extend(tasks);
    }
}

fn settings(d: &mut Draw, told: bool) -> Settings {
    let mut luck = Luck::default();
    if d.chance(160) {
        let often = [0, 0, 0, 10, 60];
        luck = Luck {
            lost: d.of(&often),
            late: d.of(&often),
            doubled: d.of(&often),
            early: d.of(&often),
            spurious: d.of(&often),
            lies: d.of(&[0, 0, 0, 10]),
            unreadable: d.of(&[0, 0, 0, 10, 60]),
            paused: d.of(&[0, 0, 0, 3]),
            refused: d.of(&[0, 0, 0, 1, 3]),
        };
    }
    Settings {
        luck,
        turn: d.of(&[3, 10, 30, 100, 300]),
        ranked: d.chance(100),
        points: 400_000,
        time: 3_000_000 * US,
        told,
    }
}

fn work(d: &mut Draw) -> Work {
    match d.below(8) {
        0..3 => Work::None,
        3 => Work::Computes(d.of(&[5, 1_500])),
        _ => Work::Blocks(d.of(&[2, 30, 200, 1_000])),
    }
}

fn step(d: &mut Draw) -> Step {
    match d.below(16) {
        0 => Step::Yield,
        1 => Step::Sleep(d.of(&[0, 50, 700])),
        2 => Step::Unmarked(work(d)),
        3 => Step::SpawnBlocking(work(d)),
        _ => {
            let how = match d.below(8) {
                0 => How::WillBlock,
                1 => How::OrInline,
                2 => How::Sync,
                _ => How::Plain,
            };
            Step::Call(d.below(3) as usize, work(d), how)
        }
    }
}

fn steps(d: &mut Draw, at_least: u64) -> Vec<Step> {
    (0..at_least + d.below(3)).map(|_| step(d)).collect()
}

fn few(d: &mut Draw, at_most: u64) -> Vec<Step> {
    (0..d.below(at_most + 1)).map(|_| step(d)).collect()
}
