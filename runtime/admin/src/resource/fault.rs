//! The JSON of faults that are put into calls to upstreams.

use rimward_node::{Faults as NodeFaults, KnownUpstream};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// What calls to upstreams meet now.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub struct Faults {
    /// No upstream can be reached.
    pub offline: bool,
    /// Further faults.
    pub rules: Vec<FaultRule>,
    /// Where draws begin; absent where that differs each time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seed: Option<u64>,
}

/// Some faults, and who meets them.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub struct FaultRule {
    /// As it is written: `vision=latency:300ms,reset@5%`.
    pub rule: String,
    /// The upstreams that it means, by full name; none where no app has such a one.
    pub upstreams: Vec<String>,
}

/// What calls to upstreams are to meet.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct NewFaults {
    /// No upstream can be reached.
    #[serde(default)]
    pub offline: bool,
    /// Further faults: `vision=latency:300ms,reset@5%`.
    #[serde(default)]
    pub rules: Vec<String>,
    /// Where draws begin, to repeat a run.
    #[serde(default)]
    pub seed: Option<u64>,
}

impl Faults {
    pub(crate) fn of(faults: NodeFaults, upstreams: &[KnownUpstream]) -> Self {
        let NodeFaults { offline, rules, seed } = faults;
        let rule = |rule: rimward_node::FaultRule| {
            let is_met =
                |known: &&KnownUpstream| rule.target.is_met_by(&known.tenant, &known.app, &known.name);
            let names = upstreams.iter().filter(is_met);
            let names = names.map(|known| format!("{}/{}/{}", known.tenant, known.app, known.name)).collect();
            FaultRule { rule: rule.to_string(), upstreams: names }
        };
        Self { offline, rules: rules.into_iter().map(rule).collect(), seed }
    }
}

impl From<Faults> for NewFaults {
    fn from(Faults { offline, rules, seed }: Faults) -> Self {
        Self { offline, rules: rules.into_iter().map(|rule| rule.rule).collect(), seed }
    }
}
