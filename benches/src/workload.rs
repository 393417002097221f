//! What several figures do: read a cached page, draw a number, tick.

use std::fs::File;
use std::io::Write;
use std::os::unix::fs::FileExt;
use std::time::{Duration, Instant};

use crate::harness::Samples;

/// The unit of reading.
pub(crate) const PAGE: usize = 4096;

const PAGES: usize = 64;

/// A buffer at a page's edge: how fast the kernel copies depends on where it copies to.
#[repr(align(4096))]
pub(crate) struct Page(pub(crate) [u8; PAGE]);

impl Page {
    pub(crate) fn new() -> Box<Page> {
        Box::new(Page([0; PAGE]))
    }
}

/// A file whose pages are all in memory; it has no name, and is gone with its last handle.
pub(crate) fn cached_file() -> File {
    let path = std::env::temp_dir().join(format!("threadlet-bench-{}", std::process::id()));
    let mut file = File::options().read(true).write(true).create(true).truncate(true).open(&path);
    let file = file.as_mut().expect("a file in the directory for temporary files");
    std::fs::remove_file(&path).expect("the file just made");
    file.write_all(&vec![7; PAGES * PAGE]).expect("room for a small file");
    let file = file.try_clone().expect("a second handle");
    (0..PAGES).for_each(|nth| read_page(&file, nth, &mut [0; PAGE]));
    file
}

/// Reads the page that is `nth` in turn, with one `pread`.
#[inline]
pub(crate) fn read_page(file: &File, nth: usize, page: &mut [u8; PAGE]) {
    let place = (nth % PAGES * PAGE) as u64;
    let read = file.read_at(page, place).expect("the page is there");
    assert_eq!(read, PAGE, "whole pages");
}

/// Numbers without a pattern: Marsaglia's xorshift, "Xorshift RNGs", 2003.
pub(crate) struct Draw(u32);

impl Draw {
    /// Another sequence for each task.
    pub(crate) fn new(task: usize) -> Draw {
        Draw((task as u32 + 1).wrapping_mul(0x9E37_79B9))
    }

    pub(crate) fn next(&mut self) -> u32 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 17;
        self.0 ^= self.0 << 5;
        self.0
    }
}

/// How late, in microseconds, a sleep that should have ended by now ends.
pub(crate) fn late_us(begun: Instant, sleep: Duration) -> f64 {
    begun.elapsed().saturating_sub(sleep).as_nanos() as f64 / 1000.0
}

/// `count` sleeps of `period` on the calling thread.
pub(crate) fn tick_on_thread(count: usize, period: Duration) -> Samples {
    let tick = |_| {
        let begun = Instant::now();
        std::thread::sleep(period);
        late_us(begun, period)
    };
    (0..count).map(tick).collect()
}
