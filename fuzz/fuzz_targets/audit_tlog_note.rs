//! Any text as a note, a tree head, a proof.
#![no_main]
libfuzzer_sys::fuzz_target!(|input: &[u8]| palisade_fuzz::run("audit_tlog_note", input));
