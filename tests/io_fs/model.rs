//! Random steps at a file's position, some of them dropped after their first poll, beside a model
//! that knows what the file must be. Those that are dropped have several buffers.
//!
//! A cancelled write may have happened or not; but one that was pending has moved to another
//! thread, and there it happens, unless it was still waiting for the call dropped before it. So the
//! model is exact.

use std::io::{IoSlice, IoSliceMut, SeekFrom};
use std::path::{Path, PathBuf};
use std::task::Poll;

use futures::io::{AsyncReadExt, AsyncSeekExt, AsyncWriteExt};
use threadlet::fs::{File, OpenOptions};

use crate::support::{foreign_block_on, within};
use crate::{LIMIT, Scratch, evict, pattern, poll_once, vectored};

/// With steps of at most [`LONGEST`] bytes a file is not read long enough for a poll to be pending
/// only to give others their turn.
const STEPS: usize = 400;
const LONGEST: usize = 2000;

#[test]
fn random_steps() {
    within(LIMIT, || {
        let start = std::env::var("THREADLET_FS_SEED").ok().and_then(|seed| seed.parse().ok());
        let seeds = start.map_or(1..=20, |seed| seed..=seed);
        seeds.for_each(run);
    });
}

/// One run; what it asserts names the seed.
pub(crate) fn run(seed: u64) {
    let scratch = Scratch::new();
    let contents = pattern(20_000);
    let path = scratch.file("file", &contents);
    let file = foreign_block_on(OpenOptions::new().read(true).write(true).open(&path)).unwrap();
    let mut model = Model { file, path, contents, position: 0, random: seed, nth: 0, busy: false };
    eprintln!("THREADLET_FS_SEED={seed}");
    for _ in 0..STEPS {
        model.step();
    }
    foreign_block_on(model.file.flush()).unwrap();
    assert!(std::fs::read(&model.path).unwrap() == model.contents, "seed {seed}");
    let file = foreign_block_on(model.file.into_std());
    let position = std::io::Seek::stream_position(&mut &file).unwrap();
    assert_eq!(position, model.position as u64, "seed {seed}");
}

struct Model {
    file: File,
    path: PathBuf,
    contents: Vec<u8>,
    position: usize,
    random: u64,
    nth: u8,
    /// A call was dropped in the step before, and may still be under way.
    busy: bool,
}

impl Model {
    fn below(&mut self, bound: usize) -> usize {
        // Marsaglia's xorshift.
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        (self.random >> 11) as usize % bound
    }

    /// Data that begins unlike that of the steps around it.
    fn data(&mut self) -> Vec<u8> {
        self.nth = self.nth.wrapping_add(1);
        let length = 1 + self.below(LONGEST);
        vec![self.nth; length]
    }

    fn step(&mut self) {
        let busy = std::mem::take(&mut self.busy);
        match self.below(11) {
            0 | 1 => self.read_all(),
            2 | 3 => self.read_dropped(),
            4 => {
                let data = self.data();
                self.write_all(&data);
            }
            5 | 6 => self.write_dropped(busy),
            7 => self.seek(),
            8 => self.resize(),
            9 => self.write_at(),
            _ => {
                self.busy = busy;
                evict(Path::new(&self.path));
            }
        }
    }

    fn got(&mut self, bytes: &[u8]) {
        let start = self.position.min(self.contents.len());
        assert!(self.contents[start..].starts_with(bytes), "at {start}");
        self.position += bytes.len();
    }

    fn read_all(&mut self) {
        let length = 1 + self.below(LONGEST);
        let left = self.contents.len().saturating_sub(self.position).min(length);
        let mut buf = vec![0; left];
        foreign_block_on(self.file.read_exact(&mut buf)).unwrap();
        self.got(&buf);
        if left < length {
            assert_eq!(foreign_block_on(self.file.read(&mut [0; 10])).unwrap(), 0, "the end");
        }
    }

    fn read_dropped(&mut self) {
        let (mut buf, size) = (vec![0; 1 + self.below(LONGEST)], 1 + self.below(LONGEST));
        let mut bufs: Vec<_> = buf.chunks_mut(size).map(IoSliceMut::new).collect();
        match poll_once(vectored::read(&mut self.file, &mut bufs)) {
            Poll::Ready(n) => self.got(&buf[..n.unwrap()]),
            Poll::Pending => self.busy = true,
        }
    }

    fn wrote(&mut self, data: &[u8]) {
        let end = self.position + data.len();
        if end > self.contents.len() {
            self.contents.resize(end, 0);
        }
        self.contents[self.position..end].copy_from_slice(data);
        self.position = end;
    }

    fn write_all(&mut self, data: &[u8]) {
        foreign_block_on(self.file.write_all(data)).unwrap();
        self.wrote(data);
    }

    fn write_dropped(&mut self, busy: bool) {
        let (data, size) = (self.data(), 1 + self.below(LONGEST));
        let bufs: Vec<_> = data.chunks(size).map(IoSlice::new).collect();
        match poll_once(self.file.write_vectored(&bufs)) {
            Poll::Ready(n) => self.wrote(&data[..n.unwrap()]),
            // Tried again, and it counts once; or not, and it has happened all the same.
            Poll::Pending if busy || self.below(2) == 0 => self.write_all(&data),
            Poll::Pending => {
                self.wrote(&data);
                self.busy = true;
            }
        }
    }

    fn seek(&mut self) {
        let to = self.below(self.contents.len() + 100);
        let how = match self.below(3) {
            0 => SeekFrom::Start(to as u64),
            1 => SeekFrom::Current(to as i64 - self.position as i64),
            _ => {
                // Whoever wants the length must know that a cancelled write has come to its end.
                foreign_block_on(self.file.flush()).unwrap();
                SeekFrom::End(to as i64 - self.contents.len() as i64)
            }
        };
        assert_eq!(foreign_block_on(self.file.seek(how)).unwrap(), to as u64, "{how:?}");
        self.position = to;
    }

    fn write_at(&mut self) {
        let (data, offset) = (self.data(), self.below(self.contents.len()));
        foreign_block_on(self.file.write_all_at(&data, offset as u64)).unwrap();
        let before = std::mem::replace(&mut self.position, offset);
        self.wrote(&data);
        self.position = before;
    }

    fn resize(&mut self) {
        let length = 10_000 + self.below(20_000);
        foreign_block_on(self.file.set_len(length as u64)).unwrap();
        self.contents.resize(length, 0);
        let metadata = foreign_block_on(self.file.metadata()).unwrap();
        assert_eq!(metadata.len(), length as u64);
    }
}
