//! What is sent, to each side in each of its states.
#![no_main]
libfuzzer_sys::fuzz_target!(|input: &[u8]| palisade_fuzz::run("join_hmac_frames", input));
