//! A photo of a form's boxes, as grey levels. Its bound is [`PICTURE_PIXELS_MAX`], checked before anything is decoded.

use std::io::Cursor;

use image::{DynamicImage, GrayImage, ImageDecoder, ImageError, ImageReader, Limits};
use thiserror::Error;

use crate::digit::Digit;
use crate::limits::{BOX_PIXELS_MIN, PICTURE_PIXELS_MAX};

/// Why a picture cannot be used.
#[derive(Debug, Error)]
pub(crate) enum FormError {
    #[error("the picture is no JPEG or PNG that can be decoded: {0}")]
    Decode(#[from] ImageError),
    #[error("the picture has {0} pixels, more than {PICTURE_PIXELS_MAX}")]
    TooLarge(u64),
    #[error("a box is {0} x {1} pixels, and {BOX_PIXELS_MIN} is the least in each direction")]
    TooSmall(usize, usize),
}

/// A picture that is nothing but boxes of the same width, side by side.
#[derive(Debug)]
pub(crate) struct Form {
    picture: GrayImage,
    boxes: usize,
}

impl Form {
    /// Decodes a JPEG or PNG file, turned as its EXIF orientation says.
    pub(crate) fn decode(file: &[u8], boxes: usize) -> Result<Self, FormError> {
        let reader = ImageReader::new(Cursor::new(file)).with_guessed_format();
        let mut decoder = reader.expect("reading from memory does not fail").into_decoder()?;
        let (width, height) = decoder.dimensions();
        let pixels = u64::from(width) * u64::from(height);
        if pixels > PICTURE_PIXELS_MAX {
            return Err(FormError::TooLarge(pixels));
        }
        decoder.set_limits(Limits::default())?;
        let orientation = decoder.orientation()?;
        let mut picture = DynamicImage::from_decoder(decoder)?;
        picture.apply_orientation(orientation);
        let form = Self { picture: picture.into_luma8(), boxes };
        match form.size() {
            (width, height) if width.min(height) < BOX_PIXELS_MIN => Err(FormError::TooSmall(width, height)),
            _ => Ok(form),
        }
    }

    /// Width and height of a box.
    fn size(&self) -> (usize, usize) {
        (self.picture.width() as usize / self.boxes, self.picture.height() as usize)
    }

    /// What is written in a box, without its frame.
    pub(crate) fn digit(&self, place: usize) -> Option<Digit> {
        let (width, height) = self.size();
        let frame = width.min(height) / 16;
        let (across, down) = (place * width + frame, frame);
        let level = |x: usize, y: usize| {
            f32::from(self.picture.get_pixel((across + x) as u32, (down + y) as u32).0[0])
        };
        Digit::cut(width - 2 * frame, height - 2 * frame, level)
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use image::{ImageFormat, Luma};

    /// Width and height of a box.
    pub(crate) const BOX: u32 = 64;

    /// A black bar in a box: its first column, its width and its height. It begins eight rows below the top.
    pub(crate) fn draw(place: u32, left: u32, width: u32, height: u32) -> [u32; 4] {
        [place * BOX + left, 8, width, height]
    }

    /// White paper with black bars.
    pub(crate) fn png(width: u32, height: u32, bars: &[[u32; 4]]) -> Vec<u8> {
        let is_black = |x: u32, y: u32| {
            bars.iter().any(|[left, top, width, height]| {
                (*left..left + width).contains(&x) && (*top..top + height).contains(&y)
            })
        };
        let picture = GrayImage::from_fn(width, height, |x, y| Luma([if is_black(x, y) { 20 } else { 240 }]));
        let mut file = Cursor::new(Vec::new());
        picture.write_to(&mut file, ImageFormat::Png).unwrap();
        file.into_inner()
    }

    #[test]
    fn a_box_is_cut_out_without_its_frame() {
        let frame = [[0, 0, 2 * BOX, 2], [0, 0, 2, BOX], [BOX - 2, 0, 4, BOX], [2 * BOX - 2, 0, 2, BOX]];
        let form = Form::decode(&png(2 * BOX, BOX, &frame), 2).unwrap();
        assert!(form.digit(0).is_none() && form.digit(1).is_none());
        let written = [&frame[..], &[draw(1, 20, 10, 40)]].concat();
        let form = Form::decode(&png(2 * BOX, BOX, &written), 2).unwrap();
        assert!(form.digit(0).is_none() && form.digit(1).is_some());
    }

    #[test]
    fn a_picture_of_too_many_pixels_is_not_decoded() {
        let (most, rows) = (PICTURE_PIXELS_MAX as u32, 12);
        assert!(Form::decode(&png(most / rows, rows, &[]), 1).is_ok());
        let wrong = Form::decode(&png(most / rows + 1, rows, &[]), 1).unwrap_err();
        assert!(matches!(wrong, FormError::TooLarge(6_000_012)), "{wrong}");
    }

    #[test]
    fn boxes_that_are_too_small_are_told_with_their_size() {
        let least = BOX_PIXELS_MIN as u32;
        assert!(Form::decode(&png(3 * least, least, &[]), 3).is_ok());
        let narrow = Form::decode(&png(3 * least - 1, least, &[]), 3).unwrap_err();
        assert_eq!(narrow.to_string(), "a box is 11 x 12 pixels, and 12 is the least in each direction");
        assert!(matches!(Form::decode(&png(100, least - 1, &[]), 3), Err(FormError::TooSmall(33, 11))));
    }
}
