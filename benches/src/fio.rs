//! The claim of 2007, measured with fio itself, unmodified: POSIX AIO by threadlet (preloaded)
//! beside the C library's, the kernel's own (libaio) and io_uring: requests of 4 KiB in one file.
//!
//! The engines take turns. CPU is that of the whole process of fio, all its threads included, less
//! that of a run which does one request; what the kernel does in its own threads and in interrupts
//! is in nobody's figure. An engine that fio does not have here, or may not use, is left out.
//! `benches/fio.sh` has more, for one who wants to look closer.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use serde_json::Value;

use crate::harness::{Plan, Samples};
use crate::report::{Bar, Row, Side, Unit, most};
use crate::suite::{Figures, Suite};
use crate::sys;

/// The list for the command line.
#[derive(Debug)]
pub(crate) struct Fio;

impl Suite for Fio {
    const FIGURES: Figures = &[
        ("cached-1", |plan| {
            run(plan, "--rw=randread --direct=0 --iodepth=1", CACHED, Bars::of(1.0))
        }),
        ("cold-1", |plan| run(plan, "--rw=randread --direct=0 --iodepth=1", COLD, Bars::of(0.95))),
        ("cold-32", |plan| run(plan, "--rw=randread --direct=0 --iodepth=32", COLD, COLD_32)),
        ("cold-128", |plan| {
            run(plan, "--rw=randread --direct=0 --iodepth=128", COLD, Bars::of(1.0))
        }),
        ("direct-32", |plan| run(plan, "--rw=randread --direct=1 --iodepth=32", CACHED, DIRECT_32)),
        ("mix-fsync", |plan| run(plan, MIX, CACHED, Bars::of(1.0))),
    ];
}

/// What we must reach beside the kernel's two interfaces.
#[derive(Clone, Copy)]
struct Bars {
    /// Requests, of those of the better one.
    best: Bar,
    /// Requests, of libaio's.
    libaio: Bar,
    /// Processor time a request, of libaio's.
    cpu: Bar,
}

impl Bars {
    const fn of(best: f64) -> Bars {
        Bars { best: Bar::AtLeast(best), libaio: Bar::Open, cpu: Bar::Open }
    }
}

/// libaio's submit waits for what is not in memory.
const COLD_32: Bars = Bars { libaio: Bar::AtLeast(4.0), ..Bars::of(1.0) };
const DIRECT_32: Bars = Bars { cpu: Bar::AtMost(1.3), ..Bars::of(1.0) };

const MIX: &str = "--rw=randrw --rwmixwrite=80 --direct=0 --iodepth=16 --fsync=64";
/// What is read stays in memory.
const CACHED: &str = "--invalidate=0 --norandommap --time_based";
/// What is read is out of memory at first, and each page is read once.
const COLD: &str = "--invalidate=1";

const ENGINES: [&str; 4] = ["threadlet", "glibc", "libaio", "io_uring"];

/// Whether there is fio at all.
pub(crate) fn is_there() -> bool {
    let fio = Command::new("fio").arg("--version").stdout(Stdio::null()).status();
    fio.is_ok_and(|status| status.success())
}

/// The C functions, built as this program was.
fn library() -> PathBuf {
    let mut build = Command::new("cargo");
    build.args(["build", "--quiet", "-p", "threadlet-aio"]);
    build.args((!cfg!(debug_assertions)).then_some("--release"));
    let built = build.current_dir(env!("CARGO_MANIFEST_DIR")).status().expect("cargo can be run");
    assert!(built.success(), "the C functions cannot be built");
    let program = std::env::current_exe().expect("the program's own file");
    let library = program.with_file_name("libthreadlet_aio.so");
    assert!(library.exists(), "{} is not where cargo builds it", library.display());
    library
}

/// The file that is read and written, until this is dropped.
struct Place {
    folder: PathBuf,
    library: PathBuf,
    size: &'static str,
}

impl Drop for Place {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

impl Place {
    fn new(plan: &Plan) -> Place {
        let folder =
            std::env::temp_dir().join(format!("threadlet-bench-fio-{}", std::process::id()));
        std::fs::create_dir_all(&folder).expect("a folder for temporary files");
        let place = Place { folder, library: library(), size: plan.size("256m", "8m") };
        let filled = place.fio("psync", "--rw=write --bs=1M --end_fsync=1");
        filled.expect("fio can write a file");
        place
    }

    fn file(&self) -> PathBuf {
        self.folder.join("data")
    }

