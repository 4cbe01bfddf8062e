//! Tokens narrowed by their holders: byte by byte, and never wider.

use std::time::Duration;

use core_types::{Grant, Limit, Principal, Restriction};
use pollster::block_on;
use proptest::prelude::*;
use ring::hmac;
use token_vault::attenuated::{MAX_CAVEATS, attenuate};
use token_vault::testing::{Fixture, START, format, owner, pepper, request, restriction};
use token_vault::{AttenuateError, Peppers, RefusalReason, RevocationReason};

#[test]
fn the_bytes_are_those_of_the_specification() {
    block_on(async {
        let mut fixture = Fixture::new().await;
        let (token, id) = delegable(&mut fixture).await;
        let caveat = restriction("apps:read", "project/web").expiring(START);
        let narrowed = narrow(&token, &caveat);

        // Written down from the description alone.
        let mut bytes = vec![3_u8];
        bytes.extend(1_700_000_000_000_u64.to_be_bytes());
        bytes.extend(1_u16.to_be_bytes());
        bytes.push(9);
        bytes.extend(b"apps:read");
        bytes.extend(11_u16.to_be_bytes());
        bytes.extend(b"project/web");
        let secret = decode62(token.get(34..77).unwrap(), 32);
        let mac = |key: &[u8], parts: &[&[u8]]| {
            hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key), &parts.concat()).as_ref().to_vec()
        };
        let root = mac(&secret, &[b"platr1:", &id.to_bytes()]);
        let tag = mac(&root, &[b"platc1:", &bytes]);
        let length = u16::try_from(bytes.len()).unwrap().to_be_bytes();
        let caveats = base64url(&[&length[..], &bytes].concat());
        let expected_start = format!("{}.{caveats}.", token.get(..34).unwrap());
        let (start, shown_tag) = narrowed.split_at(narrowed.len() - 43);
        assert_eq!(start, expected_start);
        assert_eq!(decode62(shown_tag, 32), tag);
    });
}

#[test]
fn a_narrowed_token_allows_what_all_its_caveats_allow() {
    block_on(async {
        let mut fixture = Fixture::new().await;
        let (token, id) = delegable(&mut fixture).await;
        let end = START.saturating_add(Duration::from_secs(60));
        let one = narrow(&token, &restriction("*:read", "/"));
        let two = narrow(&one, &Restriction::unrestricted().expiring(end));
        let verified = fixture.vault.verify(&two, &fixture.context()).unwrap();
        assert_eq!(verified.id(), id);
        assert_eq!(verified.restriction(), &restriction("apps:read", "project/web").expiring(end));
        let late = token_vault::VerifyContext::at(end);
        assert_eq!(fixture.vault.verify(&two, &late).unwrap_err().reason(), RefusalReason::Expired);
        // A wider caveat widens nothing.
        let wider = narrow(&one, &restriction("*:*", "/"));
        let verified = fixture.vault.verify(&wider, &fixture.context()).unwrap();
        assert_eq!(verified.restriction(), &restriction("apps:read", "project/web"));
    });
}

#[test]
fn what_a_narrowed_token_issues_is_at_most_as_wide() {
    block_on(async {
        let mut fixture = Fixture::new().await;
        let (token, _) = delegable(&mut fixture).await;
        let narrowed = narrow(&token, &restriction("*:read", "/"));
        let parent = fixture.vault.verify(&narrowed, &fixture.context()).unwrap();
        let wider = request(parent.owner()).issued_by(&parent);
        assert!(fixture.vault.plan_issue(wider, START, &fixture.random).is_err());
    });
}

