//! Who asks. On the unix socket that is the user of the process at the other end, as the kernel tells it; the socket's
//! mode lets in only the node's own user and root.

use tokio::net::unix::UCred;

/// Who asks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Identity {
    /// A process of this machine.
    Local {
        /// Its user.
        uid: u32,
        /// Its number, where the kernel tells it.
        pid: Option<i32>,
    },
}

impl Identity {
    pub(crate) fn of_peer(peer: &UCred) -> Self {
        Self::Local { uid: peer.uid(), pid: peer.pid() }
    }

    /// Only the node's own user and root: the socket's mode says so too, but a mode can be changed.
    pub(crate) fn may_enter(&self) -> bool {
        let Self::Local { uid, .. } = *self;
        uid == 0 || uid == rustix::process::geteuid().as_raw()
    }
}
