//! Faults that an author or a test puts into calls to upstreams, as written:
//! `vision=latency:300ms±100ms,error:503@20%,reset@5%`.

use std::fmt;
use std::str::FromStr;

use crate::bytes::Bytes;
use crate::duration::{Duration, DurationError};
use crate::limits::FAULTS_MAX;
use crate::name::Name;
use crate::upstream::{Percent, PercentError};

/// Which upstreams meet which faults.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FaultRule {
    /// The upstreams.
    pub target: FaultTarget,
    /// What their tries meet, in this order.
    pub faults: Vec<Fault>,
}

/// Some upstreams: `*` for all, else a name, `APP/NAME` or `TENANT/APP/NAME`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FaultTarget {
    /// Whose apps.
    pub tenant: Option<Name>,
    /// Of which app.
    pub app: Option<Name>,
    /// Its name there.
    pub upstream: Option<Name>,
}

/// One fault, and how many of the tries meet it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fault {
    /// What happens.
    pub kind: FaultKind,
    /// To which share of the tries; to all where it is absent.
    pub share: Option<Percent>,
}

/// What happens to a try.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FaultKind {
    /// `latency:300ms±100ms`: it takes this much longer, evenly spread.
    Latency(Duration, Option<Duration>),
    /// `error:503`: it is answered with this status, from 400 to 599.
    Error(u16),
    /// `reset`: its connection ends before an answer.
    Reset,
    /// `refuse`: nobody listens.
    Refuse,
    /// `connect-timeout`: no connection in time.
    ConnectTimeout,
    /// `timeout`: no answer in time.
    Timeout,
    /// `dns`: its name is not found.
    Dns,
    /// `tls`: the certificate is not acceptable.
    Tls,
    /// `unreachable`: there is no way to it.
    Unreachable,
    /// `cut`: its answer ends early.
    Cut,
    /// `drip:1KiB`: its answer comes at so many bytes in a second.
    Drip(Bytes),
}

/// Why a text is not a fault rule.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FaultError {
    /// There is no `=`.
    #[error(
        "`{0}` names no upstream: write `UPSTREAM=FAULT`, as in `vision=latency:300ms`, or `*=FAULT` for all"
    )]
    NoTarget(String),
    /// What stands before the `=`.
    #[error("`{0}` is not an upstream: write its name, `APP/NAME`, `TENANT/APP/NAME` or `*`")]
    Target(String),
    /// No such fault.
    #[error("there is no fault `{0}`: there are {KINDS}")]
    Kind(String),
    /// It needs a value, or has one that it cannot have.
    #[error("`{fault}` {problem}")]
    Value {
        /// As it was written.
        fault: String,
        /// What is wrong.
        problem: String,
    },
    /// What stands after the `@`.
    #[error("in `{0}`: {1}, the share of tries that meet it")]
    Share(String, #[source] PercentError),
    /// So many of them are of no use.
    #[error("a rule has at most {FAULTS_MAX} faults")]
    TooMany,
}

const KINDS: &str = "`latency:300ms±100ms`, `error:503`, `reset`, `refuse`, `connect-timeout`, `timeout`, `dns`, `tls`, `unreachable`, `cut` and `drip:1KiB`, each perhaps with a share of tries: `reset@5%`";

impl FromStr for FaultRule {
    type Err = FaultError;

    fn from_str(text: &str) -> Result<Self, FaultError> {
        let (target, faults) = text.split_once('=').ok_or_else(|| FaultError::NoTarget(text.into()))?;
        let faults: Vec<_> = faults.split(',').map(|fault| fault.trim().parse()).collect::<Result<_, _>>()?;
        if faults.len() > FAULTS_MAX {
            return Err(FaultError::TooMany);
        }
        Ok(Self { target: target.trim().parse()?, faults })
    }
}

impl FromStr for FaultTarget {
    type Err = FaultError;

    fn from_str(text: &str) -> Result<Self, FaultError> {
        if text == "*" {
            return Ok(Self::default());
        }
        let names: Result<Vec<Name>, _> = text.split('/').map(str::parse).collect();
        let mut names = names.map_err(|_| FaultError::Target(text.into()))?;
        let (upstream, app, tenant) = (names.pop(), names.pop(), names.pop());
        if names.is_empty() {
            Ok(Self { tenant, app, upstream })
        } else {
            Err(FaultError::Target(text.into()))
        }
    }
}

impl FromStr for Fault {
    type Err = FaultError;

    fn from_str(text: &str) -> Result<Self, FaultError> {
        let (kind, share) = match text.split_once('@') {
            None => (text, None),
            Some((kind, share)) => {
                let share = share.parse().map_err(|error| FaultError::Share(text.into(), error))?;
                (kind, Some(share))
            }
        };
        Ok(Self { kind: kind.parse()?, share })
    }
}

impl FromStr for FaultKind {
    type Err = FaultError;

    fn from_str(text: &str) -> Result<Self, FaultError> {
        let (name, value) = text.split_once(':').map_or((text, None), |(name, value)| (name, Some(value)));
        let wrong = |problem: String| FaultError::Value { fault: text.into(), problem };
        let needed = |example: &str| value.ok_or_else(|| wrong(format!("needs a value, as in `{example}`")));
        let bare = |kind: Self| match value {
            None => Ok(kind),
            Some(_) => Err(wrong(format!("has no value: write `{name}`"))),
        };
        match name {
            "latency" => {
                latency(needed("latency:300ms")?).map_err(|error| wrong(format!("is not a time: {error}")))
            }
            "error" => {
                let status = needed("error:503")?.parse().ok().filter(|status| (400..600).contains(status));
                status
                    .map(Self::Error)
                    .ok_or_else(|| wrong("is no status of an error, from 400 to 599".into()))
            }
            "drip" => {
                let rate = needed("drip:1KiB")?.parse().map(Self::Drip);
                rate.map_err(|error| wrong(format!("is not a number of bytes: {error}")))
            }
            "reset" => bare(Self::Reset),
            "refuse" => bare(Self::Refuse),
            "connect-timeout" => bare(Self::ConnectTimeout),
            "timeout" => bare(Self::Timeout),
            "dns" => bare(Self::Dns),
            "tls" => bare(Self::Tls),
            "unreachable" => bare(Self::Unreachable),
            "cut" => bare(Self::Cut),
            _ => Err(FaultError::Kind(text.into())),
        }
    }
}

