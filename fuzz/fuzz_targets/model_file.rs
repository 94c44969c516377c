//! See [`rimward_fuzz_targets::model_file`].
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| rimward_fuzz_targets::model_file(bytes));
