//! Runs a path under callgrind, and reads what it has written.
//!
//! callgrind counts how often each instruction was executed; which of them are atomic the
//! disassembly says. Counted is what stands in this program: the library, and the parts of std that
//! are compiled into it. How many instructions the C library takes for an allocation is its own
//! business; that there is one is counted.

use std::collections::{BTreeMap, HashMap};
use std::ffi::OsStr;
use std::fmt::Display;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// What a run of the program executed.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Counts {
    pub(crate) instructions: f64,
    /// Reads, changes and writes of a cache line that nobody else may touch meanwhile: on x86 what
    /// has the prefix `lock`, and an `xchg` with memory.
    pub(crate) atomics: f64,
    /// Those that wait until all stores are out.
    pub(crate) fences: f64,
    pub(crate) allocations: f64,
    /// But for those that read the clock, which are none outside of valgrind.
    pub(crate) system_calls: f64,
    /// How often each atomic and each fence was executed, by its address.
    pub(crate) places: BTreeMap<u64, f64>,
}

impl Counts {
    /// What one of `count` more costs, by a run with and one without them.
    pub(crate) fn each(&self, without: &Counts, count: usize) -> Counts {
        let each = |with: f64, without: f64| (with - without) / count as f64;
        let place = |(place, with): (&u64, &f64)| {
            (*place, each(*with, without.places.get(place).copied().unwrap_or(0.0)))
        };
        Counts {
            instructions: each(self.instructions, without.instructions),
            atomics: each(self.atomics, without.atomics),
            fences: each(self.fences, without.fences),
            allocations: each(self.allocations, without.allocations),
            system_calls: each(self.system_calls, without.system_calls),
            places: self.places.iter().map(place).collect(),
        }
    }
}

/// What is wrong with an instruction for others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Atomic,
    Fence,
}

/// This program, and its instructions of either kind, by address.
#[derive(Debug)]
pub(crate) struct Program {
    path: PathBuf,
    kinds: HashMap<u64, Kind>,
}

impl Program {
    pub(crate) fn this() -> Result<Program, String> {
        let path = std::env::current_exe().map_err(said("this program is not found"))?;
        let args = ["--disassemble".as_ref(), "--no-show-raw-insn".as_ref(), path.as_os_str()];
        let kinds = kinds(&output("objdump", &args, "binutils")?);
        if kinds.is_empty() {
            return Err("objdump shows no atomic instruction: only x86-64 is understood".into());
        }
        Ok(Program { path, kinds })
    }

    /// Goes a path so often, under callgrind. What that has written stays at the path returned.
    pub(crate) fn count(&self, name: &str, count: usize) -> Result<(Counts, PathBuf), String> {
        let folder = self.path.parent().expect("a program is in a folder").join("counts");
        fs::create_dir_all(&folder).map_err(said("no folder can be made"))?;
        let file = folder.join(format!("{}.{count}", name.replace(' ', "-")));
        let mut out = std::ffi::OsString::from("--callgrind-out-file=");
        out.push(&file);
        let count = count.to_string();
        let mut args: Vec<&OsStr> = vec!["--tool=callgrind".as_ref(), "--quiet".as_ref(), &out];
        args.extend(OPTIONS.map(OsStr::new));
        args.extend([self.path.as_os_str(), "go".as_ref(), name.as_ref(), count.as_ref()]);
        output("valgrind", &args, "valgrind")?;
        let text = fs::read_to_string(&file).map_err(said("callgrind's file"))?;
        Ok((read(&text, &self.path, &self.kinds)?, file))
    }
}

impl Program {
    /// The lines of the sources that made these, with how often each: the innermost that is neither
    /// of the standard library nor of the primitives that stand before it.
    pub(crate) fn lines(&self, places: &BTreeMap<u64, f64>) -> Result<Vec<(f64, String)>, String> {
        let mut lines: BTreeMap<String, f64> = BTreeMap::new();
        let made = places.iter().filter(|(_, count)| **count >= 0.005);
        for (address, count) in made {
            let address = format!("{address:#x}");
            let args: [&OsStr; 4] =
                ["-ie".as_ref(), self.path.as_os_str(), "--".as_ref(), address.as_ref()];
            let frames = output("addr2line", &args, "binutils")?;
            let line = line_of(&frames).unwrap_or(address);
            *lines.entry(line).or_default() += count;
        }
        let mut lines: Vec<_> = lines.into_iter().map(|(line, count)| (count, line)).collect();
        lines.sort_by(|(one, _), (other, _)| other.total_cmp(one));
        Ok(lines)
    }
}

