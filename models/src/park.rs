//! The parker: a token is never lost, and what came before it is visible.

use loom::thread;

use super::{Private, explore};
use crate::primitive::Arc;
use crate::primitive::park::Parker;

/// The story: the waker's swap meets the sleeper between its decision and its sleep. A lost token
/// is a thread that sleeps for ever, which loom reports as a deadlock. And what the waker did
/// before must be seen after.
#[test]
fn a_token_is_never_lost() {
    explore(3, || {
        let shared = Arc::new((Parker::new(), Private::new()));
        let other = shared.clone();
        let waker = thread::spawn(move || {
            other.1.touch();
            let _ = other.0.unpark();
        });
        assert!(shared.0.park(None), "a sleep without an end is ended by a token");
        shared.1.touch();
        waker.join().unwrap();
    });
}

/// The story: two wake-ups and two sleeps. The second wake-up may come before the first sleep has
/// ended, and is then one with the first; the sleeper's second sleep is a timed one.
#[test]
fn two_wakers_and_a_timed_sleep() {
    explore(3, || {
        let parker = Arc::new(Parker::new());
        let wakers: Vec<_> = (0..2)
            .map(|_| {
                let parker = parker.clone();
                thread::spawn(move || {
                    let _ = parker.unpark();
                })
            })
            .collect();
        assert!(parker.park(None));
        parker.park(Some(std::time::Duration::from_millis(1)));
        wakers.into_iter().for_each(|waker| waker.join().unwrap());
        // Whatever has happened, the next token is there for the next sleep.
        let _ = parker.unpark();
        assert!(parker.park(None));
    });
}
