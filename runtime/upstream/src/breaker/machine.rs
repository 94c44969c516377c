//! The breaker's states and the ways between them: atomics, and time as a number that is handed in.
//!
//! One word says the state, since when or until when, how often in a row it was opened, and a generation that changes with
//! the state. A try remembers the generation that let it through; when that has passed, its outcome says nothing about
//! now and is ignored. What belongs to one generation (probes, places after a recovery) carries its number, so
//! nothing has to be reset in step with the state. Checked by `tests/breaker_model.rs`, which includes this file.

use super::sync::{AtomicU32, AtomicU64, Ordering::AcqRel, Ordering::Acquire, Ordering::Relaxed};
use super::window::{Counts, Window};
use super::{Outcome, Phase, Random};
use std::time::Duration;

/// When a breaker opens, and how it closes again.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Policy {
    /// Whether there is a breaker at all.
    pub is_on: bool,
    /// Time over which rates are taken.
    pub window: Duration,
    /// Calls in the window below which there is no rate.
    pub calls_min: u32,
    /// Share of failed calls that opens it, `0..=1`.
    pub failure_rate: f64,
    /// Failures in a row that open it while the window has fewer calls than `calls_min`; 0 for never.
    pub in_a_row: u32,
    /// From when on an answer is slow.
    pub slow_call: Option<Duration>,
    /// Share of slow calls that opens it, `0..=1`.
    pub slow_rate: f64,
    /// How long it stays open the first time; twice as long each further time, up to `open_max`.
    pub open: Duration,
    /// The longest that it stays open, before jitter.
    pub open_max: Duration,
    /// Probes that decide whether it closes; at most this many are under way.
    pub probes: u32,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            is_on: true,
            window: Duration::from_secs(10),
            calls_min: 20,
            failure_rate: 0.5,
            in_a_row: 5,
            slow_call: None,
            slow_rate: 0.8,
            open: Duration::from_secs(5),
            open_max: Duration::from_secs(60),
            probes: 1,
        }
    }
}

/// Why a breaker changed its state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// Too large a share of calls failed: so many of so many.
    FailureRate(u32, u32),
    /// Too large a share of calls was slow: so many of so many.
    SlowRate(u32, u32),
    /// So many calls failed in a row.
    FailuresInARow(u32),
    /// It was open for long enough.
    Waited,
    /// The probes went well.
    ProbesSucceeded,
    /// A probe failed.
    ProbeFailed,
    /// Probes did not come back in time.
    ProbesLost,
    /// An operator said so.
    Operator,
}

impl std::fmt::Display for Reason {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::FailureRate(failed, calls) => write!(f, "{failed} of {calls} tries failed"),
            Self::SlowRate(slow, calls) => write!(f, "{slow} of {calls} tries were slow"),
            Self::FailuresInARow(failed) => write!(f, "{failed} tries in a row failed"),
            Self::Waited => f.write_str("it was open for long enough"),
            Self::ProbesSucceeded => f.write_str("the probes went well"),
            Self::ProbeFailed => f.write_str("a probe failed"),
            Self::ProbesLost => f.write_str("probes did not come back in time"),
            Self::Operator => f.write_str("an operator said so"),
        }
    }
}

/// Longest that the probes of one half-open phase may take together. Past it: open again.
pub(crate) const PROBES_MAX_MS: u64 = 30_000;
/// Jitter of the open time: up to this share longer, as Linkerd has it.
const JITTER: f64 = 0.5;
/// Tries at a time after a recovery at which the breaker stops counting them: a few doublings from one probe.
const RAMP_DONE: u64 = 64;
/// After this time a recovery is over, whatever came of its tries.
pub(crate) const RAMP_MAX_MS: u64 = 10_000;

/// The right to one try, and what let it through.
#[derive(Debug)]
pub(crate) struct Pass {
    generation: u64,
    kind: Kind,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Usual,
    /// One of the few after a recovery.
    Ramped,
    Probe,
    /// Beside an open breaker.
    Early,
}

/// The state changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Shift {
    pub(crate) from: Phase,
    pub(crate) to: Phase,
    pub(crate) reason: Reason,
}

/// What came of asking.
#[derive(Debug)]
pub(crate) enum Entry {
    Pass(Pass),
    /// The state changed, and the try goes out as its first probe.
    Shifted(Pass, Shift),
    /// No; and perhaps the state changed.
    Refused(Option<Shift>),
}

