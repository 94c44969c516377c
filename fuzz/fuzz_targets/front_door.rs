//! See [`rimward_fuzz_targets::front_door`].
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| rimward_fuzz_targets::front_door(bytes));
