//! What only the program around a node can do: read its settings again, and execute itself anew. The API passes such a
//! request on through a small queue and waits for the answer.

use crate::limits::ASKS_WAITING;
use rimward_node::Reloaded;
use tokio::sync::{mpsc, oneshot};

/// Something that the program is asked for, and where it says what came of it.
#[derive(Debug)]
pub enum Ask {
    /// Read the settings again.
    Reload(oneshot::Sender<Result<Reloaded, String>>),
    /// Restart in place. The answer comes before the restart, when it is sure to happen.
    Restart(oneshot::Sender<Result<(), String>>),
}

/// The API's end of the queue.
#[derive(Debug, Clone)]
pub struct Control(mpsc::Sender<Ask>);

/// A queue for the API and the program.
pub fn control() -> (Control, mpsc::Receiver<Ask>) {
    let (sender, receiver) = mpsc::channel(ASKS_WAITING);
    (Control(sender), receiver)
}

/// Why there is no answer.
pub(crate) enum NoAnswer {
    /// The program takes no such request, or no more of them now.
    NotTaken,
    /// It was carried out in vain.
    Failed(String),
}

impl Control {
    pub(crate) async fn reload(&self) -> Result<Reloaded, NoAnswer> {
        self.ask(Ask::Reload).await
    }

    pub(crate) async fn restart(&self) -> Result<(), NoAnswer> {
        self.ask(Ask::Restart).await
    }

    async fn ask<T>(
        &self,
        ask: impl FnOnce(oneshot::Sender<Result<T, String>>) -> Ask,
    ) -> Result<T, NoAnswer> {
        let (tell, told) = oneshot::channel();
        self.0.try_send(ask(tell)).map_err(|_| NoAnswer::NotTaken)?;
        told.await.map_err(|_| NoAnswer::NotTaken)?.map_err(NoAnswer::Failed)
    }
}
