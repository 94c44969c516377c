//! The breaker's rules at their boundaries: the kinds of cases that Hystrix and resilience4j test, and ours.
//!
//! Each test writes a story, one word for each event, and what the breaker does at its end.

mod window;

use super::*;
use crate::watch::Unwatched;

const MS: Duration = Duration::from_millis(1);

/// A breaker, its clock, and what is under way.
struct Story {
    breaker: Arc<Breaker>,
    now: Instant,
}

fn policy() -> Policy {
    Policy { calls_min: 20, failure_rate: 0.5, in_a_row: 5, probes: 1, ..Policy::default() }
}

/// Rates only.
fn rates() -> Policy {
    Policy { in_a_row: 0, ..policy() }
}

impl Story {
    fn new(policy: Policy) -> Self {
        let random = Arc::new(Random::seeded(3));
        let breaker = Arc::new(Breaker::new(policy, random, Arc::new(Unwatched)));
        Self { breaker, now: Instant::now() }
    }

    fn wait(&mut self, ms: u64) -> &mut Self {
        self.now += Duration::from_millis(ms);
        self
    }

    fn end(&mut self, outcome: Outcome, times: usize) -> &mut Self {
        for _ in 0..times {
            if let Some(admitted) = self.breaker.admit(self.now) {
                admitted.finish(outcome, MS, self.now);
            }
        }
        self
    }

    fn good(&mut self, times: usize) -> &mut Self {
        self.end(Outcome::Answered, times)
    }

    fn bad(&mut self, times: usize) -> &mut Self {
        self.end(Outcome::Failed, times)
    }

    fn slow(&mut self, times: usize, took: Duration) -> &mut Self {
        for _ in 0..times {
            if let Some(admitted) = self.breaker.admit(self.now) {
                admitted.finish(Outcome::Answered, took, self.now);
            }
        }
        self
    }

    fn is(&mut self, phase: Phase) -> &mut Self {
        assert_eq!(self.breaker.phase(self.now), phase, "{:?}", self.breaker.history());
        self
    }

    fn closed(&mut self) -> &mut Self {
        self.is(Phase::Closed)
    }

    fn open(&mut self) -> &mut Self {
        self.is(Phase::Open)
    }

    fn half_open(&mut self) -> &mut Self {
        self.is(Phase::HalfOpen)
    }

    fn because(&mut self, reason: Reason) -> &mut Self {
        assert_eq!(self.breaker.history().last().map(|change| change.reason), Some(reason));
        self
    }

    /// Waits until the first probe may go out.
    fn until_half_open(&mut self) -> &mut Self {
        self.now = self.breaker.opens_until().expect("it is open");
        self.half_open()
    }

    fn admit(&self) -> Option<Admitted<'_>> {
        self.breaker.admit(self.now)
    }

    fn open_ms(&self) -> u64 {
        (self.breaker.opens_until().unwrap() - self.now).as_millis() as u64
    }

    /// Opens it, and lets the probe succeed.
    fn recovered(&mut self) -> &mut Self {
        self.bad(5).open().until_half_open().good(1).closed()
    }
}

/// C7: failures in a row: one less than the limit, the limit.
#[tokio::test(start_paused = true)]
async fn five_failures_in_a_row_open_it_and_four_do_not() {
    Story::new(policy()).bad(4).closed();
    Story::new(policy()).bad(5).open().because(Reason::FailuresInARow(5));
}

/// C7: a row is broken by one success.
#[tokio::test(start_paused = true)]
async fn a_success_begins_the_row_anew() {
    Story::new(policy()).bad(4).good(1).bad(4).closed().bad(1).open();
}

/// C7: in a row means in a row, however long it takes.
#[tokio::test(start_paused = true)]
async fn a_row_may_take_its_time() {
    Story::new(policy()).bad(2).wait(60_000).bad(2).wait(60_000).closed().bad(1).open();
}

/// C7: a timeout is a failure.
#[tokio::test(start_paused = true)]
async fn timeouts_count_in_a_row() {
    Story::new(policy()).end(Outcome::TimedOut, 5).open();
    Story::new(policy()).end(Outcome::TimedOut, 2).bad(3).open();
}

/// C7: without the rule, only rates open it.
#[tokio::test(start_paused = true)]
async fn a_row_of_zero_is_no_rule() {
    Story::new(rates()).bad(19).closed().bad(1).open().because(Reason::FailureRate(20, 20));
}

