//! Any text as the options of a key.
#![no_main]
libfuzzer_sys::fuzz_target!(|input: &[u8]| palisade_fuzz::run("sshkey_registry_options", input));
