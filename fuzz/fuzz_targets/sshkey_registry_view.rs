//! Any lines as what a store holds of keys.
#![no_main]
libfuzzer_sys::fuzz_target!(|input: &[u8]| palisade_fuzz::run("sshkey_registry_view", input));