/// C5, C7: where there are calls enough for a rate, a row must be as long as a rate needs.
#[tokio::test(start_paused = true)]
async fn a_short_row_among_many_successes_is_chance() {
    Story::new(policy()).good(1_000).bad(19).closed().bad(1).open().because(Reason::FailuresInARow(20));
    Story::new(policy()).good(15).bad(4).closed().bad(1).closed();
    Story::new(policy()).good(14).bad(5).open();
}

/// C5, C7: three of ten failing by chance do not open it, whatever the order.
#[tokio::test(start_paused = true)]
async fn thirty_percent_of_failures_leave_it_closed() {
    let mut story = Story::new(policy());
    let random = Random::seeded(11);
    story.good(20);
    for _ in 0..50_000 {
        let outcome = if random.fraction() < 0.3 { Outcome::Failed } else { Outcome::Answered };
        story.end(outcome, 1).wait(2);
    }
    story.closed();
}

/// C7: minimum volume: one call less, and enough.
#[tokio::test(start_paused = true)]
async fn below_the_minimum_of_calls_there_is_no_rate() {
    Story::new(rates()).bad(19).closed();
    Story::new(rates()).good(10).bad(9).closed().bad(1).open();
}

/// C7: the rate: exactly, and one failure less.
#[tokio::test(start_paused = true)]
async fn half_of_the_calls_failing_open_it_and_less_does_not() {
    Story::new(rates()).good(51).bad(49).closed();
    Story::new(rates()).good(50).bad(50).open().because(Reason::FailureRate(50, 100));
}

/// C7: other rates.
#[tokio::test(start_paused = true)]
async fn the_rate_is_the_policys() {
    let at = |failure_rate| Policy { failure_rate, ..rates() };
    Story::new(at(0.25)).good(76).bad(24).closed();
    Story::new(at(0.25)).good(75).bad(25).open();
    Story::new(at(1.0)).good(1).bad(99).closed();
    Story::new(at(1.0)).bad(20).open();
    Story::new(at(0.0)).good(100).closed().bad(1).open();
}

/// C7: a success never opens it, even where it completes the minimum of calls.
#[tokio::test(start_paused = true)]
async fn a_success_does_not_open_it() {
    Story::new(rates()).bad(10).good(9).closed().good(1).closed();
}

/// C7: the window rolls.
#[tokio::test(start_paused = true)]
async fn failures_leave_with_the_window() {
    Story::new(rates()).bad(19).wait(10_000).bad(1).closed();
    Story::new(rates()).bad(19).wait(8_999).bad(1).open();
}

/// C7: old successes do not hide new failures for longer than the window.
#[tokio::test(start_paused = true)]
async fn successes_leave_with_the_window() {
    Story::new(rates()).good(1_000).wait(10_000).bad(19).closed().bad(1).open();
}

/// C7: buckets fill and leave one by one.
#[tokio::test(start_paused = true)]
async fn a_steady_rate_below_the_limit_never_opens_it() {
    let mut story = Story::new(rates());
    for _ in 0..200 {
        story.good(6).bad(4).wait(500).closed();
    }
}

/// C7: a change for the worse is seen within one window.
#[tokio::test(start_paused = true)]
async fn a_rate_that_rises_opens_it_in_time() {
    let mut story = Story::new(rates());
    (0..20).for_each(|_| {
        story.good(10).wait(500).closed();
    });
    for _ in 0..10 {
        story.bad(6).good(4).wait(1_000);
    }
    story.bad(1).open();
}

/// C6, C7: 429 counts in the rate.
#[tokio::test(start_paused = true)]
async fn throttling_counts_in_the_rate() {
    Story::new(policy()).end(Outcome::Throttled, 19).closed().end(Outcome::Throttled, 1).open();
}

/// C6, C7: 429 is no hard failure.
#[tokio::test(start_paused = true)]
async fn throttling_does_not_count_in_a_row() {
    Story::new(policy()).end(Outcome::Throttled, 10).closed();
    Story::new(policy()).bad(4).end(Outcome::Throttled, 1).closed().bad(1).open();
}

/// C7: what says nothing about the upstream is not counted.
#[tokio::test(start_paused = true)]
async fn void_outcomes_count_for_nothing() {
    Story::new(policy()).end(Outcome::Void, 100).bad(4).closed();
    assert_eq!(Story::new(policy()).end(Outcome::Void, 100).breaker.counts(Instant::now()).calls, 0);
}

