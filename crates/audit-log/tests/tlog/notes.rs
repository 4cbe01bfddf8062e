//! Keys, notes, tree heads, against the specification's own example and what Go's note package makes.

use audit_log::LogId;
use audit_log::tlog::{
    Ed25519Signer, Hash, NoteError, Origin, SignedNote, Signer as _, TlogProof, TreeHead, VerifierKey,
};
use core_types::SecretBytes;

/// The example of Go's note package (golang.org/x/mod/sumdb/note): a message signed by PeterNeumann.
const GO_KEY: &str = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW";
const GO_NOTE: &str = "If you think cryptography is the answer to your problem,\n\
    then you don't know what your problem is.\n\
    \n\
    \u{2014} PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n";

#[test]
fn a_note_that_another_program_signed_verifies() {
    let key: VerifierKey = GO_KEY.parse().unwrap();
    assert_eq!((key.name(), key.id(), key.to_string().as_str()), ("PeterNeumann", 0xc74f_20a3, GO_KEY));
    let note: SignedNote = GO_NOTE.parse().unwrap();
    assert!(note.verify(&key).unwrap().ends_with("your problem is.\n"));
    assert_eq!(note.to_string(), GO_NOTE);
}

#[test]
fn a_note_with_any_byte_changed_does_not_verify() {
    let key: VerifierKey = GO_KEY.parse().unwrap();
    for at in 0..GO_NOTE.len() {
        for bit in 0..8 {
            let mut bytes = GO_NOTE.as_bytes().to_vec();
            bytes[at] ^= 1 << bit;
            let note = String::from_utf8(bytes).ok().and_then(|text| text.parse::<SignedNote>().ok());
            assert!(note.is_none_or(|note| note.verify(&key).is_err()), "byte {at}, bit {bit}");
        }
    }
}

#[test]
fn a_key_has_one_spelling() {
    for bad in [
        "",
        "PeterNeumann",
        "PeterNeumann+c74f20a3",
        "PeterNeumann+c74f20a4+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW",
        "PeterNeumann+C74F20A3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW",
        "PeterNeumann+c74f20a3+AhpC2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW",
        "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10T",
        "+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW",
        "Peter Neumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW",
        " PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW",
        "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW\n",
    ] {
        assert!(bad.parse::<VerifierKey>().is_err(), "{bad}");
    }
    for name in ["", "a+b", "a b", "a\u{a0}b", "a\nb"] {
        assert!(VerifierKey::new(name, [1; 32]).is_err(), "{name:?}");
    }
}

#[test]
fn a_note_is_read_strictly() {
    let signature = GO_NOTE.lines().last().unwrap();
    for bad in [
        String::new(),
        "text\n".into(),
        "text\n\n".into(),
        format!("text\n\n{signature}"),
        format!("text\n{signature}\n"),
        format!("text\n\n{signature}\n\n"),
        format!("te\txt\n\n{signature}\n"),
        format!("text\r\n\n{signature}\n"),
        "text\n\n- PeterNeumann x08go/ZJkuBS9UG/\n".into(),
        "text\n\n\u{2014} PeterNeumann x08go/ZJkuBS9UG\n".into(),
        "text\n\n\u{2014} Peter Neumann x08go/ZJkuBS9UG/\n".into(),
        "text\n\n\u{2014} PeterNeumann x08g\n".into(),
        "text\n\n\u{2014} PeterNeumann x08goA==\n".into(),
        format!("text\n\n{}", format!("{signature}\n").repeat(65)),
        format!("{}\n\n{signature}\n", "x".repeat(1 << 18)),
    ] {
        assert!(bad.parse::<SignedNote>().is_err(), "{bad:.80}");
    }
    let note: SignedNote = format!("a\n\nb\n\n{signature}\n").parse().unwrap();
    assert_eq!(note.dangerous_unverified_text(), "a\n\nb\n");
}

#[test]
fn lines_of_witnesses_are_kept_and_not_mistaken_for_ours() {
    let key: VerifierKey = GO_KEY.parse().unwrap();
    let cosigned = format!("{GO_NOTE}\u{2014} witness.example/w1 jWbPPwAAAABkGFDLEZMHwSRaJNiIDoe9DYn/zXcr\n");
    let note: SignedNote = cosigned.parse().unwrap();
    assert_eq!((note.signatures(), note.to_string()), (2, cosigned.clone()));
    assert!(note.verify(&key).is_ok());
    // A false line in our name spoils the note, wherever it stands.
    let line = "\u{2014} PeterNeumann x08gowAAAAA=\n";
    let bad: SignedNote = format!("{cosigned}{line}").parse().unwrap();
    assert_eq!(bad.verify(&key), Err(NoteError::Signature));
    let other = VerifierKey::new("Peter", *key.public()).unwrap();
    assert_eq!(note.verify(&other), Err(NoteError::Unsigned));
}