/// Of the frames of an instruction, the innermost first, the one that says what it is for.
fn line_of(frames: &str) -> Option<String> {
    let is_means = |frame: &&str| frame.contains("/library/") || frame.contains("/src/primitive/");
    let frame = frames.lines().find(|frame| !is_means(frame)).or(frames.lines().next_back())?;
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent()?.to_str()?;
    let frame = frame.split(" (").next()?.trim_start_matches(root).trim_start_matches('/');
    // Of another crate: its name and version are enough.
    let crates = frame.split_once("/registry/src/").and_then(|(_, rest)| rest.split_once('/'));
    Some(crates.map_or(frame, |(_, rest)| rest).to_owned())
}

/// Names are not abbreviated: that takes disk, and no thought.
const OPTIONS: [&str; 5] = [
    "--dump-instr=yes",
    "--dump-line=yes",
    "--compress-strings=no",
    "--compress-pos=no",
    "--collect-systime=yes",
];

fn said<E: Display>(what: &str) -> impl Fn(E) -> String + '_ {
    move |error| format!("{what}: {error}")
}

fn output(program: &str, args: &[&OsStr], package: &str) -> Result<String, String> {
    let mut command = Command::new(program);
    command.args(args).stdin(Stdio::null());
    let output = command.output().map_err(|error| {
        format!("{program} cannot be run (Debian: apt-get install {package}): {error}")
    })?;
    if !output.status.success() {
        let complained = String::from_utf8_lossy(&output.stderr);
        return Err(format!("{program} failed, {}: {complained}", output.status));
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// The atomics and fences of a disassembly.
fn kinds(disassembly: &str) -> HashMap<u64, Kind> {
    let kind = |line: &str| {
        let (address, instruction) = line.split_once(':')?;
        let address = u64::from_str_radix(address.trim(), 16).ok()?;
        let instruction = instruction.trim_start();
        let is_exchange = instruction.starts_with("xchg") && instruction.contains('(');
        // What compilers make of a fence: a change of nothing, in a line that nobody else has.
        let is_fence = instruction.starts_with("lock or") && instruction.ends_with("(%rsp)");
        let kind = if is_fence || instruction.starts_with("mfence") {
            Kind::Fence
        } else if instruction.starts_with("lock ") || is_exchange {
            Kind::Atomic
        } else {
            return None;
        };
        Some((address, kind))
    };
    disassembly.lines().filter_map(kind).collect()
}

/// What callgrind has written of a program with such instructions. Its form is told in valgrind's
/// manual, "Callgrind Format Specification".
fn read(text: &str, program: &Path, kinds: &HashMap<u64, Kind>) -> Result<Counts, String> {
    let mut counts = Counts::default();
    let mut events: Vec<&str> = Vec::new();
    let (mut ours, mut function, mut callee) = (false, "", "");
    // Behind `calls=` stands what the call has cost with all that it called.
    let mut is_call = false;
    for line in text.lines() {
        let (key, value) = line.split_once(['=', ':']).unwrap_or((line, ""));
        match key {
            "events" => events = value.split_whitespace().collect(),
            "positions" if value.trim() != "instr line" => {
                return Err(format!("callgrind's positions are not understood: {value}"));
            }
            "ob" => ours = Path::new(value) == program,
            "fn" => function = value,
            "cfn" => callee = value,
            "calls" => {
                is_call = true;
                if ours && is_allocation(callee) {
                    let times = value.split(' ').next().and_then(|times| times.parse::<f64>().ok());
                    counts.allocations += times.ok_or_else(|| format!("not a call: {line}"))?;
                }
            }
            _ if line.starts_with("0x") && !std::mem::take(&mut is_call) => {
                let cost = Cost::read(line, &events).ok_or_else(|| format!("no cost: {line}"))?;
                if !function.contains("clock_gettime") {
                    counts.system_calls += cost.system_calls;
                }
                if ours {
                    counts.add(&cost, kinds.get(&cost.address).copied());
                }
            }
            _ => {}
        }
    }
    Ok(counts)
}

fn is_allocation(function: &str) -> bool {
    let plain = function.split('@').next().unwrap_or(function);
    matches!(plain, "malloc" | "calloc" | "realloc" | "posix_memalign" | "aligned_alloc")
}

impl Counts {
    fn add(&mut self, cost: &Cost, kind: Option<Kind>) {
        self.instructions += cost.instructions;
        match kind {
            None => return,
            Some(Kind::Atomic) => self.atomics += cost.instructions,
            Some(Kind::Fence) => self.fences += cost.instructions,
        }
        *self.places.entry(cost.address).or_default() += cost.instructions;
    }
}

/// A line of numbers: where, and how often.
struct Cost {
    address: u64,
    instructions: f64,
    system_calls: f64,
}

impl Cost {
    fn read(text: &str, events: &[&str]) -> Option<Cost> {
        let mut words = text.split_whitespace();
        let address = u64::from_str_radix(words.next()?.strip_prefix("0x")?, 16).ok()?;
        let _line = words.next()?;
        // Zeros at the end are left out.
        let costs: Vec<f64> = words.map(str::parse).collect::<Result<_, _>>().ok()?;
        let of = |name| {
            let nth = events.iter().position(|event| *event == name)?;
            Some(costs.get(nth).copied().unwrap_or(0.0))
        };
        let (instructions, system_calls) = (of("Ir")?, of("sysCount")?);
        Some(Cost { address, instructions, system_calls })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DISASSEMBLY: &str = "
00000000000011a0 <a>:
    11a0:\tmov    %rax,%rbx
    11a3:\tlock cmpxchg %rcx,(%rdi)
    11a8:\txchg   %ax,%ax
    11aa:\txchg   %eax,0x8(%rbx)
    11ad:\tmfence
    11b0:\tlock orl $0x0,-0x40(%rsp)
";

    #[test]
    fn what_locks_a_line_is_known_from_the_disassembly() {
        let kinds = kinds(DISASSEMBLY);
        let (atomics, fences) = ([0x11a3, 0x11aa], [0x11ad, 0x11b0]);
        let atomics = atomics.map(|address| (address, Kind::Atomic));
        let fences = fences.map(|address| (address, Kind::Fence));
        assert_eq!(kinds, atomics.into_iter().chain(fences).collect());
    }

    const WRITTEN: &str = "# callgrind format
positions: instr line
events: Ir sysCount sysTime
ob=/bin/a
fl=/src/one.rs
fn=one
0x11a0 7 10
0x11a3 8 10
fi=/src/inlined.rs
0x11aa 3 4
fe=/src/one.rs
0x11ad 9 2
cob=/lib/libc.so
cfi=malloc.c
cfn=malloc
calls=5 0x99 0
0x11b0 9 500 3 99
ob=/lib/libc.so
fl=x.c
fn=malloc
0x11a3 0 50
fn=write
0x77 0 8 4 1000
fn=clock_gettime@@GLIBC_2.17
0x88 0 6 6 1000
";

    #[test]
    fn what_callgrind_has_written_is_read() {
        let counts = read(WRITTEN, Path::new("/bin/a"), &kinds(DISASSEMBLY)).unwrap();
        let expected = Counts {
            instructions: 26.0,
            atomics: 14.0,
            fences: 2.0,
            allocations: 5.0,
            system_calls: 4.0,
            places: [(0x11a3, 10.0), (0x11aa, 4.0), (0x11ad, 2.0)].into(),
        };
        assert_eq!(counts, expected);
        let half = Counts { places: BTreeMap::new(), instructions: 6.0, ..expected.clone() };
        let each = expected.each(&half, 10);
        assert_eq!((each.instructions, each.atomics), (2.0, 0.0));
        assert_eq!(each.places[&0x11a3], 1.0);
    }

    #[test]
    fn a_place_is_told_by_the_line_that_it_is_for() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().display().to_string();
        let std = "/rustc/0/library/core/src/sync/atomic.rs:1";
        let lock = format!("{root}/src/primitive/std.rs:28 (discriminator 4)");
        let frames = format!("{std}\n{lock}\n{root}/src/spawned/owned.rs:89 (discriminator 1)\n");
        assert_eq!(line_of(&frames).unwrap(), "src/spawned/owned.rs:89");
        let frames = "/home/a/.cargo/registry/src/index-1/mio-1.0.4/src/poll.rs:7\n";
        assert_eq!(line_of(frames).unwrap(), "mio-1.0.4/src/poll.rs:7");
        assert_eq!(line_of(&format!("{std}\n")).unwrap(), std[1..]);
    }

    #[test]
    fn a_form_that_is_not_known_is_an_error() {
        let read = |text| read(text, Path::new("/bin/a"), &HashMap::new());
        assert!(read("positions: line\n").is_err());
        assert!(read("positions: instr line\nevents: Ir\nob=/bin/a\n0x1 2 3\n").is_err());
    }
}
