//! The example's bounds. They hold beside the node's own (`limits` of rimward.toml).

/// Pixels of a picture: 6 million, a 2000 x 3000 scan.
///
/// A progressive JPEG takes about twelve bytes per pixel while it is decoded, and the function has 128 MiB.
pub(crate) const PICTURE_PIXELS_MAX: u64 = 6_000_000;

/// Pieces of ink in a picture: 2^19. A photo has some ten thousand, and half a million take 16 MiB.
pub(crate) const PIECES_MAX: usize = 1 << 19;

/// Letters that are looked at: 4096, a densely printed page. Of more, the largest count.
pub(crate) const LETTERS_MAX: usize = 4096;

/// Lines of text that are sent: 32, half of what the model server takes. Of more, those with the most ink count.
pub(crate) const LINES_MAX: usize = 32;

/// Width of a line in heights: 64, about 120 letters. What is longer is no line of text but a rule or a fence.
pub(crate) const LINE_ASPECT_MAX: f32 = 64.0;

/// Bytes of the model server's answer: 2 MiB, some twenty times what 32 long lines and the characters take.
pub(crate) const ANSWER_BYTES_MAX: usize = 2 * 1024 * 1024;
