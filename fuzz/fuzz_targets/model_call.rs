//! See [`rimward_fuzz_targets::model_call`].
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| rimward_fuzz_targets::model_call(bytes));
