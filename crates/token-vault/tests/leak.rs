//! What is done about tokens that were found in the open, whatever their form.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a helper that fails is a test that fails")]

use std::time::Duration;

use core_types::{Principal, SecretBytes, Subject, SystemRandom, UserId};
use pollster::block_on;
use token_vault::attenuated::attenuate;
use token_vault::foreign::{ForeignFormat, ForeignHash};
use token_vault::service::{KeySet, Name, ServiceRequest, ServiceSigner, ServiceVerifier};
use token_vault::testing::{Fixture, START, format, owner, pepper, request, restriction};
use token_vault::vault::{LeakOutcome, LeakPolicy, SignedLeakOutcome};
use token_vault::{Peppers, RefusalReason, RevocationReason, TokenInfo, Vault, VerifyContext};

#[test]
fn a_narrowed_token_that_leaked_leads_to_the_one_it_was_made_of() {
    block_on(async {
        let mut fixture = Fixture::new().await;
        let wish = request(owner(&fixture.random)).delegable();
        let (token, id) = fixture.issue(wish).await;
        let (one, other) = (narrow(&token, "apps:read"), narrow(&token, "apps:write"));
        let info = expect_nothing_to_change(&fixture, &one, LeakPolicy::Notify);
        assert_eq!(info.id, id);
        for (policy, reason) in [
            (LeakPolicy::Quarantine, RefusalReason::Quarantined),
            (LeakPolicy::Revoke, RefusalReason::Revoked),
        ] {
            let LeakOutcome::Ours { change: Some(change), info } =
                fixture.vault.plan_leak(&one, policy, by(), START).unwrap()
            else {
                panic!("a change")
            };
            assert_eq!(info.id, id);
            fixture.commit(change.batch).await;
            for text in [&token, &one, &other] {
                assert_eq!(fixture.vault.verify(text, &fixture.context()).unwrap_err().reason(), reason);
            }
            expect_nothing_to_change(&fixture, &one, policy);
        }
    });
}

#[test]
fn nobody_is_heard_who_made_up_a_narrowed_token() {
    block_on(async {
        let mut fixture = Fixture::new().await;
        let wish = request(owner(&fixture.random)).delegable();
        let (token, _) = fixture.issue(wish).await;
        let (plain, _) = fixture.issue_plain().await;
        let narrowed = narrow(&token, "apps:read");
        let tag_at = narrowed.len().saturating_sub(43);
        let mut texts: Vec<String> = Vec::new();
        // Another tag, another id, and a token that cannot be narrowed.
        for at in [tag_at, tag_at.saturating_add(21), narrowed.len().saturating_sub(1), 20] {
            let mut changed = narrowed.clone();
            let other = if changed.get(at..=at) == Some("1") { "0" } else { "1" };
            changed.replace_range(at..=at, other);
            texts.push(changed);
        }
        texts.push(narrow(&plain, "apps:read"));
        for text in texts {
            let outcome = fixture.vault.plan_leak(&text, LeakPolicy::Revoke, by(), START).unwrap();
            assert!(matches!(outcome, LeakOutcome::NotOurs), "{text}");
        }
    });
}

#[test]
fn a_narrowed_token_of_a_rotated_away_secret_asks_for_nothing_but_the_telling() {
    block_on(async {
        let mut fixture = Fixture::new().await;
        let wish = request(owner(&fixture.random)).delegable();
        let (token, id) = fixture.issue(wish).await;
        let narrowed = narrow(&token, "apps:read");
        let rotated = fixture.vault.plan_rotate(id, Duration::ZERO, by(), START, &fixture.random).unwrap();
        fixture.commit(rotated.batch).await;
        let info = expect_nothing_to_change(&fixture, &narrowed, LeakPolicy::Revoke);
        assert_eq!(info.id, id);
        rotated.token.expose_once(|text| assert!(fixture.vault.verify(text, &fixture.context()).is_ok()));
    });
}

#[test]
fn an_imported_key_that_leaked_is_ours_and_beside_such_keys_narrowed_tokens_are_still_read() {
    block_on(async {
        let mut fixture = Fixture::new().await;
        let replica = fixture.vault.replica().clone();
        let vault = Vault::builder(replica, format(), Peppers::new(&pepper(1)))
            .accepting(ForeignFormat::WholeKey)
            .build();
        let key = "legacy-key-0123456789abcdef";
        let hash = ring::digest::digest(&ring::digest::SHA256, key.as_bytes());
        let hash: String = hash.as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
        let hash = ForeignHash::whole_key(&hash).unwrap();
        let imported = vault.plan_import(request(owner(&fixture.random)), &hash, START).unwrap();
        let id = imported.info.id;
        fixture.commit(imported.batch).await;
        let outcome = vault.plan_leak(key, LeakPolicy::Revoke, by(), START).unwrap();
        let LeakOutcome::Ours { info, change: Some(_) } = outcome else { panic!("ours") };
        assert_eq!(info.id, id);

        let wish = request(owner(&fixture.random)).delegable();
        let (token, id) = fixture.issue(wish).await;
        let narrowed = narrow(&token, "apps:read");
        assert!(narrowed.len() < 256, "as long as a key of another system may be");
        assert_eq!(vault.verify(&narrowed, &fixture.context()).unwrap().id(), id);
        let outcome = vault.plan_leak(&narrowed, LeakPolicy::Notify, by(), START).unwrap();
        assert!(matches!(outcome, LeakOutcome::Ours { info, .. } if info.id == id));
    });
}