#[test]
fn revoking_rotating_or_holding_the_root_kills_all_that_derives_from_it() {
    block_on(async {
        let mut fixture = Fixture::new().await;
        let by = Principal::subject(owner(&fixture.random));
        let (token, id) = delegable(&mut fixture).await;
        let narrowed = narrow(&narrow(&token, &restriction("*:read", "/")), &restriction("apps:*", "/"));
        let hour = Duration::from_secs(3600);
        let rotated = fixture.vault.plan_rotate(id, hour, by, START, &fixture.random).unwrap();
        fixture.commit(rotated.batch).await;
        assert!(fixture.vault.verify(&narrowed, &fixture.context()).unwrap().used_old_secret());
        let after = token_vault::VerifyContext::at(START.saturating_add(hour));
        assert_eq!(fixture.vault.verify(&narrowed, &after).unwrap_err().reason(), RefusalReason::RotatedAway);
        let new = rotated.token.expose_once(|text| narrow(text, &restriction("*:read", "/")));
        assert!(fixture.vault.verify(&new, &after).is_ok());
        let revoked = fixture.vault.plan_revoke(id, by, RevocationReason::Leaked, START).unwrap();
        fixture.commit(revoked.batch).await;
        assert_eq!(fixture.vault.verify(&new, &after).unwrap_err().reason(), RefusalReason::Revoked);
    });
}

#[test]
fn only_delegable_tokens_can_be_narrowed_by_their_holders() {
    block_on(async {
        let mut fixture = Fixture::new().await;
        let (token, _) = fixture.issue_plain().await;
        let narrowed = narrow(&token, &restriction("*:read", "/"));
        let refusal = fixture.vault.verify(&narrowed, &fixture.context()).unwrap_err();
        assert_eq!(refusal.reason(), RefusalReason::NotDelegable);
    });
}

#[test]
fn a_narrowed_token_lives_through_a_change_of_peppers() {
    block_on(async {
        let mut fixture = Fixture::new().await;
        let (token, _) = delegable(&mut fixture).await;
        let narrowed = narrow(&token, &restriction("*:read", "/"));
        fixture.vault.change_peppers(Peppers::rotating(&pepper(2), &pepper(1)).unwrap());
        assert!(fixture.vault.verify(&narrowed, &fixture.context()).is_ok());
        fixture.vault.verify(&token, &fixture.context()).unwrap();
        let batch = fixture.vault.plan_rehash().unwrap().unwrap();
        fixture.commit(batch).await;
        fixture.vault.change_peppers(Peppers::new(&pepper(2)));
        assert!(fixture.vault.verify(&narrowed, &fixture.context()).is_ok());
        assert!(fixture.vault.verify(&token, &fixture.context()).is_ok());
    });
}

#[test]
fn any_changed_character_and_any_wrong_length_is_refused() {
    block_on(async {
        let mut fixture = Fixture::new().await;
        let (token, _) = delegable(&mut fixture).await;
        let narrowed = narrow(&token, &restriction("*:read", "/"));
        for at in 0..narrowed.len() {
            for bit in 0..7 {
                let mut bytes = narrowed.clone().into_bytes();
                bytes[at] ^= 1 << bit;
                let text = String::from_utf8(bytes).unwrap();
                assert!(fixture.vault.verify(&text, &fixture.context()).is_err(), "bit {bit} of byte {at}");
            }
            assert!(fixture.vault.verify(narrowed.get(..at).unwrap(), &fixture.context()).is_err());
        }
        // Taking a caveat off again needs the key before it.
        let twice = narrow(&narrowed, &restriction("apps:*", "/"));
        let (start, tag) = twice.split_at(twice.len() - 43);
        let once_start = narrowed.get(..narrowed.len() - 43).unwrap();
        assert_ne!(start, once_start);
        assert!(fixture.vault.verify(&format!("{once_start}{tag}"), &fixture.context()).is_err());
    });
}

