//! Configurations, dumps, answers of devices and lists of peers.
#![no_main]
libfuzzer_sys::fuzz_target!(|input: &[u8]| palisade_fuzz::run("wg_keys_texts", input));
