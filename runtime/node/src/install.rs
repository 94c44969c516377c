//! The one way in: `dev`, `serve` and a deploy all hand over a bundle here. Verify, compile, link, replace the
//! snapshot; requests that are under way finish on the revision they began with. Whatever is wrong leaves what was
//! there serving.

mod error;
mod models;
mod outboxes;
mod reuse;
mod upstreams;

pub use error::InstallError;

use crate::FunctionId;
use crate::invoke::Siblings;
use crate::node::{Apps, Placed, Settings, Shared};
use crate::revision::{Deployed, FunctionLogs, Revision, Warm};
use crate::routes::Routes;
use crate::secrets;
use crate::tenants::TenantShare;
use crate::upstreams::Unwatched;
use rimward_bundle::{Bundle, Component};
use rimward_capability::{Clocks, Function, Grants, ModelGrant, config, http, keyvalue, logging};
use rimward_engine::{Code, Generation, GuestLimits, LoadError, Origin, Source, precompiled_key};
use rimward_manifest::{App, Bind, Cache, FunctionLimits, HostName, Name, RouteTable, StoreKind, Tenant};
use rimward_store::{Durability, StoreId, Stores};
use rimward_upstream::{Egress, HostPattern, Upstream};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::Semaphore;

/// Where a bundle goes.
#[derive(Debug, Clone)]
pub struct Placement {
    /// Whose it is.
    pub tenant: Name,
    /// What its names mean on this node.
    pub bind: Bind,
}

/// What came of an installation.
#[derive(Debug, Clone)]
pub struct Installed {
    /// What is serving now.
    pub revision: String,
    /// What it replaced, if anything.
    pub replaced: Option<String>,
    /// What it answers.
    pub routes: Vec<String>,
    /// Components that had to be compiled.
    pub compiled: usize,
    /// Time spent compiling and linking.
    pub prepare: Duration,
    /// Time for which the snapshot was being replaced.
    pub swap: Duration,
    /// Private and loopback origins that upstreams may be at because the node runs for development.
    pub private_origins: Vec<String>,
}

/// Everything that an installation works with.
struct Install<'a> {
    node: &'a Arc<Shared>,
    settings: &'a Settings,
    bundle: &'a Bundle,
    placement: &'a Placement,
    tenant: &'a Tenant,
    secrets: BTreeMap<Name, String>,
    private_origins: BTreeSet<String>,
}

pub(crate) async fn install(
    node: &Arc<Shared>,
    bundle: Bundle,
    placement: Placement,
) -> Result<Installed, InstallError> {
    let settings = node.settings.load_full();
    let prepared = prepare(node, &settings, bundle, placement).await?;
    let swapping = Instant::now();
    let mut next = node.apps().clone();
    let replaced = next.insert(prepared.key.clone(), prepared.placed.clone()).map(|old| old.revision);
    swap(node, &settings, next, Some(&prepared.key))?;
    let revision = &prepared.placed.revision;
    Ok(Installed {
        revision: revision.digest.to_string(),
        replaced: replaced.map(|old| old.digest.to_string()),
        routes: revision.routes.clone(),
        compiled: prepared.compiled,
        prepare: prepared.took,
        swap: swapping.elapsed(),
        private_origins: prepared.private_origins,
    })
}

/// An app that could serve now.
pub(crate) struct Prepared {
    pub(crate) key: (Name, Name),
    pub(crate) placed: Placed,
    pub(crate) compiled: usize,
    private_origins: Vec<String>,
    took: Duration,
}

