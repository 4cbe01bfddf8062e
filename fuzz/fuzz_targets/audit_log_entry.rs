//! Any bytes as an entry.
#![no_main]
libfuzzer_sys::fuzz_target!(|input: &[u8]| palisade_fuzz::run("audit_log_entry", input));
