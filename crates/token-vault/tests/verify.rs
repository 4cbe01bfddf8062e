//! What is accepted, what is refused, and how little a refusal says.

#![expect(clippy::string_slice, reason = "tokens are ASCII")]

use core_types::{Principal, Restriction, Subject, UnixTime};
use pollster::block_on;
use std::time::Duration;
use token_vault::testing::{EveryoneActive, Fixture, START, owner, request, restriction};
use token_vault::vault::{OwnerStatus, Standing};
use token_vault::{RefusalReason, RevocationReason, VerifyContext};

#[test]
fn an_issued_token_is_accepted_with_its_owner_and_its_restriction() {
    block_on(async {
        let mut fixture = Fixture::new().await;
        let owner = owner(&fixture.random);
        let (plaintext, id) = fixture.issue(request(owner)).await;
        let verified = fixture.vault.verify(&plaintext, &fixture.context()).unwrap();
        assert_eq!(verified.principal(), Principal::token(id, owner));
        assert_eq!(verified.restriction(), &restriction("apps:*", "project/web"));
        assert_eq!((verified.name(), verified.kind().as_str()), ("ci-deploy", "plsdtestpat"));
        assert_eq!(verified.revision(), fixture.vault.replica().snapshot().revision());
    });
}

#[test]
fn a_token_that_was_never_committed_is_unknown() {
    block_on(async {
        let fixture = Fixture::new().await;
        let issued = fixture
            .vault
            .plan_issue(request(owner(&fixture.random)), fixture.now(), &fixture.random)
            .unwrap();
        let refusal =
            issued.token.expose_once(|text| fixture.vault.verify(text, &fixture.context()).unwrap_err());
        assert_eq!(refusal.reason(), RefusalReason::Unknown);
    });
}

#[test]
fn any_changed_character_and_any_wrong_length_is_refused() {
    block_on(async {
        let mut fixture = Fixture::new().await;
        let (plaintext, _) = fixture.issue_plain().await;
        for at in 0..plaintext.len() {
            for bit in 0..7 {
                let mut bytes = plaintext.clone().into_bytes();
                bytes[at] ^= 1 << bit;
                let text = String::from_utf8(bytes).unwrap();
                let refusal = fixture.vault.verify(&text, &fixture.context()).unwrap_err();
                assert_eq!(refusal.reason(), RefusalReason::Malformed, "bit {bit} of byte {at}");
            }
            let refusal = fixture.vault.verify(&plaintext[..at], &fixture.context()).unwrap_err();
            assert_eq!(refusal.reason(), RefusalReason::Malformed);
        }
        for longer in [format!("{plaintext}0"), format!(" {plaintext}"), format!("{plaintext}\n")] {
            assert!(fixture.vault.verify(&longer, &fixture.context()).is_err());
        }
    });
}

#[test]
fn another_secret_with_a_right_checksum_is_refused_and_so_is_another_prefix() {
    block_on(async {
        let mut fixture = Fixture::new().await;
        let (plaintext, id) = fixture.issue_plain().await;
        let (other, _) = fixture.issue_plain().await;
        let forged = with_checksum(&format!("{}{}", &plaintext[..34], &other[34..77]));
        let refusal = fixture.vault.verify(&forged, &fixture.context()).unwrap_err();
        assert_eq!((refusal.reason(), refusal.token()), (RefusalReason::Secret, Some(id)));
        let moved = plaintext.replace("plsdtestpat", "plsdtestkey");
        let refusal = fixture.vault.verify(&moved, &fixture.context()).unwrap_err();
        assert_eq!(refusal.reason(), RefusalReason::Kind);
    });
}

#[test]
fn every_refusal_says_the_same_to_the_remote_side() {
    block_on(async {
        let mut fixture = Fixture::new().await;
        let (plaintext, id) = fixture.issue_plain().await;
        let unknown = fixture.vault.verify("plsdtestpat_", &fixture.context()).unwrap_err();
        let by = Principal::subject(owner(&fixture.random));
        let change = fixture.vault.plan_revoke(id, by, RevocationReason::Leaked, fixture.now()).unwrap();
        fixture.commit(change.batch).await;
        let revoked = fixture.vault.verify(&plaintext, &fixture.context()).unwrap_err();
        assert_ne!(unknown.reason(), revoked.reason());
        assert_eq!(unknown.to_string(), revoked.to_string());
    });
}

#[test]
fn a_revoked_token_is_refused_at_the_next_verify_and_stays_listed() {
    block_on(async {
        let mut fixture = Fixture::new().await;
        let (plaintext, id) = fixture.issue_plain().await;
        let by = Principal::subject(owner(&fixture.random));
        let change = fixture.vault.plan_revoke(id, by, RevocationReason::Unneeded, fixture.now()).unwrap();
        assert!(fixture.vault.verify(&plaintext, &fixture.context()).is_ok(), "not before the commit");
        fixture.commit(change.batch).await;
        let refusal = fixture.vault.verify(&plaintext, &fixture.context()).unwrap_err();
        assert_eq!(refusal.reason(), RefusalReason::Revoked);
        assert!(fixture.vault.get(id).is_some());
        assert!(fixture.vault.plan_revoke(id, by, RevocationReason::Unneeded, fixture.now()).is_err());
    });
}