#[derive(Debug)]
pub(crate) struct Machine {
    policy: Policy,
    word: AtomicU64,
    /// [`Probes`] of the half-open phase of their generation.
    probes: AtomicU64,
    /// [`Ramp`] of the closed phase of its generation; 0 for none.
    ramp: AtomicU64,
    in_a_row: AtomicU32,
    window: Window,
}

/// The state in one word: generation (18 bits), openings in a row (4), phase (2), moment in ms (40 bits, 34 years).
/// Closed: since when. Open: until when. Half-open: until when the probes must be back.
/// A result would have to be late by 262,144 changes to be taken for one of now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Word {
    generation: u64,
    openings: u32,
    phase: Phase,
    moment_ms: u64,
}

const GENERATIONS: u64 = 1 << 18;
const OPENINGS_MAX: u32 = 15;
const MOMENT_MAX: u64 = (1 << 40) - 1;

impl Word {
    fn read(word: u64) -> Self {
        let phase = match (word >> 40) & 3 {
            0 => Phase::Closed,
            1 => Phase::Open,
            _ => Phase::HalfOpen,
        };
        Self {
            generation: word >> 46,
            openings: ((word >> 42) & 15) as u32,
            phase,
            moment_ms: word & MOMENT_MAX,
        }
    }

    fn word(self) -> u64 {
        let phase = match self.phase {
            Phase::Closed => 0,
            Phase::Open => 1,
            Phase::HalfOpen => 2,
        };
        self.generation << 46 | u64::from(self.openings) << 42 | phase << 40 | self.moment_ms.min(MOMENT_MAX)
    }

    fn next(self, phase: Phase, openings: u32, moment_ms: u64) -> Self {
        Self {
            generation: (self.generation + 1) % GENERATIONS,
            openings: openings.min(OPENINGS_MAX),
            phase,
            moment_ms,
        }
    }
}

/// Generation (18 bits), probes under way (15), succeeded (15), throttled or failed (15).
#[derive(Clone, Copy)]
struct Probes {
    generation: u64,
    under_way: u64,
    succeeded: u64,
    failed: u64,
}

const FIFTEEN: u64 = (1 << 15) - 1;

impl Probes {
    /// Those of `generation`; none where the word is of another one.
    fn read(word: u64, generation: u64) -> Self {
        if word >> 45 != generation {
            return Self { generation, under_way: 0, succeeded: 0, failed: 0 };
        }
        Self {
            generation,
            under_way: (word >> 30) & FIFTEEN,
            succeeded: (word >> 15) & FIFTEEN,
            failed: word & FIFTEEN,
        }
    }

    fn word(self) -> u64 {
        self.generation << 45 | self.under_way << 30 | self.succeeded << 15 | self.failed
    }
}

/// Generation (18 bits), places (15), taken (15). Zero: no ramp.
#[derive(Clone, Copy)]
struct Ramp {
    generation: u64,
    places: u64,
    taken: u64,
}

impl Ramp {
    fn read(word: u64) -> Option<Self> {
        let ramp = Self { generation: word >> 30, places: (word >> 15) & FIFTEEN, taken: word & FIFTEEN };
        (ramp.places > 0).then_some(ramp)
    }

    fn word(self) -> u64 {
        self.generation << 30 | self.places << 15 | self.taken
    }
}

impl Machine {
    pub(crate) fn new(policy: Policy) -> Self {
        let policy = Policy {
            probes: policy.probes.clamp(1, FIFTEEN as u32),
            calls_min: policy.calls_min.max(1),
            ..policy
        };
        Self {
            policy,
            word: AtomicU64::new(0),
            probes: AtomicU64::new(0),
            ramp: AtomicU64::new(0),
            in_a_row: AtomicU32::new(0),
            window: Window::new(ms(policy.window)),
        }
    }

