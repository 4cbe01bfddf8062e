//! Leaked tokens are found wherever they stand, and nothing else is.

#![expect(clippy::as_conversions, reason = "offsets of a test")]

use core_types::SecureRandom;
use core_types::testing::TestRandom;
use pollster::block_on;
use proptest::prelude::*;
use token_vault::scan::{Finding, Scanner, gitleaks_rules, scan, scan_reader, trufflehog_rules};
use token_vault::testing::{Fixture, format};

#[test]
fn a_token_is_found_with_its_place_and_is_not_shown() {
    block_on(async {
        let mut fixture = Fixture::new().await;
        let (token, id) = fixture.issue_plain().await;
        let text = format!("# notes\nTOKEN=\"{token}\"\nxx{token}yy\n");
        let findings = scan(&format(), text.as_bytes());
        let places: Vec<_> = findings.iter().map(|found| (found.line, found.column, found.offset)).collect();
        assert_eq!(places, [(2, 8, 15), (3, 3, 15 + 83 + 4)]);
        assert!(findings.iter().all(|found| found.id == id && found.length == token.len()));
        let shown = serde_json::to_string(&findings).unwrap() + &format!("{findings:?}");
        let secret = token.get(34..77).unwrap();
        assert!((0..35).all(|at| !shown.contains(secret.get(at..at + 8).unwrap())));
    });
}

#[test]
fn what_is_no_token_is_not_found() {
    block_on(async {
        let mut fixture = Fixture::new().await;
        let (token, _) = fixture.issue_plain().await;
        let mut wrong = token.clone();
        let last = wrong.pop().unwrap();
        wrong.push(if last == '0' { '1' } else { '0' });
        let cut = token.get(..token.len() - 1).unwrap();
        let other_prefix = token.replace("plsdtestpat", "plsdlivepat");
        for text in [&wrong, cut, &other_prefix, "plsdtestpat_", ""] {
            assert_eq!(scan(&format(), text.as_bytes()), []);
        }
    });
}

#[test]
fn a_large_file_is_scanned_in_bounded_pieces() {
    block_on(async {
        let mut fixture = Fixture::new().await;
        let (token, _) = fixture.issue_plain().await;
        let mut text = vec![b'_'; 1 << 20];
        let random = TestRandom::seeded(3);
        random.fill(&mut text[..1 << 19]).unwrap();
        // Over the border between two pieces.
        let at = (64 << 10) * 3 - 40;
        text[at..at + token.len()].copy_from_slice(token.as_bytes());
        let mut findings = Vec::new();
        scan_reader(&format(), text.as_slice(), |found| findings.push(found)).unwrap();
        assert_eq!(findings.iter().map(|found| found.offset).collect::<Vec<_>>(), [at as u64]);
        let line = text[..at].iter().filter(|&&byte| byte == b'\n').count() + 1;
        assert_eq!(findings[0].line, line as u64);
    });
}

#[test]
fn the_rules_name_every_kind_and_match_what_is_issued() {
    let (gitleaks, trufflehog) = (gitleaks_rules(&format()), trufflehog_rules(&format()));
    for kind in format().kinds() {
        let regex = format!("({kind}_[0-9A-Za-z]{{71}})");
        assert!(gitleaks.contains(&regex) && trufflehog.contains(&regex));
        assert!(gitleaks.contains(&format!("keywords = [\"{kind}_\"]")));
    }
    block_on(async {
        let mut fixture = Fixture::new().await;
        let (token, _) = fixture.issue_plain().await;
        let (prefix, rest) = token.split_once('_').unwrap();
        assert_eq!((prefix, rest.len()), ("plsdtestpat", 71));
        assert!(rest.bytes().all(|byte| byte.is_ascii_alphanumeric()));
    });
}

proptest! {
    #[test]
    fn however_a_text_is_cut_the_same_is_found(
        pieces in prop::collection::vec(prop_oneof![
            3 => Just(0_usize), 1 => 1_usize..4,
        ], 0..12),
        cuts in prop::collection::vec(1_usize..200, 1..30),
    ) {
        let (token, _) = block_on(async { Fixture::new().await.issue_plain().await });
        let mut text = Vec::new();
        for piece in pieces {
            match piece {
                0 => text.extend_from_slice(token.as_bytes()),
                1 => text.extend_from_slice(b"plsdtestpat_plsd\n"),
                2 => text.push(b'_'),
                _ => text.extend_from_slice(&token.as_bytes()[..50]),
            }
        }
        let expected: Vec<u64> = (0..text.len())
            .filter(|&at| text[at..].starts_with(token.as_bytes()))
            .map(|at| at as u64)
            .collect();
        let mut findings: Vec<Finding> = Vec::new();
        let format = format();
        let mut scanner = Scanner::new(&format);
        let mut rest = text.as_slice();
        for cut in cuts {
            let (piece, more) = rest.split_at(cut.min(rest.len()));
            scanner.feed(piece, |found| findings.push(found));
            rest = more;
        }
        scanner.feed(rest, |found| findings.push(found));
        scanner.finish(|found| findings.push(found));
        prop_assert_eq!(findings.iter().map(|found| found.offset).collect::<Vec<_>>(), expected);
        prop_assert_eq!(findings, scan(&format, &text));
    }
}
