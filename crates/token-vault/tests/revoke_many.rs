//! One marker kills what it covers, whatever the clocks say, and spares what comes later.

use std::time::Duration;

use core_types::{Limit, Principal};
use pollster::block_on;
use token_vault::testing::{EveryoneActive, Fixture, STALENESS_BOUND, START, owner, request};
use token_vault::vault::Many;
use token_vault::{RefusalReason, RevocationReason};

#[test]
fn all_of_an_owner_die_and_the_next_one_lives() {
    block_on(async {
        let mut fixture = Fixture::new().await;
        let (alice, bob) = (owner(&fixture.random), owner(&fixture.random));
        let (old, _) = fixture.issue(request(alice)).await;
        let (bobs, _) = fixture.issue(request(bob)).await;
        revoke(&mut fixture, &Many::OwnedBy(alice), Limit::Unlimited).await;
        let (new, _) = fixture.issue(request(alice)).await;
        assert_eq!(reason(&fixture, &old), Some(RefusalReason::OwnerRevoked));
        assert_eq!((reason(&fixture, &bobs), reason(&fixture, &new)), (None, None));
    });
}

#[test]
fn all_of_a_project_die_with_what_lies_below_it_and_nothing_beside_it() {
    block_on(async {
        let mut fixture = Fixture::new().await;
        let owner = owner(&fixture.random);
        let mut tokens = Vec::new();
        for home in ["project/web", "project/web/vcluster/ci", "project/web-2", "/"] {
            tokens.push(fixture.issue(request(owner).at_home_in(home.parse().unwrap())).await.0);
        }
        revoke(&mut fixture, &Many::AtHomeIn("project/web".parse().unwrap()), Limit::Unlimited).await;
        let reasons: Vec<_> = tokens.iter().map(|token| reason(&fixture, token)).collect();
        let dead = Some(RefusalReason::ScopeRevoked);
        assert_eq!(reasons, [dead, dead, None, None]);
    });
}

#[test]
fn a_token_whose_issue_was_under_way_is_dead_on_arrival() {
    block_on(async {
        let mut fixture = Fixture::new().await;
        let alice = owner(&fixture.random);
        // The issuer's clock is an hour ahead: by times alone the token would seem to come after.
        let ahead = START.saturating_add(Duration::from_secs(3600));
        let issued = fixture.vault.plan_issue(request(alice), ahead, &fixture.random).unwrap();
        revoke(&mut fixture, &Many::OwnedBy(alice), Limit::Unlimited).await;
        fixture.commit(issued.batch).await;
        let refusal = issued.token.expose_once(|text| reason(&fixture, text));
        assert_eq!(refusal, Some(RefusalReason::OwnerRevoked));
    });
}

#[test]
fn tokens_issued_from_the_stated_instant_on_are_spared() {
    block_on(async {
        let mut fixture = Fixture::new().await;
        let alice = owner(&fixture.random);
        let (old, _) = fixture.issue(request(alice)).await;
        let instant = START.saturating_add(Duration::from_secs(10));
        fixture.clock.set(instant);
        let (new, _) = fixture.issue(request(alice)).await;
        revoke(&mut fixture, &Many::All, Limit::Only(instant)).await;
        assert_eq!(
            (reason(&fixture, &old), reason(&fixture, &new)),
            (Some(RefusalReason::OwnerRevoked), None)
        );
        // A later cut with an earlier instant takes nothing back.
        revoke(&mut fixture, &Many::All, Limit::Only(START)).await;
        assert_eq!(reason(&fixture, &old), Some(RefusalReason::OwnerRevoked));
    });
}

#[test]
fn of_two_revocations_planned_at_once_one_conflicts_so_that_epochs_stay_apart() {
    block_on(async {
        let mut fixture = Fixture::new().await;
        let other = Fixture::on(fixture.store.clone(), STALENESS_BOUND, EveryoneActive).await;
        let (alice, bob) = (owner(&fixture.random), owner(&fixture.random));
        let plan = |fixture: &Fixture, of| {
            let by = Principal::subject(alice);
            fixture
                .vault
                .plan_revoke_many(
                    &Many::OwnedBy(of),
                    Limit::Unlimited,
                    by,
                    RevocationReason::OwnerGone,
                    START,
                )
                .unwrap()
        };
        let (first, second) = (plan(&fixture, alice), plan(&other, bob));
        fixture.commit(first.batch).await;
        let outcome = state_store::StateStore::commit(&fixture.store, second.batch).await.unwrap();
        assert!(matches!(outcome, state_store::Commit::Conflict(_)));
    });
}

#[test]
fn more_instants_than_a_marker_holds_become_one_that_covers_them() {
    block_on(async {
        let mut fixture = Fixture::new().await;
        let alice = owner(&fixture.random);
        let mut tokens = Vec::new();
        for second in 0..20 {
            fixture.clock.set(START.saturating_add(Duration::from_secs(second)));
            tokens.push(fixture.issue(request(alice)).await.0);
        }
        // Each earlier than the one before, so that none covers another.
        for second in (1..=19).rev() {
            let before = START.saturating_add(Duration::from_secs(second));
            revoke(&mut fixture, &Many::OwnedBy(alice), Limit::Only(before)).await;
            let last = fixture.vault.verify(&tokens[19], &fixture.context());
            assert!(last.is_ok(), "{second}");
            assert!(tokens[..19].iter().all(|token| reason(&fixture, token).is_some()), "{second}");
        }
    });
}

#[test]
fn a_marker_that_cannot_be_read_refuses_everything() {
    block_on(async {
        let mut fixture = Fixture::new().await;
        let (plaintext, _) = fixture.issue_plain().await;
        for key in ["token-vault/revoked/all", "token-vault/of-a-later-version"] {
            let key = state_store::Key::new(key).unwrap();
            let mut batch = state_store::Batch::new();
            batch.create(key.clone(), state_store::Value::new("{}").unwrap()).unwrap();
            let revision = fixture.commit(batch).await;
            assert_eq!(reason(&fixture, &plaintext), Some(RefusalReason::Damaged));
            let mut batch = state_store::Batch::new();
            batch.remove(key, revision).unwrap();
            fixture.commit(batch).await;
            assert_eq!(reason(&fixture, &plaintext), None);
        }
    });
}

async fn revoke(fixture: &mut Fixture, many: &Many, issued_before: Limit<core_types::UnixTime>) {
    let by = Principal::subject(owner(&fixture.random));
    #[expect(clippy::unwrap_used, reason = "a helper that fails is a test that fails")]
    let revoked = fixture
        .vault
        .plan_revoke_many(many, issued_before, by, RevocationReason::Administrative, fixture.now())
        .unwrap();
    fixture.commit(revoked.batch).await;
}

fn reason(fixture: &Fixture, token: &str) -> Option<RefusalReason> {
    fixture.vault.verify(token, &fixture.context()).err().map(|refusal| refusal.reason())
}
