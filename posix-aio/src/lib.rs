//! The C library's asynchronous I/O (`<aio.h>`) on threadlet: a drop-in for programs that are not
//! changed, by `LD_PRELOAD` or by linking.
//!
//! A request whose data is at hand is finished in the call that makes it; no thread is started for
//! it. What would block goes to threadlet's pump. See `docs/internals/posix-aio.md`.
//!
//! | module | what it is |
//! |---|---|
//! | `abi` | the C structures |
//! | `user` | the program's memory, and the system calls |
//! | `request` | a request, from the call to the notification |
//! | `table` | the unfinished requests: lanes, syncs, cancelling |
//! | `suspend`, `list`, `notify` | who waits, for one or for a list; who is told |
//! | `kept` | descriptors of our own |
//! | `hints` | whether asking is worth a system call |
//! | `engine`, `state` | the pump; what a fork does |
#![deny(unsafe_code)]

mod abi;
mod engine;
mod hints;
mod kept;
mod list;
mod notify;
mod request;
mod state;
mod suspend;
mod table;
#[allow(unsafe_code, reason = "system calls, and the program's memory")]
mod user;

#[allow(unsafe_code, reason = "C functions, whose callers promise what the C library asks for")]
mod calls;
