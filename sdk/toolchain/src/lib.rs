//! Finds the toolchain that builds guests, and builds with it.
