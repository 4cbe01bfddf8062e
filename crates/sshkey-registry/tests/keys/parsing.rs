use std::collections::HashSet;

use core_types::Fingerprint;
use sshkey_registry::{Comment, KeyError, KeyLine, KeyName, KeyType, LineComment, NameError, PublicKey, key};

use crate::vectors;

#[test]
fn every_good_key_parses_and_prints_as_it_stood() {
    let good = vectors::good();
    assert!(good.len() > 15, "{}", good.len());
    for (name, line) in good {
        let parsed = KeyLine::parse(&line).unwrap_or_else(|error| panic!("{name}: {error}"));
        let mut parts = line.splitn(3, ' ');
        let text = format!("{} {}", parts.next().unwrap(), parts.next().unwrap());
        assert_eq!(parsed.key().to_string(), text, "{name}");
        assert_eq!(parsed.comment().map(Comment::as_str), parts.next(), "{name}");
        assert_eq!(PublicKey::from_blob(parsed.key().as_blob()).as_ref(), Ok(parsed.key()), "{name}");
    }
}

#[test]
fn fingerprints_and_sizes_are_those_that_ssh_keygen_recorded() {
    for recorded in vectors::recorded() {
        let key = PublicKey::parse(&recorded.line).unwrap();
        assert_eq!(key.bits(), recorded.bits, "{}", recorded.name);
        assert_eq!(key.fingerprint().to_string(), recorded.sha256, "{}", recorded.name);
        assert_eq!(key.fingerprint(), recorded.sha256.parse::<Fingerprint>().unwrap(), "{}", recorded.name);
        assert_eq!(key.md5_fingerprint().to_string(), recorded.md5, "{}", recorded.name);
    }
}

#[test]
fn every_upload_that_is_no_key_is_refused_with_its_own_reason() {
    let refused = vectors::refused();
    assert!(refused.len() > 140, "{}", refused.len());
    for (name, expected, upload) in refused {
        match KeyLine::parse(&upload) {
            Ok(line) => panic!("{name}: accepted as {:?}", line.key()),
            Err(error) => assert_eq!(vectors::variant(&error), expected, "{name}"),
        }
        assert_eq!(PublicKey::parse(&upload).err(), KeyLine::parse(&upload).err(), "{name}");
    }
}

#[test]
fn no_message_repeats_what_was_uploaded() {
    let secret = "b3BlbnNzaC1rZXktdjEAAAAABG5vbmUAAAAEbm9uZQAAAAAAAAABAAAAMwAAAAtzc2g";
    for upload in [
        format!("-----BEGIN OPENSSH PRIVATE KEY-----\n{secret}\n-----END OPENSSH PRIVATE KEY-----"),
        format!("{} {secret}", vectors::line("ed25519")),
        format!("ssh-ed25519 {secret}"),
        secret.to_owned(),
    ] {
        let error = KeyLine::parse(&upload).unwrap_err();
        assert_eq!(error, KeyError::PrivateKey);
        for text in [error.to_string(), format!("{error:?}")] {
            assert!(!text.contains("b3Blb"), "{text}");
        }
    }
}

#[test]
fn every_message_is_one_lower_case_sentence_of_its_own() {
    let mut messages = HashSet::new();
    let mut variants = HashSet::new();
    for (_, _, upload) in vectors::refused() {
        let error = KeyLine::parse(&upload).unwrap_err();
        let message = error.to_string();
        assert!(
            message.chars().next().is_some_and(|first| !first.is_uppercase()
                || message.starts_with("DSA")
                || message.starts_with("UTF")),
            "{message}"
        );
        assert!(!message.ends_with('.') && message.is_ascii() | message.contains('…'), "{message}");
        if variants.insert(vectors::variant(&error)) {
            messages.insert(message);
        }
    }
    assert_eq!(messages.len(), variants.len());
}

#[test]
fn a_line_may_have_blanks_before_and_between_its_parts_and_line_ends_after_them() {
    let line = vectors::line("ed25519");
    let [key_type, base64, comment] = line.splitn(3, ' ').collect::<Vec<_>>().try_into().unwrap();
    let expected = KeyLine::parse(&line).unwrap();
    for line in [
        format!("{line}\n"),
        format!("{line}\r\n"),
        format!("{line} \t\n\n"),
        format!("  \t{line}"),
        format!("{key_type}\t{base64}\t{comment}"),
        format!("{key_type}  {base64} \t {comment}"),
    ] {
        assert_eq!(KeyLine::parse(&line).as_ref(), Ok(&expected), "{line:?}");
    }
    assert_eq!(KeyLine::parse(format!("{key_type} {base64} \n")).unwrap().comment(), None);
}

