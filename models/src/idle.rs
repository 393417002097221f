//! The idle protocol: nobody sleeps while work is queued, and a seat has one owner.

use loom::thread;

use super::{Private, explore};
use crate::primitive::park::Parker;
use crate::primitive::{Arc, Mutex};
use crate::protocol::core::{CoreWord, SlotId};
use crate::protocol::idle::{Idle, Roused};
use crate::protocol::queue::Injector;

/// A runtime reduced to its sleepers: thread `n` sleeps on `parkers[n]`.
struct Setting {
    idle: Idle,
    injector: Injector<u32>,
    parkers: Vec<Parker>,
}

impl Setting {
    fn new(seats: usize) -> Arc<Self> {
        Arc::new(Setting {
            idle: Idle::new(seats),
            injector: Injector::new(),
            parkers: (0..3).map(|_| Parker::new()).collect(),
        })
    }

    fn notify(&self) {
        if let Some(sleeper) = self.idle.notify() {
            let _ = self.parkers[sleeper.slot as usize].unpark();
        }
    }

    fn push(&self, item: u32) {
        self.injector.push(item);
        self.notify();
    }

    /// A worker without work: announces, looks once more, sleeps. Returns whether it searches now.
    fn sleep(&self, seat: usize, slot: SlotId, searching: bool) -> bool {
        self.idle.announce(seat, slot, false, searching);
        if self.injector.len() == 0 {
            self.parkers[slot as usize].park(None);
        }
        self.idle.rouse(slot) == Roused::Notified
    }

    /// Looks for one task until it has it.
    fn work(&self, seat: usize, slot: SlotId, mut searching: bool) -> u32 {
        loop {
            if let Some(item) = self.injector.pop() {
                if searching && self.idle.end_search() && self.injector.len() > 0 {
                    self.notify();
                }
                return item;
            }
            searching = self.sleep(seat, slot, searching);
        }
    }
}

/// The story: the pusher sees everybody awake at the moment the worker, having seen the queue
/// empty, goes to sleep. The task waits for ever; loom reports the deadlock.
#[test]
fn nobody_sleeps_on_a_push() {
    explore(3, || {
        let shared = Setting::new(1);
        let other = shared.clone();
        let pusher = thread::spawn(move || other.push(7));
        assert_eq!(shared.work(0, 0, false), 7);
        pusher.join().unwrap();
    });
}

/// The story: a push sees a seat searching and wakes nobody. That seat has found another task, and
/// is gone with it for a long time. The last to search owes a wake-up.
#[test]
fn the_last_to_search_wakes_another() {
    explore(2, || {
        let shared = Setting::new(2);
        shared.injector.push(1);
        // Seat 0 is awake and searches; seat 1 has gone to sleep before.
        shared.idle.announce(1, 1, false, false);
        assert!(shared.idle.start_search());
        let other = shared.clone();
        let sleeper = thread::spawn(move || {
            other.parkers[1].park(None);
            let searching = other.idle.rouse(1) == Roused::Notified;
            other.work(1, 1, searching)
        });
        let other = shared.clone();
        let pusher = thread::spawn(move || other.push(2));
        // Gone with the one task it found.
        let mut got = vec![shared.work(0, 0, true)];
        got.push(sleeper.join().unwrap());
        pusher.join().unwrap();
        got.sort_unstable();
        assert_eq!(got, [1, 2]);
    });
}

/// The story: thread 0 sleeps with the seat. A coreless thread takes the seat off the list, runs
/// with the core, and goes to sleep with it, while a push wakes somebody and thread 0 has not even
/// opened its eyes. Whose is the core? (Once it was both's: the list named seats, not threads.)
#[test]
fn a_seat_has_one_owner() {
    struct Seat {
        setting: Arc<Setting>,
        word: CoreWord,
        data: Private,
        claims: Mutex<Vec<SlotId>>,
    }
    impl Seat {
        /// What a worker does that has slept with the core.
        fn rise(&self, slot: SlotId) {
            match self.setting.idle.rouse(slot) {
                Roused::Claimed => {}
                Roused::Itself | Roused::Notified => {
                    let held = self.word.claim(slot);
                    self.data.touch();
                    self.claims.lock().push(slot);
                    let _ = self.word.lend(held);
                }
            }
        }
    }
    explore(3, || {
        let seat = Arc::new(Seat {
            setting: Setting::new(1),
            word: CoreWord::new(),
            data: Private::new(),
            claims: Mutex::new(Vec::new()),
        });
        seat.word.assign(0);
        seat.word.park(seat.word.adopt(0), 0);
        seat.setting.idle.announce(0, 0, false, false);
        let other = seat.clone();
        let sleeper = thread::spawn(move || {
            other.setting.parkers[0].park(None);
            other.rise(0);
        });
        let other = seat.clone();
        let pusher = thread::spawn(move || other.setting.push(7));
        if let Some(taken) = seat.setting.idle.take_for_claim() {
            let held = seat.word.claim(1);
            let _ = seat.setting.parkers[taken.slot as usize].unpark();
            seat.data.touch();
            seat.word.park(held, 1);
            seat.setting.idle.announce(taken.seat, 1, false, false);
            // Its second look finds work: it does not sleep.
            seat.rise(1);
        }
        sleeper.join().unwrap();
        pusher.join().unwrap();
        assert_eq!(seat.claims.lock().len(), 1, "one of them, and not both");
    });
}
