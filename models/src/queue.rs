//! The queues: nothing is lost, nothing comes twice, and what comes is whole.

use std::ptr::NonNull;

use loom::thread;

use super::{Private, explore};
use crate::primitive::{Arc, AtomicBool, Ordering};
use crate::protocol::core::{CoreWord, SlotId, State};
use crate::protocol::queue::{Item, Lifo, LocalQueue};

/// A task with a body that the pusher writes and the one who pops reads.
struct Token(Box<(u32, Private)>);

impl Token {
    fn new(number: u32) -> Self {
        let token = Token(Box::new((number, Private::new())));
        token.0.1.touch();
        token
    }

    /// Takes it apart: loom fails here if its body is not visible yet.
    fn open(self) -> u32 {
        self.0.1.touch();
        self.0.0
    }
}

// SAFETY: a box goes out as a pointer and comes back once.
unsafe impl Item for Token {
    fn into_raw(self) -> NonNull<()> {
        NonNull::from(Box::leak(self.0)).cast()
    }

    unsafe fn from_raw(raw: NonNull<()>) -> Self {
        // SAFETY: the caller promises that it came from `into_raw` and is used once.
        Token(unsafe { Box::from_raw(raw.cast().as_ptr()) })
    }
}

type Queue = LocalQueue<Token>;

fn push(queue: &Queue, number: u32) {
    // SAFETY: in each model the caller holds the core of the queue.
    let pushed = unsafe { queue.push(Token::new(number)) };
    assert!(pushed.is_ok(), "the models do not overfill it");
}

fn steal(from: &Queue, to: &Queue) -> Option<Token> {
    // SAFETY: in each model the caller holds the core of `to`.
    unsafe { from.steal_into(to) }
}

fn drain(queue: &Queue) -> Vec<u32> {
    std::iter::from_fn(|| queue.pop()).map(Token::open).collect()
}

fn assert_all(mut got: Vec<u32>, count: u32) {
    got.sort_unstable();
    assert_eq!(got, (0..count).collect::<Vec<_>>(), "each exactly once");
}

/// The story: the owner pops the last tasks while a thief of another seat steals half of them; a
/// third thread pops what the thief has put into its own queue.
#[test]
fn owner_and_thieves_share_what_there_is() {
    explore(2, || {
        let (queue, mine) = (Arc::new(Queue::new()), Arc::new(Queue::new()));
        let (from, to) = (queue.clone(), mine.clone());
        let thief = thread::spawn(move || {
            let mut got: Vec<u32> = steal(&from, &to).map(Token::open).into_iter().collect();
            got.extend(to.pop().map(Token::open));
            got
        });
        let other = mine.clone();
        let second = thread::spawn(move || other.pop().map(Token::open));
        (0..4).for_each(|number| push(&queue, number));
        let mut got: Vec<u32> = queue.pop().map(Token::open).into_iter().collect();
        got.extend(thief.join().unwrap());
        got.extend(second.join().unwrap());
        got.extend(drain(&queue));
        got.extend(drain(&mine));
        assert_all(got, 4);
    });
}

/// The story: a consumer copies a pointer and is put off its CPU; meanwhile the ring goes round and
/// its place holds another task. The late swap must not hand out the old copy.
#[test]
fn a_slow_consumer_gets_nothing_old() {
    explore(3, || {
        let queue = Arc::new(Queue::new());
        (0..4).for_each(|number| push(&queue, number));
        let other = queue.clone();
        let slow = thread::spawn(move || other.pop().map(Token::open));
        let mut got: Vec<u32> = Vec::new();
        for number in 4..6 {
            got.extend(queue.pop().map(Token::open));
            push(&queue, number);
        }
        got.extend(slow.join().unwrap());
        got.extend(drain(&queue));
        assert_all(got, 6);
    });
}

/// The story: a full ring takes one more, over the task that is next.
#[test]
fn a_full_queue_refuses() {
    explore(2, || {
        let queue = Queue::new();
        (0..4).for_each(|number| push(&queue, number));
        // SAFETY: this thread holds the core of the queue.
        let Err(refused) = (unsafe { queue.push(Token::new(4)) }) else {
            // It would come twice.
            std::mem::forget(queue);
            panic!("five in a ring of four");
        };
        assert_eq!((refused.open(), drain(&queue)), (4, vec![0, 1, 2, 3]));
    });
}

