//! What an operator sees of calls that leave the node, and may do about them: upstreams and outboxes.

use crate::node::{Node, Shared};
use crate::upstreams::{KnownUpstream, UpstreamId};
use rimward_manifest::Name;
use rimward_upstream::outbox::Outbox;

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

impl Node {
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
