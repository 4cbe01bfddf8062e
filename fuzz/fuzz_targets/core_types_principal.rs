//! Any text as a subject and as a principal.
#![no_main]
libfuzzer_sys::fuzz_target!(|input: &[u8]| palisade_fuzz::run("core_types_principal", input));