/// The story: the holder of the core puts one task after another into the LIFO slot, while a thief
/// that could not take the core empties the slot. What the holder takes for an empty place may have
/// been emptied a moment before, but nobody else fills it.
#[test]
fn the_lifo_slot_keeps_one_and_gives_one_back() {
    explore(3, || {
        let slot = Arc::new(Lifo::<Token>::new());
        let other = slot.clone();
        let thief = thread::spawn(move || {
            let out = [other.take(), other.take()];
            out.into_iter().flatten().map(Token::open).collect::<Vec<_>>()
        });
        let mut got: Vec<u32> =
            (0..3).filter_map(|number| slot.put(Token::new(number))).map(Token::open).collect();
        got.extend(thief.join().unwrap());
        got.extend(slot.take().map(Token::open));
        assert_all(got, 3);
    });
}

/// The story: the owner's queue is full, and it takes half out for the injector in one step, while a
/// thief steals. A copy that was made before the thief's swap must not count.
#[test]
fn half_of_a_queue_is_taken_by_one() {
    explore(3, || {
        let (queue, mine) = (Arc::new(Queue::new()), Queue::new());
        (0..4).for_each(|number| push(&queue, number));
        let from = queue.clone();
        let thief = thread::spawn(move || {
            let mut got: Vec<u32> = steal(&from, &mine).map(Token::open).into_iter().collect();
            got.extend(drain(&mine));
            got
        });
        let mut got: Vec<u32> = queue.take_half().map(Token::open).collect();
        push(&queue, 4);
        got.extend(drain(&queue));
        got.extend(thief.join().unwrap());
        assert_all(got, 5);
    });
}

/// The story: inside a poll the task spawns another. Its thread was seen blocked a moment before,
/// so a thief may take the core at any time, and the adopter pushes and pops too. A lender that
/// pushes without having reclaimed would make two producers: a task lost, or run twice.
#[test]
fn a_push_while_lent_loses_nothing() {
    const LENDER: SlotId = 1;
    const SPARE: SlotId = 2;
    struct Seat {
        word: CoreWord,
        queue: Queue,
        asleep: AtomicBool,
    }
    explore(3, || {
        let seat = Arc::new(Seat {
            word: CoreWord::new(),
            queue: Queue::new(),
            asleep: AtomicBool::new(false),
        });
        seat.word.assign(LENDER);
        let other = seat.clone();
        let adopter = thread::spawn(move || {
            let seen = other.word.load();
            let blocked = seen.state() == State::Lent && other.asleep.load(Ordering::Relaxed);
            if !blocked || other.word.retake(seen, LENDER, SPARE).is_err() {
                return Vec::new();
            }
            let held = other.word.adopt(SPARE);
            push(&other.queue, 1);
            let got: Vec<u32> = other.queue.pop().map(Token::open).into_iter().collect();
            let _ = other.word.lend(held);
            got
        });
        let mut outside = Vec::new();
        let held = seat.word.adopt(LENDER);
        push(&seat.queue, 0);
        let mut lent = seat.word.lend(held);
        seat.asleep.store(true, Ordering::Relaxed);
        seat.asleep.store(false, Ordering::Relaxed);
        // Two pushes inside the poll: in hand if the core is still there, else from outside.
        for number in 2..4 {
            match seat.word.reclaim(lent) {
                Ok(held) => {
                    push(&seat.queue, number);
                    lent = seat.word.lend(held);
                }
                Err(_) => outside.push(number),
            }
        }
        let adopted = adopter.join().unwrap();
        let count = outside.len() + adopted.len();
        let mut got = [outside, adopted, drain(&seat.queue)].concat();
        assert!(count <= 4);
        // The adopter's own task exists only if there was an adopter.
        if !got.contains(&1) {
            got.push(1);
        }
        assert_all(got, 4);
    });
}
