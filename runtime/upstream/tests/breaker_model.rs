//! A model of the breaker's state machine: the same source, its atomics replaced by Shuttle's, under random schedules of
//! threads. What must hold in every schedule: it never wedges, never lets more probes through than it may, and
//! opens once for one trouble.

#![allow(dead_code, unreachable_pub, reason = "the machine's source is included, and used in part")]

use rimward_upstream::Random;
use rimward_upstream::breaker::Phase;
use rimward_upstream::watch::Outcome;
use std::time::Duration;

mod sync {
    pub(crate) use shuttle::sync::atomic::{AtomicU32, AtomicU64, Ordering};
}

#[path = "../src/breaker/machine.rs"]
mod machine;
#[path = "../src/breaker/window.rs"]
mod window;

use machine::{Entry, Machine, Pass, Policy};
use shuttle::sync::Arc;
use shuttle::sync::atomic::{AtomicU32, AtomicU64, Ordering::SeqCst};
use shuttle::thread;

/// Schedules of each test: a few seconds.
const SCHEDULES: usize = 2_000;

fn policy() -> Policy {
    Policy { in_a_row: 2, probes: 1, open_max: Duration::from_secs(5), ..Policy::default() }
}

/// A pass, and the changes that asking made.
fn admit(machine: &Machine, now_ms: u64) -> (Option<Pass>, u32) {
    match machine.admit(now_ms) {
        Entry::Pass(pass) => (Some(pass), 0),
        Entry::Shifted(pass, _) => (Some(pass), 1),
        Entry::Refused(shift) => (None, u32::from(shift.is_some())),
    }
}

fn finish(machine: &Machine, pass: Pass, outcome: Outcome, now_ms: u64) -> u32 {
    u32::from(machine.finish(pass, outcome, Duration::ZERO, now_ms, &Random::seeded(1)).is_some())
}

/// Opens it at time 0, so that it may be probed from 7,500 on.
fn opened(policy: Policy) -> Machine {
    let machine = Machine::new(policy);
    for _ in 0..2 {
        let (pass, _) = admit(&machine, 0);
        finish(&machine, pass.expect("it is closed"), Outcome::Failed, 0);
    }
    assert_eq!(machine.phase(0), Phase::Open);
    machine
}

/// Whatever happened before: once the upstream answers, so does the breaker.
fn assert_recovers(machine: &Machine, mut now_ms: u64) {
    for _ in 0..10 {
        now_ms += 40_000;
        if let (Some(pass), _) = admit(machine, now_ms) {
            finish(machine, pass, Outcome::Answered, now_ms);
        }
    }
    assert_eq!(machine.phase(now_ms), Phase::Closed);
}

/// C7: failures at once open it once.
#[test]
fn failures_on_all_cores_open_it_once() {
    shuttle::check_random(
        || {
            let machine = Arc::new(Machine::new(policy()));
            let passes: Vec<_> = (0..3).map(|_| admit(&machine, 0).0.expect("it is closed")).collect();
            let threads: Vec<_> = passes
                .into_iter()
                .map(|pass| {
                    let machine = machine.clone();
                    thread::spawn(move || finish(&machine, pass, Outcome::Failed, 0))
                })
                .collect();
            let changes: u32 = threads.into_iter().map(|thread| thread.join().unwrap()).sum();
            assert_eq!((changes, machine.phase(0)), (1, Phase::Open));
            assert_recovers(&machine, 0);
        },
        SCHEDULES,
    );
}

/// C7: of many that ask at once as many as there are probes are let through, whoever of them goes away meanwhile.
#[test]
fn no_more_probes_are_under_way_than_may_be() {
    for probes in [1, 2] {
        shuttle::check_random(
            move || {
                let machine = Arc::new(opened(Policy { probes, ..policy() }));
                let (inside, most) = (Arc::new(AtomicU32::new(0)), Arc::new(AtomicU32::new(0)));
                let threads: Vec<_> = (0..4)
                    .map(|number| {
                        let (machine, inside, most) = (machine.clone(), inside.clone(), most.clone());
                        thread::spawn(move || {
                            if let (Some(pass), _) = admit(&machine, 8_000) {
                                most.fetch_max(inside.fetch_add(1, SeqCst) + 1, SeqCst);
                                thread::yield_now();
                                inside.fetch_sub(1, SeqCst);
                                match number % 2 {
                                    0 => machine.give_back(pass),
                                    _ => {
                                        finish(&machine, pass, Outcome::Failed, 8_000);
                                    }
                                }
                            }
                        })
                    })
                    .collect();
                threads.into_iter().for_each(|thread| thread.join().unwrap());
                assert!(most.load(SeqCst) <= probes);
                assert_recovers(&machine, 8_000);
            },
            SCHEDULES,
        );
    }
}

