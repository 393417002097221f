//! The time by the processor's counter, between two looks at the clock.
//!
//! The clock costs twice what the counter does, and four times where a system call came before: it
//! waits for all that the processor has begun. So a thread that looks often asks the clock once in some
//! milliseconds, and notes the counter with it; from one such look to the next it learns the rate, and
//! tells the time between them by the counter alone.
//!
//! Nothing is taken on trust for longer than that: a rate is that of the last two looks, and good for
//! [`GOOD_FOR`] counts. A counter that jumps, or a rate that is wrong, makes times wrong by some
//! milliseconds at most, for as long; and what is wrong is the time that people are told, nothing else.

use std::cell::Cell;

use crate::sys::counter;

/// For so many counts behind a look at the clock the counter tells the time: 2 to 8 ms.
const GOOD_FOR: u64 = 1 << 23;

/// So many nanoseconds apart are the looks that tell the rate. Nearer, what passes between counter and
/// clock would be too much of it; farther, the machine may have slept.
const LEAST: u64 = 2_000_000;
const MOST: u64 = 50_000_000;

/// With more counts than that between the counter and the clock, the thread was interrupted there: they
/// do not belong together.
const NEAR: u64 = 1 << 11;

/// No counter is so many times as fast or as slow as nanoseconds pass.
const ABSURD: u64 = 8;

/// A thread's. Times are nanoseconds, of whatever clock it is asked with.
#[derive(Debug)]
pub(super) struct Stopwatch {
    /// There is a counter that may be read. Never changes.
    counts: bool,
    /// The counter and the clock at the last look at both.
    count: Cell<u64>,
    time: Cell<u64>,
    /// For how many counts from there the counter tells the time. 0: not at all.
    good_for: Cell<u64>,
    /// Nanoseconds in 2^32 counts; 0: not known yet.
    rate: Cell<u64>,
}

impl Stopwatch {
    pub(super) fn new(counts: bool) -> Self {
        let [count, time, good_for, rate] = [const { Cell::new(0) }; 4];
        Stopwatch { counts, count, time, good_for, rate }
    }

    /// What time it is, by the counter or by `clock`. It may be a little less than it was before.
    #[inline]
    pub(super) fn now(&self, clock: impl FnOnce() -> u64) -> u64 {
        if self.counts { self.at(counter::count(), clock, counter::count) } else { clock() }
    }

    #[inline]
    fn at(&self, count: u64, clock: impl FnOnce() -> u64, recount: impl FnOnce() -> u64) -> u64 {
        let passed = count.wrapping_sub(self.count.get());
        if passed < self.good_for.get() {
            // Below 2^23 times below 2^35.
            self.time.get() + ((passed * self.rate.get()) >> 32)
        } else {
            self.look(count, clock, recount)
        }
    }

