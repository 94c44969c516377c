//! What an operator sees of calls that leave the node, and may do about them: upstreams, outboxes and models.

use crate::node::{Node, Shared};
use crate::upstreams::{KnownUpstream, UpstreamId};
use rimward_capability::models::{Caller, ModelGrant};
use rimward_inference::{Comparison, Error, Kind, Model};
use rimward_manifest::Name;
use rimward_upstream::outbox::Outbox;
use std::sync::Arc;

/// An outbox of the node.
#[derive(Debug, Clone)]
pub struct OpenOutbox {
    /// Whose app it is of.
    pub tenant: Name,
    /// The app.
    pub app: Name,
    /// The upstream whose calls wait in it.
    pub upstream: Name,
    /// The outbox itself.
    pub outbox: Outbox,
}

/// A model of an app that serves.
#[derive(Debug, Clone)]
pub struct KnownModel {
    /// Whose app it is of.
    pub tenant: Name,
    /// The app.
    pub app: Name,
    /// Its name there.
    pub name: Name,
    /// What the app says of it.
    pub declared: rimward_manifest::Model,
    /// The model itself.
    pub model: Arc<Model>,
}

impl Node {
    /// The models of the apps that serve, by tenant, app and name.
    pub fn models(&self) -> Vec<KnownModel> {
        let apps = self.shared.apps();
        let named = apps.iter().flat_map(|((tenant, app), placed)| {
            let declared = placed.app.models.iter();
            declared.map(move |(name, declared)| (tenant, app, name, declared, placed.models.get(name)))
        });
        let known = named.filter_map(|(tenant, app, name, declared, grant)| {
            let (tenant, app, name) = (tenant.clone(), app.clone(), name.clone());
            Some(KnownModel { tenant, app, name, declared: declared.clone(), model: grant?.model.clone() })
        });
        known.collect()
    }

    /// How long each side of a model takes for `calls` calls of zeros. They go the way that its calls go.
    ///
    /// # Errors
    /// What the model takes is not known, or its app is gone.
    pub async fn compare_model(&self, known: &KnownModel, calls: u32) -> Result<Comparison, Error> {
        let gone = || Error::new(Kind::NotFound, "the app is gone");
        let id = (known.tenant.clone(), known.app.clone());
        let grant: Option<ModelGrant> =
            self.shared.apps().get(&id).and_then(|placed| placed.models.get(&known.name).cloned());
        let grant = grant.ok_or_else(gone)?;
        let core = self.shared.core_of_this_thread();
        let client = core.client(&known.tenant);
        let measured = core.runtime.spawn(async move {
            let caller = Caller { client: &client, traceparent: None, request_id: "", deadline: None };
            caller.compare(&grant, calls).await
        });
        measured.await.map_err(|_stopped| gone())?
    }

    /// The upstreams of the apps that serve, by tenant, app and name.
    pub fn upstreams(&self) -> Vec<KnownUpstream> {
        self.shared.known_upstreams()
    }

    /// The outboxes that are open, likewise.
    pub fn outboxes(&self) -> Vec<OpenOutbox> {
        let open = |post: std::sync::Arc<crate::outboxes::Post>| {
            let UpstreamId { tenant, app, upstream } = post.id.clone();
            OpenOutbox { tenant, app, upstream, outbox: post.outbox.clone() }
        };
        self.shared.outboxes.all().into_iter().map(open).collect()
    }
}

impl Shared {
    pub(crate) fn known_upstreams(&self) -> Vec<KnownUpstream> {
        let apps = self.apps();
        let named = apps.iter().flat_map(|((tenant, app), placed)| {
            placed.app.upstreams.iter().map(move |(name, declared)| (tenant, app, placed, name, declared))
        });
        let known = named.filter_map(|(tenant, app, placed, name, declared)| {
            let id = UpstreamId { tenant: tenant.clone(), app: app.clone(), upstream: name.clone() };
            let (state, tally) = self.upstreams.find(&id)?;
            let bound = placed.bind.upstreams.get(name).and_then(|binding| binding.url.as_ref());
            let url = bound.unwrap_or(&declared.url).get().to_string();
            Some(KnownUpstream { tenant: id.tenant, app: id.app, name: id.upstream, url, state, tally })
        });
        known.collect()
    }
}
