//! The return addresses on the stack of a thread that sleeps.
//!
//! The kernel tells two of its registers: where it is in the program, and where its stack ends. The
//! tables say for each place what a function has put on the stack, so the registers of its caller follow
//! from there, one function after the other. A register of which nothing is known stays unknown, and
//! where the next step needs it, this is the end: nothing is guessed.
//!
//! But for one. The standard library is compiled so that its functions find their part of the stack by
//! `rbp`, of which the kernel does not tell. Such a function has put the `rbp` of its caller right below
//! its return address, and points there. How far that is from the end of the stack its first
//! instructions say, as a rule, and then there must be an address behind a call. Else the place is
//! looked for, upwards from the end of the stack: the one with an address behind a call of that very
//! function.

use std::time::{Duration, Instant};

use gimli::{CfaRule, Register, RegisterRule, X86_64};

use super::tables::{self, Row};
use super::{Frame, names};
use crate::sys::asleep::{Asleep, Memory};

/// So many functions are told of, at most.
const FRAMES: usize = 64;

/// For so long is looked at most. A thread takes a millisecond or so.
const LIMIT: Duration = Duration::from_millis(50);

/// So far up the place of an unknown `rbp` is looked for.
const REACH: u64 = 64 << 10;

/// With this a function may begin: it has no effect here.
const ENDBR: [u8; 4] = [0xF3, 0x0F, 0x1E, 0xFA];

/// Those that a function leaves as they were.
const KEPT: [Register; 6] =
    [X86_64::RBX, X86_64::RBP, X86_64::R12, X86_64::R13, X86_64::R14, X86_64::R15];

/// Nothing, if the thread does not sleep, or has not slept all the time.
pub(super) fn addresses(tid: i32) -> Vec<usize> {
    looked_at(tid, || {})
}

pub(super) fn frames(addresses: &[usize]) -> Vec<Frame> {
    names::of(addresses)
}

/// `meanwhile` is for tests: it comes between the look at the stack and the question whether the thread
/// has moved.
fn looked_at(tid: i32, meanwhile: impl FnOnce()) -> Vec<usize> {
    let Some(asleep) = Asleep::of(tid) else { return Vec::new() };
    let Some(memory) = Memory::of_this_process() else { return Vec::new() };
    let addresses = Walk::new(memory, asleep.pc, asleep.sp).run();
    meanwhile();
    if asleep.still() { addresses } else { Vec::new() }
}

struct Walk {
    memory: Memory,
    pc: u64,
    sp: u64,
    /// The registers of `KEPT`, as far as they are known.
    kept: [Option<u64>; KEPT.len()],
    /// Where the stack begins.
    end: u64,
}

impl Walk {
    fn new(memory: Memory, pc: u64, sp: u64) -> Walk {
        let end = memory.part(sp).map_or(0, |part| part.end);
        Walk { memory, pc, sp, kept: [None; KEPT.len()], end }
    }

    fn run(mut self) -> Vec<usize> {
        let start = Instant::now();
        let mut addresses = Vec::new();
        // A return address may be that of the next function, behind a call that does not return.
        let mut before = 0;
        while addresses.len() < FRAMES && start.elapsed() < LIMIT {
            let Some(row) = tables::row(&mut self.memory, self.pc - before) else { break };
            addresses.push(self.pc as usize);
            if self.step(&row).is_none() {
                break;
            }
            before = 1;
        }
        addresses
    }

    /// To the caller.
    fn step(&mut self, row: &Row) -> Option<()> {
        let base = self.base(row)?;
        // The stack grows downwards: what does not go up is wrong.
        if base <= self.sp || base > self.end {
            return None;
        }
        let mut kept = self.kept;
        for (nth, register) in KEPT.into_iter().enumerate() {
            kept[nth] = match row.row.register(register) {
                RegisterRule::Undefined | RegisterRule::SameValue => self.kept[nth],
                RegisterRule::Offset(offset) => self.memory.word(base.wrapping_add_signed(offset)),
                _ => None,
            };
        }
        let RegisterRule::Offset(offset) = row.row.register(X86_64::RA) else { return None };
        self.pc = self.memory.word(base.wrapping_add_signed(offset)).filter(|pc| *pc != 0)?;
        (self.kept, self.sp) = (kept, base);
        Some(())
    }