    /// Whether a try may go out.
    pub(crate) fn admit(&self, now_ms: u64) -> Entry {
        let mut shift = None;
        loop {
            let word = self.word();
            match word.phase {
                Phase::Closed => {
                    return match self.place_in_ramp(word, now_ms) {
                        Some(kind) => Entry::Pass(Pass { generation: word.generation, kind }),
                        None => Entry::Refused(shift),
                    };
                }
                Phase::Open if now_ms < word.moment_ms => return Entry::Refused(shift),
                Phase::Open => {
                    let half_open = word.next(Phase::HalfOpen, word.openings, now_ms + PROBES_MAX_MS);
                    if self.change(word, half_open) {
                        shift =
                            Some(Shift { from: Phase::Open, to: Phase::HalfOpen, reason: Reason::Waited });
                    }
                }
                Phase::HalfOpen if now_ms >= word.moment_ms => {
                    if self.has_lost_probes(word.generation) {
                        return Entry::Refused(self.open_for_lost_probes(word, now_ms));
                    }
                    // Nobody came to probe, which is not the upstream's fault.
                    self.change(word, Word { moment_ms: now_ms + PROBES_MAX_MS, ..word });
                }
                Phase::HalfOpen => {
                    let taken = self.take_probe(word.generation);
                    let pass = Pass { generation: word.generation, kind: Kind::Probe };
                    return match (taken, shift) {
                        (true, Some(shift)) => Entry::Shifted(pass, shift),
                        (true, None) => Entry::Pass(pass),
                        (false, shift) => Entry::Refused(shift),
                    };
                }
            }
        }
    }

    /// The right to a try while it is open.
    pub(crate) fn early(&self) -> Option<Pass> {
        let Word { phase, generation, .. } = self.word();
        (phase == Phase::Open).then_some(Pass { generation, kind: Kind::Early })
    }

    /// Ends the wait of that opening: the next try is its probe.
    fn end_wait(&self, generation: u64, now_ms: u64) {
        let word = self.word();
        if word.phase == Phase::Open && word.generation == generation && now_ms < word.moment_ms {
            // Where another try comes between, that one has changed it.
            self.change(word, Word { moment_ms: now_ms, ..word });
        }
    }

    /// Takes an outcome into account. The change that it made, if any.
    pub(crate) fn finish(
        &self,
        pass: Pass,
        outcome: Outcome,
        took: Duration,
        now_ms: u64,
        random: &Random,
    ) -> Option<Shift> {
        if outcome == Outcome::Void {
            self.give_back(pass);
            return None;
        }
        let word = self.word();
        match pass.kind {
            Kind::Probe => self.finish_probe(pass, outcome, now_ms, random),
            Kind::Early => {
                if outcome == Outcome::Answered {
                    self.end_wait(pass.generation, now_ms);
                }
                None
            }
            Kind::Usual | Kind::Ramped => {
                if pass.kind == Kind::Ramped {
                    self.leave_ramp(pass.generation, u64::from(outcome == Outcome::Answered));
                }
                let is_now = word.generation == pass.generation;
                if is_now { self.count(word, outcome, took, now_ms, random) } else { None }
            }
        }
    }

    /// The try came to nothing that says anything; a probe's place is free again.
    pub(crate) fn give_back(&self, pass: Pass) {
        match pass.kind {
            Kind::Usual | Kind::Early => {}
            Kind::Ramped => self.leave_ramp(pass.generation, 0),
            Kind::Probe => {
                self.update_probes(pass.generation, |probes| {
                    Some(Probes { under_way: probes.under_way.checked_sub(1)?, ..probes })
                });
            }
        }
    }

    /// Closed, as new.
    pub(crate) fn reset(&self, now_ms: u64) {
        loop {
            let word = self.word();
            self.forget();
            if self.change(word, word.next(Phase::Closed, 0, now_ms)) {
                return;
            }
        }
    }

    /// What the next call would find: an open breaker whose time has passed lets it try.
    pub(crate) fn phase(&self, now_ms: u64) -> Phase {
        let word = self.word();
        match word.phase {
            Phase::Open if now_ms >= word.moment_ms => Phase::HalfOpen,
            phase => phase,
        }
    }

    pub(crate) fn open_until(&self) -> Option<u64> {
        let word = self.word();
        (word.phase == Phase::Open).then_some(word.moment_ms)
    }

    pub(crate) fn counts(&self, now_ms: u64) -> Counts {
        self.window.counts(now_ms)
    }

    pub(crate) fn in_a_row(&self) -> u32 {
        self.in_a_row.load(Relaxed)
    }

    fn word(&self) -> Word {
        Word::read(self.word.load(Acquire))
    }

