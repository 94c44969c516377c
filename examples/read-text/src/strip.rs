//! The lines of text cut out of the picture and set side by side in one strip of one height: all that leaves the edge.
//! Each line is made level and scaled. Called between finding lines and the call to the model server; bounded by the
//! number and the shape of lines ([`lines`](crate::lines)).

use crate::lines::Line;
use crate::picture::Picture;

/// Pixels of the strip's height. The model was trained at 48 and reads 32 as well, for less than half the bytes.
pub(crate) const HEIGHT: usize = 32;

/// Grey levels, row by row: lines one after the other from left to right.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Strip {
    pub(crate) pixels: Vec<u8>,
    /// The width of each line, in pixels.
    pub(crate) widths: Vec<usize>,
}

impl Strip {
    /// Cuts lines out of a picture.
    pub(crate) fn cut(picture: &Picture, lines: &[Line]) -> Self {
        let widths: Vec<usize> = lines.iter().map(width).collect();
        let mut pixels = Vec::with_capacity(HEIGHT * widths.iter().sum::<usize>());
        for y in 0..HEIGHT {
            for (line, &width) in lines.iter().zip(&widths) {
                pixels.extend((0..width).map(|x| level(picture, line, x, y)));
            }
        }
        Self { pixels, widths }
    }

    /// The width of the whole strip, in pixels.
    pub(crate) fn width(&self) -> usize {
        self.widths.iter().sum()
    }
}

fn width(line: &Line) -> usize {
    ((line.width() * HEIGHT as f32 / line.height).round() as usize).max(1)
}

/// The mean level of the picture where a pixel of the strip comes from.
fn level(picture: &Picture, line: &Line, x: usize, y: usize) -> u8 {
    let scale = line.height / HEIGHT as f32;
    let samples = scale.ceil().max(1.0) as usize;
    let place = |pixel: usize, sample: usize| (pixel as f32 + (sample as f32 + 0.5) / samples as f32) * scale;
    let mut sum = 0.0;
    for across in 0..samples {
        let column = line.left + place(x, across);
        let top = line.top_at(column);
        sum += (0..samples).map(|down| picture.at(column, top + place(y, down))).sum::<f32>();
    }
    (sum / (samples * samples) as f32).round() as u8
}

#[cfg(test)]
mod tests {
    use super::*;

    /// White with a black stroke from `top` on, ten pixels high, that falls by `slope`.
    fn stroke(slope: f32, top: f32) -> Picture {
        let pixel = |x: usize, y: usize| {
            let depth = y as f32 - top - slope * x as f32;
            if (0.0..10.0).contains(&depth) { 0 } else { 255 }
        };
        Picture::new(200, (0..100).flat_map(|y| (0..200).map(move |x| pixel(x, y))).collect())
    }

    fn line(top: f32, height: f32, slope: f32) -> Line {
        Line { left: 0.0, right: 200.0, top, height, slope }
    }

    #[test]
    fn a_line_keeps_its_shape() {
        let check = |height, width| {
            let strip = Strip::cut(&stroke(0.0, 40.0), &[line(30.0, height, 0.0)]);
            assert_eq!((strip.width(), strip.pixels.len()), (width, width * HEIGHT));
        };
        check(HEIGHT as f32, 200);
        check(HEIGHT as f32 / 2.0, 400);
        check(HEIGHT as f32 * 2.0, 100);
    }

    #[test]
    fn a_tilted_line_is_made_level() {
        let strip = Strip::cut(&stroke(0.1, 40.0), &[line(30.0, 40.0, 0.1)]);
        let rows: Vec<&[u8]> = strip.pixels.chunks(strip.width()).collect();
        let row = |depth: usize| rows[depth * HEIGHT / 40];
        assert!(row(15).iter().all(|&level| level < 40), "inside the stroke");
        assert!(row(5).iter().chain(row(25)).all(|&level| level > 215), "above and below it");
    }

    #[test]
    fn lines_stand_side_by_side() {
        let picture = stroke(0.0, 40.0);
        let strip = Strip::cut(&picture, &[line(42.0, 8.0, 0.0), line(60.0, 32.0, 0.0)]);
        assert_eq!(strip.widths, [200 * HEIGHT / 8, 200 * HEIGHT / 32]);
        let (first, second) = strip.pixels[..strip.width()].split_at(strip.widths[0]);
        assert!(first.iter().all(|&level| level == 0));
        assert!(second.iter().all(|&level| level == 255));
    }

    #[test]
    fn fine_detail_becomes_grey_rather_than_lost() {
        let comb =
            Picture::new(160, (0..160 * 160).map(|pixel| if pixel % 2 == 0 { 0 } else { 255 }).collect());
        let line = Line { left: 0.0, right: 160.0, top: 0.0, height: 160.0, slope: 0.0 };
        let strip = Strip::cut(&comb, &[line]);
        assert!(strip.pixels.iter().all(|&level| (100..=155).contains(&level)));
    }
}
