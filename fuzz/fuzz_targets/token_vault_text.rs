//! Any text as a prefix and as a network.
#![no_main]
libfuzzer_sys::fuzz_target!(|input: &[u8]| palisade_fuzz::run("token_vault_text", input));
