//! The models of an app: files are loaded, and what is declared becomes what decides for each call.

use super::{Install, InstallError};
use crate::node::{Placed, Shared};
use rimward_capability::ModelGrant;
use rimward_capability::models::Caller;
use rimward_inference::confidence::Rule;
use rimward_inference::remote::{Protocol, RemoteModel};
use rimward_inference::{Confidence, Mode, Model};
use rimward_manifest::{ConfidenceRule, Duration, ModelMode, ModelPlace, ModelProtocol, Name};
use rimward_upstream::Upstream;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

impl Install<'_> {
    pub(super) async fn models(
        &self,
        upstreams: &BTreeMap<Name, Arc<Upstream>>,
    ) -> Result<BTreeMap<Name, ModelGrant>, InstallError> {
        let key = (self.placement.tenant.clone(), self.bundle.app.name.clone());
        // Counters go on.
        let before = self.node.apps().get(&key).map(|placed| placed.models.clone()).unwrap_or_default();
        let mut models = BTreeMap::new();
        for (name, declared) in &self.bundle.app.models {
            let place = declared.place();
            let local = match declared.local.as_ref().filter(|_| place != ModelPlace::Remote) {
                None => None,
                Some(_) if !self.may_run_models() => {
                    return Err(InstallError::LocalModels { name: name.clone() });
                }
                Some(local) => {
                    let file = &self.bundle.files[&local.file];
                    let loaded =
                        self.node.models.load(&self.placement.tenant, file, self.node.core_count).await;
                    Some(loaded.map_err(|source| InstallError::Model { name: name.clone(), source })?)
                }
            };
            let remote = declared.remote.as_ref().filter(|_| place != ModelPlace::Local);
            let model = Model {
                name: name.to_string(),
                deadline: declared.deadline.map(Duration::get),
                mode: mode(declared.mode()),
                confidence: confidence(declared),
                allows_non_finite: declared.allow_non_finite,
                local,
                remote: remote.map(|remote| {
                    let there = remote.model.as_deref().unwrap_or(name.as_str());
                    RemoteModel::new(there, remote.version.as_deref(), protocol(remote))
                }),
                judge: Mutex::default(),
                tally: before.get(name).map(|grant| grant.model.tally.clone()).unwrap_or_default(),
            };
            let upstream = remote.map(|remote| upstreams[&remote.upstream].clone());
            let memory = self.node.models.call_memory.clone();
            models.insert(name.clone(), ModelGrant { model: Arc::new(model), upstream, memory });
        }
        Ok(models)
    }

    /// Where nothing bounds what a model takes of memory and time, it is for tenants who are trusted with that.
    fn may_run_models(&self) -> bool {
        let is_trusted = self.node.models.is_isolated() || self.settings.tenants.len() == 1;
        self.tenant.local_models.unwrap_or(is_trusted)
    }
}

fn protocol(declared: &rimward_manifest::RemoteModel) -> Protocol {
    match declared.protocol {
        ModelProtocol::OipHttp => Protocol::Http { is_binary: declared.binary },
        ModelProtocol::OipGrpc => Protocol::Grpc,
    }
}

fn mode(declared: ModelMode) -> Mode {
    match declared {
        ModelMode::Hedge => Mode::Hedge,
        ModelMode::Fallback => Mode::Fallback,
        ModelMode::Escalate => Mode::Escalate,
    }
}

/// Where nothing is asked about it, none is computed.
fn confidence(declared: &rimward_manifest::Model) -> Option<Confidence> {
    let is_asked = declared.confidence.is_some() || declared.min_confidence.is_some();
    is_asked.then(|| Confidence {
        rule: match declared.confidence.unwrap_or(ConfidenceRule::Maximum) {
            ConfidenceRule::Maximum => Rule::Maximum,
            ConfidenceRule::Softmax => Rule::Softmax,
            ConfidenceRule::Margin => Rule::Margin,
            ConfidenceRule::Entropy => Rule::Entropy,
            ConfidenceRule::Value => Rule::Value,
        },
        output: declared.confidence_output.clone(),
        least: declared.min_confidence.map_or(0.0, rimward_manifest::Confidence::get),
    })
}

/// Asks the servers of an app's models what those take, and tells the operator where that is something else than what the
/// node's own models take. A server that is not there is asked again by the first call.
pub(super) fn ask_servers(node: &Arc<Shared>, (tenant, app): &(Name, Name), placed: &Placed) {
    for grant in placed.models.values().filter(|grant| grant.upstream.is_some()).cloned() {
        let core = node.core_of_this_thread();
        let (client, tenant, app) = (core.client(tenant), tenant.clone(), app.clone());
        core.runtime.spawn(async move {
            let caller = Caller { client: &client, traceparent: None, request_id: "", deadline: None };
            let model = &grant.model.name;
            match caller.differences(&grant).await {
                Ok(differences) => differences.iter().for_each(|difference| {
                    tracing::warn!(%tenant, %app, model, difference, "the two sides of a model are not alike");
                }),
                Err(error) => tracing::debug!(%tenant, %app, model, %error, "the server of a model did not say what it takes"),
            }
        });
    }
}
