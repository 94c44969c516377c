//! From what the model says about a line to its text: connectionist temporal classification, decoded greedily. Pure.
//! For every step along the line the model names the likeliest class; class 0 is the blank between letters, and a
//! letter goes on while its class repeats (Graves et al., 2006, section 3.2).

use thiserror::Error;

/// The model named a class that its list of characters does not have.
#[derive(Debug, Error, PartialEq, Eq)]
#[error("there is no character for class `{0}`")]
pub(crate) struct NoCharacter(i32);

/// What a line says.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Reading {
    pub(crate) text: String,
    /// The mean probability of its letters, 0 to 1; 0 where there are none.
    pub(crate) confidence: f32,
}

const BLANK: i32 = 0;

impl Reading {
    /// Reads one line. `classes` and `scores` have one entry for each step, `characters` one for each class.
    pub(crate) fn of(classes: &[i32], scores: &[f32], characters: &[String]) -> Result<Self, NoCharacter> {
        let mut text = String::new();
        let mut letters = Vec::new();
        let mut before = BLANK;
        for (&class, &score) in classes.iter().zip(scores) {
            if class != BLANK && class != before {
                text.push_str(character(class, characters)?);
                letters.push(score);
            }
            before = class;
        }
        let confidence = letters.iter().sum::<f32>() / letters.len().max(1) as f32;
        Ok(Self { text: text.trim().to_owned(), confidence })
    }
}

fn character(class: i32, characters: &[String]) -> Result<&str, NoCharacter> {
    let found = usize::try_from(class).ok().and_then(|class| characters.get(class));
    found.map(String::as_str).ok_or(NoCharacter(class))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(classes: &[i32], scores: &[f32]) -> Result<Reading, NoCharacter> {
        Reading::of(classes, scores, &["", "a", "b", " "].map(String::from))
    }

    #[test]
    fn repeats_are_one_letter_and_a_blank_parts_two() {
        let check = |classes: &[i32], text: &str| {
            assert_eq!(read(classes, &vec![1.0; classes.len()]).unwrap().text, text, "{classes:?}");
        };
        check(&[], "");
        check(&[0, 0, 0], "");
        check(&[1, 1, 0, 2, 2], "ab");
        check(&[1, 0, 1, 1, 2], "aab");
        check(&[3, 1, 3, 3, 2, 0, 3], "a b");
    }

    #[test]
    fn the_confidence_is_the_mean_of_the_letters_alone() {
        assert_eq!(read(&[0, 1, 1, 2], &[0.1, 0.5, 0.9, 1.0]).unwrap().confidence, 0.75);
        assert_eq!(read(&[0], &[0.9]).unwrap().confidence, 0.0);
    }

    #[test]
    fn a_class_without_a_character_is_an_error() {
        assert_eq!(read(&[3], &[1.0]).unwrap().text, "");
        assert_eq!(read(&[4], &[1.0]), Err(NoCharacter(4)));
        assert_eq!(read(&[-1], &[1.0]), Err(NoCharacter(-1)));
    }
}
