//! Uses are counted without a write per request, limits are kept, and the fleet can be asked.

use std::time::Duration;

use core_types::{Limit, Principal};
use pollster::block_on;
use state_store::{Commit, StateStore};
use token_vault::testing::{
    EveryoneActive, Fixture, STALENESS_BOUND, START, kind, owner, request, restriction,
};
use token_vault::vault::{Applied, MIN_IDLE, Many, Receipt};
use token_vault::{
    Challenge, CountError, FailureLimit, Introspection, IssueError, IssueRequest, RefusalReason,
    RevocationReason, Vault, VerifyContext,
};

const MINUTE: Duration = Duration::from_secs(60);

#[test]
fn a_thousand_uses_are_one_write_and_all_are_counted() {
    block_on(async {
        let mut fixture = Fixture::new().await;
        let (token, id) = fixture.issue_plain().await;
        for _ in 0..1000 {
            fixture.vault.verify(&token, &fixture.context()).unwrap();
        }
        let flushed = fixture.vault.flush_usage(&fixture.store, MINUTE, fixture.now()).await.unwrap();
        assert_eq!((flushed.written, flushed.pending, flushed.lost), (1, 0, 0));
        fixture.catch_up().await;
        let info = fixture.vault.get(id).unwrap();
        assert_eq!((info.uses, info.last_used_at), (1000, Some(START)));
        // The next ones wait until the interval is over.
        fixture.clock.advance(MINUTE / 2);
        fixture.vault.verify(&token, &fixture.context()).unwrap();
        let flushed = fixture.vault.flush_usage(&fixture.store, MINUTE, fixture.now()).await.unwrap();
        assert_eq!((flushed.written, flushed.pending), (0, 1));
        fixture.clock.advance(MINUTE / 2);
        let flushed = fixture.vault.flush_usage(&fixture.store, MINUTE, fixture.now()).await.unwrap();
        assert_eq!((flushed.written, flushed.pending), (1, 0));
        fixture.catch_up().await;
        let info = fixture.vault.get(id).unwrap();
        assert_eq!((info.uses, info.last_used_at), (1001, Some(START.saturating_add(MINUTE / 2))));
    });
}

#[test]
fn uses_on_many_threads_are_all_counted_while_they_are_written() {
    block_on(async {
        let mut fixture = Fixture::new().await;
        let (token, id) = fixture.issue_plain().await;
        let (vault, context) = (fixture.vault.clone(), fixture.context());
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| (0..2_000).for_each(|_| drop(vault.verify(&token, &context).unwrap())));
            }
        });
        // Those of threads that ended are there, and those of this one.
        fixture.vault.verify(&token, &context).unwrap();
        for _ in 0..3 {
            fixture.vault.flush_usage(&fixture.store, Duration::ZERO, START).await.unwrap();
            fixture.catch_up().await;
        }
        assert_eq!(fixture.vault.get(id).unwrap().uses, 8_001);
    });
}

#[test]
fn the_only_use_a_token_ever_had_is_written_with_the_next_batch() {
    block_on(async {
        let mut fixture = Fixture::new().await;
        let (token, id) = fixture.issue_plain().await;
        let (vault, context) = (fixture.vault.clone(), fixture.context());
        std::thread::spawn(move || drop(vault.verify(&token, &context).unwrap())).join().unwrap();
        let flushed = fixture.vault.flush_usage(&fixture.store, MINUTE, START).await.unwrap();
        assert_eq!((flushed.written, flushed.pending), (1, 0));
        fixture.catch_up().await;
        assert_eq!(fixture.vault.get(id).unwrap().last_used_at, Some(START));
    });
}

#[test]
fn two_vaults_that_flush_the_same_token_lose_nothing() {
    block_on(async {
        let mut one = Fixture::new().await;
        let (token, id) = one.issue_plain().await;
        let mut other = Fixture::on(one.store.clone(), STALENESS_BOUND, EveryoneActive).await;
        one.vault.verify(&token, &one.context()).unwrap();
        other.vault.verify(&token, &other.context()).unwrap();
        one.vault.flush_usage(&one.store, MINUTE, START).await.unwrap();
        assert!(other.vault.flush_usage(&other.store, MINUTE, START).await.is_err(), "a conflict");
        other.catch_up().await;
        other.vault.flush_usage(&other.store, MINUTE, START.saturating_add(MINUTE)).await.unwrap();
        one.catch_up().await;
        assert_eq!(one.vault.get(id).unwrap().uses, 2);
    });
}

#[test]
fn wrong_secrets_for_a_token_are_counted_on_it() {
    block_on(async {
        let mut fixture = Fixture::new().await;
        let (token, id) = fixture.issue_plain().await;
        let (other, _) = fixture.issue_plain().await;
        let body = format!("{}{}", token.get(..34).unwrap(), other.get(34..77).unwrap());
        let forged = token_vault::testing::with_checksum(&body);
        for _ in 0..3 {
            let _ = fixture.vault.verify(&forged, &fixture.context()).unwrap_err();
        }
        fixture.vault.flush_usage(&fixture.store, MINUTE, START).await.unwrap();
        fixture.catch_up().await;
        let info = fixture.vault.get(id).unwrap();
        assert_eq!((info.failures, info.uses, info.last_used_at), (3, 0, None));
    });
}

