//! The socket: made with mode 0600, replaced if a node that is gone left one behind, refused if a node still answers on
//! it, and removed at the end.

use crate::api::router;
use crate::control::Control;
use crate::identity::Identity;
use crate::limits::{CONNECTION_TIME, CONNECTIONS, HEAD_TIME};
use axum::Router;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use rimward_node::{Node, Spare};
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::Semaphore;
use tokio::task::{AbortHandle, JoinSet};

/// A served admin API. Dropping it closes the socket and ends its connections.
#[derive(Debug)]
pub struct Server {
    socket: PathBuf,
    task: AbortHandle,
}

/// Why the admin API cannot be served.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// Somebody answers there.
    #[error("a node already answers on `{}`: stop it, or name another socket with `admin.socket`", .0.display())]
    Taken(PathBuf),
    /// The socket cannot be made.
    #[error("cannot make the socket `{}`", path.display())]
    Socket {
        /// The socket.
        path: PathBuf,
        /// Why not.
        #[source]
        source: io::Error,
    },
}

/// Serves the admin API of `node` on `socket`, on the current runtime. What only the program can do goes to `control`.
pub fn serve(node: Arc<Node>, socket: &Path, control: Control) -> Result<Server, ServeError> {
    let listener = listen(socket)?;
    let task = tokio::spawn(accept(listener, router(node).layer(axum::Extension(control)))).abort_handle();
    Ok(Server { socket: socket.to_owned(), task })
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
        // Gone already is as good.
        let _ = std::fs::remove_file(&self.socket);
    }
}

fn listen(path: &Path) -> Result<UnixListener, ServeError> {
    let fail = |source| ServeError::Socket { path: path.to_owned(), source };
    if std::os::unix::net::UnixStream::connect(path).is_ok() {
        return Err(ServeError::Taken(path.to_owned()));
    }
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(fail(error)),
        _ => {}
    }
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder).map_err(fail)?;
    }
    // Made under another name with its mode, then moved: at no moment can others connect.
    let beside = path.with_extension(format!("new-{}", std::process::id()));
    let listener = UnixListener::bind(&beside).map_err(fail)?;
    std::fs::set_permissions(&beside, PermissionsExt::from_mode(0o600)).map_err(fail)?;
    std::fs::rename(&beside, path).map_err(fail)?;
    Ok(listener)
}

async fn accept(listener: UnixListener, router: Router) {
    let room = Arc::new(Semaphore::new(CONNECTIONS));
    let mut spare = Spare::default();
    // Ends with this task.
    let mut connections = JoinSet::new();
    loop {
        while connections.try_join_next().is_some() {}
        let permit = room.clone().acquire_owned().await.expect("the semaphore is never closed");
        match spare.accept(|| listener.accept()).await {
            Ok((stream, _)) => {
                let router = router.clone();
                connections.spawn(async move {
                    let _permit = permit;
                    connection(stream, router).await;
                });
            }
            Err(error) => {
                const PAUSE: Duration = Duration::from_millis(50);
                tracing::warn!(%error, "a connection to the admin socket could not be accepted");
                tokio::time::sleep(PAUSE).await;
            }
        }
    }
}

async fn connection(stream: UnixStream, router: Router) {
    let identity = match stream.peer_cred() {
        Ok(peer) => Identity::of_peer(&peer),
        Err(error) => {
            return tracing::warn!(%error, "the peer of an admin connection is unknown; it was closed");
        }
    };
    if !identity.may_enter() {
        return tracing::warn!(
            ?identity,
            "another user connected to the admin socket; the connection was closed"
        );
    }
    let service = TowerToHyperService::new(router.layer(axum::Extension(identity)));
    let serving = hyper::server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIME)
        .serve_connection(TokioIo::new(stream), service);
    match tokio::time::timeout(CONNECTION_TIME, serving).await {
        Ok(Ok(())) | Err(_) => {}
        Ok(Err(error)) => tracing::debug!(%error, "an admin connection ended early"),
    }
}
