//! Changes of a good log, by someone who knows nothing.
#![no_main]
libfuzzer_sys::fuzz_target!(|input: &[u8]| palisade_fuzz::run("audit_log_tampered", input));