#[test]
fn caveats_that_say_nothing_or_too_much_are_refused() {
    block_on(async {
        let mut fixture = Fixture::new().await;
        let (token, _) = delegable(&mut fixture).await;
        for nothing in [Restriction::unrestricted(), Restriction::nothing()] {
            let error = attenuate(&format(), &token, &nothing).unwrap_err();
            assert_eq!(error, AttenuateError::Caveat);
        }
        let mut many = token.clone();
        for _ in 0..MAX_CAVEATS {
            many = narrow(&many, &restriction("*:read", "/"));
        }
        assert!(fixture.vault.verify(&many, &fixture.context()).is_ok());
        let error = attenuate(&format(), &many, &restriction("*:read", "/")).unwrap_err();
        assert_eq!(error, AttenuateError::TooLong);
        let grants = (0..256).map(|number| {
            Grant::new("apps:read".parse().unwrap(), format!("project/p{number}").parse().unwrap())
        });
        let long = Restriction::only(grants).unwrap();
        assert!(matches!(long.grants(), Limit::Only(grants) if grants.len() == 256));
        assert_eq!(attenuate(&format(), &token, &long).unwrap_err(), AttenuateError::TooLong);
        assert_eq!(attenuate(&format(), "nonsense", &long).unwrap_err(), AttenuateError::NotAToken);
    });
}

proptest! {
    #[test]
    fn every_caveat_comes_back_as_it_was(caveat in core_types::testing::arb_restriction()) {
        block_on(async {
            let mut fixture = Fixture::new().await;
            let wish = request(owner(&fixture.random)).delegable();
            let (token, _) = fixture.issue(wish).await;
            let Ok(narrowed) = attenuate(&format(), &token, &caveat) else {
                let says_nothing = caveat == Restriction::unrestricted()
                    || matches!(caveat.grants(), Limit::Only([]));
                assert!(says_nothing);
                return;
            };
            let own = restriction("apps:*", "project/web");
            match narrowed.expose_once(|text| fixture.vault.verify(text, &fixture.context())) {
                Ok(verified) => assert_eq!(verified.restriction(), &own.intersect(&caveat).unwrap()),
                Err(refusal) => {
                    assert_eq!(refusal.reason(), RefusalReason::Expired);
                    assert!(caveat.is_expired(START));
                }
            }
        });
    }

    #[test]
    fn no_text_makes_the_reader_fail(text in "(plsdtestpat_[0-9A-Za-z]{22}\\.)?[ -~]{0,120}") {
        let _ = attenuate(&format(), &text, &restriction("*:read", "/"));
        let _ = format().inspect(&text);
    }
}

async fn delegable(fixture: &mut Fixture) -> (String, core_types::TokenId) {
    let wish = request(owner(&fixture.random)).delegable();
    fixture.issue(wish).await
}

#[expect(clippy::unwrap_used, reason = "a helper that fails is a test that fails")]
fn narrow(token: &str, caveat: &Restriction) -> String {
    attenuate(&format(), token, caveat).unwrap().expose_once(str::to_owned)
}

/// Base 62 by the schoolbook.
#[expect(clippy::arithmetic_side_effects, clippy::unwrap_used, reason = "a test's own arithmetic")]
fn decode62(text: &str, length: usize) -> Vec<u8> {
    let alphabet = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    let mut bytes = vec![0_u8; length];
    for symbol in text.chars() {
        let mut carry = u32::try_from(alphabet.find(symbol).unwrap()).unwrap();
        for byte in bytes.iter_mut().rev() {
            carry += u32::from(*byte) * 62;
            *byte = u8::try_from(carry & 0xff).unwrap();
            carry >>= 8;
        }
        assert_eq!(carry, 0);
    }
    bytes
}

#[expect(clippy::arithmetic_side_effects, clippy::unwrap_used, reason = "a test's own arithmetic")]
fn base64url(bytes: &[u8]) -> String {
    let alphabet: Vec<char> =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_".chars().collect();
    let mut text = String::new();
    for chunk in bytes.chunks(3) {
        let bits = chunk.iter().fold(0_u32, |bits, &byte| (bits << 8) | u32::from(byte));
        let bits = bits << (8 * (3 - chunk.len()));
        for place in 0..=chunk.len() {
            let index = usize::try_from((bits >> (18 - 6 * place)) & 63).unwrap();
            text.push(*alphabet.get(index).unwrap());
        }
    }
    text
}
