//! Faults that an author or a test puts into the calls of this node: which upstreams meet which. Changed while the node
//! runs, and gone with it. Only `rimward dev` takes them, and nodes whose operator allows it.

use crate::node::{Node, Profile};
use crate::upstreams::{States, UpstreamId};
use rimward_manifest::{Fault, FaultKind, FaultRule, FaultTarget, limits::FAULT_RULES_MAX};
use rimward_upstream::fault::{self, Kind};
use std::num::NonZeroU64;
use std::time::Duration;

/// What calls to upstreams are to meet.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Faults {
    /// No upstream can be reached.
    pub offline: bool,
    /// Further ones. Where several mean an upstream, all of them hold, in this order.
    pub rules: Vec<FaultRule>,
    /// Where draws begin; another number each time where it is absent.
    pub seed: Option<u64>,
}

/// Why faults were not taken.
#[derive(Debug, thiserror::Error)]
pub enum FaultsError {
    /// The operator does not allow it.
    #[error("this node takes no faults: `node.fault-injection = true` in node.toml allows it")]
    NotAllowed,
    /// So many are of no use.
    #[error("there are {0} rules, more than {FAULT_RULES_MAX}")]
    TooMany(usize),
}

impl Node {
    /// What calls to upstreams meet now.
    pub fn faults(&self) -> Faults {
        self.shared.upstreams.faults()
    }

    /// Has calls to upstreams meet these from now on, and no others.
    ///
    /// # Errors
    /// Nothing has changed then.
    pub fn set_faults(&self, faults: Faults) -> Result<(), FaultsError> {
        if self.shared.profile != Profile::Dev && !self.shared.file.node.fault_injection {
            return Err(FaultsError::NotAllowed);
        }
        if faults.rules.len() > FAULT_RULES_MAX {
            return Err(FaultsError::TooMany(faults.rules.len()));
        }
        if self.shared.profile != Profile::Dev {
            tracing::warn!(faults = %faults, "calls to upstreams meet faults that were put there");
        }
        self.shared.upstreams.set_faults(faults);
        Ok(())
    }
}

impl Faults {
    /// Those that an upstream meets.
    pub(crate) fn of(&self, id: &UpstreamId) -> Vec<fault::Fault> {
        let offline = fault::Fault { kind: Kind::Unreachable, share: 1.0 };
        let is_met = |rule: &&FaultRule| rule.target.is_met_by(&id.tenant, &id.app, &id.upstream);
        let ruled = self.rules.iter().filter(is_met).flat_map(|rule| &rule.faults).map(fault_of);
        self.offline.then_some(offline).into_iter().chain(ruled).collect()
    }

    /// Has an upstream meet what it is to meet.
    pub(crate) fn apply(&self, id: &UpstreamId, faults: &fault::Faults) {
        let seed = self.seed.unwrap_or_else(rand::random);
        faults.set(self.of(id), seed);
    }

    /// The rule of `target` replaced or added.
    pub fn put(&mut self, rule: FaultRule) {
        match self.rules.iter_mut().find(|old| old.target == rule.target) {
            Some(old) => *old = rule,
            None => self.rules.push(rule),
        }
    }

    /// The rules of `target` taken away. Returns whether there was one.
    pub fn take(&mut self, target: &FaultTarget) -> bool {
        let before = self.rules.len();
        self.rules.retain(|rule| rule.target != *target);
        self.rules.len() < before
    }
}

impl std::fmt::Display for Faults {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let offline = self.offline.then(|| "offline".to_owned());
        let texts: Vec<_> = offline.into_iter().chain(self.rules.iter().map(ToString::to_string)).collect();
        if texts.is_empty() { f.write_str("none") } else { f.write_str(&texts.join(" ")) }
    }
}

fn fault_of(fault: &Fault) -> fault::Fault {
    let kind = match fault.kind {
        FaultKind::Latency(typical, spread) => {
            Kind::Latency(typical.get(), spread.map_or(Duration::ZERO, Into::into))
        }
        FaultKind::Error(status) => {
            Kind::Status(http::StatusCode::from_u16(status).expect("a rule has statuses from 400 to 599"))
        }
        FaultKind::Reset => Kind::Reset,
        FaultKind::Refuse => Kind::Refused,
        FaultKind::ConnectTimeout => Kind::ConnectTimeout,
        FaultKind::Timeout => Kind::FirstByteTimeout,
        FaultKind::Dns => Kind::Dns,
        FaultKind::Tls => Kind::Tls,
        FaultKind::Unreachable => Kind::Unreachable,
        FaultKind::Cut => Kind::Cut,
        FaultKind::Drip(rate) => Kind::Drip(NonZeroU64::new(rate.get()).expect("bytes are never zero")),
    };
    fault::Fault { kind, share: fault.share.map_or(1.0, |share| share.fraction()) }
}

impl States {
    fn faults(&self) -> Faults {
        self.lock().faults.clone()
    }

    fn set_faults(&self, faults: Faults) {
        let mut held = self.lock();
        held.known.iter().filter_map(|(id, known)| Some((id, known.latest()?))).for_each(|(id, state)| {
            faults.apply(id, state.faults());
        });
        held.faults = faults;
    }
}
