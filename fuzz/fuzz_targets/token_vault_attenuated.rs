//! Tokens that were narrowed, and changes of them.
#![no_main]
libfuzzer_sys::fuzz_target!(|input: &[u8]| palisade_fuzz::run("token_vault_attenuated", input));