/// C7: cancelled tries are not counted.
#[tokio::test(start_paused = true)]
async fn dropped_tries_count_for_nothing() {
    let story = Story::new(policy());
    (0..100).for_each(|_| drop(story.admit()));
    assert_eq!(story.breaker.counts(story.now).calls, 0);
}

/// C4, C7: slow calls: at the limit of time, and just below.
#[tokio::test(start_paused = true)]
async fn a_call_is_slow_from_the_limit_on() {
    let slow = Policy { slow_call: Some(Duration::from_secs(1)), slow_rate: 0.8, ..rates() };
    Story::new(slow).slow(100, Duration::from_millis(999)).closed();
    Story::new(slow).slow(19, Duration::from_secs(1)).closed();
    Story::new(slow).slow(20, Duration::from_secs(1)).open().because(Reason::SlowRate(20, 20));
}

/// C4, C7: the rate of slow calls: exactly, and one less.
#[tokio::test(start_paused = true)]
async fn four_slow_calls_of_five_open_it() {
    let slow = Policy { slow_call: Some(Duration::from_secs(1)), slow_rate: 0.8, ..rates() };
    Story::new(slow).good(21).slow(79, Duration::from_secs(2)).closed();
    Story::new(slow).good(20).slow(80, Duration::from_secs(2)).open();
}

/// C4: slow calls are no matter where no limit is set.
#[tokio::test(start_paused = true)]
async fn without_a_limit_no_call_is_slow() {
    Story::new(policy()).slow(1_000, Duration::from_secs(50)).closed();
}

/// C4: a slow failure is both.
#[tokio::test(start_paused = true)]
async fn a_slow_failure_counts_as_failure_and_as_slow() {
    let story = Story::new(Policy { slow_call: Some(MS), ..rates() });
    story.admit().unwrap().finish(Outcome::Failed, MS, story.now);
    let counts = story.breaker.counts(story.now);
    assert_eq!((counts.calls, counts.failures, counts.slow), (1, 1, 1));
}

/// C7: open means refused, to the last millisecond.
#[tokio::test(start_paused = true)]
async fn an_open_breaker_refuses_until_its_time_has_passed() {
    let mut story = Story::new(policy());
    story.bad(5);
    let wait = story.open_ms();
    assert!(story.admit().is_none());
    story.wait(wait - 1).open();
    assert!(story.admit().is_none());
    story.wait(1).half_open();
    assert!(story.admit().is_some());
}

/// C18: the wait has jitter of up to a half, and never less than itself.
#[tokio::test(start_paused = true)]
async fn the_wait_is_jittered() {
    let waits: std::collections::BTreeSet<u64> = (0..100)
        .map(|seed| {
            let breaker = Breaker::new(policy(), Arc::new(Random::seeded(seed)), Arc::new(Unwatched));
            let mut story = Story { breaker: Arc::new(breaker), now: Instant::now() };
            story.bad(5).open_ms()
        })
        .collect();
    assert!(waits.iter().all(|wait| (5_000..=7_500).contains(wait)), "{waits:?}");
    assert!(waits.len() > 90, "{waits:?}");
}

/// C7: the wait doubles with each opening in a row, up to its limit.
#[tokio::test(start_paused = true)]
async fn the_wait_doubles_up_to_a_minute() {
    let mut story = Story::new(policy());
    story.bad(5);
    for least in [5_000, 10_000, 20_000, 40_000, 60_000, 60_000, 60_000] {
        let wait = story.open_ms();
        assert!((least..=least * 3 / 2).contains(&wait), "{wait} for {least}");
        story.until_half_open().bad(1).open();
    }
}

/// C7: trouble long ago does not lengthen the wait.
#[tokio::test(start_paused = true)]
async fn after_a_good_time_the_wait_begins_anew() {
    let mut story = Story::new(policy());
    story.bad(5).until_half_open().bad(1).until_half_open().good(1).closed();
    story.wait(60_000).bad(5).open();
    assert!(story.open_ms() <= 7_500, "{}", story.open_ms());
}

/// C7: trouble that comes back at once does.
#[tokio::test(start_paused = true)]
async fn soon_after_a_recovery_the_wait_goes_on_growing() {
    let mut story = Story::new(policy());
    story.bad(5).until_half_open().bad(1).until_half_open().good(1).closed();
    story.wait(1_000).bad(5).open();
    assert!(story.open_ms() >= 20_000, "{}", story.open_ms());
}

