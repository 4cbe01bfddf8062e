//! Any text as a name, a holder, a role, a set of patterns.
#![no_main]
libfuzzer_sys::fuzz_target!(|input: &[u8]| palisade_fuzz::run("iam_policy_text", input));
