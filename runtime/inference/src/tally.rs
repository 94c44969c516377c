//! How the calls of a model went, for whoever looks.
//!
//! Counted by [`Model::infer`](crate::Model::infer). A new revision of an app goes on with the tally of the one before.

use crate::place::{Reason, Side};
use crate::{Answer, Error, Kind};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// Where one side is asked because there is no other, or because the mode says so.
const NO_REASON: &str = "none";
const REASONS: [Reason; 6] =
    [Reason::InTime, Reason::Unknown, Reason::Probe, Reason::Late, Reason::TooShort, Reason::Open];
const SIDES: [Side; 2] = [Side::Local, Side::Remote];
const KINDS: [Kind; 9] = [
    Kind::NotFound,
    Kind::Unauthenticated,
    Kind::InvalidArgument,
    Kind::TooLarge,
    Kind::Timeout,
    Kind::Unavailable,
    Kind::Unsupported,
    Kind::Protocol,
    Kind::Failed,
];

/// Counts of calls.
#[derive(Debug, Default)]
pub struct Tally {
    answers: [[AtomicU64; REASONS.len() + 1]; SIDES.len()],
    instead: [AtomicU64; SIDES.len()],
    errors: [AtomicU64; KINDS.len()],
}

impl Tally {
    /// Counts a call. [`Model::infer`](crate::Model::infer) does.
    pub fn count(&self, answered: &Result<Answer, Error>) {
        match answered {
            Ok(answer) => {
                let side = usize::from(answer.side == Side::Remote);
                let reason =
                    answer.reason.and_then(|reason| REASONS.iter().position(|known| *known == reason));
                self.answers[side][reason.map_or(0, |reason| reason + 1)].fetch_add(1, Relaxed);
                if answer.instead_of.is_some() {
                    self.instead[side].fetch_add(1, Relaxed);
                }
            }
            Err(error) => {
                let kind = KINDS.iter().position(|kind| *kind == error.kind());
                self.errors[kind.unwrap_or(KINDS.len() - 1)].fetch_add(1, Relaxed);
            }
        }
    }

    /// Calls that were answered, by the side that did, and why that was asked first.
    pub fn answers(&self) -> impl Iterator<Item = (Side, String, u64)> {
        SIDES.into_iter().zip(&self.answers).flat_map(|(side, counts)| {
            let reasons =
                std::iter::once(NO_REASON.to_owned()).chain(REASONS.map(|reason| reason.to_string()));
            reasons.zip(counts).map(move |(reason, count)| (side, reason, count.load(Relaxed)))
        })
    }

    /// Calls that a side answered although the other one was asked first.
    pub fn instead(&self) -> impl Iterator<Item = (Side, u64)> {
        SIDES.into_iter().zip(&self.instead).map(|(side, count)| (side, count.load(Relaxed)))
    }

    /// Calls that were not answered, by kind.
    pub fn errors(&self) -> impl Iterator<Item = (&'static str, u64)> {
        KINDS.into_iter().zip(&self.errors).map(|(kind, count)| (kind.name(), count.load(Relaxed)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::oip::InferResponse;

    #[test]
    fn each_call_is_counted_once_by_what_came_of_it() {
        let tally = Tally::default();
        let answer = |side, reason, instead_of: Option<Error>| {
            Ok(Answer { response: InferResponse::default(), side, reason, confidence: None, instead_of })
        };
        tally.count(&answer(Side::Local, None, None));
        tally.count(&answer(Side::Remote, Some(Reason::Probe), None));
        tally.count(&answer(Side::Local, Some(Reason::Open), Some(Error::new(Kind::Timeout, "late"))));
        for kind in KINDS {
            tally.count(&Err(Error::new(kind, "because")));
        }
        let told = |(side, reason, count): (Side, String, u64)| {
            (count > 0).then(|| format!("{side} {reason} {count}"))
        };
        let answers: Vec<_> = tally.answers().filter_map(told).collect();
        assert_eq!(answers, ["local none 1", "local breaker-open 1", "remote probe 1"]);
        assert_eq!(tally.instead().collect::<Vec<_>>(), [(Side::Local, 1), (Side::Remote, 0)]);
        assert!(tally.errors().all(|(_, count)| count == 1));
        let names: std::collections::BTreeSet<_> = tally.errors().map(|(name, _)| name).collect();
        assert_eq!(names.len(), KINDS.len());
    }
}
