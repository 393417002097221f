//! A small service in which something is wrong, five times: a drive that stalls, a page that is not
//! there, a lock that somebody keeps, a name server that keeps silent, and a loop. Each time the line
//! that is told and the flight recorder name the place and what its thread does.
//!
//! `THREADLET_PLANTED=100` has it run a hundred times under each detector instead of twice:
//!
//! ```sh
//! THREADLET_PLANTED=100 cargo test --test report_planted
//! ```

mod support;

use std::io::{Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::os::unix::fs::FileExt;
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use futures::io::{AsyncReadExt, AsyncWriteExt};
use serde_json::Value;
use threadlet::net::TcpListener;
use threadlet::runtime::{Builder, Detector};
use threadlet::threadlet;

use support::fuse::SlowDrive;
use support::os::{is_root, use_loopback};
use support::uffd::LatePage;
use support::{build, child, detectors, is_child, passes, say, skip};

/// What is told of.
const BOUND: Duration = Duration::from_millis(30);

/// How long each takes. (A name server that keeps silent is waited for for a second.)
const LASTS: Duration = Duration::from_millis(250);

/// A request, what is told of its call, and what its thread does: one of these words.
const PLANTED: [(&str, &str, &[&str]); 5] = [
    ("disk", "disk.read_at(&mut [0; 4096], 0)", &["pread64"]),
    ("page", "page.touch()", &["page fault"]),
    ("lock", "(spawned at tests/report_planted.rs:", &["futex"]),
    ("name", "(\"nobody.example\", 80).to_socket_addrs()", &["poll", "ppoll"]),
    ("loop", "(spawned at tests/report_planted.rs:", &["computes"]),
];

fn runs() -> usize {
    std::env::var("THREADLET_PLANTED").map_or(2, |runs| runs.parse().expect("a number of runs"))
}

#[test]
fn under_perf() {
    each_is_found(Detector::Perf);
}

#[test]
fn under_the_monitor() {
    each_is_found(Detector::Monitor);
}

fn each_is_found(detector: Detector) {
    if is_child() {
        return serve_all(detector);
    }
    if !detectors().contains(&detector) || skip("fuse") || skip("userfaultfd") {
        return;
    }
    if let Err(error) = std::fs::OpenOptions::new().write(true).open("/dev/fuse") {
        assert!(!is_root(), "/dev/fuse: {error}");
        return say("SKIPPED: fuse (an ordinary user may not mount a drive here)");
    }
    let as_root: &[&str] = if is_root() { &[] } else { &["--user", "--map-root-user"] };
    let namespaces = ["--net", "--mount"];
    let probe = Command::new("unshare").args(as_root).args(namespaces).arg("true").status();
    if !probe.is_ok_and(|status| status.success()) {
        assert!(skip("namespaces"), "`unshare` may not make namespaces here");
        return;
    }
    let (test, mut command) = (child(), Command::new("unshare"));
    command.args(as_root).args(namespaces).arg("--").arg(test.get_program()).args(test.get_args());
    command.envs(test.get_envs().filter_map(|(name, value)| Some((name, value?))));
    command.env("RES_OPTIONS", "timeout:1 attempts:1");
    let said =
        passes(Duration::from_secs(60) + Duration::from_secs(5) * runs() as u32, &mut command);
    for run in 0..runs() {
        // The first stands behind what the test harness says.
        let lines: Vec<_> =
            said.lines().filter(|line| line.contains(&format!("run-{run}: "))).collect();
        for (request, call, does) in PLANTED {
            let found = lines.iter().any(|line| {
                line.contains(call) && does.iter().any(|does| line.contains(&format!(" {does}")))
            });
            assert!(found, "run {run}, {request}: {lines:#?}");
            // With that feature, who sleeps is found in the function that serves.
            let named =
                |line: &&&str| line.contains(call) && line.contains("report_planted::answer");
            let is_known = cfg!(feature = "backtrace") && request != "loop";
            assert!(!is_known || lines.iter().any(|line| named(&line)), "{request}: {lines:#?}");
        }
    }
}

/// In a network of its own, where port 53 is ours, with a file that names it.
fn serve_all(detector: Detector) {
    use_loopback();
    let scratch = std::env::temp_dir().join(format!("threadlet-planted-{}", std::process::id()));
    std::fs::create_dir_all(scratch.join("drive")).unwrap();
    std::fs::write(scratch.join("resolv"), "nameserver 127.0.0.1\n").unwrap();
    let mut mount = Command::new("mount");
    mount.arg("--bind").arg(scratch.join("resolv")).arg("/etc/resolv.conf");
    assert!(mount.status().unwrap().success());
    let _silent = std::net::UdpSocket::bind("127.0.0.1:53").unwrap();
    let drive = SlowDrive::mount(&scratch.join("drive"), LASTS).expect("a slow drive");
    let disk = Arc::new(std::fs::File::open(scratch.join("drive/slow")).unwrap());
    for run in 0..runs() {
        one_run(run, detector, &disk);
    }
    drop((disk, drive));
    let _ = std::fs::remove_dir_all(&scratch);
}

/// What the service works with.
struct Service {
    disk: Arc<std::fs::File>,
    page: LatePage,
    lock: Mutex<()>,
}

fn one_run(run: usize, detector: Detector, disk: &Arc<std::fs::File>) {
    let mut builder = Builder::new_multi_thread();
    builder.worker_threads(2).thread_name(format!("run-{run}"));
    builder.stall_after(BOUND).flight_recorder(1 << 20);
    let runtime = build(&mut builder, detector);
    let page = LatePage::new().expect("userfaultfd");
    let service = Arc::new(Service { disk: disk.clone(), page, lock: Mutex::new(()) });
    let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).unwrap();
    let address = listener.local_addr().unwrap();
    let mine = service.clone();
    runtime.spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            threadlet::spawn(answer(stream, mine.clone()));
        }
    });
    std::thread::scope(|scope| {
        scope.spawn(|| {
            service.page.fault_seen().unwrap();
            std::thread::sleep(LASTS);
            service.page.answer().unwrap();
        });
        let locked = service.lock.lock().unwrap();
        for (request, ..) in PLANTED {
            scope.spawn(move || {
                let mut stream = TcpStream::connect(address).unwrap();
                stream.write_all(request.as_bytes()).unwrap();
                stream.read_exact(&mut [0]).unwrap();
            });
        }
        std::thread::sleep(LASTS);
        drop(locked);
    });
    // What a line says, the recorder has, too.
    let mut text = Vec::new();
    runtime.handle().write_recorder(&mut text).unwrap();
    let events: Vec<Value> = serde_json::from_slice(&text).expect("one whole array");
    let stalls: Vec<_> = events.iter().filter(|event| event["cat"] == "stall").collect();
    for (request, call, does) in PLANTED {
        let found = stalls.iter().any(|stall| {
            let args = &stall["args"];
            let here = args["at"].as_str().is_some_and(|at| at.starts_with(file!()));
            let is_call = args["call"] == call || call.starts_with("(spawned");
            here && is_call && does.iter().any(|does| args["doing"] == *does)
        });
        assert!(found, "run {run}, {request}: {stalls:#?}");
    }
    runtime.shutdown_background();
}

async fn answer(mut stream: threadlet::net::TcpStream, service: Arc<Service>) {
    let mut request = [0; 4];
    stream.read_exact(&mut request).await.unwrap();
    let Service { disk, page, lock } = &*service;
    match &request {
        b"disk" => drop(threadlet!(disk.read_at(&mut [0; 4096], 0)).unwrap()),
        b"page" => drop(threadlet!(page.touch())),
        b"name" => drop(threadlet!(("nobody.example", 80).to_socket_addrs())),
        // These two do not say that they take long.
        b"lock" => drop(lock.lock().unwrap()),
        b"loop" => {
            let start = Instant::now();
            while start.elapsed() < LASTS {
                std::hint::spin_loop();
            }
        }
        other => panic!("{other:?} is no request"),
    }
    stream.write_all(b".").await.unwrap();
}
