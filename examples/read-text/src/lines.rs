//! Where lines of text are: letters of like ink, tone and height that follow each other closely. Works on boxes only;
//! called with what [`letters`](crate::letters) found. A line may be tilted by a few degrees. What is no text may be
//! taken for a line; the model's confidence sorts that out. At most [`LINES_MAX`] lines of at most
//! [`LINE_ASPECT_MAX`].

use std::cmp::Reverse;

use crate::letters::Letter;
use crate::limits::{LINE_ASPECT_MAX, LINES_MAX};

/// Letters of a line, at least. Two dots of ink in a row are everywhere.
const LETTERS_MIN: usize = 3;

/// The gap between two letters of a line, at most, in heights of the smaller: a wide space.
const GAP_MAX: f32 = 1.5;

/// How much taller one of two neighbours may be: a `b` after a small `a`, with some room.
const TALLER_MAX: f32 = 2.2;

/// How much of the smaller of two neighbours must be beside the larger.
const BESIDE_MIN: f32 = 0.6;

/// Grey levels by which two neighbours may differ.
const TONE_MAX: usize = 45;

/// A line's height in heights of its middling letter, at most: what rises above small letters and hangs below them, and
/// the margins. Drawings climb.
const CLIMB_MAX: f32 = 3.0;

/// The gap between two parts of a line, at most, in heights of the line: beside a space, half a letter that was missed.
const PARTS_GAP_MAX: f32 = 1.0;

/// How far the parts of a line may be apart across it, in heights of the line.
const PARTS_STEP_MAX: f32 = 0.25;

/// How much higher one of two parts may be.
const PARTS_HIGHER_MAX: f32 = 1.7;

/// Room around the letters of a line, in heights, as the model was trained.
const MARGIN: f32 = 0.25;

/// The slope of a line, at most: about eleven degrees.
const SLOPE_MAX: f32 = 0.2;

/// A line of text: a band of one height between two columns, which may rise or fall. In pixels of the picture.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Line {
    pub(crate) left: f32,
    pub(crate) right: f32,
    /// The upper edge at `left`.
    pub(crate) top: f32,
    pub(crate) height: f32,
    /// Pixels down per pixel to the right.
    pub(crate) slope: f32,
}

impl Line {
    pub(crate) fn width(&self) -> f32 {
        self.right - self.left
    }

    /// The upper edge at a column.
    pub(crate) fn top_at(&self, x: f32) -> f32 {
        self.top + self.slope * (x - self.left)
    }

    /// The upright box around it: left, top, width, height.
    pub(crate) fn bounds(&self) -> [f32; 4] {
        let end = self.top_at(self.right);
        [self.left, self.top.min(end), self.width(), self.height + (end - self.top).abs()]
    }

    fn middle(&self) -> f32 {
        self.top_at((self.left + self.right) / 2.0) + self.height / 2.0
    }

    /// Whether most of this line's width lies on the other's band.
    fn lies_on(&self, other: &Self) -> bool {
        let shared = self.right.min(other.right) - self.left.max(other.left);
        let x = (self.left + self.right) / 2.0;
        let inside = self.middle() - other.top_at(x);
        shared > self.width() / 2.0 && inside > 0.0 && inside < other.height
    }
}

/// The lines that letters make, in reading order. The letters come from left to right.
pub(crate) fn lines(letters: &[Letter]) -> Vec<Line> {
    let mut parts = chains(letters);
    parts.retain(|letters| letters.len() >= LETTERS_MIN && is_level(letters));
    in_reading_order(without_insides(whole_lines(parts)))
}

/// Whether letters fill a band that is not much higher than they are.
fn is_level(letters: &[Letter]) -> bool {
    let mut heights: Vec<usize> = letters.iter().map(Letter::height).collect();
    heights.sort_unstable();
    let band = band(letters);
    band.height <= CLIMB_MAX * heights[heights.len() / 2] as f32
        && band.width() <= LINE_ASPECT_MAX * band.height
}

/// Joins the parts of lines that lie beside each other.
fn whole_lines(mut parts: Vec<Vec<Letter>>) -> Vec<Vec<Letter>> {
    parts.sort_by_key(|letters| letters[0].left);
    let mut lines: Vec<Vec<Letter>> = Vec::new();
    for part in parts {
        let next = band(&part);
        match lines.iter_mut().find(|line| goes_on(&band(line), &next) && line[0].ink == part[0].ink) {
            Some(line) => line.extend(part),
            None => lines.push(part),
        }
    }
    lines
}

/// Whether a line goes on with the next part.
fn goes_on(line: &Line, next: &Line) -> bool {
    let height = line.height.max(next.height);
    let gap = next.left - line.right;
    let step = line.top_at(next.left) + line.height / 2.0 - next.top - next.height / 2.0;
    gap.abs() <= PARTS_GAP_MAX * height
        && step.abs() <= PARTS_STEP_MAX * height
        && height <= PARTS_HIGHER_MAX * line.height.min(next.height)
}

