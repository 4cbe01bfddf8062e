//! A token that issues a token can only shrink, and takes what it issued with it.

use core_types::{Limit, Principal};
use pollster::block_on;
use std::time::Duration;
use token_vault::testing::{Fixture, START, kind, owner, request, restriction};
use token_vault::{
    IssueError, IssueRequest, PlanError, RefusalReason, RevocationReason, TokenState, VerifiedToken,
    VerifyContext,
};

#[test]
fn a_wider_wish_is_refused_by_value() {
    block_on(async {
        let mut fixture = Fixture::new().await;
        let (parent, _) = fixture.issue_plain().await;
        let parent = fixture.vault.verify(&parent, &fixture.context()).unwrap();
        for wider in [
            core_types::Restriction::unrestricted(),
            restriction("*:*", "project/web"),
            restriction("apps:*", "/"),
            restriction("apps:read", "project/shop"),
        ] {
            let wish = IssueRequest::new("child", kind(), parent.owner(), wider).issued_by(&parent);
            let error = fixture.vault.plan_issue(wish, fixture.now(), &fixture.random).unwrap_err();
            assert_eq!(error, IssueError::Widens);
        }
    });
}

#[test]
fn a_creator_who_acts_through_a_token_must_show_it_and_it_issues_for_its_owner_only() {
    block_on(async {
        let mut fixture = Fixture::new().await;
        let (parent, id) = fixture.issue_plain().await;
        let parent = fixture.vault.verify(&parent, &fixture.context()).unwrap();
        let unshown = request(parent.owner()).created_by(Principal::token(id, parent.owner()));
        let for_another = request(owner(&fixture.random)).issued_by(&parent);
        let disguised =
            request(parent.owner()).issued_by(&parent).created_by(Principal::subject(parent.owner()));
        for wish in [unshown, for_another, disguised] {
            let error = fixture.vault.plan_issue(wish, fixture.now(), &fixture.random).unwrap_err();
            assert_eq!(error, IssueError::Parent);
        }
    });
}

#[test]
fn a_child_ends_with_its_parent_at_the_latest() {
    block_on(async {
        let mut fixture = Fixture::new().await;
        let end = START.saturating_add(Duration::from_secs(100));
        let owner = owner(&fixture.random);
        let wish = IssueRequest::new("parent", kind(), owner, restriction("apps:*", "/").expiring(end));
        let (parent, _) = fixture.issue(wish).await;
        let child = child_of(&mut fixture, &parent).await;
        let verified = fixture.vault.verify(&child, &fixture.context()).unwrap();
        assert_eq!(verified.restriction().expires_at(), Limit::Only(end));
    });
}

#[test]
fn revoking_quarantining_or_renouncing_a_parent_kills_what_it_issued() {
    block_on(async {
        let mut fixture = Fixture::new().await;
        let by = Principal::subject(owner(&fixture.random));
        let (parent, parent_id) = fixture.issue_plain().await;
        let child = child_of(&mut fixture, &parent).await;
        let grandchild = child_of(&mut fixture, &child).await;

        let held = fixture.vault.plan_quarantine(parent_id, by, RevocationReason::Leaked, START).unwrap();
        fixture.commit(held.batch).await;
        assert_eq!(reason(&fixture, &parent), Some(RefusalReason::Quarantined));
        assert_eq!(reason(&fixture, &grandchild), Some(RefusalReason::Lineage));
        let released = fixture.vault.plan_release(parent_id, by, START).unwrap();
        assert_eq!(released.info.state, TokenState::Active);
        fixture.commit(released.batch).await;
        assert_eq!(reason(&fixture, &grandchild), None);

        let renounced =
            fixture.vault.plan_revoke_descendants(parent_id, by, RevocationReason::Leaked, START).unwrap();
        fixture.commit(renounced.batch).await;
        assert_eq!(reason(&fixture, &parent), None);
        assert_eq!(reason(&fixture, &child), Some(RefusalReason::Lineage));
        assert_eq!(reason(&fixture, &grandchild), Some(RefusalReason::Lineage));
        let later = child_of(&mut fixture, &parent).await;
        assert_eq!(reason(&fixture, &later), None);

        let revoked = fixture.vault.plan_revoke(parent_id, by, RevocationReason::Leaked, START).unwrap();
        fixture.commit(revoked.batch).await;
        assert_eq!(reason(&fixture, &later), Some(RefusalReason::Lineage));
    });
}

