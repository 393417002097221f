//! What each kind of thread does.
//!
//! | module | what it does |
//! |---|---|
//! | `spawn` | makes a task of a future |
//! | `worker` | runs tasks, on a thread with a core |
//! | `held_up` | tasks of a seat that polls nothing, for a worker that is busy itself |
//! | `spare` | waits for a core, on a thread without |
//! | `sentinel` | hears from the kernel *when* a core is to change hands |
//! | `monitor` | looks for it, and does what needs doing once in a while |
//! | `replayed` | all of it, in a runtime that a test replays |
//! | `watcher` | looks at what lasts long, for people |
//! | `shutdown` | ends a runtime |

mod held_up;
pub(crate) mod monitor;
#[cfg_attr(not(feature = "test-util"), path = "replayed_off.rs")]
pub(crate) mod replayed;
pub(crate) mod sentinel;
pub(crate) mod shutdown;
pub(crate) mod spare;
pub(crate) mod spawn;
pub(crate) mod watcher;
pub(crate) mod worker;
