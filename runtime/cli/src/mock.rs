//! Stand-ins for upstreams on an author's machine: one that answers from a file of replies, and one that asks the real
//! upstream and writes such a file. Each is a small server on loopback in place of the upstream's own address, so that
//! retries, breaker, fallback, cache and outbox do what they do on a node.

mod fixtures;
mod record;
mod server;

use anyhow::{Context, Result, bail};
use rimward_manifest::{App, Name, Upstream};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::str::FromStr;

/// An upstream, and the file of its replies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Stand {
    upstream: Name,
    file: PathBuf,
}

/// The stand-ins of a session.
#[derive(Debug, Default)]
pub(crate) struct Mocks {
    stand_ins: BTreeMap<Name, StandIn>,
}

#[derive(Clone, Copy, Debug)]
struct StandIn {
    address: SocketAddr,
    /// Whether the real upstream is asked in the end.
    is_recorded: bool,
}

/// What a stand-in tells its author.
pub(crate) type Tell = std::sync::Arc<dyn Fn(&(dyn std::error::Error + 'static)) + Send + Sync>;

impl FromStr for Stand {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> Result<Self> {
        let (upstream, file) =
            text.split_once('=').context("write an upstream and a file: `vision=fixtures/vision.toml`")?;
        if file.is_empty() {
            bail!("name the file of the replies: `{upstream}=fixtures/{upstream}.toml`");
        }
        Ok(Self { upstream: upstream.parse()?, file: file.into() })
    }
}

impl std::fmt::Display for Stand {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}={}", self.upstream, self.file.display())
    }
}

impl Mocks {
    /// Starts the stand-ins for upstreams of `app`, inside the runtime that drives them. Files are looked for in `folder`.
    ///
    /// # Errors
    /// There is no such upstream, its file cannot be read, or it cannot be recorded.
    pub(crate) async fn start(
        app: &App,
        folder: &Path,
        mocked: &[Stand],
        recorded: &[Stand],
        tell: &Tell,
    ) -> Result<Self> {
        let mut mocks = Self::default();
        for (stand, is_recorded) in
            mocked.iter().map(|stand| (stand, false)).chain(recorded.iter().map(|stand| (stand, true)))
        {
            let Some(upstream) = app.upstreams.get(&stand.upstream) else {
                bail!("the app has no upstream `{}`: it has {}", stand.upstream, names(app));
            };
            let file = folder.join(&stand.file);
            let address = match is_recorded {
                true => record::start(&stand.upstream, upstream, file, tell.clone()).await?,
                false => fixtures::start(file, tell.clone()).await?,
            };
            let stand_in = StandIn { address, is_recorded };
            if mocks.stand_ins.insert(stand.upstream.clone(), stand_in).is_some() {
                bail!("the upstream `{}` has two stand-ins", stand.upstream);
            }
        }
        Ok(mocks)
    }

    /// Has the app call the stand-ins. What belongs to the way to the real one is gone: other places, health checks, and
    /// what proves who calls, unless the real one is asked in the end.
    pub(crate) fn put_into(&self, app: &mut App) {
        for (name, stand_in) in &self.stand_ins {
            let Some(upstream) = app.upstreams.get_mut(name) else { continue };
            let Upstream { url, endpoints, health, headers, auth, client_certificate, ca, .. } = upstream;
            *url = format!("http://{}", stand_in.address).parse().expect("it is an origin");
            endpoints.clear();
            *health = None;
            if !stand_in.is_recorded {
                headers.retain(|_, value| value.secrets().next().is_none());
                (*auth, *client_certificate, *ca) = (None, None, None);
            }
        }
    }

    /// Which upstreams have one, and where it is.
    pub(crate) fn each(&self) -> impl Iterator<Item = (&Name, SocketAddr, bool)> {
        self.stand_ins.iter().map(|(name, stand_in)| (name, stand_in.address, stand_in.is_recorded))
    }
}

fn names(app: &App) -> String {
    match app.upstreams.is_empty() {
        true => "none".to_owned(),
        false => app.upstreams.keys().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", "),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stand_in_is_an_upstream_and_a_file() {
        let stand: Stand = "vision=fixtures/vision.toml".parse().unwrap();
        assert_eq!(stand.to_string(), "vision=fixtures/vision.toml");
        for wrong in ["vision", "vision=", "=file", "Vision Server=file"] {
            assert!(wrong.parse::<Stand>().is_err(), "{wrong}");
        }
    }
}
