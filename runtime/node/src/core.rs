//! One core: a runtime on one thread, its listening sockets, its connections, and what it does not share with others.

use crate::node::Shared;
use arc_swap::ArcSwap;
use rimward_manifest::Name;
use rimward_upstream::Client;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use tokio::runtime::Handle;

/// One core.
pub(crate) struct Core {
    pub(crate) index: usize,
    pub(crate) node: Arc<Shared>,
    pub(crate) runtime: Handle,
    /// The way out for each tenant: connections are not shared between tenants.
    clients: ArcSwap<BTreeMap<Name, Arc<Client>>>,
    load: Arc<Load>,
}

/// How much a core has to do.
#[derive(Debug, Default)]
pub(crate) struct Load {
    pub(crate) connections: AtomicUsize,
    invocations: AtomicUsize,
}

impl Core {
    /// Made on the core's own runtime, which drives the clients' connections.
    pub(crate) fn new(
        index: usize,
        node: Arc<Shared>,
        load: Arc<Load>,
    ) -> Result<Self, rimward_upstream::ClientError> {
        let core = Self { index, clients: ArcSwap::default(), node, runtime: Handle::current(), load };
        let tenants: Vec<_> = core.node.settings.load().tenants.keys().cloned().collect();
        core.open_clients(&tenants)?;
        Ok(core)
    }

    /// Makes the way out for tenants that are new. On the core's own runtime, as [`Core::new`].
    pub(crate) fn open_clients(&self, tenants: &[Name]) -> Result<(), rimward_upstream::ClientError> {
        let mut clients = BTreeMap::clone(&self.clients.load());
        for tenant in tenants {
            if !clients.contains_key(tenant) {
                clients.insert(tenant.clone(), Arc::new(Client::new(self.node.client_config.clone())?));
            }
        }
        self.clients.store(Arc::new(clients));
        Ok(())
    }

    pub(crate) fn client(&self, tenant: &Name) -> Arc<Client> {
        self.clients.load().get(tenant).expect("a function belongs to a tenant of the node").clone()
    }

    pub(crate) fn load(&self) -> &Arc<Load> {
        &self.load
    }

    /// Counts an invocation for as long as the answer is held.
    pub(crate) fn working(&self) -> Working {
        self.load.invocations.fetch_add(1, Relaxed);
        Working(self.load.clone())
    }
}

impl Load {
    pub(crate) fn invocations(&self) -> usize {
        self.invocations.load(Relaxed)
    }
}

/// One invocation under way.
pub(crate) struct Working(Arc<Load>);

impl Drop for Working {
    fn drop(&mut self) {
        self.0.invocations.fetch_sub(1, Relaxed);
    }
}
