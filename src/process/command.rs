//! `Command`.

use std::ffi::OsStr;
use std::future::Future;
use std::io;
use std::os::unix::process::CommandExt;
use std::panic::Location;
use std::path::Path;
use std::process::{Child as StdChild, Command as StdCommand, ExitStatus, Output, Stdio};

use super::child::Child;
use crate::call::in_place::run_here;
use crate::context;

/// What is to be started, and how: [`std::process::Command`], with children that are waited for in
/// async code.
///
/// # Examples
///
/// ```
/// use futures::io::AsyncReadExt;
/// use std::process::Stdio;
/// use threadlet::process::Command;
///
/// # fn main() -> std::io::Result<()> {
/// threadlet::block_on(async {
///     let mut child = Command::new("sh")
///         .args(["-c", "echo hello; exit 3"])
///         .stdout(Stdio::piped())
///         .spawn()?;
///     let mut text = String::new();
///     child.stdout.take().unwrap().read_to_string(&mut text).await?;
///     assert_eq!(text, "hello\n");
///     assert_eq!(child.wait().await?.code(), Some(3));
///     Ok(())
/// })
/// # }
/// ```
#[derive(Debug)]
pub struct Command {
    pub(super) std: StdCommand,
    kill_on_drop: bool,
}

impl Command {
    /// To start `program`, which is looked for in `PATH` if it has no slash in it; without
    /// arguments, with the environment and the folder of this process. `spawn` and `status` leave
    /// it the input and outputs of this process, `output` gives it pipes for its outputs.
    pub fn new<S: AsRef<OsStr>>(program: S) -> Command {
        Command::from(StdCommand::new(program))
    }

    /// The standard library's.
    pub fn as_std(&self) -> &StdCommand {
        &self.std
    }

    /// The standard library's, to be changed.
    pub fn as_std_mut(&mut self) -> &mut StdCommand {
        &mut self.std
    }

    /// The standard library's. It knows nothing of [`kill_on_drop`](Self::kill_on_drop).
    pub fn into_std(self) -> StdCommand {
        self.std
    }

    /// Adds an argument.
    pub fn arg<S: AsRef<OsStr>>(&mut self, arg: S) -> &mut Command {
        self.std.arg(arg);
        self
    }

    /// Adds arguments.
    pub fn args<I, S>(&mut self, args: I) -> &mut Command
    where
        I: IntoIterator<Item = S>,
        S: AsRef<OsStr>,
    {
        self.std.args(args);
        self
    }

    /// Sets the name that the program is told it was called by, in place of its path.
    pub fn arg0<S: AsRef<OsStr>>(&mut self, arg: S) -> &mut Command {
        self.std.arg0(arg);
        self
    }

    /// Sets a variable of its environment.
    pub fn env<K, V>(&mut self, key: K, value: V) -> &mut Command
    where
        K: AsRef<OsStr>,
        V: AsRef<OsStr>,
    {
        self.std.env(key, value);
        self
    }

    /// Sets variables of its environment.
    pub fn envs<I, K, V>(&mut self, variables: I) -> &mut Command
    where
        I: IntoIterator<Item = (K, V)>,
        K: AsRef<OsStr>,
        V: AsRef<OsStr>,
    {
        self.std.envs(variables);
        self
    }

    /// Takes a variable out of its environment.
    pub fn env_remove<K: AsRef<OsStr>>(&mut self, key: K) -> &mut Command {
        self.std.env_remove(key);
        self
    }

    /// Takes all variables out of its environment.
    pub fn env_clear(&mut self) -> &mut Command {
        self.std.env_clear();
        self
    }

    /// Sets the folder that it works in.
    pub fn current_dir<P: AsRef<Path>>(&mut self, folder: P) -> &mut Command {
        self.std.current_dir(folder);
        self
    }

    /// Sets its input.
    pub fn stdin<T: Into<Stdio>>(&mut self, stdio: T) -> &mut Command {
        self.std.stdin(stdio);
        self
    }

    /// Sets its output.
    pub fn stdout<T: Into<Stdio>>(&mut self, stdio: T) -> &mut Command {
        self.std.stdout(stdio);
        self
    }

    /// Sets its output for errors.
    pub fn stderr<T: Into<Stdio>>(&mut self, stdio: T) -> &mut Command {
        self.std.stderr(stdio);
        self
    }

    /// Sets the user that it runs as.
    pub fn uid(&mut self, id: u32) -> &mut Command {
        self.std.uid(id);
        self
    }

    /// Sets the group that it runs as.
    pub fn gid(&mut self, id: u32) -> &mut Command {
        self.std.gid(id);
        self
    }

    /// Sets its process group; 0 is one of its own.
    pub fn process_group(&mut self, group: i32) -> &mut Command {
        self.std.process_group(group);
        self
    }

