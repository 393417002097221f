//! `Unblock` as a stream.

use std::panic::AssertUnwindSafe;
use std::sync::mpsc;

use futures::FutureExt;
use futures::stream::StreamExt;
use threadlet::Unblock;

use super::{each_task, poll_once, text_of};

#[test]
fn an_iterator_is_a_stream() {
    each_task(|| async {
        for capacity in [1, 7, 1000] {
            let stream = Unblock::with_capacity(capacity, 0..10_000_u32);
            assert!(stream.collect::<Vec<_>>().await.into_iter().eq(0..10_000));
        }
        let entries = Unblock::new(std::fs::read_dir("/proc/self").unwrap());
        assert!(entries.count().await > 10);
    });
}

#[test]
fn an_item_is_there_before_the_next_is_known() {
    each_task(|| async {
        let (send, receive) = mpsc::channel();
        let mut stream = Unblock::new(receive.into_iter());
        for item in 0..100 {
            assert!(poll_once(stream.next()).is_pending());
            send.send(item).unwrap();
            assert_eq!(stream.next().await, Some(item));
        }
        drop(send);
        assert_eq!(stream.next().await, None);
        assert_eq!(stream.next().await, None);
    });
}

#[test]
fn items_taken_ahead_are_kept() {
    each_task(|| async {
        let mut stream = Unblock::with_capacity(1 << 40, 0_u64..);
        for round in 0..50 {
            assert_eq!(stream.next().await, Some(2 * round));
            // It has no end, and comes to one all the same.
            assert!(stream.get_mut().await.start > 2 * round);
            assert_eq!(stream.next().await, Some(2 * round + 1));
        }
    });
}

#[test]
fn a_panic_comes_behind_the_items() {
    each_task(|| async {
        let items = (0..6).inspect(|item| assert!(*item != 3, "the third"));
        let mut stream = Unblock::new(items);
        for item in 0..3 {
            assert_eq!(stream.next().await, Some(item));
        }
        let panicked = AssertUnwindSafe(stream.next()).catch_unwind().await.unwrap_err();
        assert_eq!(text_of(&*panicked), "the third");
        assert_eq!(stream.collect::<Vec<_>>().await, [4, 5], "it is still there");
    });
}
