//! How a child is started.

use std::ffi::OsStr;
use std::io;
use std::path::Path;
use std::process::{Child as StdChild, Command as StdCommand, ExitStatus, Output, Stdio};

use super::Child;

/// How a child is started, as [tokio's](https://docs.rs/tokio/1.54/tokio/process/struct.Command.html).
#[derive(Debug)]
pub struct Command(threadlet::process::Command);

macro_rules! options {
    ($($(#[$doc:meta])* $name:ident $(<$of:ident: $bound:path>)? ($($arg:ident: $type:ty)?);)+) => {$(
        $(#[$doc])*
        pub fn $name $(<$of: $bound>)? (&mut self $(, $arg: $type)?) -> &mut Command {
            self.0.$name($($arg)?);
            self
        }
    )+};
}

impl Command {
    /// For a program.
    pub fn new<S: AsRef<OsStr>>(program: S) -> Command {
        Command(threadlet::process::Command::new(program))
    }

    /// std's.
    pub fn as_std(&self) -> &StdCommand {
        self.0.as_std()
    }

    /// std's.
    pub fn as_std_mut(&mut self) -> &mut StdCommand {
        self.0.as_std_mut()
    }

    /// std's.
    pub fn into_std(self) -> StdCommand {
        self.0.into_std()
    }

    options! {
        /// One more argument.
        arg<S: AsRef<OsStr>>(arg: S);
        /// The name it is told.
        arg0<S: AsRef<OsStr>>(arg: S);
        /// Without this variable.
        env_remove<K: AsRef<OsStr>>(key: K);
        /// Without any variables.
        env_clear();
        /// The folder it starts in.
        current_dir<P: AsRef<Path>>(dir: P);
        /// What it reads.
        stdin<T: Into<Stdio>>(cfg: T);
        /// What it writes.
        stdout<T: Into<Stdio>>(cfg: T);
        /// What it writes its errors to.
        stderr<T: Into<Stdio>>(cfg: T);
        /// Whether it is killed when its handle is dropped.
        kill_on_drop(kill_on_drop: bool);
        /// The user it runs as.
        uid(id: u32);
        /// The group it runs as.
        gid(id: u32);
        /// The group of processes it is in.
        process_group(group: i32);
    }

    /// More arguments.
    pub fn args<I, S>(&mut self, args: I) -> &mut Command
    where
        I: IntoIterator<Item = S>,
        S: AsRef<OsStr>,
    {
        self.0.args(args);
        self
    }

    /// With this variable.
    pub fn env<K, V>(&mut self, key: K, val: V) -> &mut Command
    where
        K: AsRef<OsStr>,
        V: AsRef<OsStr>,
    {
        self.0.env(key, val);
        self
    }

    /// With these variables.
    pub fn envs<I, K, V>(&mut self, vars: I) -> &mut Command
    where
        I: IntoIterator<Item = (K, V)>,
        K: AsRef<OsStr>,
        V: AsRef<OsStr>,
    {
        self.0.envs(vars);
        self
    }

    /// Calls `f` in the child before the program starts.
    ///
    /// # Safety
    ///
    /// As [std's](std::os::unix::process::CommandExt::pre_exec).
    #[allow(unsafe_code, reason = "std's, which asks the caller for it")]
    pub unsafe fn pre_exec<F>(&mut self, f: F) -> &mut Command
    where
        F: FnMut() -> io::Result<()> + Send + Sync + 'static,
    {
        // SAFETY: the caller has promised it.
        unsafe { self.0.pre_exec(f) };
        self
    }

    /// Whether it is killed when its handle is dropped.
    pub fn get_kill_on_drop(&self) -> bool {
        self.0.get_kill_on_drop()
    }

    /// Starts it.
    #[track_caller]
    pub fn spawn(&mut self) -> io::Result<Child> {
        crate::part::take();
        self.0.spawn().map(Child::new)
    }

    /// Starts it by a function of one's own. (tokio has it with `--cfg tokio_unstable`.)
    #[track_caller]
    pub fn spawn_with(
        &mut self,
        with: impl FnOnce(&mut StdCommand) -> io::Result<StdChild>,
    ) -> io::Result<Child> {
        crate::part::take();
        self.0.spawn_with(with).map(Child::new)
    }

    /// Starts it, and waits for it.
    pub fn status(&mut self) -> impl Future<Output = io::Result<ExitStatus>> + use<> {
        self.0.status()
    }

    /// Starts it, waits for it, and reads all that it writes.
    pub fn output(&mut self) -> impl Future<Output = io::Result<Output>> + use<> {
        self.0.output()
    }
}

impl From<StdCommand> for Command {
    fn from(command: StdCommand) -> Command {
        Command(command.into())
    }
}