    /// Where the caller's part of the stack ends.
    fn base(&mut self, row: &Row) -> Option<u64> {
        let CfaRule::RegisterAndOffset { register, offset } = *row.row.cfa() else { return None };
        let known = match register {
            X86_64::RSP => Some(self.sp),
            _ => KEPT.iter().position(|kept| *kept == register).and_then(|nth| self.kept[nth]),
        };
        match known {
            Some(value) => Some(value.wrapping_add_signed(offset)),
            None if register == X86_64::RBP && offset == 16 => {
                self.counted_base(row.start).or_else(|| self.look_for_base(row.start))
            }
            None => None,
        }
    }

    /// By what the function that begins at `start` puts on the stack at first: `push rbp`,
    /// `mov rbp, rsp`, `push` of others, `sub rsp, number`.
    fn counted_base(&mut self, start: u64) -> Option<u64> {
        let mut code = [0; 48];
        self.memory.bytes(start, &mut code)?;
        let mut rest = code.strip_prefix(&ENDBR).unwrap_or(&code);
        rest = rest.strip_prefix(&[0x55, 0x48, 0x89, 0xE5])?;
        let mut size = 0;
        loop {
            rest = match rest {
                [0x50..=0x57, more @ ..] | [0x41, 0x50..=0x57, more @ ..] => {
                    size += 8;
                    more
                }
                _ => break,
            };
        }
        (size, rest) = match rest {
            [0x48, 0x83, 0xEC, number, more @ ..] => (size + u64::from(*number & 0x7F), more),
            [0x48, 0x81, 0xEC, a, b, c, d, more @ ..] => {
                (size + u64::from(u32::from_le_bytes([*a, *b, *c, *d])), more)
            }
            _ => (size, rest),
        };
        // Not if it has not come so far.
        let behind = start + (code.len() - rest.len()) as u64;
        let at = self.sp.checked_add(size).filter(|_| self.pc >= behind)?;
        let address = self.memory.word(at.wrapping_add(8))?;
        self.is_behind_a_call(address).then_some(at + 16)
    }

    fn is_behind_a_call(&mut self, address: u64) -> bool {
        let mut code = [0; 7];
        let runs = self.memory.part(address).is_some_and(|part| part.runs);
        if !runs || self.memory.bytes(address - 7, &mut code).is_none() {
            return false;
        }
        // One way by a distance, and some by a register or by memory.
        let indirect = |pair: &[u8]| pair[0] == 0xFF && pair[1] >> 3 & 7 == 2;
        code[2] == 0xE8 || code.windows(2).any(indirect)
    }

    /// The first place above the end of the stack with the return address of a call of the function that
    /// begins at `start`.
    fn look_for_base(&mut self, start: u64) -> Option<u64> {
        let last = self.end.min(self.sp.saturating_add(REACH)).checked_sub(16)?;
        let mut at = self.sp.next_multiple_of(8);
        while at <= last {
            let address = self.memory.word(at + 8)?;
            if self.calls(address, start) {
                return Some(at + 16);
            }
            at += 8;
        }
        None
    }

    /// Whether a call of the function that begins at `start` ends at `address`.
    fn calls(&mut self, address: u64, start: u64) -> bool {
        if !self.memory.part(address).is_some_and(|part| part.runs) {
            return false;
        }
        let mut code = [0; 6];
        if self.memory.bytes(address - 6, &mut code).is_none() {
            return false;
        }
        let [a, b, c @ ..] = code;
        let distance = i64::from(i32::from_le_bytes(c));
        let target = address.wrapping_add_signed(distance);
        if b == 0xE8 && (target == start || self.jump(target) == Some(start)) {
            return true;
        }
        a == 0xFF && b == 0x15 && self.memory.word(target) == Some(start)
    }

