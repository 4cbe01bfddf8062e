//! Objects of Kubernetes' RBAC and requests in its terms.
#![no_main]
libfuzzer_sys::fuzz_target!(|input: &[u8]| palisade_fuzz::run("iam_policy_import_kubernetes", input));
