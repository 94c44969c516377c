//! One written digit as the models know it: eight by eight cells of ink, as high or as wide as the digit is, which stands in
//! the middle. `models/train.py` cuts the digits that the models learn from in the same way.

/// Cells in each direction.
const SIDE: usize = 8;
/// Cells of a digit.
pub(crate) const CELLS: usize = SIDE * SIDE;
/// Places in a cell, in each direction, at which ink is looked for.
const FINE: usize = 4;
/// A part of the way from the paper to the darkest ink, beyond which a pixel belongs to the digit.
const INK_MIN: f32 = 0.4;
/// Levels between the paper and the darkest ink, at least. What is fainter is noise on an empty box.
const CONTRAST_MIN: f32 = 40.0;

/// How much ink is in each cell, row by row: 0 is none, 1 as much as there can be.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Digit([f32; CELLS]);

impl From<Digit> for Vec<f32> {
    fn from(digit: Digit) -> Self {
        digit.0.into()
    }
}

impl Digit {
    /// Finds the digit in a box; nothing where the box is empty. `level` is the grey level of a pixel, 0 for black.
    pub(crate) fn cut(width: usize, height: usize, level: impl Fn(usize, usize) -> f32) -> Option<Self> {
        let levels: Vec<f32> = (0..width * height).map(|at| level(at % width, at / width)).collect();
        let (paper, dark) =
            (levels.iter().copied().fold(0.0, f32::max), levels.iter().copied().fold(255.0, f32::min));
        if paper - dark < CONTRAST_MIN {
            return None;
        }
        let ink = levels.iter().map(|level| (paper - level) / (paper - dark)).collect();
        Some(Ink { width, height, ink }.digit())
    }
}

/// Ink in a box, from 0 to 1.
struct Ink {
    width: usize,
    height: usize,
    ink: Vec<f32>,
}

impl Ink {
    fn digit(&self) -> Digit {
        let is_ink = |x: usize, y: usize| self.ink[y * self.width + x] > INK_MIN;
        let column = |x: &usize| (0..self.height).any(|y| is_ink(*x, y));
        let row = |y: &usize| (0..self.width).any(|x| is_ink(x, *y));
        let (left, right) = ends((0..self.width).filter(column));
        let (top, bottom) = ends((0..self.height).filter(row));
        let side = (right - left).max(bottom - top);
        // Pixels have their centres at halves.
        let across = |fine: usize| middle(left, right) + (place(fine) * side) - 0.5;
        let down = |fine: usize| middle(top, bottom) + (place(fine) * side) - 0.5;
        let is_in = |x: f32, y: f32| x > left - 1.5 && x < right + 0.5 && y > top - 1.5 && y < bottom + 0.5;
        let ink = |x: f32, y: f32| if is_in(x, y) { self.at(x, y) } else { 0.0 };
        let cell = |cell: usize| {
            let of_cell = |at: usize| (cell % SIDE * FINE + at % FINE, cell / SIDE * FINE + at / FINE);
            let places = (0..FINE * FINE).map(of_cell);
            places.map(|(x, y)| ink(across(x), down(y))).sum::<f32>() / (FINE * FINE) as f32
        };
        Digit(std::array::from_fn(cell))
    }

    /// The ink between pixels; outside, the border goes on.
    fn at(&self, x: f32, y: f32) -> f32 {
        let (x, y) = (x.clamp(0.0, (self.width - 1) as f32), y.clamp(0.0, (self.height - 1) as f32));
        let (left, top) = (x as usize, y as usize);
        let (right, bottom) = ((left + 1).min(self.width - 1), (top + 1).min(self.height - 1));
        let (across, down) = (x.fract(), y.fract());
        let along = |y: usize| {
            let row = &self.ink[y * self.width..];
            row[left] * (1.0 - across) + row[right] * across
        };
        along(top) * (1.0 - down) + along(bottom) * down
    }
}

/// The first place, and the one behind the last. There is one: the darkest pixel is ink.
fn ends(mut places: impl Iterator<Item = usize>) -> (f32, f32) {
    let first = places.next().unwrap_or(0);
    (first as f32, places.last().unwrap_or(first) as f32 + 1.0)
}

fn middle(from: f32, to: f32) -> f32 {
    (from + to) / 2.0
}

/// Where one of all places is, from -0.5 to 0.5.
fn place(fine: usize) -> f32 {
    (fine as f32 + 0.5) / (SIDE * FINE) as f32 - 0.5
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A digit that is one black bar on white paper.
    fn bar(left: usize, top: usize, width: usize, height: usize) -> Option<Digit> {
        let is_black = |x, y| (left..left + width).contains(&x) && (top..top + height).contains(&y);
        Digit::cut(64, 64, |x, y| if is_black(x, y) { 10.0 } else { 230.0 })
    }

    fn row(digit: &Digit, row: usize) -> String {
        digit.0[row * SIDE..][..SIDE].iter().map(|ink| format!("{:.0}", ink * 9.0)).collect()
    }

    #[test]
    fn a_digit_fills_the_height_and_stands_in_the_middle_wherever_it_was_written() {
        for (left, top) in [(3, 3), (40, 10), (20, 15)] {
            let digit = bar(left, top, 12, 48).unwrap();
            for y in 1..SIDE - 1 {
                assert_eq!(row(&digit, y), "00099000", "{left} {top}: {digit:?}");
            }
        }
        let flat = bar(4, 30, 56, 14).unwrap();
        assert_eq!([0, 3, 4, 7].map(|y| row(&flat, y)), ["00000000", "99999999", "99999999", "00000000"]);
    }

    #[test]
    fn an_empty_box_has_no_digit_and_a_dot_has_one() {
        assert_eq!(Digit::cut(64, 64, |x, y| 230.0 - ((x + y) % 30) as f32), None);
        assert!(bar(30, 30, 1, 1).is_some());
        assert!(bar(0, 0, 64, 63).is_some());
    }
}
