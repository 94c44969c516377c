//! What is wrong with a file: every problem with its place, what to do, and the nearest valid name.
//!
//! Made by the parser, printed by the command line (as text through [`Problems::render`] or `Display`, as JSON
//! through `Serialize`). Bounded by the file's own size, [`crate::limits::FILE_BYTES_MAX`].

mod render;

use std::fmt;
use std::ops::Range;

use serde::Serialize;

/// A stretch of one line of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Place {
    /// Line, from 1.
    pub line: usize,
    /// Column in characters, from 1.
    pub column: usize,
    /// Characters that are meant, at least 1, never past the line's end.
    pub length: usize,
}

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Problem {
    /// Where.
    #[serde(flatten)]
    pub place: Place,
    /// What.
    pub message: String,
    /// What to do about it.
    pub hint: Option<String>,
    /// The valid name that is nearest to what was written.
    pub nearest: Option<String>,
}

/// Everything that is wrong with one file, in the order of the file.
#[derive(Clone, PartialEq, Eq, Serialize, thiserror::Error)]
pub struct Problems {
    /// The file as the user named it.
    pub file: String,
    /// At least one problem.
    pub problems: Vec<Problem>,
    #[serde(skip)]
    text: String,
}

/// Whether a rendering uses the terminal's colours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Colour {
    /// No escape sequence at all.
    Plain,
    /// ANSI escape sequences.
    Ansi,
}

/// A problem with its place still in bytes of the text.
#[derive(Debug, Clone)]
pub(crate) struct Finding {
    pub(crate) span: Range<usize>,
    pub(crate) message: String,
    pub(crate) hint: Option<String>,
    pub(crate) nearest: Option<String>,
}

impl Problems {
    /// Turns what was found in `text` into problems, sorted by place.
    pub(crate) fn new(file: &str, text: &str, mut findings: Vec<Finding>) -> Self {
        findings.sort_by_key(|finding| (finding.span.start, finding.span.end));
        let problems = findings.into_iter().map(|finding| finding.placed(text)).collect();
        Self { file: file.into(), problems, text: text.into() }
    }

    /// The same problems of a file with another name.
    pub(crate) fn of_file(self, file: String) -> Self {
        Self { file, ..self }
    }

    /// Each problem with its source line, a caret under the place, and the hint; ends with a newline.
    pub fn render(&self, colour: Colour) -> String {
        render::render(self, &self.text, colour)
    }
}

impl Finding {
    fn placed(self, text: &str) -> Problem {
        let place = Place::of(&self.span, text);
        Problem { place, message: self.message, hint: self.hint, nearest: self.nearest }
    }
}

impl Place {
    fn of(span: &Range<usize>, text: &str) -> Self {
        let start = text.floor_char_boundary(span.start);
        let line_start = text[..start].rfind('\n').map_or(0, |newline| newline + 1);
        let line_end = text[start..].find('\n').map_or(text.len(), |newline| start + newline);
        let end = text.floor_char_boundary(span.end).clamp(start, line_end);
        Self {
            line: text[..start].matches('\n').count() + 1,
            column: text[line_start..start].chars().count() + 1,
            length: text[start..end].chars().count().max(1),
        }
    }
}

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.render(Colour::Plain).trim_end())
    }
}

impl fmt::Debug for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\n{self}\n")
    }
}

/// The candidate nearest to `text`, if it is near enough to be what was meant.
pub(crate) fn nearest<'c>(text: &str, candidates: impl IntoIterator<Item = &'c str>) -> Option<String> {
    let distance_max = (text.chars().count() / 3).max(1);
    let scored =
        candidates.into_iter().map(|candidate| (strsim::damerau_levenshtein(text, candidate), candidate));
    let (distance, candidate) = scored.min()?;
    (distance <= distance_max).then(|| candidate.to_owned())
}