#[test]
fn a_comment_may_be_anything_that_a_person_can_read() {
    let key = vectors::line("ed25519-2").rsplit_once(' ').unwrap().0.to_owned();
    for comment in
        ["ada@laptop", "two words", "# 1", "Ада 計算機 café", "ssh-rsa", "command=\"x\"", &"x".repeat(1024)]
    {
        let parsed = KeyLine::parse(format!("{key} {comment}")).unwrap();
        assert_eq!(parsed.comment().map(Comment::as_str), Some(comment));
        assert_eq!(parsed.key().to_string(), key, "a comment is no part of the key");
    }
}

#[test]
fn a_line_of_16_kib_is_read_and_a_longer_one_is_refused() {
    let line = vectors::line("ed25519");
    let fill = |len: usize| format!("{}{line}", " ".repeat(len - line.len()));
    assert!(KeyLine::parse(fill(key::MAX_LINE_BYTES)).is_ok());
    let too_long = Err(KeyError::LineTooLong { limit: key::MAX_LINE_BYTES });
    assert_eq!(KeyLine::parse(fill(key::MAX_LINE_BYTES + 1)), too_long);
    assert_eq!(KeyLine::parse(fill(10 << 20)), too_long);
    assert_eq!(KeyLine::parse(format!("ssh-rsa {}", "A".repeat(1 << 20))), too_long);
    assert_eq!(KeyLine::parse(vec![0xff; 1 << 20]), too_long);
}

#[test]
fn the_longest_rsa_key_fits_a_line() {
    let modulus = [vec![0x00, 0x80], vec![0x55; 2047]].concat();
    let field = |bytes: &[u8]| [&u32::try_from(bytes.len()).unwrap().to_be_bytes()[..], bytes].concat();
    let blob = [field(b"ssh-rsa"), field(&modulus), field(&modulus)].concat();
    let key = PublicKey::from_blob(&blob).unwrap();
    assert_eq!(key.bits(), key::MAX_RSA_BITS);
    assert!(key.to_string().len() < key::MAX_LINE_BYTES / 2);
    assert_eq!(PublicKey::parse(key.to_string()), Ok(key));
}

#[test]
fn the_post_quantum_type_is_read() {
    let name = KeyType::MlDsa44Ed25519.as_str();
    let ed25519 = PublicKey::parse(vectors::line("ed25519")).unwrap();
    let mut blob = [&[0, 0, 0, 31][..], name.as_bytes(), &[0, 0, 5, 64]].concat();
    blob.extend(std::iter::repeat_n(0x5a, 1312).chain(ed25519.as_blob()[19..].iter().copied()));
    let key = PublicKey::from_blob(&blob).unwrap();
    assert_eq!((key.key_type(), key.bits()), (KeyType::MlDsa44Ed25519, 256));
    assert_eq!(PublicKey::parse(key.to_string()), Ok(key));
}

#[test]
fn what_we_write_carries_a_comment_of_our_own_making_only() {
    let line = vectors::line("ed25519");
    let key = PublicKey::parse(&line).unwrap();
    let name = KeyName::parse("my-laptop").unwrap();
    let written = key.to_openssh(&LineComment::from(&name));
    assert_eq!(written, format!("{} my-laptop", line.rsplit_once(' ').unwrap().0));
    assert_eq!(KeyLine::parse(&written).unwrap().key(), &key);
    for comment in ["", " ", "a b", "a\n", "a\u{2028}b", "-a", "é", "a\"", "a,b", &"x".repeat(129)] {
        assert!(LineComment::parse(comment).is_err(), "{comment:?}");
    }
}

#[test]
fn names_are_ascii_and_short_so_that_no_two_look_alike() {
    for name in ["a", "my-laptop", "Ada@Home.example_2", "0", &"x".repeat(KeyName::MAX_CHARS)] {
        assert_eq!(KeyName::parse(name).unwrap().as_str(), name);
    }
    let at = |at| Err(NameError::Character { at });
    for (name, expected) in [
        ("", Err(NameError::Empty)),
        (&*"x".repeat(65), Err(NameError::TooLong { limit: 64 })),
        ("-rf", at(1)),
        (".hidden", at(1)),
        ("my laptop", at(3)),
        ("my/laptop", at(3)),
        ("аda", at(1)),
        ("lap\u{202e}top", at(4)),
        ("laptop\n", at(7)),
        ("laptop\0", at(7)),
        ("lap\u{2028}top", at(4)),
        ("lap\x1b[0m", at(4)),
    ] {
        assert_eq!(KeyName::parse(name), expected, "{name:?}");
    }
}