    fn change(&self, from: Word, to: Word) -> bool {
        self.word.compare_exchange(from.word(), to.word(), AcqRel, Acquire).is_ok()
    }

    fn count(
        &self,
        word: Word,
        outcome: Outcome,
        took: Duration,
        now_ms: u64,
        random: &Random,
    ) -> Option<Shift> {
        let is_failed = outcome != Outcome::Answered;
        let is_slow = self.policy.slow_call.is_some_and(|slow| took >= slow);
        self.window.count(now_ms, is_failed, is_slow);
        let in_a_row = match outcome {
            Outcome::Failed | Outcome::TimedOut => self.in_a_row.fetch_add(1, Relaxed) + 1,
            _ => {
                // Only read while all is well, so that cores do not fight over it.
                if self.in_a_row.load(Relaxed) != 0 && outcome == Outcome::Answered {
                    self.in_a_row.store(0, Relaxed);
                }
                0
            }
        };
        if !is_failed && !is_slow {
            return None;
        }
        let reason = self.verdict(in_a_row, now_ms)?;
        // Closed for longer than it was open last: that trouble is over, and this is another one.
        let was_well = now_ms.saturating_sub(word.moment_ms) >= self.open_ms(word.openings, 0.0);
        let openings = if was_well { 1 } else { word.openings + 1 };
        self.open(word, openings, reason, now_ms, random)
    }

    fn verdict(&self, in_a_row: u32, now_ms: u64) -> Option<Reason> {
        let counts = self.window.counts(now_ms);
        let policy = &self.policy;
        let reaches = |some: u32, rate: f64| some > 0 && f64::from(some) >= rate * f64::from(counts.calls);
        let row_min = if counts.calls < policy.calls_min { policy.in_a_row } else { policy.calls_min };
        if policy.in_a_row > 0 && in_a_row >= row_min {
            return Some(Reason::FailuresInARow(in_a_row));
        }
        if counts.calls < policy.calls_min {
            return None;
        }
        if reaches(counts.failures, policy.failure_rate) {
            return Some(Reason::FailureRate(counts.failures, counts.calls));
        }
        if policy.slow_call.is_some() && reaches(counts.slow, policy.slow_rate) {
            return Some(Reason::SlowRate(counts.slow, counts.calls));
        }
        None
    }

    fn open(&self, from: Word, openings: u32, reason: Reason, now_ms: u64, random: &Random) -> Option<Shift> {
        let until_ms = now_ms + self.open_ms(openings, random.fraction());
        let is_changed = self.change(from, from.next(Phase::Open, openings, until_ms));
        is_changed.then_some(Shift { from: from.phase, to: Phase::Open, reason })
    }

    /// How long it stays open the `openings`-th time in a row.
    fn open_ms(&self, openings: u32, jitter: f64) -> u64 {
        let doublings = openings.saturating_sub(1).min(OPENINGS_MAX);
        let open = self.policy.open.saturating_mul(1 << doublings).min(self.policy.open_max);
        (ms(open.max(Duration::from_millis(1))) as f64 * (1.0 + JITTER * jitter)).round() as u64
    }

    fn finish_probe(&self, pass: Pass, outcome: Outcome, now_ms: u64, random: &Random) -> Option<Shift> {
        let is_well = outcome == Outcome::Answered;
        let probes = self.update_probes(pass.generation, |probes| {
            Some(Probes {
                under_way: probes.under_way.checked_sub(1)?,
                succeeded: probes.succeeded + u64::from(is_well),
                failed: probes.failed + u64::from(!is_well),
                ..probes
            })
        })?;
        // Again where the moment was put off meanwhile.
        loop {
            let word = self.word();
            if word.generation != pass.generation {
                return None;
            }
            let (next, reason) = self.verdict_of(probes, word, now_ms, random)?;
            if next.phase == Phase::Closed {
                self.begin_closed(next.generation);
            }
            if self.change(word, next) {
                return Some(Shift { from: Phase::HalfOpen, to: next.phase, reason });
            }
        }
    }