    /// Where the stub of a linker goes: `jmp [rip + distance]`.
    fn jump(&mut self, mut stub: u64) -> Option<u64> {
        if self.memory.half(stub)? == u32::from_le_bytes(ENDBR) {
            stub += 4;
        }
        let mut code = [0; 7];
        self.memory.bytes(stub, &mut code)?;
        let bnd = u64::from(code[0] == 0xF2);
        let rest = &code[bnd as usize..];
        let distance = i32::from_le_bytes(rest.get(2..6)?.try_into().ok()?);
        let slot = (stub + bnd + 6).wrapping_add_signed(distance.into());
        rest.starts_with(&[0xFF, 0x25]).then(|| self.memory.word(slot)).flatten()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::thread::tid;
    use std::io::{self, Read, Write};
    use std::sync::mpsc;
    use std::thread;

    /// A thread that reads one byte after the other, until there is none.
    #[inline(never)]
    fn reads_on(mut reader: io::PipeReader) {
        while reader.read(&mut [0]).expect("a pipe") > 0 {}
    }

    fn wait_until(mut holds: impl FnMut() -> bool) {
        let start = Instant::now();
        while !holds() {
            assert!(start.elapsed() < Duration::from_secs(30), "it never does");
            thread::sleep(Duration::from_millis(1));
        }
    }

    /// With its number, asleep in its second read at least.
    fn reader() -> (i32, io::PipeWriter, thread::JoinHandle<()>) {
        let (reader, mut writer) = io::pipe().expect("a pipe");
        let (send, receive) = mpsc::channel();
        let thread = thread::spawn(move || {
            send.send(tid()).expect("heard");
            reads_on(reader);
        });
        let tid = receive.recv().expect("told");
        wait_until(|| !addresses(tid).is_empty());
        reads_another(tid, &mut writer);
        (tid, writer, thread)
    }

    /// Lets it read a byte, and sleep again.
    fn reads_another(tid: i32, writer: &mut io::PipeWriter) {
        let before = Asleep::of(tid).expect("it sleeps");
        writer.write_all(b"x").expect("room");
        wait_until(|| Asleep::of(tid).is_some_and(|now| now != before));
    }

    fn has(addresses: &[usize], name: &str) -> bool {
        let found = |frame: &Frame| frame.function.as_deref().is_some_and(|is| is.contains(name));
        frames(addresses).iter().any(found)
    }

    #[test]
    fn a_thread_that_sleeps_is_found_in_its_functions() {
        let (tid, writer, thread) = reader();
        let found = addresses(tid);
        assert!(has(&found, "reads_on"), "{:?}", frames(&found));
        drop(writer);
        thread.join().expect("it ends");
        wait_until(|| addresses(tid).is_empty());
        assert!(addresses(crate::sys::thread::tid()).is_empty(), "who asks does not sleep");
    }

    /// It wakes while its stack is looked at, and then sleeps in the same place again: what was seen may
    /// be of both.
    #[test]
    fn of_a_thread_that_has_moved_meanwhile_nothing_is_told() {
        let (tid, mut writer, thread) = reader();
        let before = Asleep::of(tid).expect("it sleeps");
        let found = looked_at(tid, || reads_another(tid, &mut writer));
        let again = Asleep::of(tid).expect("it sleeps");
        assert_eq!((before.pc, before.sp), (again.pc, again.sp), "in the same place");
        assert_eq!(found, [], "it has moved");
        assert!(has(&looked_at(tid, || {}), "reads_on"), "and now it has not");
        drop(writer);
        thread.join().expect("it ends");
    }

    /// Whatever the registers and the stack hold, it ends, and touches nothing that is not there.
    #[test]
    fn a_stack_of_nonsense_is_no_harm() {
        let start = Instant::now();
        let code = reads_on as fn(io::PipeReader) as usize as u64;
        let mut seed = 1_u64;
        let mut random = move || {
            seed = seed.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
            seed
        };
        for round in 0..300 {
            // Words that are random, that point into code, and that point into these words.
            let mut stack = vec![0_u64; 512];
            let at = stack.as_ptr() as u64;
            for word in &mut stack {
                *word = match random() >> 60 {
                    0..4 => code.wrapping_add(random() >> 48),
                    4..8 => at + (random() >> 52),
                    8 => u64::MAX - (random() >> 60),
                    _ => random(),
                };
            }
            let (pc, sp) = match round % 3 {
                0 => (code + random() % 4096, at),
                1 => (random(), at),
                _ => (code + random() % 4096, random()),
            };
            let memory = Memory::of_this_process().expect("procfs is there");
            let found = Walk::new(memory, pc, sp).run();
            assert!(found.len() <= FRAMES);
            drop(stack);
        }
        assert!(start.elapsed() < Duration::from_secs(30), "{:?}", start.elapsed());
    }
}
