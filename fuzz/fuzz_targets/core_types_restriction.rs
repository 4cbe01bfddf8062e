//! Any bytes as the document of a restriction.
#![no_main]
libfuzzer_sys::fuzz_target!(|input: &[u8]| palisade_fuzz::run("core_types_restriction", input));