#[test]
fn a_signer_is_verified_by_its_own_key_and_shows_nothing_of_itself() {
    // RFC 8032 section 7.1, test 1.
    let mut seed: [u8; 32] = [
        0x9d, 0x61, 0xb1, 0x9d, 0xef, 0xfd, 0x5a, 0x60, 0xba, 0x84, 0x4a, 0xf4, 0x92, 0xec, 0x2c, 0xc4, 0x44,
        0x49, 0xc5, 0x69, 0x7b, 0x32, 0x69, 0x19, 0x70, 0x3b, 0xac, 0x03, 0x1c, 0xae, 0x7f, 0x60,
    ];
    let signer = Ed25519Signer::from_seed("log.example", &SecretBytes::take_from(&mut seed)).unwrap();
    assert_eq!(signer.verifier().public()[..4], [0xd7, 0x5a, 0x98, 0x01]);
    assert_eq!(signer.sign(b"").unwrap()[..4], [0xe5, 0x56, 0x43, 0x00]);
    let shown = format!("{signer:?}");
    assert!(
        shown.contains("log.example") && !shown.contains("9d61") && !shown.contains("157, 97"),
        "{shown}"
    );
}

#[test]
fn a_tree_head_has_one_spelling() {
    let key = VerifierKey::new("audit.example/log", [7; 32]).unwrap();
    let log = LogId::from_bytes([15; 16]);
    let base = format!("audit.example/log/{}", "0f".repeat(16));
    let root = Hash::of_leaf(b"");
    let heads = [
        (Origin::of_epochs(&key, log), format!("{base}/epochs\n17\n{root}\n")),
        (Origin::of_tenant(&key, log, "/".parse().unwrap()), format!("{base}/tenants\n17\n{root}\n")),
        (
            Origin::of_tenant(&key, log, "org/acme/tenants/epochs".parse().unwrap()),
            format!("{base}/tenants/org/acme/tenants/epochs\n17\n{root}\n"),
        ),
    ];
    for (origin, text) in heads {
        let head = TreeHead::new(origin, 17, root);
        assert_eq!((head.to_string(), text.parse()), (text.clone(), Ok(head)), "{text}");
        for bad in [
            text.replace("\n17\n", "\n017\n"),
            text.replace("\n17\n", "\n+17\n"),
            text.replace("\n17\n", "\n\n"),
            text.replace("\n17\n", "\n0\n"),
            text.replace("\n17\n", "\n9223372036854775809\n"),
            text.replace("0f0f", "0F0f"),
            text.replace(&base, "epochs"),
            format!("{text}extension\n"),
            text.trim_end().to_owned(),
            text.replace('=', ""),
        ] {
            assert!(bad.parse::<TreeHead>().is_err(), "{bad}");
        }
    }
}

#[test]
fn a_proof_is_read_strictly() {
    let hash = Hash::of_leaf(b"");
    let good = format!("c2sp.org/tlog-proof@v1\nextra YWI=\nindex 3\n{hash}\n{hash}\n\n{GO_NOTE}");
    let proof: TlogProof = good.parse().unwrap();
    assert_eq!((proof.to_string(), proof.index(), proof.extra()), (good.clone(), 3, Some(&b"ab"[..])));
    assert!(good.replace("extra YWI=\n", "").parse::<TlogProof>().unwrap().extra().is_none());
    for bad in [
        String::new(),
        good.replace("@v1", "@v2"),
        good.replace("extra YWI=", "extra YWI"),
        good.replace("extra YWI=", "extra  YWI="),
        good.replace("index 3", "index 03"),
        good.replace("index 3", "index -3"),
        good.replace("index 3\n", ""),
        good.replace("\n\n", "\n"),
        good.replacen("=\n\n", "=\n\n\n", 1).replace(GO_NOTE, "text\n\n"),
        good.replace(&format!("{hash}\n{hash}\n"), &format!("{hash}\n").repeat(64)),
        format!("{good}\n"),
        format!("\n{good}"),
    ] {
        assert!(bad.parse::<TlogProof>().is_err(), "{bad}");
    }
}