/// The bands of the lines with the most ink. The insides of an O and of an A make a line too, of the other ink, on the
/// line that they are in; it is left out.
fn without_insides(mut lines: Vec<Vec<Letter>>) -> Vec<Line> {
    lines.sort_by_key(|letters| Reverse(letters.iter().map(|letter| letter.pixels).sum::<usize>()));
    let mut bands: Vec<Line> = Vec::new();
    for line in lines.iter().map(|letters| band(letters)) {
        if bands.len() < LINES_MAX && !bands.iter().any(|larger| line.lies_on(larger)) {
            bands.push(line);
        }
    }
    bands
}

/// Letters that follow each other, each chain from left to right.
fn chains(letters: &[Letter]) -> Vec<Vec<Letter>> {
    let mut chain_of: Vec<usize> = (0..letters.len()).collect();
    for (a, letter) in letters.iter().enumerate() {
        let reach = letter.right as f32 + GAP_MAX * letter.height() as f32 * TALLER_MAX;
        let near = letters[a + 1..].iter().take_while(|other| (other.left as f32) < reach);
        for (b, _) in near.enumerate().filter(|(_, other)| follow(letter, other)) {
            let (kept, gone) = (chain_of[a], chain_of[a + 1 + b]);
            if kept != gone {
                chain_of.iter_mut().filter(|chain| **chain == gone).for_each(|chain| *chain = kept);
            }
        }
    }
    let mut chains = vec![Vec::new(); letters.len()];
    for (letter, chain) in letters.iter().zip(chain_of) {
        chains[chain].push(*letter);
    }
    chains
}

/// Whether two letters, given from left to right, may stand side by side in a line.
fn follow(a: &Letter, b: &Letter) -> bool {
    let smaller = a.height().min(b.height()) as f32;
    let larger = a.height().max(b.height()) as f32;
    let beside = a.bottom.min(b.bottom) as f32 - a.top.max(b.top) as f32;
    a.ink == b.ink
        && a.level().abs_diff(b.level()) <= TONE_MAX
        && larger <= TALLER_MAX * smaller
        && beside >= BESIDE_MIN * smaller
        && b.left as f32 - a.right as f32 <= GAP_MAX * smaller
}

/// The band that letters fill: along the line through their feet, as high as the tallest.
fn band(letters: &[Letter]) -> Line {
    let (slope, feet) = through_feet(letters);
    let up = letters.iter().map(|letter| feet(letter) - letter.top as f32).fold(0.0, f32::max);
    let down = letters.iter().map(|letter| letter.bottom as f32 - feet(letter)).fold(0.0, f32::max);
    let margin = MARGIN * (up + down);
    let left = letters.iter().map(|letter| letter.left).min().unwrap_or(0) as f32 - margin;
    let right = letters.iter().map(|letter| letter.right).max().unwrap_or(0) as f32 + margin;
    let first = &letters[0];
    let top = feet(first) - up - margin + slope * (left - centre(first));
    Line { left, right, top, height: up + down + 2.0 * margin, slope }
}

/// The straight line that is nearest to the feet of letters (least squares): its slope, and its height at a letter.
fn through_feet(letters: &[Letter]) -> (f32, impl Fn(&Letter) -> f32) {
    let count = letters.len() as f32;
    let x = letters.iter().map(centre).sum::<f32>() / count;
    let y = letters.iter().map(|letter| letter.bottom as f32).sum::<f32>() / count;
    let offsets = letters.iter().map(|letter| (centre(letter) - x, letter.bottom as f32 - y));
    let (along, across) =
        offsets.fold((0.0, 0.0), |(along, across), (dx, dy)| (along + dx * dx, across + dx * dy));
    let slope = if along > 0.0 { (across / along).clamp(-SLOPE_MAX, SLOPE_MAX) } else { 0.0 };
    (slope, move |letter| y + slope * (centre(letter) - x))
}

fn centre(letter: &Letter) -> f32 {
    (letter.left + letter.right) as f32 / 2.0
}

