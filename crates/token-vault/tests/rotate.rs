//! Two secrets for a while, then one; and a sign when a dead one is used.

use std::time::Duration;

use core_types::{Principal, UnixTime};
use pollster::block_on;
use token_vault::testing::{Fixture, START, kind, owner, request, restriction};
use token_vault::vault::{Due, LeakOutcome, LeakPolicy, MAX_OVERLAP, MAX_RETIRED};
use token_vault::{IssueRequest, PlanError, RefusalReason, TokenEvent, VerifyContext};

const HOUR: Duration = Duration::from_secs(3600);

#[test]
fn the_old_secret_works_until_its_overlap_ends_and_then_is_a_sign_of_theft() {
    block_on(async {
        let mut fixture = Fixture::new().await;
        let (old, id) = fixture.issue_plain().await;
        let new = rotate(&mut fixture, id, HOUR).await;
        assert!(!fixture.vault.verify(&new, &fixture.context()).unwrap().used_old_secret());
        let end = START.saturating_add(HOUR);
        let before = VerifyContext::at(UnixTime::from_millis(end.as_millis() - 1));
        assert!(fixture.vault.verify(&old, &before).unwrap().used_old_secret());
        let refusal = fixture.vault.verify(&old, &VerifyContext::at(end)).unwrap_err();
        assert_eq!(refusal.reason(), RefusalReason::RotatedAway);
        let event = refusal.event(None, end).unwrap();
        assert_eq!(event, TokenEvent::RotatedAwayUsed { token: id, client: None, at: end });
        assert_eq!(fixture.vault.verify(&new, &VerifyContext::at(end)).unwrap().id(), id);
    });
}

#[test]
fn rotating_again_does_not_lengthen_an_overlap() {
    block_on(async {
        let mut fixture = Fixture::new().await;
        let (first, id) = fixture.issue_plain().await;
        let second = rotate(&mut fixture, id, HOUR).await;
        let third = rotate(&mut fixture, id, 24 * HOUR).await;
        let later = VerifyContext::at(START.saturating_add(HOUR));
        assert_eq!(fixture.vault.verify(&first, &later).unwrap_err().reason(), RefusalReason::RotatedAway);
        assert!(fixture.vault.verify(&second, &later).is_ok());
        assert!(fixture.vault.verify(&third, &later).is_ok());
    });
}

#[test]
fn an_emergency_leaves_only_the_newest_secret() {
    block_on(async {
        let mut fixture = Fixture::new().await;
        let by = Principal::subject(owner(&fixture.random));
        let (first, id) = fixture.issue_plain().await;
        let second = rotate(&mut fixture, id, HOUR).await;
        let cut = fixture.vault.plan_end_overlap(id, by, START).unwrap();
        fixture.commit(cut.batch).await;
        assert!(fixture.vault.verify(&first, &fixture.context()).is_err());
        assert_eq!(fixture.vault.plan_end_overlap(id, by, START).unwrap_err(), PlanError::Unchanged);
        let third = rotate(&mut fixture, id, Duration::ZERO).await;
        assert!(fixture.vault.verify(&second, &fixture.context()).is_err());
        assert!(fixture.vault.verify(&third, &fixture.context()).is_ok());
    });
}

#[test]
fn what_a_token_issued_lives_through_its_rotation() {
    block_on(async {
        let mut fixture = Fixture::new().await;
        let (parent, id) = fixture.issue_plain().await;
        let verified = fixture.vault.verify(&parent, &fixture.context()).unwrap();
        let (child, _) = fixture.issue(request(verified.owner()).issued_by(&verified)).await;
        rotate(&mut fixture, id, Duration::ZERO).await;
        assert!(fixture.vault.verify(&child, &fixture.context()).is_ok());
    });
}

#[test]
fn only_so_many_dead_secrets_are_remembered() {
    block_on(async {
        let mut fixture = Fixture::new().await;
        let (first, id) = fixture.issue_plain().await;
        for _ in 0..MAX_RETIRED {
            rotate(&mut fixture, id, Duration::ZERO).await;
        }
        let refusal =
            |fixture: &Fixture| fixture.vault.verify(&first, &fixture.context()).unwrap_err().reason();
        assert_eq!(refusal(&fixture), RefusalReason::RotatedAway);
        rotate(&mut fixture, id, Duration::ZERO).await;
        assert_eq!(refusal(&fixture), RefusalReason::Secret);
        assert_eq!(fixture.vault.get(id).unwrap().generation, 5);
    });
}

