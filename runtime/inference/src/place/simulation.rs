//! Calls over a link that is good, slow, lossy, cut and restored, in simulated time: what came of each call, and what whoever
//! knew the link would have done.

use super::{Ended, Judge, Outlook, Side};
use crate::limits::PROBE_EVERY;
use crate::remote::Access;
use std::ops::Range;
use std::time::Duration;
use tokio::time::Instant;

/// What the link does for a while.
#[derive(Clone, Copy, Debug)]
struct Phase {
    lasts: Duration,
    /// A remote call takes this and up to half of it more.
    takes: Duration,
    /// Of a hundred remote calls so many get no answer.
    lost: u64,
}

const DEADLINE: Duration = Duration::from_millis(150);

fn phase(seconds: u64, takes_ms: u64, lost: u64) -> Phase {
    Phase { lasts: Duration::from_secs(seconds), takes: Duration::from_millis(takes_ms), lost }
}

/// What came of the calls of a phase.
#[derive(Debug, Default)]
struct Outcome {
    calls: u32,
    in_time: u32,
    remote: u32,
    /// In how many of them a remote call would have been in time.
    possible: u32,
    turns: u32,
    /// When the choice was last another one than at the end, from the phase's beginning.
    settled: Duration,
}

struct World {
    judge: Judge,
    now: Instant,
    random: u64,
    /// Remote calls that have ended by a moment at which the judge hears of them.
    ending: Vec<(Instant, Duration, Ended)>,
}

impl World {
    fn new(seed: u64) -> Self {
        Self { judge: Judge::default(), now: Instant::now(), random: seed, ending: Vec::new() }
    }

