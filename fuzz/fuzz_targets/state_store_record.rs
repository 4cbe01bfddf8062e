//! Any bytes as a stored record.
#![no_main]
libfuzzer_sys::fuzz_target!(|input: &[u8]| palisade_fuzz::run("state_store_record", input));
