//! What is read back or passed on.
#![no_main]
libfuzzer_sys::fuzz_target!(|input: &[u8]| palisade_fuzz::run("join_hmac_records", input));
