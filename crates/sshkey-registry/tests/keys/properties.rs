use proptest::prelude::*;
use sshkey_registry::{AdmissionPolicy, Comment, KeyLine, PublicKey};

use crate::vectors;

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn whatever_is_accepted_prints_to_a_line_that_is_accepted_as_the_same(upload in any::<Vec<u8>>()) {
        if let Ok(line) = KeyLine::parse(&upload) {
            prop_assert_eq!(PublicKey::parse(line.key().to_string()), Ok(line.into_parts().0));
        }
    }

    #[test]
    fn a_blob_is_refused_or_it_is_the_one_spelling_of_its_key(
        name in 0_usize..8,
        rest in prop::collection::vec(any::<u8>(), 0..80),
    ) {
        let key_type = sshkey_registry::KeyType::ALL[name].as_str();
        let mut blob = u32::try_from(key_type.len()).unwrap().to_be_bytes().to_vec();
        blob.extend_from_slice(key_type.as_bytes());
        blob.extend_from_slice(&rest);
        if let Ok(key) = PublicKey::from_blob(&blob) {
            prop_assert_eq!(key.as_blob(), &blob[..]);
            prop_assert_eq!(PublicKey::parse(key.to_string()), Ok(key));
        }
    }

    #[test]
    fn a_flipped_bit_of_a_blob_is_refused_or_another_key(
        (_, line) in prop::sample::select(vectors::good()),
        at in any::<prop::sample::Index>(),
        bit in 0_u8..8,
    ) {
        let key = PublicKey::parse(line).unwrap();
        let mut blob = key.as_blob().to_vec();
        let at = at.index(blob.len());
        blob[at] ^= 1 << bit;
        if let Ok(other) = PublicKey::from_blob(&blob) {
            prop_assert_ne!(&other, &key);
            prop_assert_ne!(other.fingerprint(), key.fingerprint());
            prop_assert_eq!(other.as_blob(), &blob[..]);
        }
    }

    #[test]
    fn a_blob_cut_off_anywhere_is_refused(
        (_, line) in prop::sample::select(vectors::good()),
        at in any::<prop::sample::Index>(),
    ) {
        let key = PublicKey::parse(line).unwrap();
        prop_assert!(PublicKey::from_blob(&key.as_blob()[..at.index(key.as_blob().len())]).is_err());
    }

    #[test]
    fn a_point_of_ecdsa_with_a_flipped_bit_is_never_admitted(at in 0_usize..64, bit in 0_u8..8) {
        let mut blob = PublicKey::parse(vectors::line("ecdsa256")).unwrap().as_blob().to_vec();
        let at = blob.len() - 64 + at;
        blob[at] ^= 1 << bit;
        // Of 2^256 second coordinates two are on the curve, and they do not differ in one bit.
        let key = PublicKey::from_blob(&blob).unwrap();
        prop_assert!(AdmissionPolicy::new().admit(key).is_err());
    }

    #[test]
    fn a_comment_of_readable_text_comes_back_as_it_was(comment in "[!-~à-ž][ -~à-ž]{0,60}[!-~à-ž]") {
        prop_assume!(!comment.contains("ssh-") && !comment.contains("ecdsa-") && !comment.contains("PRIVATE"));
        let line = KeyLine::parse(format!("{} {comment}", vectors::line("ed25519").rsplit_once(' ').unwrap().0));
        let line = line.unwrap();
        prop_assert_eq!(line.comment().map(Comment::as_str), Some(&*comment));
    }

    #[test]
    fn a_comment_with_a_control_character_is_refused(
        before in "[a-z]{1,9}",
        control in "[\\p{Cc}\\p{Cf}\\p{Zl}\\p{Zp}]",
        after in "[a-z]{1,9}",
    ) {
        // Some format characters are visible signs of their scripts, and stay.
        let visible = matches!(control.chars().next().map(u32::from),
            Some(0x600..=0x605 | 0x6DD | 0x70F | 0x890 | 0x891 | 0x8E2 | 0x110BD | 0x110CD | 0x13430..=0x1345F));
        prop_assert_eq!(Comment::parse(&format!("{before}{control}{after}")).is_ok(), visible);
    }
}
