//! `Child`.

use std::io;
use std::process::{Child as StdChild, ExitStatus, Output};

use futures::future::try_join3;
use futures::io::{AsyncRead, AsyncReadExt};

use super::exit::{Running, adopt_orphan};
use super::pipes::{ChildStderr, ChildStdin, ChildStdout};
use crate::driver::Handle;

/// A child that was started.
///
/// Dropped, it goes on, unless [`kill_on_drop`](super::Command::kill_on_drop) was set; its end is
/// taken note of in either case, so that no zombie is left.
#[derive(Debug)]
pub struct Child {
    state: State,
    /// Its input, if that is a pipe. [`wait`](Child::wait) closes it.
    pub stdin: Option<ChildStdin>,
    /// Its output, if that is a pipe.
    pub stdout: Option<ChildStdout>,
    /// Its output for errors, if that is a pipe.
    pub stderr: Option<ChildStderr>,
}

#[derive(Debug)]
enum State {
    Running(Guard),
    Ended(ExitStatus),
}

/// Sees to a child whose owner is gone.
#[derive(Debug)]
struct Guard {
    /// `None` only once it has ended.
    running: Option<Running>,
    kill_on_drop: bool,
}

impl Drop for Guard {
    fn drop(&mut self) {
        let Some(mut running) = self.running.take() else { return };
        if self.kill_on_drop {
            // It may have ended by itself.
            let _ = running.std().kill();
        }
        adopt_orphan(running);
    }
}

impl Guard {
    fn running(&mut self) -> &mut Running {
        self.running.as_mut().expect("it is taken out only when it has ended")
    }
}

impl Child {
    /// Takes over a child that was started just now. If that fails, it is killed.
    pub(super) fn adopt(
        mut std: StdChild,
        kill_on_drop: bool,
        handle: &Handle,
    ) -> io::Result<Child> {
        let (stdin, stdout, stderr) = (std.stdin.take(), std.stdout.take(), std.stderr.take());
        let mut guard = Guard { running: Some(Running::new(std)), kill_on_drop: true };
        let stdin = stdin.map(|pipe| ChildStdin::with_handle(pipe, handle.clone()));
        let stdout = stdout.map(|pipe| ChildStdout::with_handle(pipe, handle.clone()));
        let stderr = stderr.map(|pipe| ChildStderr::with_handle(pipe, handle.clone()));
        let (stdin, stdout) = (stdin.transpose()?, stdout.transpose()?);
        let stderr = stderr.transpose()?;
        guard.kill_on_drop = kill_on_drop;
        Ok(Child { state: State::Running(guard), stdin, stdout, stderr })
    }

    /// The number of the process; `None` once its end has been taken note of, since the number may
    /// be another's then.
    pub fn id(&self) -> Option<u32> {
        match &self.state {
            State::Running(guard) => guard.running.as_ref().map(Running::id),
            State::Ended(_) => None,
        }
    }

    /// Waits for the end of the child, and tells how it ended; the same each time that it is asked.
    ///
    /// Its input is closed first, if it is here: a child that reads to the end comes to it.
    /// [`take`](Option::take) it out to prevent that. A child that fills a pipe which nobody reads
    /// waits, and so does this: see [`wait_with_output`](Self::wait_with_output).
    ///
    /// # Cancel safety
    ///
    /// Cancelled, nothing is lost but the child's input.
    ///
    /// # Errors
    ///
    /// `ECHILD`, if somebody else took note of its end; that of the I/O driver, if this is the
    /// runtime's first source.
    ///
    /// # Panics
    ///
    /// If the future is polled outside a runtime, and the child has not ended.
    pub async fn wait(&mut self) -> io::Result<ExitStatus> {
        drop(self.stdin.take());
        match &mut self.state {
            State::Ended(status) => Ok(*status),
            State::Running(guard) => {
                let status = guard.running().wait().await?;
                Ok(self.ended(status))
            }
        }
    }

    /// How the child ended; `None` if it goes on.
    ///
    /// # Errors
    ///
    /// `ECHILD`, if somebody else took note of its end.
    pub fn try_wait(&mut self) -> io::Result<Option<ExitStatus>> {
        match &mut self.state {
            State::Ended(status) => Ok(Some(*status)),
            State::Running(guard) => {
                let status = guard.running().std().try_wait()?;
                Ok(status.map(|status| self.ended(status)))
            }
        }
    }

    fn ended(&mut self, status: ExitStatus) -> ExitStatus {
        if let State::Running(guard) = &mut self.state {
            guard.running = None;
        }
        self.state = State::Ended(status);
        status
    }

    /// Sends it `SIGKILL`, which it cannot refuse, and does not wait for its end. Where that has
    /// been taken note of, nothing happens.
    pub fn start_kill(&mut self) -> io::Result<()> {
        match &mut self.state {
            State::Ended(_) => Ok(()),
            State::Running(guard) => guard.running().std().kill(),
        }
    }

    /// Sends it `SIGKILL`, and waits for its end. Cancel safety and panics are those of
    /// [`wait`](Self::wait).
    ///
    /// # Examples
    ///
    /// To ask first:
    ///
    /// ```
    /// use std::time::Duration;
    /// use threadlet::process::{Child, Command};
    /// use threadlet::time::timeout;
    ///
    /// async fn end(mut child: Child) -> std::io::Result<()> {
    ///     let Some(id) = child.id() else { return Ok(()) };
    ///     Command::new("kill").arg(id.to_string()).status().await?;
    ///     if timeout(Duration::from_millis(100), child.wait()).await.is_err() {
    ///         child.kill().await?;
    ///     }
    ///     Ok(())
    /// }
    ///
    /// # fn main() -> std::io::Result<()> {
    /// threadlet::block_on(async {
    ///     end(Command::new("sleep").arg("1000").spawn()?).await
    /// })
    /// # }
    /// ```
    pub async fn kill(&mut self) -> io::Result<()> {
        self.start_kill()?;
        self.wait().await?;
        Ok(())
    }

    /// Reads both outputs, if they are pipes, to their ends, and waits for the child's.
    ///
    /// # Cancel safety
    ///
    /// Cancelled, the child is dropped, and what was read is lost.
    ///
    /// # Errors
    ///
    /// Those of [`wait`](Self::wait) and of reading.
    ///
    /// # Panics
    ///
    /// As [`wait`](Self::wait).
    pub async fn wait_with_output(mut self) -> io::Result<Output> {
        let (mut stdout, mut stderr) = (self.stdout.take(), self.stderr.take());
        let all = try_join3(self.wait(), read(&mut stdout), read(&mut stderr)).await;
        // Not before the child has ended: it would be killed by a write.
        drop((stdout, stderr));
        let (status, stdout, stderr) = all?;
        Ok(Output { status, stdout, stderr })
    }
}

async fn read(pipe: &mut Option<impl AsyncRead + Unpin>) -> io::Result<Vec<u8>> {
    let mut all = Vec::new();
    if let Some(pipe) = pipe {
        pipe.read_to_end(&mut all).await?;
    }
    Ok(all)
}
