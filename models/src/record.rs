//! What a reader of the flight recorder may believe.

use loom::thread;

use super::explore;
use crate::primitive::Arc;
use crate::protocol::record::{Chunks, WORDS, Writer};

/// The story: a chunk is given to another thread while it is read. The reader takes a record of which
/// one half is the old thread's and the other the new one's; or an old one for the new thread's,
/// because it has seen the new name and not the new length.
#[test]
fn a_record_is_whole_and_its_writer_s() {
    explore(2, || {
        let chunks = Arc::new(Chunks::of(1));
        let theirs = chunks.clone();
        // What a model begins with may not be preempted before its first step: that is the writer.
        let reader = thread::spawn(move || {
            if let Some(page) = theirs.read(0) {
                assert_eq!(page.words, [page.by; WORDS]);
            }
        });
        for by in [1, 2] {
            Writer::new(&chunks, by).push([by; WORDS]);
        }
        reader.join().unwrap();
        let page = chunks.read(0).expect("nobody writes any more");
        assert_eq!((page.by, page.open), (2, false));
    });
}

/// The story: two threads want a chunk, and both take the only one.
#[test]
fn a_chunk_has_one_writer() {
    explore(3, || {
        let chunks = Arc::new(Chunks::of(1));
        let theirs = chunks.clone();
        let other = thread::spawn(move || {
            let writer = Writer::new(&theirs, 1);
            writer.push([1; WORDS]);
            if writer.is_writing() {
                assert_eq!(theirs.read(0).expect("it is ours").words, [1; WORDS]);
            }
        });
        let writer = Writer::new(&chunks, 2);
        writer.push([2; WORDS]);
        if writer.is_writing() {
            assert_eq!(chunks.read(0).expect("it is ours").words, [2; WORDS]);
        }
        drop(writer);
        other.join().unwrap();
    });
}
