//! See [`rimward_fuzz_targets::manifest`].
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| rimward_fuzz_targets::manifest(bytes));
