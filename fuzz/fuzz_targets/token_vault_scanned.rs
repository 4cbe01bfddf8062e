//! Any text as one in which tokens may have leaked.
#![no_main]
libfuzzer_sys::fuzz_target!(|input: &[u8]| palisade_fuzz::run("token_vault_scanned", input));
