//! Connected pieces of ink that may be letters: found in one pass over the picture, as runs of ink that touch from
//! row to row. Called by [`lines`](crate::lines). Holds two rows of runs and one record for each of at most
//! [`PIECES_MAX`] pieces; a picture with more is refused. At most [`LETTERS_MAX`] are handed on.

use std::cmp::Reverse;
use std::ops::Range;

use thiserror::Error;

use crate::ink::{Ink, Inker};
use crate::limits::{LETTERS_MAX, PIECES_MAX};
use crate::picture::Picture;

/// Pixels of a letter's height, at least. Smaller ones cannot be read.
const HEIGHT_MIN: usize = 8;

/// A letter's width in heights, at most: three joined letters of a script.
const ASPECT_MAX: usize = 4;

/// A letter's height in widths, at most: an I.
const SLENDER_MAX: usize = 10;

/// How much of its box a letter fills, at least, in percent. What fills less is a thin outline of something else.
const FILL_PERCENT_MIN: usize = 15;

/// A piece of ink and the box around it, in pixels. `right` and `bottom` are one past the last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Letter {
    pub(crate) ink: Ink,
    pub(crate) left: usize,
    pub(crate) right: usize,
    pub(crate) top: usize,
    pub(crate) bottom: usize,
    pub(crate) pixels: usize,
    levels: usize,
}

impl Letter {
    pub(crate) fn width(&self) -> usize {
        self.right - self.left
    }

    pub(crate) fn height(&self) -> usize {
        self.bottom - self.top
    }

    /// The mean grey level of its pixels.
    pub(crate) fn level(&self) -> usize {
        self.levels / self.pixels
    }

    fn run(ink: Ink, x: Range<usize>, y: usize, levels: &[u8]) -> Self {
        let levels = levels[x.clone()].iter().map(|&level| usize::from(level)).sum();
        Self { ink, left: x.start, right: x.end, top: y, bottom: y + 1, pixels: x.len(), levels }
    }

    /// A box full of black ink.
    #[cfg(test)]
    pub(crate) fn full(ink: Ink, x: Range<usize>, y: Range<usize>) -> Self {
        let pixels = x.len() * y.len();
        Self { ink, left: x.start, right: x.end, top: y.start, bottom: y.end, pixels, levels: 0 }
    }

    fn join(&mut self, other: &Self) {
        self.left = self.left.min(other.left);
        self.right = self.right.max(other.right);
        self.top = self.top.min(other.top);
        self.bottom = self.bottom.max(other.bottom);
        self.pixels += other.pixels;
        self.levels += other.levels;
    }

    /// Whether it has the size and shape of one in a picture of `height` rows.
    fn is_likely(&self, height: usize) -> bool {
        (HEIGHT_MIN..=height / 3).contains(&self.height())
            && self.width() <= ASPECT_MAX * self.height()
            && self.height() <= SLENDER_MAX * self.width()
            && self.pixels * 100 >= FILL_PERCENT_MIN * self.width() * self.height()
    }
}

/// There is more ink in the picture than text has.
#[derive(Debug, Error, PartialEq, Eq)]
#[error("the picture has more than `{PIECES_MAX}` pieces of ink: it is noise, not text")]
pub(crate) struct TooBusy;

/// What may be letters in a picture, from left to right. `radius` is that of [`Inker`].
pub(crate) fn letters(picture: &Picture, radius: usize) -> Result<Vec<Letter>, TooBusy> {
    let mut letters = pieces(picture, radius)?;
    letters.retain(|piece| piece.is_likely(picture.height()));
    keep_largest(&mut letters);
    letters.sort_by_key(|letter| letter.left);
    Ok(letters)
}

fn keep_largest(letters: &mut Vec<Letter>) {
    letters.sort_by_key(|letter| Reverse(letter.height()));
    letters.truncate(LETTERS_MAX);
}

/// All pieces of ink.
fn pieces(picture: &Picture, radius: usize) -> Result<Vec<Letter>, TooBusy> {
    let mut inker = Inker::new(picture, radius);
    let mut pieces = Pieces::default();
    let mut above: Vec<Run> = Vec::new();
    for y in 0..picture.height() {
        let inks = inker.row().expect("there is one for each row of the picture");
        let mut row = Vec::with_capacity(above.len());
        for (ink, x) in runs(&inks) {
            let letter = Letter::run(ink, x.clone(), y, picture.row(y));
            let piece = pieces.add(letter, touching(&above, ink, &x))?;
            row.push(Run { piece, ink, x });
        }
        above = row;
    }
    Ok(pieces.whole())
}

/// Neighbours of one ink in a row.
struct Run {
    piece: usize,
    ink: Ink,
    x: Range<usize>,
}

fn runs(inks: &[Ink]) -> impl Iterator<Item = (Ink, Range<usize>)> {
    let mut end = 0;
    inks.chunk_by(|a, b| a == b).filter_map(move |run| {
        let start = end;
        end += run.len();
        (run[0] != Ink::None).then_some((run[0], start..end))
    })
}

