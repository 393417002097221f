//! `UCred`.

use super::{gid_t, pid_t, uid_t};

/// Who the process at the other end of a Unix socket was when the connection was made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct UCred {
    pub(super) pid: pid_t,
    pub(super) uid: uid_t,
    pub(super) gid: gid_t,
}

impl UCred {
    /// Its effective user.
    pub fn uid(&self) -> uid_t {
        self.uid
    }

    /// Its effective group.
    pub fn gid(&self) -> gid_t {
        self.gid
    }

    /// Its process; `None` if that cannot be named here, in another PID namespace.
    pub fn pid(&self) -> Option<pid_t> {
        (self.pid > 0).then_some(self.pid)
    }
}
