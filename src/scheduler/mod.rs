//! Who runs tasks, who waits for a core, and who decides that a core changes hands.
//!
//! | module | what it knows |
//! |---|---|
//! | `core` | the word: who has a core |
//! | `idle` | which seats sleep, and whom a new task wakes |
//! | `pool` | permits, spares, and claims that could not be served |
//! | `shared` | the data of one runtime |
//! | `threads` | how many threads there are |
//! | `spawn` | how a future becomes a task |
//! | `worker` | what a thread with a core does |
//! | `spare` | what a thread without one does |
//! | `monitor`, `sentinel` | *when* a core changes hands: by looking, by the kernel's edge |
//! | `shutdown` | how it all ends |

pub(crate) mod core;
pub(crate) mod idle;
pub(crate) mod monitor;
pub(crate) mod pool;
pub(crate) mod sentinel;
pub(crate) mod shared;
pub(crate) mod shutdown;
pub(crate) mod spare;
pub(crate) mod spawn;
pub(crate) mod threads;
pub(crate) mod worker;