/// C7: a single probe.
#[tokio::test(start_paused = true)]
async fn half_open_lets_one_probe_through() {
    let mut story = Story::new(policy());
    story.bad(5).until_half_open();
    let probe = story.admit().expect("the probe");
    assert!(story.admit().is_none());
    drop(probe);
}

/// C7: as many probes as configured, and one more.
#[tokio::test(start_paused = true)]
async fn half_open_lets_as_many_probes_through_as_the_policy_says() {
    let mut story = Story::new(Policy { probes: 3, ..policy() });
    story.bad(5).until_half_open();
    let probes: Vec<_> = (0..4).map(|_| story.admit()).collect();
    assert_eq!(probes.iter().flatten().count(), 3);
}

/// C7: N successes close it, one less does not.
#[tokio::test(start_paused = true)]
async fn all_probes_must_be_back_before_it_closes() {
    let mut story = Story::new(Policy { probes: 3, ..policy() });
    story.bad(5).until_half_open().good(2).half_open().good(1).closed().because(Reason::ProbesSucceeded);
}

/// C7: probes fail: at the failure rate, and below.
#[tokio::test(start_paused = true)]
async fn half_of_the_probes_failing_open_it_again() {
    let four = Policy { probes: 4, ..policy() };
    Story::new(four).bad(5).until_half_open().bad(1).good(3).closed();
    Story::new(four).bad(5).until_half_open().bad(1).half_open().bad(1).open().because(Reason::ProbeFailed);
}

/// C7: a failed probe opens it at once.
#[tokio::test(start_paused = true)]
async fn a_single_failed_probe_opens_it_again() {
    Story::new(policy()).bad(5).until_half_open().bad(1).open().because(Reason::ProbeFailed);
}

/// C7: a probe that times out has failed.
#[tokio::test(start_paused = true)]
async fn a_probe_that_times_out_opens_it_again() {
    Story::new(policy()).bad(5).until_half_open().end(Outcome::TimedOut, 1).open();
}

/// C6: a probe is strict: "later" is not "well".
#[tokio::test(start_paused = true)]
async fn a_throttled_probe_opens_it_again() {
    Story::new(policy()).bad(5).until_half_open().end(Outcome::Throttled, 1).open();
}

/// C7: a cancelled probe gives its place to the next call.
#[tokio::test(start_paused = true)]
async fn a_cancelled_probe_does_not_wedge_it() {
    let mut story = Story::new(policy());
    story.bad(5).until_half_open();
    for _ in 0..100 {
        drop(story.admit().expect("a probe"));
    }
    story.half_open().good(1).closed();
}

/// C7: a probe that says nothing gives its place back too.
#[tokio::test(start_paused = true)]
async fn a_void_probe_does_not_wedge_it() {
    Story::new(policy()).bad(5).until_half_open().end(Outcome::Void, 10).half_open().good(1).closed();
}

/// C7: a lost probe opens it again after a while, and then there are new ones.
#[tokio::test(start_paused = true)]
async fn a_lost_probe_does_not_wedge_it() {
    let mut story = Story::new(policy());
    story.bad(5).until_half_open();
    std::mem::forget(story.admit().expect("the probe"));
    story.wait(machine::PROBES_MAX_MS - 1);
    assert!(story.admit().is_none());
    story.wait(1);
    assert!(story.admit().is_none());
    story.open().because(Reason::ProbesLost).until_half_open().good(1).closed();
}

/// C7: probes that nobody sends are not lost: calls may be rare.
#[tokio::test(start_paused = true)]
async fn rare_calls_close_it_too() {
    let mut story = Story::new(Policy { probes: 3, ..policy() });
    story.bad(5).until_half_open().good(1).wait(machine::PROBES_MAX_MS).good(1).wait(600_000);
    story.half_open().good(1).closed();
}

/// C7: concurrent failures while half-open count once.
#[tokio::test(start_paused = true)]
async fn probes_that_fail_together_open_it_once() {
    let mut story = Story::new(Policy { probes: 3, failure_rate: 0.3, ..policy() });
    story.bad(5).until_half_open();
    let breaker = story.breaker.clone();
    let probes: Vec<_> = (0..3).map(|_| breaker.admit(story.now).unwrap()).collect();
    probes.into_iter().for_each(|probe| probe.finish(Outcome::Failed, MS, story.now));
    let wait = story.open().open_ms();
    assert!((10_000..=15_000).contains(&wait), "opened twice in a row, not four times: {wait}");
}