#[test]
fn an_idle_token_ends_and_one_in_use_does_not() {
    block_on(async {
        let mut fixture = Fixture::new().await;
        let owner = owner(&fixture.random);
        let short = request(owner).ending_when_idle_for(MIN_IDLE - Duration::from_millis(1));
        assert_eq!(fixture.vault.plan_issue(short, START, &fixture.random).unwrap_err(), IssueError::Limit);
        let (used, _) = fixture.issue(request(owner).ending_when_idle_for(MIN_IDLE)).await;
        let (idle, _) = fixture.issue(request(owner).ending_when_idle_for(MIN_IDLE)).await;
        fixture.clock.advance(MIN_IDLE / 2);
        fixture.vault.verify(&used, &fixture.context()).unwrap();
        fixture.clock.advance(MIN_IDLE / 2);
        assert_eq!(reason(&fixture, &idle), Some(RefusalReason::Idle));
        assert_eq!(reason(&fixture, &used), None, "remembered here before it is written");
        fixture.vault.flush_usage(&fixture.store, MINUTE, fixture.now()).await.unwrap();
        let mut other = Fixture::on(fixture.store.clone(), STALENESS_BOUND, EveryoneActive).await;
        other.clock.advance(MIN_IDLE);
        other.catch_up().await;
        assert_eq!(reason(&other, &used), None, "and known elsewhere after that");
    });
}

#[test]
fn uses_are_counted_exactly_over_all_vaults() {
    block_on(async {
        let mut one = Fixture::new().await;
        let owner = owner(&one.random);
        let (token, _) = one.issue(request(owner).limited_to_uses(3)).await;
        let other = Fixture::on(one.store.clone(), STALENESS_BOUND, EveryoneActive).await;
        assert_eq!(reason(&one, &token), Some(RefusalReason::NotCounted));
        let mut granted = 0;
        for vault in [&one.vault, &other.vault, &one.vault, &other.vault, &one.vault] {
            match vault.verify_counted(&one.store, &token, &VerifyContext::at(START)).await {
                Ok(_) => granted += 1,
                Err(error) => assert!(
                    matches!(error, CountError::Refused(refusal) if refusal.reason() == RefusalReason::UsedUp)
                ),
            }
        }
        assert_eq!(granted, 3);
        let zero = request(owner).limited_to_uses(0);
        assert_eq!(one.vault.plan_issue(zero, START, &one.random).unwrap_err(), IssueError::Limit);
    });
}

#[test]
fn a_source_that_fails_too_often_is_refused_even_with_a_good_token() {
    block_on(async {
        let mut fixture = Fixture::new().await;
        let (token, _) = fixture.issue_plain().await;
        let peppers = token_vault::Peppers::new(&token_vault::testing::pepper(1));
        let limit = FailureLimit { burst: 5, interval: Duration::from_secs(10) };
        let vault = Vault::builder(fixture.vault.replica().clone(), fixture.vault.format().clone(), peppers)
            .with_failure_limit(limit)
            .build();
        let thief = fixture.context().from_client("198.51.100.7".parse().unwrap());
        let honest = fixture.context().from_client("198.51.100.8".parse().unwrap());
        for _ in 0..5 {
            assert_eq!(vault.verify("guess", &thief).unwrap_err().reason(), RefusalReason::Malformed);
        }
        let refusal = vault.verify(&token, &thief).unwrap_err();
        let RefusalReason::RateLimited { retry_after } = refusal.reason() else { panic!("{refusal:?}") };
        assert!(retry_after <= Duration::from_secs(10));
        assert!(vault.verify(&token, &honest).is_ok());
        let later =
            VerifyContext::at(START.saturating_add(retry_after)).from_client("198.51.100.7".parse().unwrap());
        assert!(vault.verify(&token, &later).is_ok());
        let challenge = Challenge::missing("x").unwrap().refused(&refusal);
        assert_eq!((challenge.status(), challenge.www_authenticate()), (429, None));
        assert!(challenge.retry_after().unwrap() <= 10);
    });
}

