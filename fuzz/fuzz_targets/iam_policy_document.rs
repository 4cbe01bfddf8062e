//! Any bytes as the document of a policy.
#![no_main]
libfuzzer_sys::fuzz_target!(|input: &[u8]| palisade_fuzz::run("iam_policy_document", input));
