//! Any text as the id of a user.
#![no_main]
libfuzzer_sys::fuzz_target!(|input: &[u8]| palisade_fuzz::run("core_types_id", input));
