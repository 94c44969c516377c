//! The models on this node: each file is loaded once, however many apps and revisions name it, and forgotten with the last.
//!
//! The engine and its threads are there from the first model on: a node without one has neither.

use rimward_bundle::Digest;
use rimward_inference::Error;
use rimward_inference::local::{Engine, LocalModel, WeakModel};
use rimward_manifest::Name;
use std::collections::BTreeMap;
use std::io;
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};

#[derive(Default)]
pub(crate) struct Models {
    engine: OnceLock<Engine>,
    /// By tenant too: who waits for a model waits for its own tenant's calls.
    loaded: Mutex<BTreeMap<(Name, [u8; 32]), WeakModel>>,
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
    /// The model in `file`. One installation at a time asks.
    pub(crate) async fn load(
        &self,
        tenant: &Name,
        file: &[u8],
        cores: usize,
    ) -> Result<LocalModel, ModelError> {
        let key = (tenant.clone(), *Digest::of(file).as_bytes());
        if let Some(model) = self.loaded().get(&key).and_then(WeakModel::upgrade) {
            return Ok(model);
        }
        let engine = match self.engine.get() {
            Some(engine) => engine.clone(),
            None => {
                let engine = Engine::start(cores).map_err(ModelError::Threads)?;
                self.engine.get_or_init(|| engine).clone()
            }
        };
        let model = engine.load(file.to_vec()).await?;
        let mut loaded = self.loaded();
        loaded.retain(|_, model| model.upgrade().is_some());
        loaded.insert(key, model.downgrade());
        Ok(model)
    }

    fn loaded(&self) -> MutexGuard<'_, BTreeMap<(Name, [u8; 32]), WeakModel>> {
        self.loaded.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
