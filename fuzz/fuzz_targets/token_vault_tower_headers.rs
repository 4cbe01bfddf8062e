//! Any lines as the headers of a request.
#![no_main]
libfuzzer_sys::fuzz_target!(|input: &[u8]| palisade_fuzz::run("token_vault_tower_headers", input));
