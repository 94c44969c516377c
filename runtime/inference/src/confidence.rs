//! How sure a model is of its answer, by a named rule.

use crate::{Datatype, Error, Kind, Tensor};

/// What an output is made into one number from 0 to 1 by.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Rule {
    /// The largest of the probabilities.
    #[default]
    Maximum,
    /// The largest of the probabilities that the softmax of the output is.
    Softmax,
    /// By how much the largest probability is above the second.
    Margin,
    /// One, less the entropy of the probabilities as a part of the most that it could be (Shannon).
    Entropy,
    /// The output is the number.
    Value,
}

impl Rule {
    /// What the rule makes of `output`: of several rows the one that is least sure.
    ///
    /// # Errors
    /// The output is not of numbers in floating point, is empty, or is not what the rule is for.
    pub fn of(self, output: &Tensor) -> Result<f64, Error> {
        let rows = rows(output)?;
        let mut least = f64::INFINITY;
        for row in rows {
            least = least.min(self.of_row(&row, output)?);
        }
        if least.is_finite() {
            return Ok(least.clamp(0.0, 1.0));
        }
        Err(failed(output, "it has no finite numbers"))
    }

    fn of_row(self, row: &[f64], output: &Tensor) -> Result<f64, Error> {
        let maximum = row.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        if row.iter().any(|value| value.is_nan()) {
            return Err(failed(output, "it has no finite numbers"));
        }
        match self {
            // Each below the largest adds what it is to it, and the largest one.
            Self::Softmax => Ok(1.0 / row.iter().map(|value| (value - maximum).exp()).sum::<f64>()),
            Self::Value => match row {
                [value] => Ok(*value),
                _ => Err(failed(output, "it has more than one number in a row")),
            },
            Self::Maximum | Self::Margin | Self::Entropy => {
                check_probabilities(row, output)?;
                Ok(match self {
                    Self::Margin => maximum - second(row),
                    Self::Entropy if row.len() > 1 => 1.0 - entropy(row) / (row.len() as f64).ln(),
                    _ => maximum,
                })
            }
        }
    }
}

fn second(row: &[f64]) -> f64 {
    let (mut first, mut second) = (f64::NEG_INFINITY, f64::NEG_INFINITY);
    for value in row {
        if *value > first {
            (first, second) = (*value, first);
        } else {
            second = second.max(*value);
        }
    }
    second.max(0.0)
}

fn entropy(row: &[f64]) -> f64 {
    row.iter().filter(|value| **value > 0.0).map(|value| -value * value.ln()).sum()
}

fn check_probabilities(row: &[f64], output: &Tensor) -> Result<(), Error> {
    let is_one = row.iter().all(|value| (-1e-6..=1.0 + 1e-6).contains(value));
    match is_one {
        true => Ok(()),
        false => Err(failed(output, "it has no probabilities: the rule `softmax` makes some of it")),
    }
}

/// The rows of the last dimension.
fn rows(output: &Tensor) -> Result<Vec<Vec<f64>>, Error> {
    let values: Vec<f64> = match output.datatype() {
        Datatype::Fp32 => {
            output.bytes().as_chunks().0.iter().map(|bytes| f64::from(f32::from_le_bytes(*bytes))).collect()
        }
        Datatype::Fp64 => {
            output.bytes().as_chunks().0.iter().map(|bytes| f64::from_le_bytes(*bytes)).collect()
        }
        other => return Err(failed(output, &format!("it is {other}, and not FP32 or FP64"))),
    };
    let row = output.shape().last().map_or(1, |size| *size as usize);
    match values.is_empty() {
        true => Err(failed(output, "it is empty")),
        false => Ok(values.chunks(row).map(<[f64]>::to_vec).collect()),
    }
}

fn failed(output: &Tensor, why: &str) -> Error {
    Error::new(Kind::Failed, format!("there is no confidence in the output `{}`: {why}", output.name()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;

    fn output(shape: &[u64], values: &[f32]) -> Tensor {
        let bytes: Vec<_> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
        Tensor::new("y", Datatype::Fp32, shape.to_vec(), Bytes::from(bytes)).unwrap()
    }

    fn check(rule: Rule, shape: &[u64], values: &[f32], wanted: f64) {
        let found = rule.of(&output(shape, values)).unwrap();
        assert!((found - wanted).abs() < 1e-6, "{rule:?} of {values:?} is {found}, not {wanted}");
    }

    #[test]
    fn each_rule_is_the_formula_that_it_is_named_after() {
        check(Rule::Maximum, &[3], &[0.2, 0.5, 0.3], 0.5);
        check(Rule::Margin, &[3], &[0.2, 0.5, 0.3], 0.2);
        check(Rule::Margin, &[1], &[1.0], 1.0);
        check(Rule::Entropy, &[4], &[0.25; 4], 0.0);
        check(Rule::Entropy, &[2], &[1.0, 0.0], 1.0);
        check(Rule::Softmax, &[2], &[0.0, 0.0], 0.5);
        check(Rule::Softmax, &[2], &[1000.0, 0.0], 1.0);
        check(Rule::Softmax, &[3], &[1.0, 2.0, 3.0], 0.665_240_955_774_821_8);
        check(Rule::Value, &[1, 1], &[0.75], 0.75);
        // Of a batch the least sure one.
        check(Rule::Maximum, &[2, 2], &[0.9, 0.1, 0.4, 0.6], 0.6);
    }

    #[test]
    fn outputs_that_a_rule_is_not_for_are_refused() {
        for (rule, shape, values) in [
            (Rule::Maximum, &[2][..], &[3.0, -1.0][..]),
            (Rule::Softmax, &[0], &[]),
            (Rule::Softmax, &[2], &[f32::NAN, 1.0]),
            (Rule::Softmax, &[1], &[f32::INFINITY]),
            (Rule::Value, &[2], &[0.1, 0.2]),
        ] {
            let found = rule.of(&output(shape, values));
            assert!(found.is_err(), "{rule:?} of {values:?} is {found:?}");
        }
        let labels = Tensor::new("y", Datatype::Int64, vec![1], Bytes::from_static(&[0; 8])).unwrap();
        assert!(Rule::Maximum.of(&labels).is_err());
    }
}
