//! A thread of this process that sleeps: where it does in the program, and whether it has slept on
//! while somebody looked at its stack. (Feature `backtrace`.)
//!
//! Nothing here touches the thread, and memory is read through `/proc/self/mem`: what is not there any
//! more is an error and no fault.

use std::collections::HashMap;
use std::fs::{self, File};
use std::os::unix::fs::FileExt;

/// A thread that was asleep.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Asleep {
    tid: i32,
    /// How often it has left a CPU so far.
    switches: u64,
    /// What the kernel says of its system call.
    line: String,
    /// The address of what it does next, and of the end of its stack.
    pub(crate) pc: u64,
    pub(crate) sp: u64,
}

impl Asleep {
    /// `None`: it runs, it is gone, or the kernel does not say.
    pub(crate) fn of(tid: i32) -> Option<Asleep> {
        // In this order: see `still`.
        let switches = switches(tid)?;
        let line = line(tid)?;
        let (pc, sp) = parse(&line)?;
        Some(Asleep { tid, switches, line, pc, sp })
    }

    /// Whether it has slept all the time since.
    ///
    /// It slept when the first line was read, and when this one is. To have run in between, it must
    /// have left its CPU in between to sleep again; and the number of times that it did was read
    /// before the first line, and is read again after the second.
    pub(crate) fn still(&self) -> bool {
        let same = line(self.tid).is_some_and(|line| line == self.line);
        same && switches(self.tid) == Some(self.switches)
    }
}

fn line(tid: i32) -> Option<String> {
    let line = fs::read_to_string(format!("/proc/self/task/{tid}/syscall")).ok()?;
    (!line.starts_with("running")).then_some(line)
}

fn switches(tid: i32) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/self/task/{tid}/status")).ok()?;
    let counts = status.lines().filter(|line| line.contains("voluntary_ctxt_switches:"));
    counts.map(|line| line.split_whitespace().last()?.parse::<u64>().ok()).sum()
}

/// `-1 0xSP 0xPC`, or `number 0x.. 0x.. ... 0xSP 0xPC`.
fn parse(line: &str) -> Option<(u64, u64)> {
    let mut words = line.split_whitespace();
    words.next()?.parse::<i64>().ok()?;
    let number = |word: &str| u64::from_str_radix(word.strip_prefix("0x")?, 16).ok();
    let numbers: Vec<u64> = words.map(number).collect::<Option<_>>()?;
    match numbers[..] {
        [.., sp, pc] if sp != 0 && pc != 0 => Some((pc, sp)),
        _ => None,
    }
}

/// A part of this process' memory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Part {
    pub(crate) start: u64,
    pub(crate) end: u64,
    pub(crate) runs: bool,
    /// Where in its file it begins, and which that is.
    pub(crate) offset: u64,
    file: String,
}

impl Part {
    pub(crate) fn contains(&self, address: u64) -> bool {
        (self.start..self.end).contains(&address)
    }
}

/// The memory of this process, as it is at about this moment. What was read once is not read again.
#[derive(Debug)]
pub(crate) struct Memory {
    file: File,
    parts: Vec<Part>,
    pages: HashMap<u64, Option<Box<[u8; PAGE as usize]>>>,
}

const PAGE: u64 = 4096;

impl Memory {
    pub(crate) fn of_this_process() -> Option<Memory> {
        // Not kept open: after a fork it would be the parent's.
        let file = File::open("/proc/self/mem").ok()?;
        let parts = fs::read_to_string("/proc/self/maps").ok()?;
        let parts = parts.lines().filter_map(part).collect();
        Some(Memory { file, parts, pages: HashMap::new() })
    }

    pub(crate) fn part(&self, address: u64) -> Option<&Part> {
        self.parts.iter().find(|part| part.contains(address))
    }

    /// Where the file begins whose part that is.
    pub(crate) fn base(&self, of: &Part) -> Option<u64> {
        let firsts = self.parts.iter().filter(|part| part.offset == 0 && part.file == of.file);
        firsts.map(|part| part.start).filter(|start| *start <= of.start).max()
    }

    pub(crate) fn bytes(&mut self, mut address: u64, mut out: &mut [u8]) -> Option<()> {
        while !out.is_empty() {
            let file = &self.file;
            let page = self.pages.entry(address / PAGE).or_insert_with(|| {
                let mut page = Box::new([0; PAGE as usize]);
                file.read_exact_at(page.as_mut_slice(), address / PAGE * PAGE).ok().map(|()| page)
            });
            let there = &page.as_ref()?[(address % PAGE) as usize..];
            let (now, later) = out.split_at_mut(out.len().min(there.len()));
            now.copy_from_slice(&there[..now.len()]);
            address = address.checked_add(now.len() as u64).or(later.is_empty().then_some(0))?;
            out = later;
        }
        Some(())
    }

    pub(crate) fn word(&mut self, address: u64) -> Option<u64> {
        let mut bytes = [0; 8];
        self.bytes(address, &mut bytes)?;
        Some(u64::from_le_bytes(bytes))
    }

    pub(crate) fn half(&mut self, address: u64) -> Option<u32> {
        let mut bytes = [0; 4];
        self.bytes(address, &mut bytes)?;
        Some(u32::from_le_bytes(bytes))
    }
}

/// `START-END r-xp OFFSET MAJOR:MINOR INODE   PATH`
fn part(line: &str) -> Option<Part> {
    let mut words = line.splitn(4, ' ');
    let (start, end) = words.next()?.split_once('-')?;
    let hex = |word| u64::from_str_radix(word, 16).ok();
    let (start, end) = (hex(start)?, hex(end)?);
    let runs = words.next()?.contains('x');
    Some(Part { start, end, runs, offset: hex(words.next()?)?, file: words.next()?.to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_says_where() {
        let read = "0 0x3 0x7f 0x2 0x0 0x0 0x0 0x7ffe10 0x7f20\n";
        assert_eq!(parse(read), Some((0x7f20, 0x7ffe10)));
        assert_eq!(parse("-1 0x7ffe10 0x55d0"), Some((0x55d0, 0x7ffe10)));
        // Of a thread of the kernel, of one that ends, of one that runs.
        for line in ["-1 0x0 0x0", "", "running", "0 0x3", "-1 0xZZ 0x1"] {
            assert_eq!(parse(line), None, "{line}");
        }
    }

    #[test]
    fn memory_that_is_not_there_is_no_fault() {
        let mut memory = Memory::of_this_process().expect("procfs is there");
        let here = [7_u64, 8];
        let address = here.as_ptr() as u64;
        assert_eq!((memory.word(address), memory.half(address + 8)), (Some(7), Some(8)));
        for address in [0, 8, u64::MAX - 16, u64::MAX - 3, 1 << 60] {
            assert_eq!(memory.word(address), None, "{address:x}");
        }
        let code = memory_that_is_not_there_is_no_fault as fn() as usize as u64;
        let part = memory.part(code).expect("it is there").clone();
        assert!(part.runs, "{part:?}");
        let base = memory.base(&part).expect("a file has a beginning");
        assert_eq!(memory.half(base), Some(u32::from_le_bytes(*b"\x7fELF")));
    }
}