#[test]
fn dead_tokens_and_endless_overlaps_are_not_rotated() {
    block_on(async {
        let mut fixture = Fixture::new().await;
        let by = Principal::subject(owner(&fixture.random));
        let (_, id) = fixture.issue_plain().await;
        let plan = |fixture: &Fixture, overlap, now| {
            fixture.vault.plan_rotate(id, overlap, by, now, &fixture.random).map(drop)
        };
        let too_long = MAX_OVERLAP + Duration::from_millis(1);
        assert_eq!(plan(&fixture, too_long, START), Err(PlanError::NotApplicable));
        let revoked =
            fixture.vault.plan_revoke(id, by, token_vault::RevocationReason::Unneeded, START).unwrap();
        fixture.commit(revoked.batch).await;
        assert_eq!(plan(&fixture, HOUR, START), Err(PlanError::Revoked));
    });
}

#[test]
fn reminders_come_in_time_and_in_order() {
    block_on(async {
        let mut fixture = Fixture::new().await;
        let owner = owner(&fixture.random);
        let at = |hours: u32| START.saturating_add(HOUR * hours);
        let wish = IssueRequest::new("a", kind(), owner, restriction("apps:*", "/").expiring(at(5)))
            .rotate_by(at(2));
        let (_, id) = fixture.issue(wish).await;
        fixture
            .issue(IssueRequest::new("b", kind(), owner, restriction("apps:*", "/").expiring(at(50))))
            .await;
        let due = |fixture: &Fixture, now| -> Vec<_> {
            fixture
                .vault
                .reminders(now, HOUR * 10)
                .into_iter()
                .map(|reminder| (reminder.at, reminder.due))
                .collect()
        };
        assert_eq!(due(&fixture, START), [(at(2), Due::Rotation), (at(5), Due::Expiry)]);
        // A reminder that was missed is late, not lost.
        assert_eq!(due(&fixture, at(3)).len(), 2);
        rotate(&mut fixture, id, HOUR).await;
        assert_eq!(due(&fixture, START), [(at(1), Due::OverlapEnd), (at(5), Due::Expiry)]);
    });
}

#[test]
fn a_leak_report_is_heard_only_with_the_secret() {
    block_on(async {
        let mut fixture = Fixture::new().await;
        let by = Principal::subject(owner(&fixture.random));
        let (token, id) = fixture.issue_plain().await;
        let (other, _) = fixture.issue_plain().await;
        let body = format!("{}{}", token.get(..34).unwrap(), other.get(34..77).unwrap());
        let forged = token_vault::testing::with_checksum(&body);
        for text in ["plsdtestpat", &forged] {
            let outcome = fixture.vault.plan_leak(text, LeakPolicy::Revoke, by, START).unwrap();
            assert!(matches!(outcome, LeakOutcome::NotOurs), "{text}");
        }
        let LeakOutcome::Ours { info, change: None } =
            fixture.vault.plan_leak(&token, LeakPolicy::Notify, by, START).unwrap()
        else {
            panic!("nothing to do but to tell the owner")
        };
        assert_eq!(info.id, id);
        for (policy, reason) in [
            (LeakPolicy::Quarantine, RefusalReason::Quarantined),
            (LeakPolicy::Revoke, RefusalReason::Revoked),
        ] {
            let LeakOutcome::Ours { change: Some(change), .. } =
                fixture.vault.plan_leak(&token, policy, by, START).unwrap()
            else {
                panic!("a change")
            };
            fixture.commit(change.batch).await;
            assert_eq!(fixture.vault.verify(&token, &fixture.context()).unwrap_err().reason(), reason);
            let again = fixture.vault.plan_leak(&token, policy, by, START).unwrap();
            assert!(matches!(again, LeakOutcome::Ours { change: None, .. }));
        }
    });
}

async fn rotate(fixture: &mut Fixture, id: core_types::TokenId, overlap: Duration) -> String {
    let by = Principal::subject(owner(&fixture.random));
    #[expect(clippy::unwrap_used, reason = "a helper that fails is a test that fails")]
    let rotated = fixture.vault.plan_rotate(id, overlap, by, fixture.now(), &fixture.random).unwrap();
    fixture.commit(rotated.batch).await;
    rotated.token.expose_once(str::to_owned)
}