    /// One run of fio; what it says of its job. `None`: it cannot be run with this engine.
    fn fio(&self, engine: &str, options: &str) -> Option<Value> {
        let said = self.folder.join("said");
        let mut command = Command::new("fio");
        let named = match engine {
            "threadlet" => {
                command.env("LD_PRELOAD", &self.library);
                "posixaio"
            }
            "glibc" => "posixaio",
            other => other,
        };
        let path = |option: &str, path: &Path| format!("--{option}={}", path.display());
        command.args(["--name=turn", "--output-format=json", "--bs=4k", "--randrepeat=0"]);
        command.arg(path("filename", &self.file())).arg(path("output", &said));
        command.arg(format!("--size={}", self.size)).arg(format!("--ioengine={named}"));
        command.args(options.split_whitespace()).stdin(Stdio::null());
        command.stdout(Stdio::null()).stderr(Stdio::null());
        if !command.status().expect("fio can be run").success() {
            return None;
        }
        let text = std::fs::read_to_string(&said).expect("fio has written it");
        // Before the object it may complain of something.
        let from = text.find('{')?;
        let all: Value = serde_json::from_str(&text[from..]).ok()?;
        let job = all["jobs"][0].clone();
        (job["error"] == 0).then_some(job)
    }

    /// The same, with the CPU time that it took.
    fn timed(&self, engine: &str, options: &str) -> Option<(Value, Duration)> {
        let before = sys::cpu_time_with_children();
        let job = self.fio(engine, options)?;
        Some((job, sys::cpu_time_with_children() - before))
    }
}

/// What rounds of one engine measured.
struct Engine {
    name: &'static str,
    /// The CPU time of a run that does nothing.
    idle: Duration,
    rate: Samples,
    cpu: Samples,
}

impl Engine {
    fn rate(&self) -> Side {
        Side::new(self.name, Unit::PerSecond, &self.rate)
    }

    fn cpu(&self) -> Side {
        Side::new(self.name, Unit::Us, &self.cpu)
    }

    fn measure(&mut self, place: &Place, options: &str) {
        let (job, cpu) = place.timed(self.name, options).expect("it could be run before");
        let number = |of: &str, what: &str| job[of][what].as_f64().expect("fio says it");
        let sum = |what| number("read", what) + number("write", what);
        self.rate.push(sum("iops"));
        // (A short turn on a busy machine may take no more than one that does nothing.)
        let cpu = cpu.saturating_sub(self.idle).max(Duration::from_micros(1)).as_secs_f64() * 1e6;
        self.cpu.push(cpu / sum("total_ios").max(1.0));
    }
}

fn run(plan: &Plan, workload: &str, memory: &str, bars: Bars) -> Vec<Row> {
    let place = Place::new(plan);
    let each = plan.size(700, 100);
    let options = format!("{workload} {memory} --runtime={each}ms");
    let start = |name| {
        let (_, idle) = place.timed(name, &format!("{workload} --number_ios=1"))?;
        Some(Engine { name, idle, rate: Samples::default(), cpu: Samples::default() })
    };
    // Each start of fio takes half a second.
    let (wanted, rounds): (&[_], _) =
        if plan.quick { (&[ENGINES[0], ENGINES[2]], 1) } else { (&ENGINES, plan.rounds(3)) };
    let mut engines: Vec<_> = wanted.iter().copied().filter_map(start).collect();
    for _ in 0..rounds {
        for engine in &mut engines {
            if memory == CACHED {
                // All of it is in memory, whatever the engine before has done.
                std::fs::read(place.file()).expect("the file is there");
            }
            engine.measure(&place, &options);
        }
    }
    let (ours, peers) = engines.split_first().expect("ours is one of fio's posixaio");
    assert_eq!(ours.name, ENGINES[0], "fio has posixaio");
    let (kernels, librarys): (Vec<_>, Vec<_>) = peers.iter().partition(|peer| peer.name != "glibc");
    let mut rows = Vec::new();
    for peer in &librarys {
        let what = "requests/s, ours / the C library's";
        rows.push(Row::quotient(what, Bar::AtLeast(1.0), ours.rate(), peer.rate()));
    }
    if !kernels.is_empty() {
        let (best, others) = most(kernels.iter().map(|peer| peer.rate()).collect());
        let what = "requests/s, ours / best of libaio and io_uring";
        let row = Row::quotient(what, bars.best, ours.rate(), best);
        rows.push(others.into_iter().fold(row, Row::beside));
    }
    for peer in kernels {
        let (rate, cpu) =
            if peer.name == "libaio" { (bars.libaio, bars.cpu) } else { (Bar::Open, Bar::Open) };
        let what = format!("requests/s, ours / {}", peer.name);
        rows.push(Row::quotient(what, rate, ours.rate(), peer.rate()));
        let what = format!("CPU a request, ours / {}", peer.name);
        rows.push(Row::quotient(what, cpu, ours.cpu(), peer.cpu()));
    }
    rows
}
