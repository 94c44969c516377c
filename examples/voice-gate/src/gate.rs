//! When speech begins and ends. Pure: how likely speech is in each window comes in, and the windows that pass come out.

use serde::{Deserialize, Serialize};

/// Samples of a window: 32 ms, as the model was trained.
pub(crate) const WINDOW: usize = 512;
/// Speech begins where it is at least this likely, and ends where it is less likely than that. Both are Silero's own.
const BEGINS_AT: f32 = 0.5;
const ENDS_BELOW: f32 = 0.35;
/// It has ended after so many windows without it: a fifth of a second, a pause between words.
const PAUSE: u32 = 6;
/// Windows before speech that pass too, for the sounds that begin softly.
const BEFORE: usize = 2;

/// Whether somebody speaks.
#[derive(Debug, Default, Clone, PartialEq, Eq, Deserialize, Serialize)]
pub(crate) struct Gate {
    is_open: bool,
    /// Windows without speech since it was last heard.
    silent: u32,
}

/// Windows one after the other in which somebody speaks.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Run {
    /// The first of them.
    pub(crate) window: u64,
    pub(crate) samples: Vec<i16>,
}

impl Gate {
    /// The runs among these windows, of which the first has the number `first`.
    pub(crate) fn runs(&mut self, first: u64, windows: &[[i16; WINDOW]], likely: &[f32]) -> Vec<Run> {
        let mut passes: Vec<bool> = likely.iter().map(|likely| self.hear(*likely)).collect();
        for at in 1..passes.len() {
            if passes[at] && !passes[at - 1] {
                passes[at.saturating_sub(BEFORE)..at].fill(true);
            }
        }
        let numbered = (first..).zip(windows).zip(&passes);
        let mut runs: Vec<Run> = Vec::new();
        for ((number, window), _) in numbered.filter(|(_, passes)| **passes) {
            match runs.last_mut() {
                Some(run) if run.window + (run.samples.len() / WINDOW) as u64 == number => {
                    run.samples.extend(window)
                }
                _ => runs.push(Run { window: number, samples: window.to_vec() }),
            }
        }
        runs
    }

    /// Whether the next window passes.
    fn hear(&mut self, likely: f32) -> bool {
        if likely >= BEGINS_AT || (self.is_open && likely >= ENDS_BELOW) {
            *self = Self { is_open: true, silent: 0 };
        } else if self.is_open {
            self.silent += 1;
            self.is_open = self.silent <= PAUSE;
        }
        self.is_open
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The windows that pass, of which each is as likely as its digit says in tenths.
    fn passing(gate: &mut Gate, likely: &str) -> Vec<(u64, usize)> {
        let likely: Vec<f32> =
            likely.chars().map(|tenths| tenths.to_digit(10).unwrap() as f32 / 10.0).collect();
        let windows = vec![[0; WINDOW]; likely.len()];
        gate.runs(0, &windows, &likely).iter().map(|run| (run.window, run.samples.len() / WINDOW)).collect()
    }

    #[test]
    fn speech_passes_with_what_is_just_before_it_and_a_pause_behind() {
        let check = |likely: &str, runs: &[(u64, usize)]| {
            assert_eq!(passing(&mut Gate::default(), likely), runs, "{likely}");
        };
        check("0000000000", &[]);
        check("0000044440", &[]);
        check("0000090000000000", &[(3, 9)]);
        check("9000000000", &[(0, 7)]);
        // Less likely speech goes on, and does not begin.
        check("0009444400000000000", &[(1, 13)]);
        // A pause between words is no end; a longer one is.
        check("0009000000900000000", &[(1, 16)]);
        check("00090000000000090000000000", &[(1, 9), (13, 9)]);
    }

    #[test]
    fn speech_goes_on_into_the_next_piece() {
        let mut gate = Gate::default();
        assert_eq!(passing(&mut gate, "0099"), [(0, 4)]);
        assert_eq!(passing(&mut gate, "0000000000"), [(0, 6)]);
        assert_eq!(passing(&mut gate, "4444"), []);
    }
}
