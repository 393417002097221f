//! What a runtime remembers of what it has seen: which line of the program calls, blocks and waits.
//!
//! | module | what it keeps |
//! |---|---|
//! | `site` | a place in the source, how often it was called, and whether its calls nearly always block |
//! | `profile` | what else is known of it: hand-offs, times, waits |
//! | `trace` | the timeline |

pub(crate) mod profile;
pub(crate) mod site;
pub(crate) mod trace;