/// C7: a probe's success after another one's failure changes nothing.
#[tokio::test(start_paused = true)]
async fn a_probe_that_is_late_is_ignored() {
    let mut story = Story::new(Policy { probes: 2, ..policy() });
    story.bad(5).until_half_open();
    let breaker = story.breaker.clone();
    let late = breaker.admit(story.now).unwrap();
    story.bad(1).open();
    late.finish(Outcome::Answered, MS, story.now);
    story.open();
}

/// C7: nor does it count among the probes of the next time.
#[tokio::test(start_paused = true)]
async fn a_probe_of_an_earlier_time_is_ignored() {
    let mut story = Story::new(Policy { probes: 2, ..policy() });
    story.bad(5).until_half_open();
    let breaker = story.breaker.clone();
    let late = breaker.admit(story.now).unwrap();
    story.bad(1).open().until_half_open().good(1).half_open();
    late.finish(Outcome::Answered, MS, story.now);
    story.half_open().good(1).closed();
}

/// C7: nor does its end give a place to the probes of the next time.
#[tokio::test(start_paused = true)]
async fn a_probe_of_an_earlier_time_gives_no_place_back() {
    let mut story = Story::new(Policy { probes: 2, failure_rate: 0.5, ..policy() });
    story.bad(5).until_half_open();
    let breaker = story.breaker.clone();
    let late = breaker.admit(story.now).unwrap();
    story.bad(1).until_half_open();
    let _both = (breaker.admit(story.now).unwrap(), breaker.admit(story.now).unwrap());
    drop(late);
    assert!(story.admit().is_none());
}

/// C7: results of calls from before the opening are ignored while it is half-open.
#[tokio::test(start_paused = true)]
async fn a_late_failure_from_before_does_not_fail_the_probes() {
    let mut story = Story::new(policy());
    let breaker = story.breaker.clone();
    let late = breaker.admit(story.now).unwrap();
    story.bad(5).until_half_open();
    late.finish(Outcome::Failed, MS, story.now);
    story.half_open().good(1).closed();
}

/// C7: nor do late successes close it.
#[tokio::test(start_paused = true)]
async fn a_late_success_from_before_does_not_close_it() {
    let mut story = Story::new(policy());
    let breaker = story.breaker.clone();
    let late: Vec<_> = (0..10).map(|_| breaker.admit(story.now).unwrap()).collect();
    story.bad(5).until_half_open();
    late.into_iter().for_each(|call| call.finish(Outcome::Answered, MS, story.now));
    story.half_open();
}

/// C7: nor do they count when it is closed anew.
#[tokio::test(start_paused = true)]
async fn late_results_from_before_do_not_count_after_the_recovery() {
    let mut story = Story::new(policy());
    let breaker = story.breaker.clone();
    let late: Vec<_> = (0..10).map(|_| breaker.admit(story.now).unwrap()).collect();
    story.recovered();
    late.into_iter().for_each(|call| call.finish(Outcome::Failed, MS, story.now));
    story.closed();
    assert_eq!(story.breaker.counts(story.now).calls, 0);
}

/// C7: what was counted before the opening is forgotten.
#[tokio::test(start_paused = true)]
async fn a_recovery_begins_with_an_empty_window() {
    let mut story = Story::new(policy());
    story.recovered().bad(4).closed().bad(1).open();
}

/// C7: failures of calls that were under way when it opened do not open it twice.
#[tokio::test(start_paused = true)]
async fn calls_under_way_do_not_lengthen_the_wait() {
    let mut story = Story::new(policy());
    let breaker = story.breaker.clone();
    let under_way: Vec<_> = (0..50).map(|_| breaker.admit(story.now).unwrap()).collect();
    under_way.into_iter().for_each(|call| call.finish(Outcome::Failed, MS, story.now));
    assert!(story.open().open_ms() <= 7_500);
    assert_eq!(story.breaker.history().len(), 1);
}

