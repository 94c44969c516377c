//! Asked to stop: SIGINT (Ctrl-C) or SIGTERM. The first one begins a drain, the second one ends the process at once.

use anyhow::{Context, Result};
use std::process::exit;
use tokio::signal::unix::{Signal, SignalKind, signal};

/// Waits for signals. Made before there is anything to stop, so that none is missed.
pub(crate) struct Stop {
    interrupt: Signal,
    terminate: Signal,
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
