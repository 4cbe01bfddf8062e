//! Any text as a permission and as a pattern.
#![no_main]
libfuzzer_sys::fuzz_target!(|input: &[u8]| palisade_fuzz::run("core_types_permission", input));