    /// Looks at the clock, between two looks at the counter.
    #[cold]
    fn look(&self, before: u64, clock: impl FnOnce() -> u64, recount: impl FnOnce() -> u64) -> u64 {
        let (time, behind) = (clock(), recount());
        self.good_for.set(0);
        if behind.wrapping_sub(before) > NEAR {
            return time;
        }
        let counts = before.wrapping_sub(self.count.get());
        let nanos = time.saturating_sub(self.time.get());
        match nanos {
            // There is no rate yet, or the last look was in vain; this one is too near to it.
            ..LEAST => return time,
            LEAST..=MOST if (nanos / ABSURD..nanos * ABSURD).contains(&counts) => {
                self.rate.set((nanos << 32) / counts);
            }
            LEAST..=MOST => self.rate.set(0),
            _ => {}
        }
        self.count.set(before);
        self.time.set(time);
        self.good_for.set(if self.rate.get() == 0 { 0 } else { GOOD_FOR });
        time
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A processor that counts twice in a nanosecond, and how often its clock was asked.
    struct Machine {
        watch: Stopwatch,
        asked: Cell<u32>,
    }

    impl Machine {
        fn new() -> Self {
            Machine { watch: Stopwatch::new(true), asked: Cell::new(0) }
        }

        /// At a time, with a counter that is `off` and an interruption between it and the clock.
        fn at(&self, time: u64, off: u64, interrupted: u64) -> u64 {
            let count = (time * 2).wrapping_add(off);
            let clock = || {
                self.asked.set(self.asked.get() + 1);
                time + interrupted
            };
            self.watch.at(count, clock, || count + interrupted * 2 + 40)
        }
    }

    #[test]
    fn the_clock_is_asked_now_and_then_and_the_time_is_right() {
        let machine = Machine::new();
        let begin = 1_000_000_000;
        // Each 100 ns for 100 ms.
        for time in (begin..begin + 100_000_000).step_by(100) {
            let told = machine.at(time, 77, 0);
            assert!(told.abs_diff(time) <= 2, "{time}: {told}");
        }
        // Until the rate is known, and then each four milliseconds.
        let asked = machine.asked.get() - LEAST as u32 / 100;
        assert!((20..30).contains(&asked), "{asked}");
    }

    #[test]
    fn whoever_is_interrupted_at_a_look_looks_again() {
        let machine = Machine::new();
        let mut time = 1_000_000_000;
        machine.at(time, 0, 0);
        time += 3_000_000;
        machine.at(time, 0, 0);
        time += 5_000_000;
        assert_eq!(machine.at(time, 0, 6_000_000), time + 6_000_000, "the clock is right");
        time += 6_000_010;
        assert_eq!(machine.at(time, 0, 0), time);
        assert_eq!(machine.asked.get(), 4, "what did not belong together was not believed");
        time += 100;
        assert!(machine.at(time, 0, 0).abs_diff(time) <= 2);
        assert_eq!(machine.asked.get(), 4);
    }

    #[test]
    fn a_counter_that_jumps_or_stands_is_believed_for_some_milliseconds() {
        for jump in
            [1_u64 << 40, 1 << 22, (1_u64 << 40).wrapping_neg(), (1_u64 << 22).wrapping_neg()]
        {
            let machine = Machine::new();
            let (begin, mut wrong) = (1_000_000_000, 0);
            for time in (begin..begin + 100_000_000).step_by(1000) {
                let off = if time < begin + 30_000_000 { 0 } else { jump };
                let told = machine.at(time, off.wrapping_add(1 << 50), 0);
                assert!(told.abs_diff(time) < 40_000_000, "{time}: {told}");
                wrong += u64::from(told.abs_diff(time) > 10) * 1000;
            }
            assert!(wrong < 12_000_000, "for {wrong} ns behind a jump by {jump}");
        }
    }

    #[test]
    fn who_looks_seldom_asks_the_clock() {
        let machine = Machine::new();
        for nth in 1..100 {
            let time = nth * (MOST + 1);
            assert_eq!(machine.at(time, 0, 0), time);
        }
        assert_eq!(machine.asked.get(), 99);
    }

    #[test]
    fn without_a_counter_there_is_the_clock() {
        let watch = Stopwatch::new(false);
        assert_eq!((watch.now(|| 7), watch.now(|| 9)), (7, 9));
    }

    /// By this machine's own counter, if it has one that may be read.
    #[test]
    fn it_goes_with_the_clock() {
        use crate::sys::thread::nanos;
        let watch = Stopwatch::new(counter::makes_the_clock());
        let begin = std::time::Instant::now();
        let mut far = Vec::new();
        while begin.elapsed() < std::time::Duration::from_millis(200) {
            let (before, told, behind) = (nanos(), watch.now(nanos), nanos());
            far.push(before.saturating_sub(told).max(told.saturating_sub(behind)));
        }
        // (But for moments in which the whole machine stood still.)
        far.sort_unstable();
        assert!(far[far.len() * 9 / 10] < 20_000, "{:?}", far[far.len() * 9 / 10]);
    }
}
