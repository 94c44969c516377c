//! Which pixels are ink: clearly darker or lighter than what is around them, so that uneven light and both black on
//! white and white on black do not matter. Called row by row by [`letters`](crate::letters); holds one sum per
//! column, whatever the picture's height.

use crate::picture::Picture;

/// Grey levels between ink and the mean around it. Noise and paper texture stay below.
const CONTRAST: i32 = 22;

/// What a pixel is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ink {
    Dark,
    Light,
    None,
}

/// Decides row after row, from the top, against the mean of a square window around each pixel.
pub(crate) struct Inker<'a> {
    picture: &'a Picture,
    radius: usize,
    /// The sum of each column over the rows of the window.
    columns: Vec<u32>,
    next: usize,
}

impl<'a> Inker<'a> {
    /// `radius` is the window's, in pixels, at least 1. It should be larger than the strokes of the largest letters.
    pub(crate) fn new(picture: &'a Picture, radius: usize) -> Self {
        let mut inker = Self { picture, radius, columns: vec![0; picture.width()], next: 0 };
        for y in 0..radius.min(picture.height()) {
            inker.add(y);
        }
        inker
    }

    /// The next row; none after the last.
    pub(crate) fn row(&mut self) -> Option<Vec<Ink>> {
        let y = self.next;
        if y == self.picture.height() {
            return None;
        }
        self.next += 1;
        if y + self.radius < self.picture.height() {
            self.add(y + self.radius);
        }
        if let Some(gone) = y.checked_sub(self.radius + 1) {
            self.remove(gone);
        }
        Some(self.decide(y))
    }

    fn add(&mut self, y: usize) {
        for (sum, &level) in self.columns.iter_mut().zip(self.picture.row(y)) {
            *sum += u32::from(level);
        }
    }

    fn remove(&mut self, y: usize) {
        for (sum, &level) in self.columns.iter_mut().zip(self.picture.row(y)) {
            *sum -= u32::from(level);
        }
    }

    fn decide(&self, y: usize) -> Vec<Ink> {
        let rows = window(y, self.radius, self.picture.height()).len();
        let mut columns = 0..0;
        let mut sum = 0;
        let levels = self.picture.row(y).iter().enumerate();
        levels
            .map(|(x, &level)| {
                let window = window(x, self.radius, self.picture.width());
                sum += self.columns[columns.end..window.end].iter().sum::<u32>();
                sum -= self.columns[columns.start..window.start].iter().sum::<u32>();
                let mean = sum / (window.len() * rows) as u32;
                columns = window;
                ink(i32::from(level) - mean as i32)
            })
            .collect()
    }
}

fn window(centre: usize, radius: usize, length: usize) -> std::ops::Range<usize> {
    centre.saturating_sub(radius)..(centre + radius + 1).min(length)
}

fn ink(difference: i32) -> Ink {
    if difference <= -CONTRAST {
        Ink::Dark
    } else if difference >= CONTRAST {
        Ink::Light
    } else {
        Ink::None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One letter per pixel: `d`ark, `l`ight or `.`.
    fn inked(width: usize, pixels: &[u8], radius: usize) -> Vec<String> {
        let picture = Picture::new(width, pixels.to_vec());
        let mut inker = Inker::new(&picture, radius);
        let letter = |ink: Ink| match ink {
            Ink::Dark => 'd',
            Ink::Light => 'l',
            Ink::None => '.',
        };
        std::iter::from_fn(|| inker.row()).map(|row| row.into_iter().map(letter).collect()).collect()
    }

    #[test]
    fn ink_is_darker_or_lighter_than_what_is_around_it() {
        let with_stroke = |paper: u8, stroke: u8| {
            let mut row = [paper; 15];
            row[7] = stroke;
            inked(15, &row, 14)
        };
        assert_eq!(with_stroke(200, 20), [".......d......."]);
        assert_eq!(with_stroke(20, 200), [".......l......."]);
    }

    #[test]
    fn a_shadow_that_grows_slowly_is_no_ink() {
        let shadow: Vec<u8> = (0..50).map(|x| 250 - 4 * x).collect();
        assert_eq!(inked(50, &shadow, 5), [".".repeat(50)]);
    }

    #[test]
    fn the_contrast_is_a_bound() {
        // The mean of three pixels is 33 levels off the first two when the last is 100 off.
        assert_eq!(inked(1, &[100, 100, 133], 1), [".", ".", "."]);
        assert_eq!(ink(CONTRAST), Ink::Light);
        assert_eq!(ink(CONTRAST - 1), Ink::None);
        assert_eq!(ink(-CONTRAST), Ink::Dark);
        assert_eq!(ink(1 - CONTRAST), Ink::None);
    }

    #[test]
    fn the_window_moves_with_the_rows() {
        let column = [200, 200, 200, 50, 200, 200, 200, 200];
        assert_eq!(inked(1, &column, 1), [".", ".", "l", "d", "l", ".", ".", "."]);
    }
}
