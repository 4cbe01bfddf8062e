//! Any bytes as two policies, of which one may cover the other.
#![no_main]
libfuzzer_sys::fuzz_target!(|input: &[u8]| palisade_fuzz::run("iam_policy_covers", input));