    /// What comes after these probes; `None` while more are needed.
    fn verdict_of(&self, probes: Probes, word: Word, now_ms: u64, random: &Random) -> Option<(Word, Reason)> {
        let all = f64::from(self.policy.probes);
        if probes.failed > 0 && probes.failed as f64 >= self.policy.failure_rate * all {
            let openings = word.openings + 1;
            let until_ms = now_ms + self.open_ms(openings, random.fraction());
            return Some((word.next(Phase::Open, openings, until_ms), Reason::ProbeFailed));
        }
        let is_decided = probes.succeeded + probes.failed >= u64::from(self.policy.probes);
        is_decided.then(|| (word.next(Phase::Closed, word.openings, now_ms), Reason::ProbesSucceeded))
    }

    /// Whether half-open cannot go on: somebody has a probe's place and does not come back.
    fn has_lost_probes(&self, generation: u64) -> bool {
        let probes = Probes::read(self.probes.load(Acquire), generation);
        let given = probes.under_way + probes.succeeded + probes.failed;
        probes.under_way > 0 || given >= u64::from(self.policy.probes)
    }

    fn open_for_lost_probes(&self, word: Word, now_ms: u64) -> Option<Shift> {
        // Without jitter: nothing is at hand to make it of, and lost probes come one by one.
        let openings = word.openings + 1;
        let open = word.next(Phase::Open, openings, now_ms + self.open_ms(openings, 0.0));
        let shift = Shift { from: Phase::HalfOpen, to: Phase::Open, reason: Reason::ProbesLost };
        self.change(word, open).then_some(shift)
    }

    /// Nothing is known yet, and few tries go out at a time.
    fn begin_closed(&self, generation: u64) {
        self.forget();
        let places = 2 * u64::from(self.policy.probes);
        if places < RAMP_DONE {
            self.ramp.store(Ramp { generation, places, taken: 0 }.word(), Relaxed);
        }
    }

    fn forget(&self) {
        self.window.clear();
        self.in_a_row.store(0, Relaxed);
        self.ramp.store(0, Relaxed);
    }

    /// Takes the place of one probe, if one is left.
    fn take_probe(&self, generation: u64) -> bool {
        let most = u64::from(self.policy.probes);
        let taken = self.update_probes(generation, |probes| {
            let given = probes.under_way + probes.succeeded + probes.failed;
            (given < most).then_some(Probes { under_way: probes.under_way + 1, ..probes })
        });
        taken.is_some()
    }

    /// Changes the probes of `generation`; nothing where a later generation has begun to count.
    fn update_probes(&self, generation: u64, change: impl Fn(Probes) -> Option<Probes>) -> Option<Probes> {
        let mut found = self.probes.load(Acquire);
        loop {
            if self.word().generation != generation {
                return None;
            }
            let changed = change(Probes::read(found, generation))?;
            match self.probes.compare_exchange_weak(found, changed.word(), AcqRel, Acquire) {
                Ok(_) => return Some(changed),
                Err(now) => found = now,
            }
        }
    }

    /// A place among the tries after a recovery, where there is one.
    fn place_in_ramp(&self, word: Word, now_ms: u64) -> Option<Kind> {
        let mut found = self.ramp.load(Acquire);
        loop {
            let Some(ramp) = Ramp::read(found).filter(|ramp| ramp.generation == word.generation) else {
                return Some(Kind::Usual);
            };
            if now_ms >= word.moment_ms + RAMP_MAX_MS {
                return Some(Kind::Usual);
            }
            if ramp.taken >= ramp.places {
                return None;
            }
            let taken = Ramp { taken: ramp.taken + 1, ..ramp };
            match self.ramp.compare_exchange_weak(found, taken.word(), AcqRel, Acquire) {
                Ok(_) => return Some(Kind::Ramped),
                Err(now) => found = now,
            }
        }
    }

    /// Gives a place back, and adds `more`; enough of them end the ramp.
    fn leave_ramp(&self, generation: u64, more: u64) {
        let mut found = self.ramp.load(Acquire);
        while let Some(ramp) = Ramp::read(found).filter(|ramp| ramp.generation == generation) {
            let places = ramp.places + more;
            let left = Ramp { places, taken: ramp.taken.saturating_sub(1), ..ramp };
            let next = if places >= RAMP_DONE { 0 } else { left.word() };
            match self.ramp.compare_exchange_weak(found, next, AcqRel, Acquire) {
                Ok(_) => return,
                Err(now) => found = now,
            }
        }
    }
}

fn ms(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