/// C18: after a recovery few calls go out at a time, and twice as many after each round of successes.
#[tokio::test(start_paused = true)]
async fn a_recovery_ramps_up() {
    let mut story = Story::new(policy());
    story.recovered();
    let breaker = story.breaker.clone();
    let mut rounds = Vec::new();
    while rounds.last().is_none_or(|places| *places < 1_000) {
        let round: Vec<_> = (0..1_000).map_while(|_| breaker.admit(story.now)).collect();
        rounds.push(round.len());
        round.into_iter().for_each(|call| call.finish(Outcome::Answered, MS, story.now));
    }
    assert_eq!(rounds, [2, 4, 8, 16, 32, 1_000]);
}

/// C18: calls that come one after the other notice nothing of it.
#[tokio::test(start_paused = true)]
async fn a_recovery_refuses_nobody_who_comes_alone() {
    let mut story = Story::new(policy());
    story.recovered();
    for _ in 0..100 {
        assert!(story.admit().is_some());
        story.good(1);
    }
}

/// C18: failures give their places back without adding any.
#[tokio::test(start_paused = true)]
async fn failures_do_not_ramp_up() {
    let mut story = Story::new(rates());
    story.bad(20).open().until_half_open().good(1).closed().bad(10);
    assert_eq!((0..100).map_while(|_| story.admit()).map(std::mem::forget).count(), 2);
}

/// C18: a ramp ends after a while, whatever became of its calls.
#[tokio::test(start_paused = true)]
async fn lost_calls_do_not_hold_a_recovery_back_for_ever() {
    let mut story = Story::new(policy());
    story.recovered();
    (0..2).for_each(|_| std::mem::forget(story.admit()));
    assert!(story.admit().is_none());
    story.wait(machine::RAMP_MAX_MS);
    assert!(story.admit().is_some());
}

/// C18: cancelled calls give their places back.
#[tokio::test(start_paused = true)]
async fn cancelled_calls_leave_the_ramp() {
    let mut story = Story::new(policy());
    story.recovered();
    for _ in 0..100 {
        drop(story.admit().expect("a place"));
    }
}

/// An operator's word counts more than any outcome.
#[tokio::test(start_paused = true)]
async fn forced_open_refuses_and_forced_closed_lets_through() {
    let mut story = Story::new(policy());
    story.breaker.force(Forced::Open, story.now);
    story.open().because(Reason::Operator);
    assert!(story.admit().is_none());
    story.wait(3_600_000).open();
    story.breaker.force(Forced::Closed, story.now);
    story.closed().bad(100).closed();
    story.breaker.force(Forced::No, story.now);
    story.closed().bad(4).closed().bad(1).open();
}

/// Left to itself again it begins anew.
#[tokio::test(start_paused = true)]
async fn taking_the_word_back_closes_it() {
    let mut story = Story::new(policy());
    story.bad(5).open();
    story.breaker.force(Forced::No, story.now);
    story.closed().good(1);
    assert_eq!(story.breaker.counts(story.now).failures, 0);
}

/// C7: tries that were let through before the operator spoke are ignored.
#[tokio::test(start_paused = true)]
async fn results_from_before_the_operators_word_are_ignored() {
    let mut story = Story::new(policy());
    let breaker = story.breaker.clone();
    let late: Vec<_> = (0..10).map(|_| breaker.admit(story.now).unwrap()).collect();
    breaker.force(Forced::Closed, story.now);
    breaker.force(Forced::No, story.now);
    late.into_iter().for_each(|call| call.finish(Outcome::Failed, MS, story.now));
    story.closed();
}

/// A breaker that is switched off lets everything through and counts nothing.
#[tokio::test(start_paused = true)]
async fn switched_off_it_does_nothing() {
    Story::new(Policy { is_on: false, ..policy() }).bad(1_000).closed();
}

/// C7: time that does not pass, or seems to go back, wedges nothing.
#[tokio::test(start_paused = true)]
async fn a_clock_that_stands_still_or_jumps_wedges_nothing() {
    let mut story = Story::new(policy());
    story.wait(100_000).bad(5).open();
    let (then, until) = (story.now, story.breaker.opens_until().unwrap());
    story.now -= Duration::from_secs(90);
    story.open();
    assert!(story.admit().is_none());
    story.now = then;
    story.wait(365 * 24 * 3_600_000).half_open().good(1).closed().bad(5).open();
    assert!(story.breaker.opens_until().unwrap() > until);
}

