//! Any changes to a signed bundle of keys.
#![no_main]
libfuzzer_sys::fuzz_target!(|input: &[u8]| palisade_fuzz::run("sshkey_registry_bundle", input));
