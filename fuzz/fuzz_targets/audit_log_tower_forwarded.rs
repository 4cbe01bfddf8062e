//! Any lines as those of `X-Forwarded-For`, after one with the networks of proxies.
#![no_main]
libfuzzer_sys::fuzz_target!(|input: &[u8]| palisade_fuzz::run("audit_log_tower_forwarded", input));
