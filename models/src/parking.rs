//! The sleep in the driver: no unpark, no earlier timer and no first source is slept through.

use crate::primitive::{Arc, AtomicBool, AtomicU64, Mutex, Ordering};
use crate::protocol::parking::*;
use loom::sync::Condvar;

/// Stands for the poller: an eventfd, which stays readable until a wait has seen it, and one
/// source, which stays ready once it is.
struct Poller {
    state: loom::sync::Mutex<(bool, bool)>,
    changed: Condvar,
}

impl Poller {
    fn new() -> Self {
        Poller { state: loom::sync::Mutex::new((false, false)), changed: Condvar::new() }
    }

    fn write(&self) {
        self.state.lock().unwrap().0 = true;
        self.changed.notify_one();
    }

    fn make_ready(&self) {
        self.state.lock().unwrap().1 = true;
        self.changed.notify_one();
    }

    /// Waits, or only looks. Returns whether the source is ready.
    fn wait(&self, waits: bool) -> bool {
        let mut state = self.state.lock().unwrap();
        while waits && *state == (false, false) {
            state = self.changed.wait(state).unwrap();
        }
        state.0 = false;
        state.1
    }
}

/// A driver of the real word and the model of a poller, which may come later than the driver.
struct Driver {
    parking: Parking,
    poller: Poller,
    published: AtomicBool,
}

impl Driver {
    fn new(published: bool) -> Arc<Self> {
        Arc::new(Driver {
            parking: Parking::new(),
            poller: Poller::new(),
            published: AtomicBool::new(published),
        })
    }

    fn finish(&self, notify: Notify) {
        if notify == Notify::WakePoller {
            assert!(self.published.load(Ordering::Relaxed), "who wakes the poller sees it");
            self.poller.write();
        }
    }

    fn unpark(&self) {
        self.finish(self.parking.notify());
    }

    /// One turn without bound. Once it has announced itself, it asks `awake` whether there is
    /// anything that makes the wait needless. Returns whether the source is ready.
    fn turn(&self, awake: impl FnOnce() -> bool) -> bool {
        // Ordering: Acquire, as that of the `OnceLock` that this stands for.
        let published = self.published.load(Ordering::Acquire);
        let means = if published { Means::Poller } else { Means::Futex };
        let announced = self.parking.begin(means) == Begin::Wait;
        let waits = announced && !awake();
        let ready = match means {
            Means::Poller => self.poller.wait(waits),
            Means::Futex => {
                if waits {
                    self.parking.sleep(None);
                }
                false
            }
        };
        if announced {
            self.parking.end();
        }
        ready
    }

    /// The source is ready when it comes.
    fn register(&self) {
        let published = || self.published.store(true, Ordering::Release);
        self.finish(self.parking.bring_poller(published));
        self.poller.make_ready();
    }
}

fn explore(model: impl Fn() + Send + Sync + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(3);
    builder.check(model);
}

/// Work is published, then the driver is unparked. A driver that checks and waits must end:
/// loom reports a wait that nobody ends as a deadlock.
fn work_and_unpark(published: bool) {
    loom::model(move || {
        let driver = Driver::new(published);
        let work = Arc::new(AtomicU64::new(0));
        let (driver2, work2) = (driver.clone(), work.clone());
        let other = loom::thread::spawn(move || {
            work2.store(1, Ordering::Relaxed);
            driver2.unpark();
        });
        while work.load(Ordering::Relaxed) == 0 {
            driver.turn(|| false);
        }
        other.join().unwrap();
    });
}

#[test]
fn unpark_is_never_lost() {
    work_and_unpark(false);
    work_and_unpark(true);
}

/// A timer becomes the earliest while the driver decides how long to wait. It either sees the
/// timer or is woken.
fn timer_and_wait(published: bool) {
    loom::model(move || {
        let driver = Driver::new(published);
        let next = Arc::new(AtomicU64::new(u64::MAX));
        let (driver2, next2) = (driver.clone(), next.clone());
        let other = loom::thread::spawn(move || {
            next2.store(7, Ordering::Relaxed);
            if driver2.parking.is_waiting() {
                driver2.unpark();
            }
        });
        driver.turn(|| next.load(Ordering::Relaxed) != u64::MAX);
        other.join().unwrap();
    });
}

#[test]
fn an_earlier_timer_is_seen_or_wakes() {
    timer_and_wait(false);
    timer_and_wait(true);
}

/// The story: the driver sleeps on the futex, or is about to, when the first source comes.
/// Nothing that happens to a source ends a wait on a futex: who registers it must end that, also
/// when somebody else unparks at the same time and leaves it only the second place.
#[test]
fn the_first_source_is_heard() {
    explore(|| {
        let driver = Driver::new(false);
        let (registrar, other) = (driver.clone(), driver.clone());
        let registrar = loom::thread::spawn(move || registrar.register());
        let other = loom::thread::spawn(move || other.unpark());
        while !driver.turn(|| false) {}
        registrar.join().unwrap();
        other.join().unwrap();
    });
}

/// The story: one thread consumes the token of whoever brought the poller, and puts the driver
/// back. The next to hold it must not go to the futex.
#[test]
fn the_first_source_is_heard_by_the_next_holder() {
    explore(|| {
        let driver = Driver::new(false);
        let held = Arc::new(Mutex::new(()));
        let registrar = driver.clone();
        let registrar = loom::thread::spawn(move || registrar.register());
        let (driver2, held2) = (driver.clone(), held.clone());
        let former = loom::thread::spawn(move || {
            let _held = held2.lock();
            driver2.turn(|| false);
        });
        loop {
            let _held = held.lock();
            if driver.turn(|| false) {
                break;
            }
        }
        registrar.join().unwrap();
        former.join().unwrap();
    });
}
