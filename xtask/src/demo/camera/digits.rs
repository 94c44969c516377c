//! Scans of handwritten numbers. The digits are those of the UCI set "Optical Recognition of Handwritten Digits", which the
//! crate `smartcore` ships: people wrote them into forms, and they are kept as eight by eight cells of 0 to 16. The last 450
//! of them, which neither model has seen, are drawn into the boxes of a form, five to a scan.

use std::fs;
use std::io;
use std::path::Path;

use anyhow::{Context, Result, ensure};

use super::super::cache::Cache;
use super::super::packaged::Packaged;

const DIGITS: Packaged = Packaged {
    name: "smartcore",
    version: "0.7.0",
    file: "src/dataset/digits.xy",
    sha256: "59da24565482d2eafeef38bbb76be99d6eab56fe0a21a0676256efae85428fe6",
    remedy: "The demo needs it once.",
};

/// Digits that the models have not seen: the last ones.
const HELD_OUT: usize = 450;
/// Cells of a digit in each direction, and their largest value.
const SIDE: usize = 8;
const CELL_MAX: f32 = 16.0;
/// Pixels of a box in each direction, and of the digit in it.
const BOX: usize = 64;
const DRAWN: usize = 48;
/// Levels of paper, of ink, and of the frame of a box.
const PAPER: f32 = 250.0;
const DARK: f32 = 40.0;
const FRAME: u8 = 150;

/// A picture of a number, and the number.
#[derive(Debug)]
pub(super) struct Scan {
    /// A PNG.
    pub(super) picture: Vec<u8>,
    pub(super) number: String,
}

impl Scan {
    /// Digits of a number.
    pub(super) const DIGITS: usize = 5;
}

/// A digit as it was written, and which it is.
struct Written {
    cells: Vec<f32>,
    digit: u8,
}

pub(super) fn scans(cache: &Cache) -> Result<Vec<Scan>> {
    let written = parse(&DIGITS.fetch(cache)?).context("the digits are not in the form expected")?;
    let held_out = &written[written.len() - HELD_OUT..];
    held_out.chunks_exact(Scan::DIGITS).map(scan).collect()
}

/// Writes the scans to files that are called as their numbers.
pub(super) fn keep(folder: &Path, scans: &[Scan]) -> io::Result<()> {
    fs::create_dir_all(folder)?;
    for (place, Scan { picture, number }) in scans.iter().enumerate() {
        fs::write(folder.join(format!("{place:02}-{number}.png")), picture)?;
    }
    println!("    the scans are in `{}`", folder.display());
    Ok(())
}

/// How many cells a digit has and how many digits there are, as 64 bits each; all cells; which digit each is: as 32-bit floats.
fn parse(file: &[u8]) -> Result<Vec<Written>> {
    let (head, floats) = file.split_at_checked(16).context("its head is cut off")?;
    let number = |at: usize| u64::from_le_bytes(std::array::from_fn(|byte| head[at + byte])) as usize;
    let (cells, digits) = (number(0), number(8));
    ensure!(cells == SIDE * SIDE && digits >= HELD_OUT, "it has {digits} digits of {cells} cells");
    let floats: Vec<f32> = floats.as_chunks().0.iter().copied().map(f32::from_le_bytes).collect();
    ensure!(floats.len() == digits * (cells + 1), "it has {} numbers", floats.len());
    let (all, which) = floats.split_at(digits * cells);
    let written = all.chunks(cells).zip(which);
    Ok(written.map(|(cells, digit)| Written { cells: cells.to_vec(), digit: *digit as u8 }).collect())
}

fn scan(digits: &[Written]) -> Result<Scan> {
    let width = BOX * digits.len();
    let level = |at: usize| {
        let (x, y) = (at % width, at / width);
        let (written, x) = (&digits[x / BOX], x % BOX);
        let is_frame = x.min(y) < 1 || x.max(y) > BOX - 2;
        if is_frame { FRAME } else { (PAPER - written.ink(x, y) * (PAPER - DARK)) as u8 }
    };
    let pixels: Vec<u8> = (0..width * BOX).map(level).collect();
    let mut picture = Vec::new();
    let mut encoder = png::Encoder::new(&mut picture, width as u32, BOX as u32);
    encoder.set_color(png::ColorType::Grayscale);
    encoder.write_header()?.write_image_data(&pixels)?;
    Ok(Scan { picture, number: digits.iter().map(|written| char::from(b'0' + written.digit)).collect() })
}

impl Written {
    /// How much ink is on a pixel of its box, from 0 to 1: between the cells' middles.
    fn ink(&self, x: usize, y: usize) -> f32 {
        let edge = (BOX - DRAWN) as f32 / 2.0;
        let cell = |pixel: usize| (pixel as f32 + 0.5 - edge) * SIDE as f32 / DRAWN as f32 - 0.5;
        let (x, y) = (cell(x), cell(y));
        let (left, top) = (x.floor(), y.floor());
        let row = |y: f32| self.cell(left, y) * (1.0 - x + left) + self.cell(left + 1.0, y) * (x - left);
        (row(top) * (1.0 - y + top) + row(top + 1.0) * (y - top)) / CELL_MAX
    }

    /// Beyond its cells is paper.
    fn cell(&self, x: f32, y: f32) -> f32 {
        let is_in = |place: f32| (0.0..SIDE as f32).contains(&place);
        if is_in(x) && is_in(y) { self.cells[y as usize * SIDE + x as usize] } else { 0.0 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_is_cut_off_or_of_another_form_is_refused() {
        let file = |cells: u64, digits: u64, floats: usize| {
            [&cells.to_le_bytes()[..], &digits.to_le_bytes(), &vec![0; 4 * floats]].concat()
        };
        assert_eq!(parse(&file(64, 450, 450 * 65)).unwrap().len(), 450);
        assert!(parse(&file(64, 450, 450 * 65 - 1)).is_err());
        assert!(parse(&file(64, 449, 449 * 65)).is_err());
        assert!(parse(&file(63, 450, 450 * 64)).is_err());
        assert!(parse(&[0; 15]).is_err());
    }

    #[test]
    fn a_digit_is_drawn_in_the_middle_of_its_box() {
        let written = Written { cells: vec![CELL_MAX; SIDE * SIDE], digit: 3 };
        let inks = [4, 12, 31, 52, 60].map(|x| written.ink(x, 32));
        assert!(inks[0] == 0.0 && inks[1..4].iter().all(|ink| *ink > 0.99) && inks[4] == 0.0, "{inks:?}");
        let scan = scan(&[Written { cells: vec![0.0; 64], digit: 0 }, written]).unwrap();
        assert_eq!((&*scan.number, &scan.picture[1..4]), ("03", &b"PNG"[..]));
    }
}
