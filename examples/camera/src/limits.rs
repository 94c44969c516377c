//! The example's bounds. They hold beside the node's own (`limits` of rimward.toml).

/// Pixels of a picture: 6 million, a 2000 x 3000 scan.
///
/// A progressive JPEG takes about twelve bytes per pixel while it is decoded, and the function has 128 MiB.
pub(crate) const PICTURE_PIXELS_MAX: u64 = 6_000_000;

/// Boxes in a picture: 16, as many calls as the function may have under way.
pub(crate) const BOXES_MAX: usize = 16;

/// Pixels of a box in each direction, at least: 12. What is smaller has no digit that can be read.
pub(crate) const BOX_PIXELS_MIN: usize = 12;
