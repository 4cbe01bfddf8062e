//! Any header and claims that an issuer signed, and texts that nobody signed.
#![no_main]
libfuzzer_sys::fuzz_target!(|input: &[u8]| palisade_fuzz::run("token_vault_service", input));
