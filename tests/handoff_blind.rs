//! The state of a thread cannot be read: blocks are found all the same, a little later.

mod support;

use std::fs::File;
use std::sync::mpsc;
use std::time::{Duration, Instant};

use support::{PATIENCE, build, detectors, within};
use threadlet::runtime::{Builder, Detector};
use threadlet::threadlet;

/// The story: a call waits for a task of its own core, and no descriptor is left to look at its
/// thread. The look that failed was taken for "it runs", and the call waited for ever.
#[test]
fn a_block_is_found_when_no_descriptor_is_left() {
    if !support::alone(3 * PATIENCE) {
        return;
    }
    for detector in detectors().into_iter().filter(|detector| *detector != Detector::Off) {
        within(3 * PATIENCE, move || {
            let runtime = build(Builder::new_multi_thread().worker_threads(1), detector);
            std::thread::sleep(Duration::from_millis(20));
            let limit = support::os::set_limit(libc::RLIMIT_NOFILE, 64);
            let mut taken = Vec::new();
            while let Ok(file) = File::open("/dev/null") {
                taken.push(file);
            }
            let began = Instant::now();
            let (send, receive) = mpsc::channel();
            let call = runtime.spawn(async move {
                threadlet::spawn(async move { send.send(7).unwrap() });
                threadlet!(receive.recv_timeout(Duration::from_secs(10)))
            });
            let answer = runtime.block_on(call).unwrap();
            drop(taken);
            support::os::set_limit(libc::RLIMIT_NOFILE, limit);
            assert_eq!(answer, Ok(7));
            assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
            let reason = runtime.metrics().detector_reason;
            assert!(reason.is_some_and(|text| text.contains("/proc/self/task")), "it says so");
        });
    }
}