#[test]
fn a_signed_token_that_leaked_is_revoked_by_its_name_if_one_of_the_keys_signed_it() {
    block_on(async {
        let mut fixture = Fixture::new().await;
        let keys = KeySet::new([signer(1).verifying_key()]).unwrap();
        // For whomever it was: here not for the one who finds it.
        let signed = sign(&signer(1), "another audience");
        let name = signed_outcome(&fixture, &keys, &signed, LeakPolicy::Notify);
        assert!(matches!(name, SignedLeakOutcome::Ours { change: None, .. }));
        for policy in [LeakPolicy::Quarantine, LeakPolicy::Revoke] {
            let SignedLeakOutcome::Ours { jti, kid, subject, expires_at, change: Some(change) } =
                signed_outcome(&fixture, &keys, &signed, policy)
            else {
                panic!("a change")
            };
            assert_eq!((kid.as_str(), subject), ("k1", holder()));
            assert_eq!(expires_at, START.saturating_add(HOUR));
            let event = serde_json::to_value(&change.event).unwrap();
            assert_eq!((&event["jti"], &event["reason"]), (&jti.as_str().into(), &"leaked".into()));
            if policy == LeakPolicy::Revoke {
                fixture.commit(change.batch).await;
            }
        }
        let verifier = ServiceVerifier::new("issuer", "another audience", keys.clone());
        let refusal = fixture.vault.verify_service(&verifier, &signed, &fixture.context()).unwrap_err();
        assert_eq!(refusal.reason(), RefusalReason::Revoked);
        let again = signed_outcome(&fixture, &keys, &signed, LeakPolicy::Revoke);
        assert!(matches!(again, SignedLeakOutcome::Ours { change: None, .. }));
    });
}

#[test]
fn of_signed_tokens_nobody_is_heard_who_made_one_up_and_the_dead_are_only_told_of() {
    block_on(async {
        let mut fixture = Fixture::new().await;
        let keys = KeySet::new([signer(1).verifying_key()]).unwrap();
        let good = sign(&signer(1), "audience");
        let forged = sign(&signer(2), "audience");
        let (message, signature) = good.rsplit_once('.').unwrap();
        for text in [
            &forged,
            &format!("{message}."),
            &format!("{message}.{}", signature.replace(['a', 'b', 'c', 'd', 'e'], "A")),
            "a.b.c",
            "",
        ] {
            let outcome = signed_outcome(&fixture, &keys, text, LeakPolicy::Revoke);
            assert!(matches!(outcome, SignedLeakOutcome::NotOurs), "{text}");
        }
        let is_told_only = |fixture: &Fixture, keys: &KeySet, now| {
            let outcome = fixture.vault.plan_signed_leak(keys, &good, LeakPolicy::Revoke, by(), now);
            matches!(outcome.unwrap(), SignedLeakOutcome::Ours { change: None, .. })
        };
        assert!(!is_told_only(&fixture, &keys, START));
        assert!(is_told_only(&fixture, &keys, START.saturating_add(HOUR)), "it has ended");
        let retired = KeySet::new([signer(1).verifying_key().retiring(START)]).unwrap();
        assert!(is_told_only(&fixture, &retired, START), "its key has retired");
        let kid = Name::new("k1").unwrap();
        let reason = RevocationReason::Leaked;
        let revoked = fixture.vault.plan_revoke_service_key(&kid, by(), reason, START).unwrap();
        fixture.commit(revoked.batch).await;
        assert!(is_told_only(&fixture, &keys, START), "its key is revoked");
        assert!(
            fixture.vault.verify(&good, &VerifyContext::at(START)).is_err(),
            "it is no token of the vault"
        );
    });
}

fn expect_nothing_to_change(fixture: &Fixture, text: &str, policy: LeakPolicy) -> TokenInfo {
    match fixture.vault.plan_leak(text, policy, by(), START).unwrap() {
        LeakOutcome::Ours { info, change: None } => *info,
        other => panic!("{other:?}"),
    }
}

fn signed_outcome(fixture: &Fixture, keys: &KeySet, text: &str, policy: LeakPolicy) -> SignedLeakOutcome {
    fixture.vault.plan_signed_leak(keys, text, policy, by(), START).unwrap()
}

fn narrow(token: &str, permissions: &str) -> String {
    let caveat = restriction(permissions, "project/web");
    attenuate(&format(), token, &caveat).unwrap().expose_once(str::to_owned)
}

fn signer(seed: u8) -> ServiceSigner {
    ServiceSigner::new(Name::new("k1").unwrap(), &SecretBytes::take_from(&mut [seed; 32])).unwrap()
}

fn sign(signer: &ServiceSigner, audience: &str) -> String {
    let request = ServiceRequest {
        issuer: "issuer",
        audience,
        subject: holder(),
        restriction: restriction("apps:*", "project/web"),
        lifetime: HOUR,
    };
    signer.sign(&request, START, &SystemRandom::new()).unwrap().expose_once(str::to_owned)
}

fn holder() -> Subject {
    Subject::User(UserId::from_bytes([7; 16]))
}

fn by() -> Principal {
    Principal::subject(holder())
}

const HOUR: Duration = Duration::from_secs(3600);
