//! Any bytes as the document of an issuer's keys.
#![no_main]
libfuzzer_sys::fuzz_target!(|input: &[u8]| palisade_fuzz::run("token_vault_git", input));
