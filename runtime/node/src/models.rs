//! The models on this node: each file is loaded once for a tenant, however many apps and revisions name it, and forgotten with
//! the last.
//!
//! Each tenant's run in a process of its own, unless the operator says otherwise; then in this one. What runs them is there
//! from the first model on: a node without one has neither processes nor threads for them.

use bytes::Bytes;
use rimward_bundle::Digest;
use rimward_capability::models::CallMemory;
use rimward_inference::Error;
use rimward_inference::local::{Engine, Launcher, LocalModel, WeakModel};
use rimward_manifest::Name;
use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

pub(crate) struct Models {
    /// What calls under way may take together.
    pub(crate) call_memory: Arc<CallMemory>,
    launcher: Option<Launcher>,
    loaded: Mutex<BTreeMap<Name, Loaded>>,
}

/// A tenant's.
struct Loaded {
    engine: Engine,
    models: BTreeMap<[u8; 32], WeakModel>,
}

/// Why a model is not there.
#[derive(Debug, thiserror::Error)]
pub enum ModelError {
    /// The engine's threads did not start.
    #[error("the threads for models could not be started")]
    Threads(#[source] io::Error),
    /// The file is no model that the node can run.
    #[error(transparent)]
    Load(#[from] Error),
}

impl Models {
    pub(crate) fn new(declared: &rimward_manifest::Models, launcher: Option<Launcher>) -> Self {
        Self {
            call_memory: Arc::new(CallMemory::new(declared.call_memory.get())),
            launcher: launcher.filter(|_| declared.process),
            loaded: Mutex::default(),
        }
    }

    /// Whether what a model takes is bounded, and what it breaks is its own.
    pub(crate) fn is_isolated(&self) -> bool {
        self.launcher.is_some()
    }

    /// The model in `file`. One installation at a time asks.
    pub(crate) async fn load(
        &self,
        tenant: &Name,
        file: &Bytes,
        cores: usize,
    ) -> Result<LocalModel, ModelError> {
        let digest = *Digest::of(file).as_bytes();
        let engine = {
            let mut loaded = self.loaded();
            for loaded in loaded.values_mut() {
                loaded.models.retain(|_, model| model.upgrade().is_some());
            }
            // With its engine the process of a tenant ends who has no models any more.
            loaded.retain(|_, loaded| !loaded.models.is_empty());
            let of_tenant = loaded.get(tenant);
            if let Some(model) = of_tenant.and_then(|loaded| loaded.models.get(&digest)?.upgrade()) {
                return Ok(model);
            }
            match of_tenant {
                Some(loaded) => loaded.engine.clone(),
                None => self.start(cores).map_err(ModelError::Threads)?,
            }
        };
        let model = engine.load(file.clone()).await?;
        let mut loaded = self.loaded();
        let of_tenant = loaded.entry(tenant.clone());
        let of_tenant = of_tenant.or_insert_with(|| Loaded { engine, models: BTreeMap::new() });
        of_tenant.models.insert(digest, model.downgrade());
        Ok(model)
    }

    fn start(&self, cores: usize) -> io::Result<Engine> {
        match &self.launcher {
            Some(launcher) => Engine::launch(cores, launcher.clone()),
            None => Engine::start(cores),
        }
    }

    fn loaded(&self) -> MutexGuard<'_, BTreeMap<Name, Loaded>> {
        self.loaded.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