/// All of an installation but the swap.
pub(crate) async fn prepare(
    node: &Arc<Shared>,
    settings: &Settings,
    bundle: Bundle,
    placement: Placement,
) -> Result<Prepared, InstallError> {
    let started = Instant::now();
    let tenant = settings
        .tenants
        .get(&placement.tenant)
        .ok_or_else(|| InstallError::NoTenant(placement.tenant.clone()))?;
    let mut install = Install {
        node,
        settings,
        bundle: &bundle,
        placement: &placement,
        tenant,
        secrets: read_secrets(settings, &bundle.app, &placement)?,
        private_origins: BTreeSet::new(),
    };
    let limits = install.limits()?;
    let (upstreams, followed) = install.upstreams()?;
    let stores = install.stores().await?;
    let outboxes = install.outboxes().await?;
    let models = install.models(&upstreams).await?;
    let codes = load(node, &bundle).await?;
    let compiled = codes.values().filter(|code| matches!(code.origin, Origin::Compiled(_))).count();
    let siblings = Arc::new(Siblings::new(Arc::downgrade(node)));
    let mut functions = BTreeMap::new();
    for (name, code) in &codes {
        let ports = Ports { upstreams: &upstreams, outboxes: &outboxes, models: &models, stores: &stores };
        let grants = install.grants(name, &limits[name], ports, siblings.clone())?;
        functions.insert(name.clone(), Arc::new(install.deployed(name, code, grants, limits[name].clone())?));
    }
    siblings.complete(&functions);
    for (name, function) in &functions {
        reuse::check(node, function)
            .await
            .map_err(|reason| InstallError::Reuse { function: name.clone(), reason })?;
    }
    let revision = Arc::new(Revision {
        digest: bundle.revision,
        version: bundle.app.version.clone(),
        functions,
        routes: bundle.app.http.iter().map(route_text).collect(),
    });
    let models = Arc::new(models);
    let deliveries = Arc::new(install.deliveries(&upstreams, &siblings));
    let unwatched = Arc::new(Unwatched::new(upstreams.values().cloned().collect(), followed));
    let secrets = Arc::new(install.secrets);
    let private_origins = install.private_origins.into_iter().collect();
    let app = Arc::new(bundle.app.clone());
    Ok(Prepared {
        key: (placement.tenant, app.name.clone()),
        placed: Placed {
            revision,
            app,
            bind: Arc::new(placement.bind),
            secrets,
            deliveries,
            models,
            unwatched,
        },
        compiled,
        private_origins,
        took: started.elapsed(),
    })
}

fn route_text(trigger: &rimward_manifest::HttpTrigger) -> String {
    match &trigger.host {
        HostName::Any => trigger.route.to_string(),
        host => format!("{} on {host}", trigger.route),
    }
}

/// The secrets that functions read and that upstream calls carry, by the app's word or by the node's.
pub(crate) fn read_secrets(
    settings: &Settings,
    app: &App,
    placement: &Placement,
) -> Result<BTreeMap<Name, String>, InstallError> {
    let mut secrets = BTreeMap::new();
    let bound = app.upstreams.iter().map(|(name, upstream)| {
        let binding = placement.bind.upstreams.get(name).cloned().unwrap_or_default();
        upstream.clone().bind(&binding)
    });
    let bound: Vec<_> = bound.collect();
    let carried = bound.iter().flat_map(rimward_manifest::Upstream::secrets);
    for name in app.functions.values().flat_map(|function| &function.secrets).chain(carried) {
        let declared = settings.file.secret(&placement.tenant, name);
        let declared = declared.ok_or_else(|| InstallError::NoSecret { name: name.clone() })?;
        let value = secrets::read(declared);
        let value = value.map_err(|source| InstallError::Secret { name: name.clone(), source })?;
        secrets.insert(name.clone(), value);
    }
    Ok(secrets)
}

/// Components are loaded one after the other: compiling one already uses every core.
async fn load(node: &Arc<Shared>, bundle: &Bundle) -> Result<BTreeMap<Name, Code>, InstallError> {
    let mut codes = BTreeMap::new();
    for (name, component) in &bundle.components {
        let (node, component) = (node.clone(), component.clone());
        let loaded = tokio::task::spawn_blocking(move || load_one(&node, &component))
            .await
            .map_err(|_| InstallError::Stopped)?;
        let failed = |source| match source {
            LoadError::ConcurrentIsOff => InstallError::WasiHttp03 { function: name.clone() },
            source => InstallError::Load { function: name.clone(), source },
        };
        codes.insert(name.clone(), loaded.map_err(failed)?);
    }
    Ok(codes)
}

/// A node without a compiler runs the code that lies beside the component: it has nothing else. Such code runs with the
/// rights of the node, so a node with a compiler leaves it alone and compiles the component.
fn load_one(node: &Shared, component: &Component) -> Result<Code, LoadError> {
    let of_bundle = |generation| Some((generation, component.precompiled(&precompiled_key(generation))?));
    match Generation::ALL.into_iter().find_map(of_bundle) {
        Some((generation, trusted_code)) if !node.engine.compiles() => {
            node.engine.load(Source::TrustedPrecompiled {
                generation,
                digest: *component.digest.as_bytes(),
                trusted_code,
            })
        }
        _ => node.engine.load(Source::Wasm(&component.bytes)),
    }
}

