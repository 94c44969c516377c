//! What an invocation did that it may not do, counted by kind: the operator's view of a function that misbehaves, also
//! where it coped and answered with success. What ended the invocation is one of them; the others are refusals that the
//! guest saw as errors of its own. Whoever starts an invocation makes a record, everything that refuses something writes
//! to it, and it is read once, at the end.

use crate::GuestFailure;
use rimward_engine::Usage;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

/// A kind of offence. All are the function's own fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Offence {
    /// It spent its CPU time.
    Cpu,
    /// It did not answer in time.
    Wall,
    /// It asked for more memory or table elements than it may have.
    Memory,
    /// It called itself without end.
    Stack,
    /// It crashed in another way.
    Trap,
    /// It held more handles than it may.
    Handles,
    /// It handed more to the host in one call than it may.
    HostCall,
    /// It set a header that is not its to set.
    Header,
    /// Its reply stood still, or came too slowly or for too long.
    Stream,
    /// It called functions too deep.
    Depth,
    /// It sent a request to where it may not.
    Denied,
    /// It sent more requests at once than it may.
    Outgoing,
    /// It logged more than it may: lines that were dropped.
    Log,
}

impl Offence {
    /// Every kind.
    pub const ALL: [Self; 13] = [
        Self::Cpu,
        Self::Wall,
        Self::Memory,
        Self::Stack,
        Self::Trap,
        Self::Handles,
        Self::HostCall,
        Self::Header,
        Self::Stream,
        Self::Depth,
        Self::Denied,
        Self::Outgoing,
        Self::Log,
    ];

    /// Its name in metrics and logs.
    pub fn name(self) -> &'static str {
        match self {
            Self::Cpu => "cpu",
            Self::Wall => "wall",
            Self::Memory => "memory",
            Self::Stack => "stack",
            Self::Trap => "trap",
            Self::Handles => "handles",
            Self::HostCall => "host-call",
            Self::Header => "header",
            Self::Stream => "stream",
            Self::Depth => "depth",
            Self::Denied => "denied",
            Self::Outgoing => "outgoing",
            Self::Log => "log",
        }
    }

    /// The offence that a failure is, where it is one: a function may exit or answer with an error.
    fn of(failure: &GuestFailure) -> Option<Self> {
        match failure {
            GuestFailure::Cpu => Some(Self::Cpu),
            GuestFailure::Wall(_) => Some(Self::Wall),
            GuestFailure::Trap(error) => Some(of_trap(error)),
            GuestFailure::Idle | GuestFailure::TooSlow | GuestFailure::TooLong => Some(Self::Stream),
            // Counted by the refusals that came before it.
            GuestFailure::Memory(_) => None,
            GuestFailure::Exit(_)
            | GuestFailure::NoResponse
            | GuestFailure::Answered(_)
            | GuestFailure::PoolFull(_)
            | GuestFailure::Starved(..)
            | GuestFailure::Host(_) => None,
        }
    }
}

/// By its words: a failure may be told twice, and wasmtime has no types for some. A test for each kind holds the words.
fn of_trap(error: &wasmtime::Error) -> Offence {
    const WORDS: [(&str, Offence); 4] = [
        ("call stack exhausted", Offence::Stack),
        ("store handle limit exceeded", Offence::Handles),
        ("resource table has no free keys", Offence::Handles),
        ("fuel allocated for hostcalls", Offence::HostCall),
    ];
    let text = format!("{error:#}");
    let known = WORDS.iter().find(|(words, _)| text.contains(words));
    known.map_or(Offence::Trap, |(_, offence)| *offence)
}

/// The offences of one invocation.
#[derive(Debug, Default)]
pub struct Offences([AtomicU32; Offence::ALL.len()]);

impl Offences {
    /// Counts one.
    pub fn count(&self, offence: Offence) {
        self.add(offence, 1);
    }

    /// Counts so many.
    pub fn add(&self, offence: Offence, times: u32) {
        self.0[offence as usize].fetch_add(times, Relaxed);
    }

    /// The invocation is over: what it ended with, and the memory that it was refused meanwhile.
    pub fn close(&self, failure: Option<&GuestFailure>, usage: &Usage) {
        if usage.refusals() > 0 {
            self.add(Offence::Memory, u32::try_from(usage.refusals()).unwrap_or(u32::MAX));
        }
        if let Some(offence) = failure.and_then(Offence::of) {
            self.count(offence);
        }
    }

    /// Those that happened, with how often.
    pub fn iter(&self) -> impl Iterator<Item = (Offence, u32)> {
        let times = |offence: Offence| (offence, self.0[offence as usize].load(Relaxed));
        Offence::ALL.into_iter().map(times).filter(|(_, times)| *times > 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_has_a_place_and_a_name_of_its_own() {
        let names: std::collections::BTreeSet<_> = Offence::ALL.map(Offence::name).into();
        assert_eq!(names.len(), Offence::ALL.len());
        let offences = Offences::default();
        for (place, offence) in Offence::ALL.into_iter().enumerate() {
            assert_eq!(offence as usize, place);
            offences.add(offence, 2);
        }
        assert!(offences.iter().eq(Offence::ALL.map(|offence| (offence, 2))));
    }

    #[test]
    fn nothing_is_told_of_an_invocation_that_behaved() {
        let offences = Offences::default();
        offences.close(None, &Usage::default());
        offences.close(Some(&GuestFailure::Exit(1)), &Usage::default());
        assert_eq!(offences.iter().count(), 0);
    }
}
