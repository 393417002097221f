//! `Command::pre_exec`.

use std::io;
use std::os::unix::process::CommandExt;

use super::command::Command;

impl Command {
    /// Calls `f` in the child, behind `fork` and before `exec`. An error of it is that of
    /// [`spawn`](Self::spawn).
    ///
    /// # Safety
    ///
    /// As for [`CommandExt::pre_exec`]: `f` runs in a copy of this process that has one thread, where
    /// locks may be held for ever. It must be async-signal-safe, and allocate nothing.
    pub unsafe fn pre_exec<F>(&mut self, f: F) -> &mut Command
    where
        F: FnMut() -> io::Result<()> + Send + Sync + 'static,
    {
        // SAFETY: what std asks is what we ask.
        unsafe { self.std.pre_exec(f) };
        self
    }
}