impl Install<'_> {
    fn limits(&self) -> Result<BTreeMap<Name, FunctionLimits>, InstallError> {
        let resolve = |(name, function): (&Name, &rimward_manifest::Function)| {
            let limits = function
                .limits
                .resolve(&self.tenant.ceiling)
                .map_err(|above| InstallError::AboveCeiling { function: name.clone(), above })?;
            match self.tenant.limits.memory {
                Some(quota) if limits.memory_bytes_max > quota.get() => Err(InstallError::AboveQuota {
                    function: name.clone(),
                    declared: limits.memory_bytes_max,
                    quota: quota.get(),
                }),
                _ => Ok((name.clone(), limits)),
            }
        };
        self.bundle.app.functions.iter().map(resolve).collect()
    }

    async fn stores(&self) -> Result<BTreeMap<Name, Arc<dyn rimward_store::Store>>, InstallError> {
        let app = &self.bundle.app;
        let wanted: BTreeSet<&Name> = app.functions.values().flat_map(|function| &function.stores).collect();
        let mut stores = BTreeMap::new();
        for name in wanted {
            let declared = app.store(name.as_str());
            let from: &Stores = match declared.kind {
                StoreKind::Memory => &self.node.memory_stores,
                StoreKind::Durable => &self.node.stores,
            };
            let id = StoreId::new(self.placement.tenant.as_str(), app.name.as_str(), name.as_str())
                .expect("names are DNS labels");
            let durability = match declared.durability {
                rimward_manifest::Durability::Commit => Durability::Commit,
                rimward_manifest::Durability::Interval => Durability::Interval(crate::limits::STORE_INTERVAL),
            };
            let settings = rimward_store::Settings { durability, ..rimward_store::Settings::default() };
            let store = from
                .open(&id, settings)
                .await
                .map_err(|source| InstallError::Store { name: name.clone(), source })?;
            stores.insert(name.clone(), store);
        }
        Ok(stores)
    }

    fn grants(
        &self,
        name: &Name,
        limits: &FunctionLimits,
        Ports { upstreams, outboxes, models, stores }: Ports<'_>,
        siblings: Arc<Siblings>,
    ) -> Result<Grants, InstallError> {
        let function = &self.bundle.app.functions[name];
        let refused = |reason: String| InstallError::Grant { function: name.clone(), reason };
        let hosts = function.hosts.iter().map(|host| {
            let pattern = match host {
                rimward_manifest::HostPattern::Any => "*:*".to_owned(),
                origin @ rimward_manifest::HostPattern::Origin { .. } => origin.to_string(),
            };
            pattern.parse::<HostPattern>().map_err(|error| refused(error.to_string()))
        });
        let mut values = function.config.clone();
        for (key, value) in &self.placement.bind.config {
            values.entry(key.clone()).and_modify(|declared| declared.clone_from(value));
        }
        values
            .extend(function.secrets.iter().map(|secret| (secret.to_string(), self.secrets[secret].clone())));
        let text = |names: &BTreeSet<Name>| names.iter().map(ToString::to_string).collect::<BTreeSet<_>>();
        let id = self.id(name);
        let logs = Arc::new(FunctionLogs { id, observer: self.node.observer.clone() });
        Ok(Grants {
            http: http::Grant {
                egress: Arc::new(Egress::new(hosts.collect::<Result<_, _>>()?, Vec::new())),
                upstreams: Arc::new(
                    function
                        .upstreams
                        .iter()
                        .map(|name| (name.to_string(), upstreams[name].clone()))
                        .collect(),
                ),
                outboxes: Arc::new(
                    outboxes
                        .iter()
                        .filter(|(name, _)| function.upstreams.contains(*name))
                        .map(|(name, deferral)| (name.to_string(), deferral.clone()))
                        .collect(),
                ),
                models: Arc::new(
                    function.models.iter().map(|name| (name.to_string(), models[name].clone())).collect(),
                ),
                functions: Arc::new(text(&function.functions)),
                invoke: siblings,
                in_flight_max: limits.outgoing as usize,
                shared_in_flight: self.share().outgoing.clone(),
            },
            config: config::grant(values).map_err(|error| refused(error.to_string()))?,
            keyvalue: keyvalue::grant(
                function.stores.iter().map(|name| (name.to_string(), stores[name].clone())).collect(),
            ),
            logging: logging::grant(logs, Some(limits.log_bytes_per_second), self.share().log_rate.clone()),
            clocks: match self.settings.file.node.exact_clocks {
                true => Clocks::Exact,
                false => Clocks::Coarse,
            },
        })
    }

    /// What the tenant's functions share.
    fn share(&self) -> &Arc<TenantShare> {
        &self.settings.tenant_shares[&self.placement.tenant]
    }

    fn id(&self, function: &Name) -> FunctionId {
        FunctionId {
            tenant: self.placement.tenant.clone(),
            app: self.bundle.app.name.clone(),
            function: function.clone(),
        }
    }

    fn deployed(
        &self,
        name: &Name,
        code: &Code,
        grants: Grants,
        limits: FunctionLimits,
    ) -> Result<Deployed, InstallError> {
        let guest = GuestLimits {
            memory_bytes: usize::try_from(limits.memory_bytes_max).unwrap_or(usize::MAX),
            table_elements: limits.table_elements_max as usize,
            handles: limits.handles_max as usize,
            host_call_bytes: usize::try_from(limits.host_call_bytes_max).unwrap_or(usize::MAX),
            cpu: limits.cpu,
        };
        let function = Function::new(&self.node.linkers, code, grants, guest, self.share().share.clone());
        let function = function.map_err(|source| InstallError::Refused { function: name.clone(), source })?;
        let id = self.id(name);
        Ok(Deployed {
            metrics: self.node.metrics.function(&id),
            revision: self.bundle.revision.to_string().into(),
            function: Arc::new(function),
            permits: Arc::new(Semaphore::new(limits.concurrency as usize)),
            tenant: self.share().clone(),
            warm: Warm::new(
                self.bundle.app.functions[name].reuse,
                self.node.warm_room.clone(),
                self.node.core_count,
            ),
            limits,
            id,
        })
    }
}

