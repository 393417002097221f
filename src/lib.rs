//! An async runtime in which a blocking call runs right here, and costs a thread only if it
//! really blocks.
#![deny(unsafe_code)]

#[allow(dead_code, reason = "used by the modules that follow")]
mod detect;
#[allow(dead_code, unused_imports, reason = "used by the modules that follow")]
mod primitive;
#[allow(unsafe_code, dead_code, reason = "the one seam to the operating system")]
mod sys;
