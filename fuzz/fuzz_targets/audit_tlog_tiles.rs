//! The files of a tree, changed by somebody.
#![no_main]
libfuzzer_sys::fuzz_target!(|input: &[u8]| palisade_fuzz::run("audit_tlog_tiles", input));
