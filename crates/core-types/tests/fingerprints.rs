//! Fingerprints against a second implementation of base64 and against `ssh-keygen`.

use base64ct::{Base64, Base64Unpadded, Encoding};
use core_types::Fingerprint;
use core_types::fingerprint::Md5Fingerprint;
use proptest::prelude::*;

#[test]
fn a_fingerprint_is_what_ssh_keygen_prints() {
    let recorded = include_str!("vectors/ssh-keygen.txt");
    let keys: Vec<_> = recorded.lines().filter(|line| !line.starts_with('#')).collect();
    assert_eq!(keys.len(), 3);
    for line in keys {
        let fields: Vec<_> = line.split('\t').collect();
        let [key, sha256, md5] = fields[..] else { panic!("three fields: {line}") };
        let fingerprint = Fingerprint::of(&Base64::decode_vec(key).unwrap());
        assert_eq!(fingerprint.to_string(), sha256);
        assert_eq!(sha256.parse::<Fingerprint>().unwrap(), fingerprint);
        // The library does not compute MD5; what was computed it prints in the same spelling.
        let digits = md5.strip_prefix("MD5:").unwrap().split(':');
        let digest: Vec<_> = digits.map(|pair| u8::from_str_radix(pair, 16).unwrap()).collect();
        let fingerprint = Md5Fingerprint::from_md5(digest.try_into().unwrap());
        assert_eq!(fingerprint.to_string(), md5);
        assert_eq!(format!("{fingerprint:?}"), md5);
    }
}

#[test]
fn a_fingerprint_of_nothing_is_the_digest_of_nothing() {
    // FIPS 180-4, in base64 as `openssl sha256 -binary </dev/null | base64` prints it.
    assert_eq!(Fingerprint::of(b"").to_string(), "SHA256:47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU");
}

#[test]
fn only_the_spelling_with_zero_bits_at_the_end_is_read() {
    // The last of 43 characters has four bits of the digest and two unused ones.
    let text = Fingerprint::from_sha256([0; 32]).to_string();
    let read = |last: char| format!("{}{last}", text.strip_suffix('A').unwrap()).parse::<Fingerprint>();
    let accepted: String = ('A'..='Z')
        .chain('a'..='z')
        .chain('0'..='9')
        .chain(['+', '/'])
        .filter(|last| read(*last).is_ok())
        .collect();
    assert_eq!(accepted, "AEIMQUYcgkosw048");
}

proptest! {
    #[test]
    fn a_fingerprint_is_printed_and_read_as_by_another_implementation(digest: [u8; 32]) {
        let fingerprint = Fingerprint::from_sha256(digest);
        let text = format!("SHA256:{}", Base64Unpadded::encode_string(&digest));
        prop_assert_eq!(fingerprint.to_string(), &*text);
        prop_assert_eq!(text.parse::<Fingerprint>()?, fingerprint);
        prop_assert_eq!(fingerprint.as_bytes(), &digest);
    }

    #[test]
    fn a_text_is_read_exactly_when_another_implementation_reads_it(
        bare in "[A-Za-z0-9+/]{42}[A-Za-z0-9+/_=-]|[A-Za-z0-9+/]{40,46}",
    ) {
        let read = format!("SHA256:{bare}").parse::<Fingerprint>().ok().map(|read| read.as_bytes().to_vec());
        let other = Base64Unpadded::decode_vec(&bare).ok().filter(|bytes| bytes.len() == 32);
        prop_assert_eq!(read, other);
    }
}
