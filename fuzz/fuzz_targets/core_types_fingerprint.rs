//! Any text as a fingerprint.
#![no_main]
libfuzzer_sys::fuzz_target!(|input: &[u8]| palisade_fuzz::run("core_types_fingerprint", input));
