//! Any bytes as an uploaded line.
#![no_main]
libfuzzer_sys::fuzz_target!(|input: &[u8]| palisade_fuzz::run("sshkey_registry_line", input));
