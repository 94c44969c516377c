//! One author's session: build, install, wait for a change, again. Never ends by itself; dropping it stops a running
//! build. Whatever goes wrong is told, and what served before goes on.

use super::event::{Event, Events, Milliseconds};
use super::watch::{Changes, Watch};
use crate::limits::COMPILING_SHOWN;
use crate::local;
use crate::mock::Mocks;
use crate::shell::{self, Step};
use anyhow::{Result, bail};
use rimward_bundle::Bundle;
use rimward_manifest::{App, Name};
use rimward_node::Node;
use std::collections::BTreeSet;
use std::convert::Infallible;
use std::path::PathBuf;
use std::pin::pin;
use std::sync::Arc;
use std::time::Instant;

/// What a session works on.
pub(super) struct Session {
    folder: PathBuf,
    app: App,
    node: Arc<Node>,
    events: Events,
    mocks: Mocks,
    watch: Watch,
    /// Secrets that the node was started with.
    secrets: BTreeSet<Name>,
    /// What serves.
    revision: Option<String>,
    /// Functions whose last build failed: built again at the next change of anything.
    unbuilt: BTreeSet<Name>,
}

impl Session {
    /// A session for `app` in `folder`, an absolute path. Watches from now on.
    pub(super) fn new(
        folder: PathBuf,
        app: App,
        node: Arc<Node>,
        events: Events,
        mocks: Mocks,
    ) -> Result<Self> {
        let watch = Watch::start(&folder, &app)?;
        let secrets = app.secrets().into_iter().cloned().collect();
        let unbuilt = app.functions.keys().cloned().collect();
        Ok(Self { folder, app, node, events, mocks, watch, secrets, revision: None, unbuilt })
    }

    /// Builds and installs, now and after each change.
    pub(super) async fn run(&mut self) -> Result<Infallible> {
        let mut changes = Changes::default();
        loop {
            if let Err(error) = self.round(&changes).await {
                self.events.tell(&Event::failed(&error, self.revision.as_deref()));
            }
            changes = self.watch.changed().await;
            self.events.tell(&Event::changed(&self.folder, &changes.files));
        }
    }

    async fn round(&mut self, changes: &Changes) -> Result<()> {
        if changes.app {
            self.read_app()?;
        }
        self.unbuilt.extend(changes.functions.iter().cloned());
        for step in shell::steps(&self.folder, &self.app) {
            if step.functions.iter().any(|function| self.unbuilt.contains(function)) {
                self.build(&step).await?;
            }
        }
        self.unbuilt.clear();
        self.install().await
    }

    /// The app as it is declared now. All of it is built again: cargo knows best what that means.
    fn read_app(&mut self) -> Result<()> {
        let app = App::read(&self.folder.join("rimward.toml"))?;
        if let Some(secret) = app.secrets().into_iter().find(|secret| !self.secrets.contains(*secret)) {
            bail!("the app asks for another secret, `{secret}`: start `rimward dev` again");
        }
        if app != self.app {
            self.watch = Watch::start(&self.folder, &app)?;
            self.unbuilt.extend(app.functions.keys().cloned());
            self.app = app;
        }
        Ok(())
    }

    async fn build(&mut self, step: &Step) -> Result<()> {
        self.events.tell(&Event::Building { command: &step.command, functions: &step.functions });
        let started = Instant::now();
        let mut command = tokio::process::Command::from(step.prepare()?);
        step.judge(command.kill_on_drop(true).status().await)?;
        self.unbuilt.retain(|function| !step.functions.contains(function));
        self.events.tell(&Event::Built { functions: &step.functions, ms: Milliseconds(started.elapsed()) });
        Ok(())
    }

    async fn install(&mut self) -> Result<()> {
        let mut bundle = Bundle::from_directory(&self.folder)?;
        self.mocks.put_into(&mut bundle.app);
        let revision = bundle.revision.to_string();
        if self.revision.as_ref() == Some(&revision) {
            self.events.tell(&Event::Unchanged { revision: &revision });
            return Ok(());
        }
        let mut installing = pin!(self.node.install(bundle, local::as_declared()));
        let installed = match tokio::time::timeout(COMPILING_SHOWN, installing.as_mut()).await {
            Ok(installed) => installed,
            Err(_) => {
                self.events.tell(&Event::Compiling);
                installing.await
            }
        };
        let installed = installed.map_err(local::to_author)?;
        self.events.tell(&Event::serving(&self.app.name, &installed));
        self.revision = Some(revision);
        self.node.loaded();
        Ok(())
    }
}
