//! A photo or scan, decoded to grey levels. The first step of the function; knows nothing of text. Its bound is
//! [`PICTURE_PIXELS_MAX`], checked before anything is decoded; what cannot be decoded is the caller's fault.

use std::io::Cursor;

use image::{DynamicImage, ImageDecoder, ImageError, ImageReader, Limits};
use thiserror::Error;

use crate::limits::PICTURE_PIXELS_MAX;

/// Why a picture cannot be used.
#[derive(Debug, Error)]
pub(crate) enum PictureError {
    #[error("the picture is no JPEG or PNG that can be decoded")]
    Decode(#[from] ImageError),
    #[error("the picture has `{0}` pixels, more than `{PICTURE_PIXELS_MAX}`")]
    TooLarge(u64),
}

/// Grey levels, row by row from the top left, 0 for black.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Picture {
    width: usize,
    pixels: Vec<u8>,
}

impl Picture {
    /// A picture of whole rows.
    pub(crate) fn new(width: usize, pixels: Vec<u8>) -> Self {
        assert!(width > 0 && pixels.len().is_multiple_of(width), "a picture has whole rows");
        Self { width, pixels }
    }

    /// Decodes a JPEG or PNG file, turned as its EXIF orientation says.
    pub(crate) fn decode(file: &[u8]) -> Result<Self, PictureError> {
        let mut decoder = ImageReader::new(Cursor::new(file))
            .with_guessed_format()
            .expect("reading from memory does not fail")
            .into_decoder()?;
        let (width, height) = decoder.dimensions();
        let pixels = u64::from(width) * u64::from(height);
        if pixels > PICTURE_PIXELS_MAX {
            return Err(PictureError::TooLarge(pixels));
        }
        decoder.set_limits(Limits::default())?;
        let orientation = decoder.orientation()?;
        let mut image = DynamicImage::from_decoder(decoder)?;
        image.apply_orientation(orientation);
        let grey = image.into_luma8();
        Ok(Self::new(grey.width() as usize, grey.into_raw()))
    }

    pub(crate) fn width(&self) -> usize {
        self.width
    }

    pub(crate) fn height(&self) -> usize {
        self.pixels.len() / self.width
    }

    /// The pixels of a row.
    pub(crate) fn row(&self, y: usize) -> &[u8] {
        &self.pixels[y * self.width..][..self.width]
    }

    /// The level between pixels, interpolated. Pixels have their centres at halves; outside, the border goes on.
    pub(crate) fn at(&self, x: f32, y: f32) -> f32 {
        let (left, right, across) = between(x, self.width);
        let (top, bottom, down) = between(y, self.height());
        let along = |y: usize| {
            let row = self.row(y);
            f32::from(row[left]) * (1.0 - across) + f32::from(row[right]) * across
        };
        along(top) * (1.0 - down) + along(bottom) * down
    }
}

/// The two pixels around a place on an axis of `length` pixels, and the weight of the second.
fn between(place: f32, length: usize) -> (usize, usize, f32) {
    let place = (place - 0.5).clamp(0.0, (length - 1) as f32);
    let first = place as usize;
    (first, (first + 1).min(length - 1), place.fract())
}

#[cfg(test)]
mod tests {
    use super::*;
    use image::{GrayImage, ImageFormat, Luma};

    fn png(width: u32, height: u32) -> Vec<u8> {
        let mut file = Cursor::new(Vec::new());
        let image = GrayImage::from_fn(width, height, |x, y| Luma([(x * 10 + y) as u8]));
        image.write_to(&mut file, ImageFormat::Png).unwrap();
        file.into_inner()
    }

    #[test]
    fn a_file_is_decoded_to_rows_of_grey_levels() {
        let picture = Picture::decode(&png(3, 2)).unwrap();
        assert_eq!((picture.width(), picture.height()), (3, 2));
        assert_eq!(picture.row(1), [1, 11, 21]);
    }

    #[test]
    fn a_picture_may_have_just_as_many_pixels_as_the_limit() {
        let rows = (PICTURE_PIXELS_MAX / 2000) as u32;
        assert_eq!(Picture::decode(&png(2000, rows)).unwrap().height(), rows as usize);
        let error = Picture::decode(&png(2000, rows + 1)).unwrap_err();
        assert_eq!(error.to_string(), "the picture has `6002000` pixels, more than `6000000`");
    }

    #[test]
    fn what_is_no_picture_is_refused() {
        assert!(matches!(Picture::decode(b"%PDF-1.7"), Err(PictureError::Decode(_))));
        assert!(matches!(Picture::decode(&png(9, 9)[..60]), Err(PictureError::Decode(_))));
    }

    #[test]
    fn levels_between_pixels_are_interpolated_and_the_border_goes_on() {
        let picture = Picture::new(2, vec![0, 100, 0, 100]);
        let check = |x, y, level| assert_eq!(picture.at(x, y), level, "{x} {y}");
        check(0.5, 0.5, 0.0);
        check(1.0, 1.0, 50.0);
        check(1.25, 0.5, 75.0);
        check(-3.0, 9.0, 0.0);
        check(7.0, 1.0, 100.0);
    }
}
