//! A file system of one file, whose reads take their time: a drive that stalls.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};
use std::thread::JoinHandle;
use std::time::Duration;

const LOOKUP: u32 = 1;
const FORGET: u32 = 2;
const GETATTR: u32 = 3;
const OPEN: u32 = 14;
const READ: u32 = 15;
const RELEASE: u32 = 18;
const INIT: u32 = 26;
const INTERRUPT: u32 = 36;
const BATCH_FORGET: u32 = 42;

/// Each read goes to the file system, and not to the page cache.
const DIRECT_IO: u32 = 1;
const ROOT: u64 = 1;
const SLOW: u64 = 2;

/// A folder with the file `slow` in it.
#[derive(Debug)]
pub(crate) struct SlowDrive {
    folder: PathBuf,
    server: Option<JoinHandle<()>>,
}

impl SlowDrive {
    /// Mounts it on an empty folder. Each read takes `latency`.
    pub(crate) fn mount(folder: &Path, latency: Duration) -> io::Result<SlowDrive> {
        let device = OpenOptions::new().read(true).write(true).open("/dev/fuse")?;
        let options = format!("fd={},rootmode=40000,user_id=0,group_id=0\0", device.as_raw_fd());
        let target = format!("{}\0", folder.display());
        let (source, kind) = (c"slow".as_ptr(), c"fuse".as_ptr());
        let (target, options) = (target.as_ptr().cast(), options.as_ptr().cast());
        // SAFETY: the texts end, and outlive the call.
        if unsafe { libc::mount(source, target, kind, 0, options) } < 0 {
            return Err(io::Error::last_os_error());
        }
        let server = std::thread::spawn(move || serve(device, latency));
        Ok(SlowDrive { folder: folder.to_owned(), server: Some(server) })
    }
}

impl Drop for SlowDrive {
    fn drop(&mut self) {
        let folder = format!("{}\0", self.folder.display());
        // SAFETY: the text ends, and outlives the call.
        let _gone = unsafe { libc::umount2(folder.as_ptr().cast(), libc::MNT_DETACH) };
        let _ended = self.server.take().map(JoinHandle::join);
    }
}

fn serve(mut device: File, latency: Duration) {
    let mut request = vec![0; 1 << 18];
    loop {
        let length = match device.read(&mut request) {
            Ok(length) => length,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            // It is mounted no longer.
            Err(_) => return,
        };
        let word = |at: usize| u32::from_ne_bytes(request[at..at + 4].try_into().unwrap());
        let long = |at: usize| u64::from_ne_bytes(request[at..at + 8].try_into().unwrap());
        let (operation, unique, node) = (word(4), long(8), long(16));
        let answer = match operation {
            FORGET | BATCH_FORGET | INTERRUPT => continue,
            INIT => Ok(init()),
            LOOKUP if request[40..length].starts_with(b"slow\0") => Ok(entry()),
            LOOKUP => Err(libc::ENOENT),
            GETATTR => Ok([vec![0; 16], attributes(node)].concat()),
            OPEN => Ok([0_u64.to_ne_bytes().to_vec(), words(&[DIRECT_IO, 0])].concat()),
            READ => {
                std::thread::sleep(latency);
                Ok(b"slow".to_vec())
            }
            RELEASE => Ok(Vec::new()),
            _ => Err(libc::ENOSYS),
        };
        let (error, body) = match answer {
            Ok(body) => (0, body),
            Err(error) => (-error, Vec::new()),
        };
        let mut reply = words(&[16 + body.len() as u32, error as u32]);
        reply.extend(unique.to_ne_bytes());
        reply.extend(body);
        let _gone = device.write(&reply);
    }
}

fn words(words: &[u32]) -> Vec<u8> {
    words.iter().flat_map(|word| word.to_ne_bytes()).collect()
}

/// Version 7.31, and none of its liberties.
fn init() -> Vec<u8> {
    let mut answer = words(&[7, 31, 0, 0, 0, 1 << 16, 1]);
    answer.resize(64, 0);
    answer
}

fn entry() -> Vec<u8> {
    let mut answer: Vec<u8> =
        [SLOW, 1, 0, 0, 0].iter().flat_map(|word| word.to_ne_bytes()).collect();
    answer.extend(attributes(SLOW));
    answer
}

fn attributes(node: u64) -> Vec<u8> {
    let (mode, size) = if node == ROOT { (0o40755, 0) } else { (0o100_644, 1 << 20) };
    let mut answer: Vec<u8> =
        [node, size, 0, 0, 0, 0].iter().flat_map(|word: &u64| word.to_ne_bytes()).collect();
    answer.extend(words(&[0, 0, 0, mode, 1, 0, 0, 0, 4096, 0]));
    answer
}
