//! The outboxes of an app, and what is delivered from them with.

use super::{Install, InstallError};
use crate::invoke::Siblings;
use crate::node::Settings;
use crate::outboxes::Delivery;
use crate::upstreams::UpstreamId;
use rimward_capability::http::Deferral;
use rimward_manifest::{App, Bytes, Deferred, Duration, Name, OutboxOrder};
use rimward_upstream::Upstream;
use rimward_upstream::outbox::{Backoff, Order, Policy, WhenDamaged, WhenFull};
use std::collections::BTreeMap;
use std::num::NonZeroU32;
use std::sync::Arc;

impl Install<'_> {
    /// Opens them. Where the node keeps nothing, as for a single call from the command line, calls are sent at once.
    pub(super) async fn outboxes(&self) -> Result<BTreeMap<Name, Deferral>, InstallError> {
        let others = self.node.apps().clone();
        let this = (self.placement.tenant.clone(), self.bundle.app.name.clone());
        let others = others.iter().filter(|(key, _)| **key != this);
        let others = others.map(|((tenant, _), placed)| (tenant, &*placed.app));
        check_room(self.settings, others.chain([(&this.0, &self.bundle.app)]))?;
        let mut outboxes = BTreeMap::new();
        for (name, declared) in &self.bundle.app.upstreams {
            let Some(outbox) = &declared.outbox else { continue };
            let id = UpstreamId {
                tenant: self.placement.tenant.clone(),
                app: self.bundle.app.name.clone(),
                upstream: name.clone(),
            };
            let opened = self.node.outboxes.open(&id, &policy(outbox)).await;
            let opened = opened.map_err(|source| InstallError::Outbox { name: name.clone(), source })?;
            if let Some(outbox) = opened {
                let is_always = declared.deferred == Deferred::Always;
                outboxes.insert(name.clone(), Deferral { outbox, is_always });
            }
        }
        Ok(outboxes)
    }

    pub(super) fn deliveries(
        &self,
        upstreams: &BTreeMap<Name, Arc<Upstream>>,
        siblings: &Arc<Siblings>,
    ) -> BTreeMap<Name, Arc<Delivery>> {
        let delivery = |(name, declared): (&Name, &rimward_manifest::Upstream)| {
            let outbox = declared.outbox.as_ref()?;
            let told = outbox.on_delivered.clone().map(|function| (siblings.clone(), function));
            let delivery = Delivery {
                policy: policy(outbox),
                upstream: upstreams[name].clone(),
                told,
                in_flight: self.share().outgoing.clone(),
            };
            Some((name.clone(), Arc::new(delivery)))
        };
        self.bundle.app.upstreams.iter().filter_map(delivery).collect()
    }
}

/// Whether the outboxes of `apps` fit into what the operator gives to each tenant, and to all together.
pub(super) fn check_room<'a>(
    settings: &Settings,
    apps: impl Iterator<Item = (&'a Name, &'a App)>,
) -> Result<(), InstallError> {
    let (mut all, mut of_tenants) = (0_u64, BTreeMap::<&Name, u64>::new());
    for (tenant, app) in apps {
        let outboxes = app.upstreams.values().filter_map(|upstream| upstream.outbox.as_ref());
        let bytes = outboxes.map(|outbox| policy(outbox).disk_bytes()).fold(0, u64::saturating_add);
        all = all.saturating_add(bytes);
        let of_tenant = of_tenants.entry(tenant).or_default();
        *of_tenant = of_tenant.saturating_add(bytes);
    }
    for (tenant, outboxes) in of_tenants {
        let most = settings.tenants.get(tenant).and_then(|tenant| tenant.limits.outboxes);
        if let Some(most) = most.map(Bytes::get)
            && outboxes > most
        {
            return Err(InstallError::TenantOutboxes { tenant: tenant.clone(), outboxes, most });
        }
    }
    let most = settings.file.limits.outboxes.get();
    if all > most {
        return Err(InstallError::Outboxes { outboxes: all, most });
    }
    Ok(())
}