#[test]
fn narrowing_a_parent_narrows_what_it_issued_and_never_widens() {
    block_on(async {
        let mut fixture = Fixture::new().await;
        let by = Principal::subject(owner(&fixture.random));
        let (parent, parent_id) = fixture.issue_plain().await;
        let child = child_of(&mut fixture, &parent).await;
        let wider = fixture.vault.plan_narrow(parent_id, &restriction("*:*", "/"), by, START);
        assert_eq!(wider.unwrap_err(), PlanError::Widens);
        let same = fixture.vault.plan_narrow(parent_id, &restriction("apps:*", "project/web"), by, START);
        assert_eq!(same.unwrap_err(), PlanError::Unchanged);
        let narrower = restriction("apps:read", "project/web");
        let change = fixture.vault.plan_narrow(parent_id, &narrower, by, START).unwrap();
        fixture.commit(change.batch).await;
        for token in [&parent, &child] {
            assert_eq!(fixture.vault.verify(token, &fixture.context()).unwrap().restriction(), &narrower);
        }
    });
}

#[test]
fn a_child_is_bound_to_the_networks_of_its_parent() {
    block_on(async {
        let mut fixture = Fixture::new().await;
        let owner = owner(&fixture.random);
        let (parent, _) = fixture.issue(request(owner).from_networks(["10.0.0.0/8".parse().unwrap()])).await;
        assert_eq!(reason(&fixture, &parent), Some(RefusalReason::Network), "from nowhere known");
        let inside = fixture.context().from_client("10.1.2.3".parse().unwrap());
        let outside = fixture.context().from_client("11.0.0.1".parse().unwrap());
        assert!(fixture.vault.verify(&parent, &outside).is_err());
        let verified = fixture.vault.verify(&parent, &inside).unwrap();
        let wider = request(owner).issued_by(&verified).from_networks(["0.0.0.0/0".parse().unwrap()]);
        let error = fixture.vault.plan_issue(wider, START, &fixture.random).unwrap_err();
        assert_eq!(error, IssueError::Widens);
        let (child, _) = fixture.issue(request(owner).issued_by(&verified)).await;
        assert!(fixture.vault.verify(&child, &inside).is_ok());
        assert!(fixture.vault.verify(&child, &outside).is_err());
        assert!(
            fixture
                .vault
                .verify(&child, &fixture.context().from_client("::ffff:10.0.0.1".parse().unwrap()))
                .is_ok()
        );
    });
}

#[test]
fn a_line_of_tokens_is_bounded_and_one_that_is_counted_issues_none() {
    block_on(async {
        let mut fixture = Fixture::new().await;
        let (mut last, _) = fixture.issue_plain().await;
        for _ in 0..token_vault::vault::MAX_LINEAGE {
            last = child_of(&mut fixture, &last).await;
        }
        let verified = fixture.vault.verify(&last, &fixture.context()).unwrap();
        let error = fixture
            .vault
            .plan_issue(request(verified.owner()).issued_by(&verified), START, &fixture.random)
            .unwrap_err();
        assert_eq!(error, IssueError::ParentMayNotIssue);
    });
}

#[test]
fn a_child_planned_while_its_parent_changes_conflicts() {
    block_on(async {
        let mut fixture = Fixture::new().await;
        let (parent, id) = fixture.issue_plain().await;
        let parent: VerifiedToken = fixture.vault.verify(&parent, &fixture.context()).unwrap();
        let wish = request(parent.owner()).issued_by(&parent);
        let issued = fixture.vault.plan_issue(wish, START, &fixture.random).unwrap();
        let by = Principal::subject(parent.owner());
        let revoked = fixture.vault.plan_revoke(id, by, RevocationReason::Unneeded, START).unwrap();
        fixture.commit(revoked.batch).await;
        let outcome = state_store::StateStore::commit(&fixture.store, issued.batch).await.unwrap();
        assert!(matches!(outcome, state_store::Commit::Conflict(_)));
    });
}

async fn child_of(fixture: &mut Fixture, parent: &str) -> String {
    #[expect(clippy::unwrap_used, reason = "a helper that fails is a test that fails")]
    let verified = fixture.vault.verify(parent, &VerifyContext::at(fixture.now())).unwrap();
    let mut own = request(verified.owner());
    if verified.restriction().grants() != restriction("apps:*", "project/web").grants() {
        own = IssueRequest::new("child", kind(), verified.owner(), restriction("apps:read", "project/web"));
    }
    fixture.issue(own.issued_by(&verified)).await.0
}

fn reason(fixture: &Fixture, token: &str) -> Option<RefusalReason> {
    fixture.vault.verify(token, &fixture.context()).err().map(|refusal| refusal.reason())
}
