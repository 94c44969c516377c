//! Asked to stop: SIGINT (Ctrl-C) or SIGTERM. The first one begins a drain, the second one ends the process at once. And
//! asked to go on differently: SIGHUP reloads, SIGUSR2 restarts in place.

use anyhow::{Context, Result};
use std::process::exit;
use tokio::signal::unix::{Signal, SignalKind, signal};

/// Waits for signals. Made before there is anything to stop, so that none is missed.
pub(crate) struct Stop {
    interrupt: Signal,
    terminate: Signal,
}

/// Waits for signals that ask for something else than an end.
pub(crate) struct Again {
    reload: Signal,
    restart: Signal,
}

/// What was asked for.
pub(crate) enum Asked {
    Reload,
    Restart,
}

impl Again {
    pub(crate) fn listen() -> Result<Self> {
        let listen = |kind| signal(kind).context("cannot listen for signals");
        Ok(Self { reload: listen(SignalKind::hangup())?, restart: listen(SignalKind::user_defined2())? })
    }

    /// Returns at the next signal. Dropping it loses nothing.
    pub(crate) async fn asked(&mut self) -> Asked {
        tokio::select! {
            _ = self.reload.recv() => Asked::Reload,
            _ = self.restart.recv() => Asked::Restart,
        }
    }
}

impl Stop {
    /// From here on signals no longer end the process by themselves.
    pub(crate) fn listen() -> Result<Self> {
        let listen = |kind| signal(kind).context("cannot listen for signals");
        Ok(Self { interrupt: listen(SignalKind::interrupt())?, terminate: listen(SignalKind::terminate())? })
    }

    /// Returns at the next request to stop. Dropping it loses nothing.
    pub(crate) async fn asked(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }

    /// Ends the process with status 1 when it is asked again. Never returns.
    pub(crate) async fn forced(&mut self) -> std::convert::Infallible {
        self.asked().await;
        exit(1)
    }
}
