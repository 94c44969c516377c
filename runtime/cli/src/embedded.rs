//! What the binary carries for `rimward new` and `rimward build`: the templates' files and the SDK's sources, each with
//! its path. Packed by the build script; unpacked by `command/new.rs` and [`sdk`](crate::sdk).

include!(concat!(env!("OUT_DIR"), "/embedded.rs"));