/// What is declared, and the defaults where nothing is.
fn policy(declared: &rimward_manifest::Outbox) -> Policy {
    let default = Policy::default();
    let time = |declared: Option<Duration>, default| declared.map_or(default, Duration::get);
    let bytes = |declared: Option<Bytes>, default| declared.map_or(default, Bytes::get);
    let bytes_max = bytes(declared.bytes, default.bytes_max);
    Policy {
        bytes_max,
        age_max: time(declared.age, default.age_max),
        body_bytes_max: bytes(declared.body, default.body_bytes_max.min(bytes_max)),
        order: match declared.order {
            None => default.order,
            Some(OutboxOrder::PerKey) => Order::PerKey,
            Some(OutboxOrder::None) => Order::None,
            Some(OutboxOrder::All) => Order::All,
        },
        when_full: match declared.when_full {
            None => default.when_full,
            Some(rimward_manifest::WhenFull::Reject) => WhenFull::Reject,
            Some(rimward_manifest::WhenFull::DropOldest) => WhenFull::DropOldest,
        },
        when_damaged: match declared.when_damaged {
            None => default.when_damaged,
            Some(rimward_manifest::WhenDamaged::BeginAnew) => WhenDamaged::BeginAnew,
            Some(rimward_manifest::WhenDamaged::Refuse) => WhenDamaged::Refuse,
        },
        attempts: declared.attempts.map_or(default.attempts, NonZeroU32::get),
        backoff: declared.backoff.map_or(default.backoff, |backoff| Backoff {
            first: backoff.first.get(),
            most: backoff.longest.get(),
        }),
        concurrency: declared.concurrent.map_or(default.concurrency, |calls| calls.get() as usize),
        per_second: declared.per_second.map_or(default.per_second, NonZeroU32::get),
        return_jitter: time(declared.jitter, default.return_jitter),
        dedupe: time(declared.dedupe, default.dedupe),
        answers_bytes_max: bytes(declared.answers, default.answers_bytes_max),
        answers_age: time(declared.answers_age, default.answers_age),
        tells: declared.on_delivered.is_some(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rimward_manifest::App;

    fn declared(outbox: &str) -> Policy {
        let text = format!(
            "[app]\nname = 'a'\n[function.f]\ncomponent = 'f.wasm'\n[upstream.u]\nurl = 'http://u'\noutbox = {outbox}"
        );
        policy(App::parse(&text).unwrap().upstreams["u"].outbox.as_ref().unwrap())
    }

    #[test]
    fn what_is_not_declared_is_the_default() {
        assert_eq!(declared("{}"), Policy::default());
    }

    #[test]
    fn everything_that_is_declared_arrives() {
        let hours = |hours: u64| std::time::Duration::from_secs(hours * 3600);
        let expected = Policy {
            bytes_max: 1 << 20,
            age_max: hours(1),
            body_bytes_max: 1 << 10,
            order: Order::All,
            when_full: WhenFull::DropOldest,
            when_damaged: WhenDamaged::Refuse,
            attempts: 9,
            backoff: Backoff { first: hours(2), most: hours(3) },
            concurrency: 7,
            per_second: 8,
            return_jitter: hours(4),
            dedupe: hours(5),
            answers_bytes_max: 1 << 11,
            answers_age: hours(6),
            tells: true,
        };
        let all = "{ bytes = '1MiB', age = '1h', body = '1KiB', order = 'all', when-full = 'drop-oldest', \
                   when-damaged = 'refuse', attempts = 9, backoff = '2h..3h', concurrent = 7, per-second = 8, \
                   jitter = '4h', dedupe = '5h', answers = '2KiB', answers-age = '6h', on-delivered = 'f' }";
        assert_eq!(declared(all), expected);
    }

    #[test]
    fn a_small_outbox_takes_no_larger_bodies() {
        assert_eq!(declared("{ bytes = '1MiB' }").body_bytes_max, 1 << 20);
    }
}