/// C7: probes that succeed, fail, are cancelled and are lost at once, with late results from before among them, never
/// wedge it.
#[test]
fn nothing_wedges_it() {
    shuttle::check_random(
        || {
            let machine = Machine::new(Policy { probes: 2, ..policy() });
            let late: Vec<_> = (0..2).map(|_| admit(&machine, 0).0.expect("it is closed")).collect();
            for _ in 0..2 {
                let (pass, _) = admit(&machine, 0);
                finish(&machine, pass.expect("it is closed"), Outcome::Failed, 0);
            }
            let machine = Arc::new(machine);
            let now = Arc::new(AtomicU64::new(8_000));
            let mut threads: Vec<_> = late
                .into_iter()
                .zip([Outcome::Failed, Outcome::Answered])
                .map(|(pass, outcome)| {
                    let machine = machine.clone();
                    thread::spawn(move || {
                        finish(&machine, pass, outcome, 8_000);
                    })
                })
                .collect();
            for number in 0..3 {
                let (machine, now) = (machine.clone(), now.clone());
                threads.push(thread::spawn(move || {
                    for _ in 0..2 {
                        let (pass, _) = admit(&machine, now.load(SeqCst));
                        match (pass, number) {
                            (Some(pass), 0) => {
                                finish(&machine, pass, Outcome::Answered, now.load(SeqCst));
                            }
                            (Some(pass), 1) => {
                                finish(&machine, pass, Outcome::Failed, now.load(SeqCst));
                            }
                            // Lost: nobody ever hears of it again.
                            (_lost, _) => {}
                        }
                        now.fetch_add(20_000, SeqCst);
                    }
                }));
            }
            threads.into_iter().for_each(|thread| thread.join().unwrap());
            assert_recovers(&machine, 200_000);
        },
        SCHEDULES,
    );
}

/// C7: calls from before an opening do not count after it, however late they end.
#[test]
fn late_results_change_nothing() {
    shuttle::check_random(
        || {
            let machine = Machine::new(policy());
            let late: Vec<_> = (0..3).map(|_| admit(&machine, 0).0.expect("it is closed")).collect();
            for _ in 0..2 {
                let (pass, _) = admit(&machine, 0);
                finish(&machine, pass.expect("it is closed"), Outcome::Failed, 0);
            }
            let machine = Arc::new(machine);
            let prober = {
                let machine = machine.clone();
                thread::spawn(move || {
                    let (pass, _) = admit(&machine, 8_000);
                    finish(&machine, pass.expect("the probe"), Outcome::Answered, 8_000);
                })
            };
            let threads: Vec<_> = late
                .into_iter()
                .map(|pass| {
                    let machine = machine.clone();
                    thread::spawn(move || finish(&machine, pass, Outcome::Failed, 8_000))
                })
                .collect();
            prober.join().unwrap();
            assert_eq!(threads.into_iter().map(|thread| thread.join().unwrap()).sum::<u32>(), 0);
            assert_eq!(machine.phase(8_000), Phase::Closed);
        },
        SCHEDULES,
    );
}

/// C18: no more tries at a time after a recovery than there are places.
#[test]
fn a_ramp_is_not_overrun() {
    shuttle::check_random(
        || {
            let machine = opened(policy());
            let (pass, _) = admit(&machine, 8_000);
            finish(&machine, pass.expect("the probe"), Outcome::Answered, 8_000);
            let machine = Arc::new(machine);
            let threads: Vec<_> = (0..4)
                .map(|_| {
                    let machine = machine.clone();
                    thread::spawn(move || admit(&machine, 8_000).0.map(std::mem::forget).is_some())
                })
                .collect();
            let passed = threads.into_iter().map(|thread| u32::from(thread.join().unwrap()));
            assert_eq!(passed.sum::<u32>(), 2);
        },
        SCHEDULES,
    );
}
