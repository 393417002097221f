//! Who runs tasks, who waits for a core, and who decides that a core changes hands.
//!
//! | module | what it knows |
//! |---|---|
//! | `core` | the word: who has a core |
//! | `idle` | which seats sleep, and whom a new task wakes |
//! | `pool` | permits, spares, and claims that could not be served |
//! | `shared` | the data of one runtime |
//! | `vigil` | how the monitor sleeps |
//! | `threads` | how many threads there are |
//! | `spawn` | how a future becomes a task |
//! | `worker` | what a thread with a core does |
//! | `spare` | what a thread without one does |
//! | `monitor`, `sentinel` | *when* a core changes hands: by looking, by the kernel's edge |
//! | `shutdown` | how it all ends |

pub(crate) mod core;
pub(crate) mod idle;
#[cfg(not(threadlet_loom))]
pub(crate) mod monitor;
pub(crate) mod pool;
#[cfg(not(threadlet_loom))]
pub(crate) mod sentinel;
#[cfg(not(threadlet_loom))]
pub(crate) mod shared;
#[cfg(not(threadlet_loom))]
pub(crate) mod shutdown;
#[cfg(not(threadlet_loom))]
pub(crate) mod spare;
#[cfg(not(threadlet_loom))]
pub(crate) mod spawn;
#[cfg(not(threadlet_loom))]
pub(crate) mod threads;
pub(crate) mod vigil;
#[cfg(not(threadlet_loom))]
pub(crate) mod worker;