/// `300ms`, `300ms±100ms`, or the latter as it is typed on most keyboards: `300ms+-100ms`.
fn latency(text: &str) -> Result<FaultKind, DurationError> {
    let parts = text.split_once('±').or_else(|| text.split_once("+-"));
    let (typical, spread) = parts.map_or((text, None), |(typical, spread)| (typical, Some(spread)));
    Ok(FaultKind::Latency(typical.trim().parse()?, spread.map(|spread| spread.trim().parse()).transpose()?))
}

impl fmt::Display for FaultRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}=", self.target)?;
        for (at, fault) in self.faults.iter().enumerate() {
            let comma = if at == 0 { "" } else { "," };
            write!(f, "{comma}{fault}")?;
        }
        Ok(())
    }
}

impl fmt::Display for FaultTarget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<_> =
            [&self.tenant, &self.app, &self.upstream].into_iter().flatten().map(Name::as_str).collect();
        if names.is_empty() { f.write_str("*") } else { f.write_str(&names.join("/")) }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.share {
            None => self.kind.fmt(f),
            Some(share) => write!(f, "{}@{share}", self.kind),
        }
    }
}

impl fmt::Display for FaultKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Latency(typical, None) => write!(f, "latency:{typical}"),
            Self::Latency(typical, Some(spread)) => write!(f, "latency:{typical}±{spread}"),
            Self::Error(status) => write!(f, "error:{status}"),
            Self::Drip(rate) => write!(f, "drip:{rate}"),
            Self::Reset => f.write_str("reset"),
            Self::Refuse => f.write_str("refuse"),
            Self::ConnectTimeout => f.write_str("connect-timeout"),
            Self::Timeout => f.write_str("timeout"),
            Self::Dns => f.write_str("dns"),
            Self::Tls => f.write_str("tls"),
            Self::Unreachable => f.write_str("unreachable"),
            Self::Cut => f.write_str("cut"),
        }
    }
}

impl FaultTarget {
    /// Whether it means this upstream.
    pub fn is_met_by(&self, tenant: &Name, app: &Name, upstream: &Name) -> bool {
        let fits = |wanted: &Option<Name>, name: &Name| wanted.as_ref().is_none_or(|wanted| wanted == name);
        fits(&self.tenant, tenant) && fits(&self.app, app) && fits(&self.upstream, upstream)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rule_is_written_as_it_is_read() {
        for (text, canonical) in [
            ("vision=latency:300ms±100ms,error:503@20%,reset@5%", None),
            ("vision = latency:2s, cut", Some("vision=latency:2s,cut")),
            ("a/vision=latency:1s+-2s", Some("a/vision=latency:1s±2s")),
            ("t/a/vision=timeout,connect-timeout,dns,tls", None),
            ("*=refuse,unreachable", None),
            ("v=drip:1KiB@100%", None),
        ] {
            let rule: FaultRule = text.parse().unwrap();
            assert_eq!(rule.to_string(), canonical.unwrap_or(text));
            assert_eq!(rule.to_string().parse::<FaultRule>().unwrap(), rule);
        }
    }

    #[test]
    fn a_mistake_in_a_rule_has_a_remedy() {
        let check = |text: &str, expected: &str| {
            let error = text.parse::<FaultRule>().unwrap_err().to_string();
            assert!(error.contains(expected), "{text}: {error}");
        };
        check("latency:300ms", "write `UPSTREAM=FAULT`");
        check("Vision=reset", "`Vision` is not an upstream");
        check("a/b/c/d=reset", "`a/b/c/d` is not an upstream");
        check("=reset", "`` is not an upstream");
        check("v=slow", "there is no fault `slow`: there are `latency:300ms");
        check("v=", "there is no fault ``");
        check("v=latency", "`latency` needs a value, as in `latency:300ms`");
        check("v=latency:300", "the duration `300` has no unit");
        check("v=error:200", "`error:200` is no status of an error");
        check("v=drip:0", "`drip:0` is not a number of bytes: the size is zero");
        check("v=reset:5", "`reset:5` has no value: write `reset`");
        check("v=reset@5", "in `reset@5`: `5` is not a share from `0%` to `100%`");
    }

    #[test]
    fn a_rule_has_so_many_faults_and_no_more() {
        let rule = |faults: usize| format!("v={}", vec!["reset"; faults].join(",")).parse::<FaultRule>();
        assert!(rule(FAULTS_MAX).is_ok());
        assert_eq!(rule(FAULTS_MAX + 1), Err(FaultError::TooMany));
    }

    #[test]
    fn a_target_means_the_upstreams_that_it_names() {
        let name = |text: &str| text.parse::<Name>().unwrap();
        let check = |target: &str, expected: bool| {
            let target: FaultTarget = target.parse().unwrap();
            assert_eq!(target.is_met_by(&name("t"), &name("a"), &name("v")), expected, "{target}");
        };
        ["*", "v", "a/v", "t/a/v"].into_iter().for_each(|target| check(target, true));
        ["w", "b/v", "u/a/v", "t/a/w"].into_iter().for_each(|target| check(target, false));
    }
}
