//! Headers, tickets, codes, passphrases, fingerprints.
#![no_main]
libfuzzer_sys::fuzz_target!(|input: &[u8]| palisade_fuzz::run("join_hmac_text", input));
