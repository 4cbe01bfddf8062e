//! Any bytes as a bundle of entries.
#![no_main]
libfuzzer_sys::fuzz_target!(|input: &[u8]| palisade_fuzz::run("audit_tlog_bundle", input));
