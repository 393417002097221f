//! The monitor's sleep against a seat that wakes.

use loom::thread;

use super::explore;
use crate::primitive::Arc;
use crate::protocol::idle::Idle;
use crate::protocol::monitor_sleep::MonitorSleep;

/// The story: the monitor sees every seat asleep and goes to sleep without an end, at the moment a
/// seat wakes and sees the monitor awake. Nobody then watches that seat: its first block stalls the
/// core for ever. Loom reports the sleep that nobody ends as a deadlock.
#[test]
fn no_seat_runs_unwatched() {
    explore(3, || {
        let shared = Arc::new((Idle::new(1), MonitorSleep::new()));
        shared.0.announce(0, 7, true, false);
        let other = shared.clone();
        let monitor = thread::spawn(move || other.1.sleep_while(|| other.0.all_asleep()));
        let _ = shared.0.rouse(7);
        shared.1.seat_woke();
        monitor.join().unwrap();
    });
}
