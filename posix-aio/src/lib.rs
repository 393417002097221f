//! The C library's asynchronous I/O (`<aio.h>`) on threadlet: a drop-in for programs that are not
//! changed, by `LD_PRELOAD` or by linking.
//!
//! A request whose data is at hand is finished in the call that makes it; no thread is started for
//! it. What would block goes to threadlet's pump. See `docs/internals/posix-aio.md` for what is
//! promised to programs.
//!
//! The modules from the bottom to the top. Each names only what stands before it in the list, and
//! `tests/layers.rs` fails where one does not.
//!
//! | module | what it is |
//! |---|---|
//! | `primitive` | locks and atomics of the table's protocol: the one seam between std and loom |
//! | `abi` | the C structures and constants |
//! | `sys` | the program's memory, and every system call: nearly all that is `unsafe` |
//! | `generation` | which process this is, of those that forks have made |
//! | `hints` | whether asking is worth a system call, by descriptor |
//! | `duplicates` | descriptors of our own |
//! | `suspend` | who waits in `aio_suspend` |
//! | `engine` | runs what would block: the pump, on threads of its own |
//! | `list` | one call of `lio_listio`: how many of its requests are left |
//! | `request` | one request: plain data |
//! | `table` | the requests that are not finished: lanes, syncs, cancelling |
//! | `queue` | requests that the kernel's own queue has |
//! | `process` | what there is one of per process; what a fork does to it |
//! | `notify` | tells the program that a request, or a list, is finished |
//! | `ask` | what can be done in the call that makes a request, without waiting |
//! | `run` | runs the requests whose turn has come, and has those told that were cancelled |
//! | `keep` | that queue, from a request to its leave; its keeper; waiting in `aio_suspend` |
//! | `submit` | from the call that makes a request to its answer, or to the table |
//! | `withdraw` | takes requests back: `aio_cancel`, and before a descriptor is closed |
//! | `calls` | the C functions |
#![deny(unsafe_code)]

mod abi;
mod ask;
mod duplicates;
mod engine;
mod generation;
mod hints;
mod keep;
mod list;
mod notify;
mod primitive;
mod process;
mod queue;
mod request;
mod run;
mod submit;
mod suspend;
#[allow(unsafe_code, reason = "system calls, and the program's memory")]
mod sys;
mod table;
mod withdraw;

#[allow(unsafe_code, reason = "C functions, whose callers promise what the C library asks for")]
mod calls;
