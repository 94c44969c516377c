//! A share of a whole as people write it: `20%`.

use std::fmt;
use std::str::FromStr;

use crate::text::text_type;

/// A share from nothing to all, in whole percent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Percent(u8);

/// A text that is not a share.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a share from `0%` to `100%`")]
pub struct PercentError(String);

impl Percent {
    /// The share, from 0 to 1.
    pub fn fraction(self) -> f64 {
        f64::from(self.0) / 100.0
    }

    /// Whether it is none at all.
    pub fn is_zero(self) -> bool {
        self.0 == 0
    }
}

impl FromStr for Percent {
    type Err = PercentError;

    fn from_str(text: &str) -> Result<Self, PercentError> {
        let digits = text.strip_suffix('%').filter(|digits| digits.bytes().all(|b| b.is_ascii_digit()));
        let share = digits.and_then(|digits| digits.parse().ok()).filter(|share| *share <= 100);
        share.map(Self).ok_or_else(|| PercentError(text.into()))
    }
}

impl fmt::Display for Percent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}%", self.0)
    }
}

text_type!(
    Percent,
    pattern: "^0*([0-9]|[1-9][0-9]|100)%$",
    hint: "a share is a whole number from 0 to 100 with `%`, as in `20%`"
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_is_a_whole_number_of_percent() {
        for (text, fraction) in [("0%", 0.0), ("5%", 0.05), ("100%", 1.0)] {
            let share: Percent = text.parse().unwrap();
            assert_eq!((share.fraction(), share.to_string().as_str()), (fraction, text));
        }
        for text in ["", "%", "101%", "5", "5 %", "-1%", "+5%", "0.5%", "999%"] {
            assert_eq!(
                text.parse::<Percent>().unwrap_err().to_string(),
                PercentError(text.into()).to_string()
            );
        }
    }
}
