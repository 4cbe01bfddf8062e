//! Leaked tokens are found wherever they stand, and nothing else is.

#![expect(clippy::as_conversions, clippy::string_slice, reason = "offsets of a test")]

use core_types::testing::TestRandom;
use core_types::{SecretBytes, SecureRandom, TokenId};
use pollster::block_on;
use proptest::prelude::*;
use token_vault::attenuated::attenuate;
use token_vault::scan::{Finding, Leaked, Scanner, scan, scan_reader};
use token_vault::service::{Name, ServiceRequest, ServiceSigner};
use token_vault::testing::{Fixture, START, format, owner, request, restriction};

#[test]
fn a_token_is_found_with_its_place_and_is_not_shown() {
    block_on(async {
        let mut fixture = Fixture::new().await;
        let (token, id) = fixture.issue_plain().await;
        let text = format!("# notes\nTOKEN=\"{token}\"\nxx{token}yy\n");
        let findings = scan(&format(), text.as_bytes());
        let places: Vec<_> = findings.iter().map(|found| (found.line, found.column, found.offset)).collect();
        assert_eq!(places, [(2, 8, 15), (3, 3, 15 + 83 + 4)]);
        let leaked = Leaked::Token { kind: format().kinds()[0].clone(), id };
        assert!(findings.iter().all(|found| found.leaked == leaked && found.length == token.len()));
        assert!(findings.iter().all(|found| found.token() == Some(id)));
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
fn a_narrowed_token_leads_to_the_token_it_was_made_of() {
    let (token, id) = delegable();
    for narrowed in [narrowed(&token), narrowed(&narrowed(&token))] {
        let text = format!("a: b\nexport T={narrowed};{narrowed}.\n");
        let findings = scan(&format(), text.as_bytes());
        let places: Vec<_> = findings.iter().map(|found| (found.line, found.column)).collect();
        assert_eq!(places, [(2, 10), (2, 11 + narrowed.len() as u64)]);
        let leaked = Leaked::Narrowed { kind: format().kinds()[0].clone(), id };
        assert!(findings.iter().all(|found| found.leaked == leaked && found.length == narrowed.len()));
        assert!(findings.iter().all(|found| found.token() == Some(id)));
        let tag = narrowed.get(narrowed.len() - 43..).unwrap();
        let shown = serde_json::to_string(&findings).unwrap() + &format!("{findings:?}");
        assert!((0..35).all(|at| !shown.contains(tag.get(at..at + 8).unwrap())));
        assert!(shown.contains("\"form\":\"narrowed\""));
    }
}

#[test]
fn a_signed_token_leads_to_its_name_and_its_key() {
    let (signed, jti) = signed();
    let text = format!("Authorization: Bearer {signed}\r\nx-eyJ{signed}");
    let findings = scan(&format(), text.as_bytes());
    let places: Vec<_> = findings.iter().map(|found| (found.line, found.column)).collect();
    // What stands before it is no matter.
    assert_eq!(places, [(1, 23), (2, 6)]);
    let leaked = Leaked::Signed { jti: Name::new(&jti).unwrap(), kid: Name::new("k1").unwrap() };
    assert!(findings.iter().all(|found| found.leaked == leaked && found.length == signed.len()));
    assert!(findings.iter().all(|found| found.token().is_none()));
    assert_eq!(findings[0].redacted.to_string(), format!("plsvc+jwt_…{}", &jti[jti.len() - 4..]));
    let shown = serde_json::to_string(&findings).unwrap() + &format!("{findings:?}");
    let (message, signature) = signed.rsplit_once('.').unwrap();
    assert!(!shown.contains(&signature[..12]) && !shown.contains(&message[..40]));
}

#[test]
fn what_only_resembles_a_narrowed_or_a_signed_token_is_not_found() {
    let (token, _) = delegable();
    let (narrowed, (signed, _)) = (narrowed(&token), signed());
    let mut texts = vec![
        narrowed.replacen("plsdtestpat_", "plsdlivepat_", 1),
        narrowed[..narrowed.len() - 1].into(),
        narrowed.replacen('.', "", 1),
        // Caveats that are cut, and such as are in another spelling.
        format!("{}{}", &narrowed[..40], &narrowed[41..]),
        narrowed.replacen(".AB", ".AA", 1),
        signed[..signed.len() - 1].into(),
        signed.replacen('.', "..", 1),
        signed.replacen("eyJ", "eyI", 1),
        // A token of somebody else's, from RFC 7519 3.1.
        "eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly\
         9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ.dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"
            .into(),
    ];
    texts.retain(|text| *text != narrowed && *text != signed);
    assert!(texts.len() >= 8);
    for text in texts {
        assert_eq!(scan(&format(), text.as_bytes()), [], "{text}");
    }
}

#[test]
fn a_token_within_what_looked_like_a_longer_one_is_found_at_the_end_of_a_text() {
    let (token, id) = delegable();
    let (signed, _) = signed();
    let header = signed.split('.').next().unwrap();
    let findings = scan(&format(), format!("{header}.{token}").as_bytes());
    assert_eq!(findings.iter().map(Finding::token).collect::<Vec<_>>(), [Some(id)]);
}

fn delegable() -> (String, TokenId) {
    block_on(async {
        let mut fixture = Fixture::new().await;
        let wish = request(owner(&fixture.random)).delegable();
        fixture.issue(wish).await
    })
}

#[expect(clippy::unwrap_used, reason = "a helper that fails is a test that fails")]
fn narrowed(token: &str) -> String {
    let caveat = restriction("apps:read", "project/web").expiring(START);
    attenuate(&format(), token, &caveat).unwrap().expose_once(str::to_owned)
}

#[expect(clippy::unwrap_used, reason = "a helper that fails is a test that fails")]
fn signed() -> (String, String) {
    let random = TestRandom::seeded(1);
    let signer = ServiceSigner::new(Name::new("k1").unwrap(), &SecretBytes::take_from(&mut [1; 32])).unwrap();
    let request = ServiceRequest {
        issuer: "issuer",
        audience: "audience",
        subject: owner(&random),
        restriction: restriction("apps:*", "project/web"),
        lifetime: std::time::Duration::from_secs(60),
    };
    let token = signer.sign(&request, START, &random).unwrap();
    let jti = token.id().to_string();
    (token.expose_once(str::to_owned), jti)
}

proptest! {
    #[test]
    fn however_a_text_is_cut_the_same_is_found(
        pieces in prop::collection::vec(prop_oneof![
            3 => Just(0_usize), 2 => 1_usize..7,
        ], 0..12),
        cuts in prop::collection::vec(1_usize..200, 1..30),
    ) {
        let (token, _) = delegable();
        let (narrowed, (signed, _)) = (narrowed(&token), signed());
        let mut text = Vec::new();
        for piece in pieces {
            match piece {
                0 => text.extend_from_slice(token.as_bytes()),
                1 => text.extend_from_slice(b"plsdtestpat_plsd\n"),
                2 => text.push(b'_'),
                3 => text.extend_from_slice(narrowed.as_bytes()),
                4 => text.extend_from_slice(b" eyJ"),
                5 => text.extend_from_slice(format!(" {signed} ").as_bytes()),
                _ => text.extend_from_slice(&token.as_bytes()[..50]),
            }
        }
        let expected: Vec<u64> = (0..text.len())
            .filter(|&at| {
                let starts = |token: &str| text[at..].starts_with(token.as_bytes());
                starts(&token) || starts(&narrowed) || starts(&signed)
            })
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
