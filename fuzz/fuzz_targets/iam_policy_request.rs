//! Any bytes as the document of a question.
#![no_main]
libfuzzer_sys::fuzz_target!(|input: &[u8]| palisade_fuzz::run("iam_policy_request", input));
