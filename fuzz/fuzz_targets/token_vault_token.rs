//! Any text as a token, and good tokens with changes.
#![no_main]
libfuzzer_sys::fuzz_target!(|input: &[u8]| palisade_fuzz::run("token_vault_token", input));
