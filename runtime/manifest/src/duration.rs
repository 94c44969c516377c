//! A length of time as people write it: `200ms`, `2s`, `5m`, `72h`.

use std::fmt;
use std::str::FromStr;

use crate::limits::DURATION_MAX;
use crate::text::text_type;

/// A length of time, more than zero and at most [`DURATION_MAX`], in whole milliseconds. Written as a whole number
/// with `ms`, `s`, `m`, `h` or `d`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Duration(std::time::Duration);

/// Why a text is not a length of time.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DurationError {
    /// No whole number at the start.
    #[error("the duration `{0}` does not start with a whole number")]
    Number(String),
    /// No unit: a bare number would leave open whether seconds are meant.
    #[error("the duration `{0}` has no unit")]
    NoUnit(String),
    /// A unit that is not one of ours.
    #[error("the duration `{duration}` has the unknown unit `{unit}`")]
    Unit {
        /// The whole text.
        duration: String,
        /// What follows the number.
        unit: String,
    },
    /// No time at all.
    #[error("the duration is zero")]
    Zero,
    /// More than a year.
    #[error("the duration `{0}` is longer than 365 days")]
    TooLong(String),
}

/// Milliseconds per unit, largest first, so that `Display` finds the shortest exact form.
const UNITS: [(&str, u64); 5] = [("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1_000), ("ms", 1)];

impl Duration {
    /// The same length of time for the standard library.
    pub const fn get(self) -> std::time::Duration {
        self.0
    }

    /// One of this crate's own defaults.
    pub(crate) const fn constant(duration: std::time::Duration) -> Self {
        assert!(!duration.is_zero(), "a default is never zero");
        Self(duration)
    }
}

impl From<Duration> for std::time::Duration {
    fn from(duration: Duration) -> Self {
        duration.0
    }
}

impl FromStr for Duration {
    type Err = DurationError;

    fn from_str(text: &str) -> Result<Self, DurationError> {
        let digits = text.len() - text.trim_start_matches(|c: char| c.is_ascii_digit()).len();
        let (number, unit) = text.split_at(digits);
        let unit = unit.trim_start();
        if number.is_empty() {
            return Err(DurationError::Number(text.into()));
        }
        if unit.is_empty() {
            return Err(DurationError::NoUnit(text.into()));
        }
        let Some((_, factor)) = UNITS.iter().find(|(name, _)| *name == unit) else {
            return Err(DurationError::Unit { duration: text.into(), unit: unit.into() });
        };
        let ms = number.parse::<u64>().ok().and_then(|number| number.checked_mul(*factor));
        match ms.map(std::time::Duration::from_millis) {
            Some(duration) if duration.is_zero() => Err(DurationError::Zero),
            Some(duration) if duration <= DURATION_MAX => Ok(Self(duration)),
            _ => Err(DurationError::TooLong(text.into())),
        }
    }
}

impl fmt::Display for Duration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ms = u64::try_from(self.0.as_millis()).expect("a year of milliseconds fits 64 bits");
        let exact = UNITS.iter().find(|(_, factor)| ms.is_multiple_of(*factor));
        let (unit, factor) = exact.expect("every duration is a multiple of one millisecond");
        write!(f, "{}{unit}", ms / factor)
    }
}

text_type!(
    Duration,
    pattern: "^[0-9]+ *(ms|s|m|h|d)$",
    hint: "a duration is a whole number with `ms`, `s`, `m`, `h` or `d`, as in `200ms`"
);

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected_ms: Result<u128, &str>) {
        let parsed = text.parse::<Duration>().map(|d| d.get().as_millis()).map_err(|error| error.to_string());
        assert_eq!(parsed, expected_ms.map_err(String::from), "{text}");
    }

    #[test]
    fn a_duration_is_a_number_and_a_unit() {
        check("200ms", Ok(200));
        check("2s", Ok(2_000));
        check("5m", Ok(300_000));
        check("72h", Ok(259_200_000));
        check("1d", Ok(86_400_000));
    }

    #[test]
    fn a_wrong_duration_says_what_is_wrong() {
        check("2", Err("the duration `2` has no unit"));
        check("s", Err("the duration `s` does not start with a whole number"));
        check("2sec", Err("the duration `2sec` has the unknown unit `sec`"));
        check("0s", Err("the duration is zero"));
    }

    #[test]
    fn a_duration_is_at_most_a_year() {
        check("365d", Ok(31_536_000_000));
        check("31536000001ms", Err("the duration `31536000001ms` is longer than 365 days"));
        check("99999999999999999d", Err("the duration `99999999999999999d` is longer than 365 days"));
    }

    #[test]
    fn a_duration_is_written_in_its_largest_exact_unit() {
        for (text, canonical) in [("72h", "3d"), ("90s", "90s"), ("60s", "1m"), ("1500ms", "1500ms")] {
            assert_eq!(text.parse::<Duration>().unwrap().to_string(), canonical);
        }
    }
}
