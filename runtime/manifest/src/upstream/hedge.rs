//! When a second try is sent beside a slow one, as declared.

use std::fmt;
use std::str::FromStr;

use schemars::JsonSchema;
use serde::Serialize;

use super::percent::Percent;
use crate::document::Table;
use crate::duration::{Duration, DurationError};
use crate::text::text_type;

/// When a second try is sent beside a slow one. Only calls that may be sent twice are hedged.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Hedge {
    /// How long the first try is waited for: a time, or what this share of the answers took [default: p95].
    pub after: Option<HedgeAfter>,
    /// Hedges for each answered call [default: 5%].
    pub budget: Option<Percent>,
}

impl Hedge {
    pub(crate) fn read(table: &mut Table<'_>) -> Option<Self> {
        Some(Self { after: table.optional("after"), budget: table.optional("budget") })
    }
}

/// How long a first try is waited for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HedgeAfter {
    /// As long as this percentage of the answers took.
    Percentile(u8),
    /// This long.
    Time(Duration),
}

impl FromStr for HedgeAfter {
    type Err = DurationError;

    fn from_str(text: &str) -> Result<Self, DurationError> {
        let share = text.strip_prefix('p').filter(|digits| digits.bytes().all(|byte| byte.is_ascii_digit()));
        match share.and_then(|digits| digits.parse().ok()).filter(|share| (1..=99).contains(share)) {
            Some(share) => Ok(Self::Percentile(share)),
            None => text.parse().map(Self::Time),
        }
    }
}

impl fmt::Display for HedgeAfter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Percentile(share) => write!(f, "p{share}"),
            Self::Time(time) => write!(f, "{time}"),
        }
    }
}

text_type!(
    HedgeAfter,
    pattern: "^(p0*[1-9][0-9]?|[0-9]+ *(ms|s|m|h|d))$",
    hint: "a percentile from `p1` to `p99`, or a duration such as `200ms`"
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hedge_comes_after_a_percentile_or_a_time() {
        for text in ["p1", "p95", "p99", "200ms"] {
            assert_eq!(text.parse::<HedgeAfter>().unwrap().to_string(), text);
        }
        for text in ["p0", "p100", "p", "95", "p9.5", "", "p+5"] {
            assert!(text.parse::<HedgeAfter>().is_err(), "{text}");
        }
    }
}
