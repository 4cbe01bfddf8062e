//! Any text as a checkpoint, an id, a cursor, an actor, an action, an outcome.
#![no_main]
libfuzzer_sys::fuzz_target!(|input: &[u8]| palisade_fuzz::run("audit_log_text", input));
