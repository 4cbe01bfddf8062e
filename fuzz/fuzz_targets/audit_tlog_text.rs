//! Any text as a path, a hash, an origin, a verifier key.
#![no_main]
libfuzzer_sys::fuzz_target!(|input: &[u8]| palisade_fuzz::run("audit_tlog_text", input));