#[test]
fn a_receipt_says_where_a_revocation_is_known() {
    block_on(async {
        let mut one = Fixture::new().await;
        let (token, id) = one.issue_plain().await;
        let mut two = Fixture::on(one.store.clone(), STALENESS_BOUND, EveryoneActive).await;
        let by = Principal::subject(owner(&one.random));
        beat(&one, "one").await;
        beat(&two, "two").await;
        let receipt = one.vault.revoke(&one.store, id, by, RevocationReason::Leaked, START).await.unwrap();
        one.catch_up().await;
        one.vault.await_applied(receipt).await;
        assert_eq!(reason(&one, &token), Some(RefusalReason::Revoked));
        assert_eq!(reason(&two, &token), None, "not yet applied there");
        beat(&one, "one").await;
        one.catch_up().await;
        assert_eq!(standings(&one, receipt, START), [Applied::Yes, Applied::NotYet]);
        assert_eq!(
            standings(&one, receipt, START.saturating_add(MINUTE * 2)),
            [Applied::Yes, Applied::Silent]
        );
        two.catch_up().await;
        assert_eq!(reason(&two, &token), Some(RefusalReason::Revoked));
        beat(&two, "two").await;
        one.catch_up().await;
        assert_eq!(standings(&one, receipt, START), [Applied::Yes, Applied::Yes]);
        let again = one.vault.revoke(&one.store, id, by, RevocationReason::Leaked, START).await.unwrap();
        assert_eq!(again, receipt, "a second revocation changes nothing");
        assert!(one.vault.plan_heartbeat("Not a name", START).is_err());
    });
}

#[test]
fn many_are_revoked_with_one_receipt() {
    block_on(async {
        let mut fixture = Fixture::new().await;
        let (token, _) = fixture.issue_plain().await;
        let by = Principal::subject(owner(&fixture.random));
        let reason_given = RevocationReason::Administrative;
        let receipt = fixture
            .vault
            .revoke_many(&fixture.store, &Many::All, Limit::Unlimited, by, reason_given, START)
            .await
            .unwrap();
        fixture.catch_up().await;
        assert_eq!(fixture.vault.replica().snapshot().revision(), receipt.revision());
        assert_eq!(reason(&fixture, &token), Some(RefusalReason::OwnerRevoked));
    });
}

#[test]
fn records_are_purged_a_day_after_the_end_and_not_before() {
    block_on(async {
        let mut fixture = Fixture::new().await;
        let end = START.saturating_add(MINUTE);
        let owner = owner(&fixture.random);
        let wish = IssueRequest::new("short", kind(), owner, restriction("apps:*", "/").expiring(end));
        let (_, id) = fixture.issue(wish).await;
        let (_, endless) = fixture.issue_plain().await;
        let after = end.saturating_add(token_vault::vault::PURGE_AFTER);
        let almost = core_types::UnixTime::from_millis(after.as_millis() - 1);
        assert!(fixture.vault.plan_purge(almost).is_err());
        let purge = fixture.vault.plan_purge(after).unwrap();
        assert_eq!(purge.tokens, [id]);
        fixture.commit(purge.batch).await;
        assert!(fixture.vault.get(id).is_none() && fixture.vault.get(endless).is_some());
        assert!(fixture.vault.plan_purge(after).is_err());
    });
}

#[test]
fn introspection_has_the_shape_of_rfc_7662_and_says_nothing_of_dead_tokens() {
    block_on(async {
        let mut fixture = Fixture::new().await;
        let owner = owner(&fixture.random);
        let end = START.saturating_add(MINUTE);
        let wish = IssueRequest::new("x", kind(), owner, restriction("apps:*", "project/web").expiring(end));
        let (token, id) = fixture.issue(wish).await;
        let verified = fixture.vault.verify(&token, &fixture.context());
        let answer = serde_json::to_value(Introspection::of(verified.as_ref())).unwrap();
        let expected = serde_json::json!({
            "active": true, "scope": "apps:*@project/web", "token_type": "plsdtestpat",
            "exp": end.as_secs(), "iat": START.as_secs(), "sub": owner.to_string(), "jti": id.to_string(),
        });
        assert_eq!(answer, expected);
        let refused = fixture.vault.verify(&token, &VerifyContext::at(end));
        let answer = serde_json::to_string(&Introspection::of(refused.as_ref())).unwrap();
        assert_eq!(answer, r#"{"active":false}"#);
        let challenge = Challenge::missing("palisade").unwrap().insufficient("apps:write".parse().unwrap());
        assert_eq!(challenge.status(), 403);
        let header = r#"Bearer realm="palisade", error="insufficient_scope", scope="apps:write""#;
        assert_eq!(challenge.www_authenticate().unwrap(), header);
        assert!(Challenge::missing("a\"b").is_err() && Challenge::missing("a\r\nb").is_err());
    });
}

#[expect(clippy::unwrap_used, reason = "a helper that fails is a test that fails")]
async fn beat(fixture: &Fixture, name: &str) {
    let batch = fixture.vault.plan_heartbeat(name, START).unwrap();
    assert!(matches!(fixture.store.commit(batch).await.unwrap(), Commit::Committed(_)));
}

fn standings(fixture: &Fixture, receipt: Receipt, now: core_types::UnixTime) -> Vec<Applied> {
    fixture.vault.fleet(receipt, MINUTE, now).into_iter().map(|member| member.standing).collect()
}

fn reason(fixture: &Fixture, token: &str) -> Option<RefusalReason> {
    fixture.vault.verify(token, &fixture.context()).err().map(|refusal| refusal.reason())
}
