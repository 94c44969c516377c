//! How problems look in a terminal: place, message, the source line with carets, and what to do.

use std::fmt::Write;

use super::{Colour, Problem, Problems};

const BOLD: &str = "\x1b[1m";
const RED: &str = "\x1b[1;31m";
const DIM: &str = "\x1b[2m";
const RESET: &str = "\x1b[0m";

pub(super) fn render(problems: &Problems, text: &str, colour: Colour) -> String {
    let mut out = String::new();
    for problem in &problems.problems {
        one(&mut out, &problems.file, problem, text, colour).expect("writing to a string does not fail");
    }
    out
}

fn one(out: &mut String, file: &str, problem: &Problem, text: &str, colour: Colour) -> std::fmt::Result {
    let place = problem.place;
    let line = text.lines().nth(place.line - 1).unwrap_or_default();
    let number = place.line.to_string();
    let margin = " ".repeat(number.len());
    let indent: String =
        line.chars().take(place.column - 1).map(|c| if c == '\t' { '\t' } else { ' ' }).collect();
    let paint = |style: &'static str| if colour == Colour::Ansi { (style, RESET) } else { ("", "") };
    let ((bold, plain), (red, _), (dim, _)) = (paint(BOLD), paint(RED), paint(DIM));

    writeln!(out, "{bold}{file}:{}:{}{plain}: {red}{}{plain}", place.line, place.column, problem.message)?;
    writeln!(out, "{dim}{number} |{plain} {line}")?;
    writeln!(out, "{dim}{margin} |{plain} {indent}{red}{}{plain}", "^".repeat(place.length))?;
    if let Some(nearest) = &problem.nearest {
        writeln!(out, "{margin} = did you mean `{nearest}`?")?;
    }
    if let Some(hint) = &problem.hint {
        writeln!(out, "{margin} = {hint}")?;
    }
    Ok(())
}
