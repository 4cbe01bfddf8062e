//! Any numbers and hashes as proofs.
#![no_main]
libfuzzer_sys::fuzz_target!(|input: &[u8]| palisade_fuzz::run("audit_tlog_proof", input));