/// C7: numbers at the ends of their ranges are as good as any.
#[tokio::test(start_paused = true)]
async fn extreme_policies_still_work() {
    let extreme = Policy {
        window: Duration::ZERO,
        calls_min: 0,
        probes: 0,
        open: Duration::ZERO,
        open_max: Duration::ZERO,
        in_a_row: 1,
        ..policy()
    };
    Story::new(extreme).bad(1).open().wait(10).half_open().good(1).closed();
    let long = Policy { open: Duration::MAX, open_max: Duration::MAX, ..policy() };
    Story::new(long).bad(5).open().wait(3_600_000).open();
}

/// The history is bounded, and keeps the latest.
#[tokio::test(start_paused = true)]
async fn the_history_keeps_the_last_changes() {
    let mut story = Story::new(policy());
    story.bad(5);
    for _ in 0..limits::BREAKER_CHANGES {
        story.until_half_open().bad(1);
    }
    let history = story.breaker.history();
    assert_eq!(history.len(), limits::BREAKER_CHANGES);
    assert_eq!(history.last().unwrap().to, Phase::Open);
    assert_eq!(history[history.len() - 2].reason, Reason::Waited);
}

/// C7: cores that fail together open it once; nothing is lost or counted twice.
#[tokio::test(start_paused = true)]
async fn many_threads_open_it_once() {
    for _ in 0..200 {
        let story = Story::new(policy());
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for _ in 0..50 {
                        if let Some(admitted) = story.breaker.admit(story.now) {
                            admitted.finish(Outcome::Failed, MS, story.now);
                        }
                    }
                });
            }
        });
        assert_eq!(story.breaker.phase(story.now), Phase::Open);
        assert_eq!(story.breaker.history().len(), 1);
    }
}

/// C7: cores that ask together get one probe.
#[tokio::test(start_paused = true)]
async fn many_threads_get_one_probe() {
    for _ in 0..200 {
        let mut story = Story::new(policy());
        story.bad(5).until_half_open();
        let probes: usize = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..4)
                .map(|_| scope.spawn(|| story.breaker.admit(story.now).map(std::mem::forget).is_some()))
                .collect();
            threads.into_iter().map(|thread| usize::from(thread.join().unwrap())).sum()
        });
        assert_eq!(probes, 1);
    }
}

/// A try beside an open breaker.
fn probe(story: &Story, outcome: Outcome) -> bool {
    let admitted = story.breaker.admit_probe(story.now);
    admitted.map(|admitted| admitted.finish(outcome, MS, story.now)).is_some()
}

#[test]
fn a_probe_beside_an_open_breaker_changes_nothing_unless_it_goes_well() {
    let mut story = Story::new(policy());
    story.bad(5).wait(100);
    let until = story.breaker.opens_until();
    assert!(until.is_some());
    for outcome in [Outcome::Failed, Outcome::Void] {
        assert!(probe(&story, outcome));
        assert_eq!((story.breaker.phase(story.now), story.breaker.opens_until()), (Phase::Open, until));
    }
    drop(story.breaker.admit_probe(story.now));
    assert_eq!(story.breaker.history().len(), 1, "nobody is told of it");
    assert!(probe(&story, Outcome::Answered));
    assert_eq!(story.breaker.phase(story.now), Phase::HalfOpen);
    story.good(1);
    assert_eq!(story.breaker.phase(story.now), Phase::Closed);
}

#[test]
fn a_probe_that_comes_back_after_another_opening_does_not_end_its_wait() {
    let mut story = Story::new(policy());
    story.bad(5);
    let breaker = story.breaker.clone();
    let early = breaker.admit_probe(story.now).unwrap();
    let wait = story.breaker.opens_until().unwrap() - story.now;
    story.wait(wait.as_millis() as u64 + 1).bad(1);
    assert_eq!(story.breaker.phase(story.now), Phase::Open);
    early.finish(Outcome::Answered, MS, story.now);
    assert_eq!(story.breaker.phase(story.now), Phase::Open);
}

#[test]
fn no_probe_passes_a_breaker_that_an_operator_opened() {
    let story = Story::new(policy());
    story.breaker.force(Forced::Open, story.now);
    assert!(!probe(&story, Outcome::Answered));
    story.breaker.force(Forced::No, story.now);
    assert!(probe(&story, Outcome::Failed), "closed, it is a try like all others");
    assert_eq!(story.breaker.counts(story.now).failures, 1);
}