#[test]
fn a_token_ends_at_its_expiry_and_not_a_moment_later() {
    block_on(async {
        let mut fixture = Fixture::new().await;
        let end = START.saturating_add(Duration::from_secs(60));
        let owner = owner(&fixture.random);
        let request = token_vault::IssueRequest::new(
            "short",
            token_vault::testing::kind(),
            owner,
            restriction("apps:read", "/").expiring(end),
        );
        let (plaintext, _) = fixture.issue(request).await;
        let just_before = VerifyContext::at(UnixTime::from_millis(end.as_millis() - 1));
        let verified = fixture.vault.verify(&plaintext, &just_before).unwrap();
        assert_eq!(verified.restriction(), &restriction("apps:read", "/").expiring(end));
        let refusal = fixture.vault.verify(&plaintext, &VerifyContext::at(end)).unwrap_err();
        assert_eq!(refusal.reason(), RefusalReason::Expired);
    });
}

#[test]
fn a_stale_replica_refuses_everything() {
    block_on(async {
        let mut fixture =
            Fixture::on(state_store::MemoryStore::new(), Duration::from_secs(5), EveryoneActive).await;
        let (plaintext, _) = fixture.issue_plain().await;
        let late = VerifyContext::at(START.saturating_add(Duration::from_millis(5_001)));
        assert_eq!(fixture.vault.verify(&plaintext, &late).unwrap_err().reason(), RefusalReason::Stale);
        let early = VerifyContext::at(UnixTime::EPOCH);
        assert_eq!(fixture.vault.verify(&plaintext, &early).unwrap_err().reason(), RefusalReason::Stale);
        fixture.clock.set(START.saturating_add(Duration::from_millis(5_001)));
        fixture.vault.replica().confirm(&fixture.store, &fixture.clock).await.unwrap();
        assert!(fixture.vault.verify(&plaintext, &late).is_ok());
    });
}

#[test]
fn the_tokens_of_a_disabled_owner_are_dead() {
    #[derive(Debug)]
    struct NobodyActive;
    impl OwnerStatus for NobodyActive {
        fn standing(&self, _owner: Subject) -> Standing {
            Standing::Inactive
        }
    }
    block_on(async {
        let mut fixture =
            Fixture::on(state_store::MemoryStore::new(), token_vault::testing::STALENESS_BOUND, NobodyActive)
                .await;
        let (plaintext, _) = fixture.issue_plain().await;
        let refusal = fixture.vault.verify(&plaintext, &fixture.context()).unwrap_err();
        assert_eq!(refusal.reason(), RefusalReason::Owner);
    });
}

#[test]
fn a_restriction_that_allows_nothing_is_refused() {
    block_on(async {
        let fixture = Fixture::new().await;
        let owner = owner(&fixture.random);
        for nothing in [Restriction::nothing(), Restriction::unrestricted().expiring(fixture.now())] {
            let request = token_vault::IssueRequest::new("x", token_vault::testing::kind(), owner, nothing);
            let error = fixture.vault.plan_issue(request, fixture.now(), &fixture.random).unwrap_err();
            assert_eq!(error, token_vault::IssueError::Nothing);
        }
    });
}

#[test]
fn two_vaults_on_one_store_agree() {
    block_on(async {
        let mut one = Fixture::new().await;
        let mut other =
            Fixture::on(one.store.clone(), token_vault::testing::STALENESS_BOUND, EveryoneActive).await;
        let (plaintext, id) = one.issue_plain().await;
        assert!(other.vault.verify(&plaintext, &other.context()).is_err());
        other.catch_up().await;
        assert_eq!(other.vault.verify(&plaintext, &other.context()).unwrap().id(), id);
    });
}

#[test]
fn nothing_that_is_printed_or_stored_holds_the_secret() {
    block_on(async {
        let mut fixture = Fixture::new().await;
        let issued = fixture
            .vault
            .plan_issue(request(owner(&fixture.random)), fixture.now(), &fixture.random)
            .unwrap();
        let printed = format!("{issued:?} {:?}", fixture.vault);
        let info = serde_json::to_string(&issued.info).unwrap();
        let events = serde_json::to_string(&issued.event).unwrap();
        let stored: String = issued
            .batch
            .writes()
            .map(|(key, write)| match write {
                state_store::Write::Put(value) => {
                    format!("{key:?}{}", String::from_utf8_lossy(value.as_bytes()))
                }
                state_store::Write::Delete => String::new(),
            })
            .collect();
        fixture.commit(issued.batch).await;
        issued.token.expose_once(|text| {
            let secret = &text[34..77];
            for output in [&printed, &info, &events, &stored, &format!("{:?}", fixture.store)] {
                for at in 0..secret.len() - 8 {
                    assert!(!output.contains(&secret[at..at + 8]));
                }
            }
            let verified = fixture.vault.verify(text, &fixture.context()).unwrap();
            assert!(!format!("{verified:?}").contains(&secret[..8]));
        });
    });
}

/// A token's text before its checksum, with one that fits.
fn with_checksum(text: &str) -> String {
    token_vault::testing::with_checksum(text)
}
