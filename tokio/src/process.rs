//! Children, as [`tokio::process`](https://docs.rs/tokio/1.54/tokio/process/).

mod command;

use std::io;
use std::os::fd::OwnedFd;
use std::process::{ExitStatus, Output, Stdio};

use threadlet::process as ours;

pub use self::command::Command;
use crate::adapt::{around, descriptor, forward, makes, read_zeroed, write};

/// A child that was started.
#[derive(Debug)]
pub struct Child {
    inner: ours::Child,
    /// What it reads, if that is a pipe.
    pub stdin: Option<ChildStdin>,
    /// What it writes, if that is a pipe.
    pub stdout: Option<ChildStdout>,
    /// What it writes its errors to, if that is a pipe.
    pub stderr: Option<ChildStderr>,
}

impl Child {
    fn new(mut inner: ours::Child) -> Child {
        Child {
            stdin: inner.stdin.take().map(ChildStdin),
            stdout: inner.stdout.take().map(ChildStdout),
            stderr: inner.stderr.take().map(ChildStderr),
            inner,
        }
    }

    /// Its number, until it was waited for.
    pub fn id(&self) -> Option<u32> {
        self.inner.id()
    }

    /// Kills it, and does not wait for it.
    pub fn start_kill(&mut self) -> io::Result<()> {
        self.inner.start_kill()
    }

    /// Kills it, and waits for it.
    pub async fn kill(&mut self) -> io::Result<()> {
        self.inner.kill().await
    }

    /// Closes what it reads, and waits for it.
    pub async fn wait(&mut self) -> io::Result<ExitStatus> {
        // A child may wait for the end of what it reads.
        drop(self.stdin.take());
        self.inner.wait().await
    }

    /// How it has ended, if it has.
    pub fn try_wait(&mut self) -> io::Result<Option<ExitStatus>> {
        self.inner.try_wait()
    }

    /// Waits for it, and reads all that it writes.
    pub async fn wait_with_output(mut self) -> io::Result<Output> {
        self.inner.stdin = self.stdin.take().map(|pipe| pipe.0);
        self.inner.stdout = self.stdout.take().map(|pipe| pipe.0);
        self.inner.stderr = self.stderr.take().map(|pipe| pipe.0);
        self.inner.wait_with_output().await
    }
}

macro_rules! pipes {
    ($($(#[$doc:meta])* $name:ident: $adapt:ident;)+) => {$(
        around! {
            $(#[$doc])*
            $name, ours::$name
        }
        descriptor!($name);
        $adapt!([] $name);

        impl $name {
            makes! { "process/index.html" ours::$name:
                fn from_std(pipe: std::process::$name);
            }
            forward! { "process/index.html"
                fn into_owned_fd(self) -> io::Result<OwnedFd>;
            }
        }

        impl TryInto<Stdio> for $name {
            type Error = io::Error;

            fn try_into(self) -> io::Result<Stdio> {
                self.into_owned_fd().map(Stdio::from)
            }
        }
    )+};
}
pipes! {
    /// What a child reads.
    ChildStdin: write;
    /// What a child writes.
    ChildStdout: read_zeroed;
    /// What a child writes its errors to.
    ChildStderr: read_zeroed;
}
