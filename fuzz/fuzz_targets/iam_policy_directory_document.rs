//! Any bytes as the document of a directory.
#![no_main]
libfuzzer_sys::fuzz_target!(|input: &[u8]| palisade_fuzz::run("iam_policy_directory_document", input));
