//! Any bytes as a list of keys that others have.
#![no_main]
libfuzzer_sys::fuzz_target!(|input: &[u8]| palisade_fuzz::run("sshkey_registry_block_list", input));