/// What the functions of an app are given access to, by name.
#[derive(Clone, Copy)]
struct Ports<'a> {
    upstreams: &'a BTreeMap<Name, Arc<Upstream>>,
    outboxes: &'a BTreeMap<Name, http::Deferral>,
    models: &'a BTreeMap<Name, ModelGrant>,
    stores: &'a BTreeMap<Name, Arc<dyn rimward_store::Store>>,
}

/// Replaces the snapshot: whole, or not at all. Conflicts are told as those of the app that is `new`.
pub(crate) fn swap(
    node: &Arc<Shared>,
    settings: &Settings,
    next: Apps,
    new: Option<&(Name, Name)>,
) -> Result<(), InstallError> {
    let others = next.iter().filter(|(key, _)| Some(*key) != new);
    let this = next.iter().filter(|(key, _)| Some(*key) == new);
    let mut table = RouteTable::default();
    for ((tenant, app), placed) in others.chain(this) {
        insert_routes(&settings.tenants[tenant], &mut table, tenant, app, placed)?;
    }
    let declared = next.values().flat_map(|placed| placed.app.upstreams.values());
    let caches = declared
        .filter_map(|upstream| upstream.cache.as_ref())
        .map(Cache::total)
        .fold(0, u64::saturating_add);
    let most = settings.file.limits.caches.get();
    if caches > most {
        return Err(InstallError::Caches { caches, most });
    }
    outboxes::check_room(settings, next.iter().map(|((tenant, _), placed)| (tenant, &*placed.app)))?;
    let opened = node.inference.as_ref().map(|door| door.opened(&settings.file, &next));
    let opened = opened.transpose().map_err(InstallError::Token)?;
    let mut apps = node.apps();
    if let (Some(door), Some(opened)) = (&node.inference, opened) {
        door.open(opened);
    }
    node.replace_routes(Routes::new(table));
    *apps = next;
    node.outboxes.settle(node, &apps);
    for ((tenant, _), placed) in apps.iter() {
        placed.unwatched.watch(node, tenant);
    }
    if let Some((key, placed)) = new.and_then(|new| apps.get_key_value(new)) {
        models::ask_servers(node, key, placed);
    }
    Ok(())
}

fn insert_routes(
    declared: &Tenant,
    table: &mut RouteTable<Arc<Deployed>>,
    tenant: &Name,
    app: &Name,
    placed: &Placed,
) -> Result<(), InstallError> {
    let owned = &declared.hosts;
    for trigger in &placed.app.http {
        let function = &placed.revision.functions[&trigger.function];
        let hosts = match &trigger.host {
            HostName::Any => owned.clone(),
            host if owned.iter().any(|owned| owned.covers(host)) => vec![host.clone()],
            _ => {
                return Err(InstallError::Host {
                    route: route_text(trigger),
                    tenant: tenant.clone(),
                    hosts: owned.clone(),
                });
            }
        };
        for host in &hosts {
            table.insert(host, &trigger.route, function.clone()).map_err(|conflict| {
                InstallError::Conflict {
                    app: app.clone(),
                    route: conflict.route.to_string(),
                    owner: conflict.owner.id.app.clone(),
                    existing: conflict.existing.to_string(),
                }
            })?;
        }
    }
    Ok(())
}
