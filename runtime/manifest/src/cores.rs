//! CPU time as people write it: `50%` is half of one core, `200%` two cores.

use std::fmt;
use std::str::FromStr;

use crate::limits::CORES_PERCENT_MAX;
use crate::text::text_type;

/// CPU time for each unit of time, in whole percent of one core: at least 1 and at most [`CORES_PERCENT_MAX`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Cores(u32);

/// Why a text is not an amount of CPU time.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CoresError {
    /// No whole number with a percent sign.
    #[error("the CPU share `{0}` is not a whole number with `%`")]
    Number(String),
    /// Nothing, or more than any machine has.
    #[error("the CPU share `{0}` is not between 1% and 102400%")]
    Range(String),
}

impl Cores {
    /// Cores: 1.0 is one core.
    pub fn get(self) -> f64 {
        f64::from(self.0) / 100.0
    }
}

impl FromStr for Cores {
    type Err = CoresError;

    fn from_str(text: &str) -> Result<Self, CoresError> {
        let number = text.strip_suffix('%').map(str::trim_end);
        let number = number.filter(|digits| !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit()));
        let number = number.ok_or_else(|| CoresError::Number(text.into()))?;
        let percent = number.parse().ok().filter(|percent| (1..=CORES_PERCENT_MAX).contains(percent));
        percent.map(Self).ok_or_else(|| CoresError::Range(text.into()))
    }
}

impl fmt::Display for Cores {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}%", self.0)
    }
}

text_type!(
    Cores,
    pattern: "^[0-9]+ *%$",
    hint: "a CPU share is a percentage of one core, as in `50%` for half a core or `200%` for two"
);

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: Result<f64, &str>) {
        let parsed = text.parse::<Cores>().map(Cores::get).map_err(|error| error.to_string());
        assert_eq!(parsed, expected.map_err(String::from), "{text}");
    }

    #[test]
    fn a_cpu_share_is_a_percentage_of_one_core() {
        check("50%", Ok(0.5));
        check("200 %", Ok(2.0));
        check("1%", Ok(0.01));
        check("102400%", Ok(1024.0));
    }

    #[test]
    fn a_wrong_cpu_share_says_what_is_wrong() {
        check("0%", Err("the CPU share `0%` is not between 1% and 102400%"));
        check("102401%", Err("the CPU share `102401%` is not between 1% and 102400%"));
        check("2", Err("the CPU share `2` is not a whole number with `%`"));
        check("-5%", Err("the CPU share `-5%` is not a whole number with `%`"));
        check("1.5%", Err("the CPU share `1.5%` is not a whole number with `%`"));
        check("%", Err("the CPU share `%` is not a whole number with `%`"));
    }
}