/// The pieces that a run joins: those of the same ink in the row above that share a column with it.
fn touching<'a>(above: &'a [Run], ink: Ink, x: &'a Range<usize>) -> impl Iterator<Item = usize> + 'a {
    let first = above.partition_point(|run| run.x.end <= x.start);
    let sharing = above[first..].iter().take_while(|run| run.x.start < x.end);
    sharing.filter(move |run| run.ink == ink).map(|run| run.piece)
}

/// Pieces that turn out to be one are joined under the first (a disjoint-set forest).
#[derive(Default)]
struct Pieces {
    pieces: Vec<Letter>,
    parents: Vec<usize>,
}

impl Pieces {
    /// Adds to the pieces that it touches, which become one, or starts a piece. Returns which.
    fn add(&mut self, part: Letter, mut touched: impl Iterator<Item = usize>) -> Result<usize, TooBusy> {
        let Some(piece) = touched.next() else { return self.start(part) };
        let piece = touched.fold(self.root(piece), |piece, other| self.join(piece, other));
        self.pieces[piece].join(&part);
        Ok(piece)
    }

    fn start(&mut self, piece: Letter) -> Result<usize, TooBusy> {
        if self.pieces.len() == PIECES_MAX {
            return Err(TooBusy);
        }
        self.parents.push(self.pieces.len());
        self.pieces.push(piece);
        Ok(self.pieces.len() - 1)
    }

    fn join(&mut self, a: usize, b: usize) -> usize {
        let (a, b) = (self.root(a), self.root(b));
        let (kept, gone) = (a.min(b), a.max(b));
        if kept != gone {
            let piece = self.pieces[gone];
            self.parents[gone] = kept;
            self.pieces[kept].join(&piece);
        }
        kept
    }

    fn root(&mut self, mut piece: usize) -> usize {
        while self.parents[piece] != piece {
            self.parents[piece] = self.parents[self.parents[piece]];
            piece = self.parents[piece];
        }
        piece
    }

    fn whole(self) -> Vec<Letter> {
        let roots = self.parents.iter().enumerate().map(|(piece, &parent)| piece == parent);
        self.pieces.iter().zip(roots).filter_map(|(&piece, is_root)| is_root.then_some(piece)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A picture from text: `#` is ink on white.
    fn picture(rows: &[&str]) -> Picture {
        let levels =
            |row: &str| row.bytes().map(|byte| if byte == b'#' { 20 } else { 240 }).collect::<Vec<u8>>();
        Picture::new(rows[0].len(), rows.iter().flat_map(|row| levels(row)).collect())
    }

    /// The boxes of the dark pieces, as left, top, width, height, pixels.
    fn check_pieces(rows: &[&str], expected: &[[usize; 5]]) {
        let pieces = pieces(&picture(rows), 4).unwrap();
        let dark = pieces.iter().filter(|piece| piece.ink == Ink::Dark);
        let boxes: Vec<_> =
            dark.map(|piece| [piece.left, piece.top, piece.width(), piece.height(), piece.pixels]).collect();
        assert_eq!(boxes, expected);
    }

    #[test]
    fn strokes_that_touch_are_one_piece() {
        check_pieces(
            &["............", "..#...#.....", "..#...#.....", "..#####...#.", "............"],
            &[[2, 1, 5, 3, 9], [10, 3, 1, 1, 1]],
        );
    }

    #[test]
    fn strokes_that_meet_only_at_a_corner_are_two() {
        check_pieces(&[".......", "..#....", "...#...", "......."], &[[2, 1, 1, 1, 1], [3, 2, 1, 1, 1]]);
    }

    #[test]
    fn a_letter_has_a_size_and_a_shape() {
        let check = |width: usize, height: usize, pixels: usize, likely: bool| {
            let letter = Letter { pixels, ..Letter::full(Ink::Dark, 0..width, 0..height) };
            assert_eq!(letter.is_likely(300), likely, "{width} {height} {pixels}");
        };
        check(8, 8, 64, true);
        check(8, 7, 56, false);
        check(50, 100, 5000, true);
        check(50, 101, 5050, false);
        check(40, 10, 400, true);
        check(41, 10, 410, false);
        check(2, 20, 40, true);
        check(2, 21, 42, false);
        check(10, 10, 15, true);
        check(10, 10, 14, false);
    }

    #[test]
    fn of_too_many_letters_the_smallest_are_left_out() {
        let letter = |height| Letter::full(Ink::Dark, 0..10, 0..height);
        let kept = |count: usize| {
            let mut letters: Vec<Letter> = (0..count).map(|n| letter(10 + n)).collect();
            keep_largest(&mut letters);
            letters
        };
        assert_eq!(kept(LETTERS_MAX).len(), LETTERS_MAX);
        assert_eq!(kept(LETTERS_MAX + 1).len(), LETTERS_MAX);
        assert!(!kept(LETTERS_MAX + 1).contains(&letter(10)));
    }

    #[test]
    fn noise_is_given_up_at_the_limit_of_pieces() {
        let speck = Letter::run(Ink::Dark, 0..1, 0, &[0]);
        let mut pieces = Pieces::default();
        for _ in 0..PIECES_MAX {
            pieces.add(speck, std::iter::empty()).unwrap();
        }
        assert_eq!(pieces.add(speck, std::iter::empty()), Err(TooBusy));
        assert_eq!(pieces.add(speck, std::iter::once(0)), Ok(0));
    }
}
