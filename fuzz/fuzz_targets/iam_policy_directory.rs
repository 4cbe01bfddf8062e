//! Any lines as what a store holds of subjects, groups, roles and bindings.
#![no_main]
libfuzzer_sys::fuzz_target!(|input: &[u8]| palisade_fuzz::run("iam_policy_directory", input));