/// From top to bottom, and from left to right where lines stand side by side.
fn in_reading_order(mut lines: Vec<Line>) -> Vec<Line> {
    lines.sort_by(|a, b| a.middle().total_cmp(&b.middle()));
    let beside = |a: &Line, b: &Line| b.middle() - a.middle() < a.height.min(b.height) / 2.0;
    for row in lines.chunk_by_mut(beside) {
        row.sort_by(|a, b| a.left.total_cmp(&b.left));
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ink::Ink;

    /// A full black box.
    fn letter(left: usize, top: usize, width: usize, height: usize) -> Letter {
        Letter::full(Ink::Dark, left..left + width, top..top + height)
    }

    /// Letters of one size, five pixels apart, whose feet fall by `slope`.
    fn word(letters: usize, left: usize, top: usize, slope: f32) -> Vec<Letter> {
        let place = |n: usize| (left + n * 20, top + (n as f32 * 20.0 * slope).round() as usize);
        (0..letters).map(|n| letter(place(n).0, place(n).1, 15, 20)).collect()
    }

    fn found(words: &[Vec<Letter>]) -> Vec<Line> {
        let mut letters = words.concat();
        letters.sort_by_key(|letter| letter.left);
        lines(&letters)
    }

    #[test]
    fn letters_that_follow_each_other_are_a_line_with_room_around_it() {
        let lines = found(&[word(5, 100, 50, 0.0)]);
        assert_eq!(lines, [Line { left: 95.0, right: 200.0, top: 45.0, height: 30.0, slope: 0.0 }]);
    }

    #[test]
    fn two_letters_are_no_line_and_three_are_one() {
        assert_eq!(found(&[word(2, 100, 50, 0.0)]).len(), 0);
        assert_eq!(found(&[word(3, 100, 50, 0.0)]).len(), 1);
    }

    #[test]
    fn letters_follow_when_they_are_close_alike_and_side_by_side() {
        let a = letter(100, 50, 15, 20);
        let check = |b: Letter, together: bool| assert_eq!(follow(&a, &b), together, "{b:?}");
        check(letter(120, 50, 15, 20), true);
        check(letter(145, 50, 15, 20), true);
        check(letter(146, 50, 15, 20), false);
        check(letter(120, 58, 15, 20), true);
        check(letter(120, 59, 15, 20), false);
        check(letter(120, 30, 15, 44), true);
        check(letter(120, 30, 15, 45), false);
        check(Letter::full(Ink::Light, 120..135, 50..70), false);
    }

    #[test]
    fn a_tilted_line_stays_one_and_its_band_follows_it() {
        let lines = found(&[word(20, 100, 50, 0.1)]);
        assert_eq!(lines.len(), 1);
        assert!((lines[0].slope - 0.1).abs() < 0.01, "{lines:?}");
        assert!(lines[0].height < 33.0, "{lines:?}");
        let [_, top, _, height] = lines[0].bounds();
        assert!(top > 40.0 && height > 60.0);
    }

    #[test]
    fn parts_of_a_line_are_joined_where_they_are_level_and_near() {
        let check = |left: usize, top: usize, lines: usize| {
            assert_eq!(found(&[word(4, 100, 50, 0.0), word(4, left, top, 0.0)]).len(), lines, "{left} {top}");
        };
        // The first part ends at 175; letters follow up to 205, its parts up to 215.
        check(205, 50, 1);
        check(215, 50, 1);
        check(216, 50, 2);
        check(210, 57, 1);
        check(210, 58, 2);
    }

    #[test]
    fn letters_that_climb_are_no_line() {
        let steps =
            |rise: usize| (0..8).map(|n| letter(100 + n * 12, 400 - n * rise, 10, 20)).collect::<Vec<_>>();
        assert_eq!(found(&[steps(0)]).len(), 1);
        assert_eq!(found(&[steps(8)]).len(), 0);
    }

    #[test]
    fn lines_are_read_from_the_top_and_side_by_side_from_the_left() {
        let lines = found(&[word(4, 100, 200, 0.0), word(4, 400, 103, 0.0), word(4, 100, 100, 0.0)]);
        let starts: Vec<(f32, f32)> = lines.iter().map(|line| (line.left, line.top)).collect();
        assert_eq!(starts, [(95.0, 95.0), (395.0, 98.0), (95.0, 195.0)]);
    }

    #[test]
    fn the_insides_of_letters_are_no_line_of_their_own() {
        let insides = (0..5).map(|n| Letter::full(Ink::Light, 103 + n * 20..112 + n * 20, 55..65)).collect();
        assert_eq!(found(&[word(5, 100, 50, 0.0), insides]).len(), 1);
    }

    #[test]
    fn of_too_many_lines_those_with_the_least_ink_are_left_out() {
        let rows = |count: usize| (0..count).map(|n| word(3 + n, 100, 100 * n, 0.0)).collect::<Vec<_>>();
        assert_eq!(found(&rows(LINES_MAX)).len(), LINES_MAX);
        let lines = found(&rows(LINES_MAX + 1));
        assert_eq!(lines.len(), LINES_MAX);
        assert_eq!(lines[0].top, 95.0, "the shortest line, at the top, is gone");
    }

    #[test]
    fn what_is_too_long_is_no_line() {
        // 30 pixels high with its margins, so 64 heights are 1920 pixels; 96 letters take 1925.
        assert_eq!(found(&[word(95, 100, 50, 0.0)]).len(), 1);
        assert_eq!(found(&[word(96, 100, 50, 0.0)]).len(), 0);
    }
}
