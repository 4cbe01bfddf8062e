//! Any bytes as the segment and the head of a log.
#![no_main]
libfuzzer_sys::fuzz_target!(|input: &[u8]| palisade_fuzz::run("audit_log_segment", input));