    fn up_to(&mut self, most: u64) -> u64 {
        // Steele, Lea and Flood's SplitMix64.
        self.random = self.random.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut number = self.random;
        number = (number ^ number >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        number = (number ^ number >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        (number ^ number >> 31) % most
    }

    fn hear(&mut self) {
        let now = self.now;
        self.ending.sort_by_key(|(at, ..)| *at);
        for (at, took, ended) in self.ending.extract_if(.., |(at, ..)| *at <= now) {
            self.judge.remote_ended(at, took, DEADLINE, 1000, ended);
        }
    }

    fn run(&mut self, phase: Phase, calls_per_second: u64) -> Outcome {
        let (mut outcome, start) = (Outcome::default(), self.now);
        let mut chosen = self.judge.chosen();
        while self.now < start + phase.lasts {
            // Irregularly, as requests come.
            let pause = 2 * self.up_to(1_000_000 / calls_per_second);
            self.now += Duration::from_micros(pause);
            self.hear();
            self.call(phase, &mut outcome);
            if self.judge.chosen() != chosen {
                chosen = self.judge.chosen();
                outcome.turns += 1;
                outcome.settled = self.now - start;
            }
        }
        outcome
    }

    fn call(&mut self, phase: Phase, outcome: &mut Outcome) {
        let outlook = Outlook { now: self.now, left: DEADLINE, bytes: 1000, access: Access::Free };
        let decision = self.judge.decide(outlook);
        let local = Duration::from_millis(20 + self.up_to(10));
        let takes = phase.takes + phase.takes.mul_f64(self.up_to(500) as f64 / 1000.0);
        let remote = (self.up_to(100) >= phase.lost).then_some(takes);
        outcome.calls += 1;
        outcome.possible += u32::from(remote.is_some_and(|remote| remote <= DEADLINE));
        let now = self.now;
        let by_local = match decision.first {
            Side::Local => local,
            Side::Remote => decision.other_after.map_or(Duration::MAX, |after| after + local),
        };
        let took = match decision.first {
            Side::Remote if remote.is_some_and(|remote| remote <= by_local) => {
                let remote = remote.unwrap();
                self.ending.push((now + remote, remote, Ended::Answered));
                outcome.remote += 1;
                remote
            }
            Side::Remote => {
                self.ending.push((now + by_local, by_local, Ended::GivenUp));
                self.judge.local_ended(now + by_local, local, 1000);
                by_local
            }
            Side::Local => {
                self.judge.local_ended(now + local, local, 1000);
                local
            }
        };
        outcome.in_time += u32::from(took <= DEADLINE);
    }
}

#[test]
fn calls_are_in_time_over_a_link_that_is_good_slow_lossy_cut_and_restored() {
    check(0..5);
}

mod slow {
    #[test]
    fn calls_are_in_time_over_any_link() {
        super::check(5..1000);
    }
}

/// Each call is in time whatever the link does, the cloud answers while it can, and a change of the link turns the choice
/// within two seconds, once.
fn check(seeds: Range<u64>) {
    for seed in seeds {
        for calls_per_second in [20, 50, 200] {
            let mut world = World::new(seed);
            let mut calls = (0, 0);
            for (phase, wanted) in [
                (phase(20, 40, 0), Side::Remote),
                (phase(20, 600, 0), Side::Local),
                (phase(20, 40, 1), Side::Remote),
                (phase(20, 40, 100), Side::Local),
                (phase(20, 30, 0), Side::Remote),
            ] {
                let outcome = world.run(phase, calls_per_second);
                let said = format!("seed {seed}, {calls_per_second} a second, {phase:?}: {outcome:?}");
                calls = (calls.0 + outcome.calls, calls.1 + outcome.in_time);
                assert_eq!(world.judge.chosen(), wanted, "{said}");
                assert!(outcome.turns <= 1 && outcome.settled <= Duration::from_secs(2), "{said}");
                if wanted == Side::Remote {
                    // But for the time in which it was found out that the link is back.
                    let found_out = 2 * calls_per_second as u32;
                    let remote = f64::from(outcome.remote);
                    assert!(remote >= 0.95 * f64::from(outcome.possible.saturating_sub(found_out)), "{said}");
                }
            }
            assert!(f64::from(calls.1) >= 0.99 * f64::from(calls.0), "seed {seed}: {calls:?}");
        }
    }
}

/// A link that loses three of ten calls is used for the seven, and the choice does not flap.
#[test]
fn a_lossy_link_is_used_and_the_choice_does_not_flap() {
    let (mut turns, mut remote, mut possible) = (0, 0, 0);
    for seed in 0..10 {
        let mut world = World::new(seed);
        let outcome = world.run(phase(60, 40, 30), 50);
        assert!(f64::from(outcome.in_time) >= 0.99 * f64::from(outcome.calls), "seed {seed}: {outcome:?}");
        (turns, remote, possible) =
            (turns + outcome.turns, remote + outcome.remote, possible + outcome.possible);
    }
    assert!(turns <= 10 * 6, "{turns} turns in 10 minutes");
    assert!(f64::from(remote) >= 0.9 * f64::from(possible), "{remote} of {possible}");
}

#[test]
fn a_call_that_is_too_large_or_has_too_little_time_for_the_cloud_is_answered_on_the_node() {
    let (mut judge, now) = (Judge::default(), Instant::now());
    let ms = Duration::from_millis;
    let outlook = |bytes, left| Outlook { now, left, bytes, access: Access::Free };
    assert_eq!(judge.decide(outlook(1000, DEADLINE)).reason, super::Reason::Unknown);
    for _ in 0..10 {
        judge.remote_ended(now, ms(50), DEADLINE, 1000, Ended::Answered);
        judge.local_ended(now, ms(20), 1000);
    }
    let usual = judge.decide(outlook(1000, DEADLINE));
    assert_eq!((usual.first, usual.other_after), (Side::Remote, Some(ms(115))));
    assert_eq!(judge.decide(outlook(1000, ms(49))).first, Side::Local);
    assert_eq!(judge.decide(outlook(4000, DEADLINE)).reason, super::Reason::TooShort);
    let resting = |after| Outlook { now: now + after, access: Access::Resting, ..outlook(1000, DEADLINE) };
    assert_eq!(judge.decide(resting(ms(0))).reason, super::Reason::Open);
    assert_eq!(judge.decide(outlook(1000, DEADLINE)).first, Side::Local, "it is to be tried first");
    let barred = Outlook { access: Access::Barred, ..resting(PROBE_EVERY) };
    assert_eq!(judge.decide(barred).reason, super::Reason::Open);
    assert_eq!(judge.decide(resting(PROBE_EVERY)).reason, super::Reason::Probe);
    assert_eq!(judge.decide(resting(PROBE_EVERY)).reason, super::Reason::Open, "one at a time");
}