    /// Whether the child is killed when its [`Child`] is dropped, or the future of
    /// [`status`](Self::status) or [`output`](Self::output). By default it goes on.
    pub fn kill_on_drop(&mut self, kill_on_drop: bool) -> &mut Command {
        self.kill_on_drop = kill_on_drop;
        self
    }

    /// What was set by [`kill_on_drop`](Self::kill_on_drop).
    pub fn get_kill_on_drop(&self) -> bool {
        self.kill_on_drop
    }

    /// Starts the child. It runs whether or not somebody waits for it.
    ///
    /// The call returns once the new process runs the program; it may block for that, in place.
    ///
    /// # Errors
    ///
    /// Those of [`std::process::Command::spawn`]: `NotFound`, `PermissionDenied`; `WouldBlock` if
    /// there are as many processes as there may be. That of the I/O driver, if the child's pipes
    /// are the runtime's first sources: the child is killed then.
    ///
    /// # Panics
    ///
    /// Outside a runtime.
    #[track_caller]
    pub fn spawn(&mut self) -> io::Result<Child> {
        self.spawn_from(Location::caller(), "Command::spawn", |std| {
            std.spawn().map_err(|error| explained(std, error))
        })
    }

    /// Starts the child by a function of one's own: [`spawn`](Self::spawn) is this with
    /// [`std::process::Command::spawn`]. The child's pipes are ours from then on.
    ///
    /// The function may block: it is called in place.
    ///
    /// # Errors
    ///
    /// Those of the function; that of the I/O driver, as [`spawn`](Self::spawn): the child is killed
    /// then.
    ///
    /// # Panics
    ///
    /// Outside a runtime; and if the function does.
    ///
    /// # Examples
    ///
    /// ```
    /// use threadlet::process::Command;
    ///
    /// # fn main() -> std::io::Result<()> {
    /// threadlet::block_on(async {
    ///     let mut child = Command::new("sh").spawn_with(|sh| sh.args(["-c", "exit 3"]).spawn())?;
    ///     assert_eq!(child.wait().await?.code(), Some(3));
    ///     Ok(())
    /// })
    /// # }
    /// ```
    #[track_caller]
    pub fn spawn_with(
        &mut self,
        with: impl FnOnce(&mut StdCommand) -> io::Result<StdChild>,
    ) -> io::Result<Child> {
        self.spawn_from(Location::caller(), "Command::spawn_with", with)
    }

    #[track_caller]
    fn spawn_from(
        &mut self,
        place: &'static Location<'static>,
        call: &'static str,
        with: impl FnOnce(&mut StdCommand) -> io::Result<StdChild>,
    ) -> io::Result<Child> {
        let driver = context::current_driver("a child");
        let std = run_here(place, call, || with(&mut self.std))?;
        Child::adopt(std, self.kill_on_drop, &driver)
    }

    /// Starts the child at once; the future waits for its end.
    ///
    /// Pipes that it was given are closed first: what it reads is at its end, and what it writes
    /// reaches nobody.
    ///
    /// # Cancel safety
    ///
    /// Cancelled, the child goes on, or, by [`kill_on_drop`](Self::kill_on_drop), is killed.
    ///
    /// # Errors
    ///
    /// Those of [`spawn`](Self::spawn).
    ///
    /// # Panics
    ///
    /// The call, outside a runtime.
    #[track_caller]
    pub fn status(&mut self) -> impl Future<Output = io::Result<ExitStatus>> + use<> {
        let child = self.spawn();
        async {
            let mut child = child?;
            drop((child.stdin.take(), child.stdout.take(), child.stderr.take()));
            child.wait().await
        }
    }

    /// Starts the child at once, with pipes for both of its outputs; the future reads those to
    /// their ends, and waits for the child's.
    ///
    /// # Cancel safety
    ///
    /// Cancelled, the child goes on, with nobody who reads, or, by
    /// [`kill_on_drop`](Self::kill_on_drop), is killed.
    ///
    /// # Errors
    ///
    /// Those of [`spawn`](Self::spawn).
    ///
    /// # Panics
    ///
    /// The call, outside a runtime.
    #[track_caller]
    pub fn output(&mut self) -> impl Future<Output = io::Result<Output>> + use<> {
        self.std.stdout(Stdio::piped()).stderr(Stdio::piped());
        let child = self.spawn();
        async { child?.wait_with_output().await }
    }
}

impl From<StdCommand> for Command {
    fn from(std: StdCommand) -> Command {
        Command { std, kill_on_drop: false }
    }
}

/// "Resource temporarily unavailable" does not say which.
fn explained(command: &StdCommand, error: io::Error) -> io::Error {
    if error.kind() != io::ErrorKind::WouldBlock {
        return error;
    }
    let program = command.get_program();
    let text = format!(
        "{program:?} cannot be started, since there are as many processes as there may be \
         (`ulimit -u`, the `pids.max` of the control group, `kernel.pid_max`): {error}"
    );
    io::Error::new(error.kind(), text)
}
