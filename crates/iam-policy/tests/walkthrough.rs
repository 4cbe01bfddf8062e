//! One story, from the first administrator to a revoked right, through the public API.

use core_types::{Limit, Permission, Principal, Restriction, Scope, Subject, UnixTime};
use iam_policy::testing::Rehearsal;
use iam_policy::{AccessRequest, BuiltInRole, Decision, DenyReason, Grantor, Holder, WriteError};

#[test]
fn a_member_of_a_group_holds_what_is_bound_to_the_group_until_it_leaves() {
    let mut iam = Rehearsal::starting_at(UnixTime::from_secs(1_700_000_000));
    let first =
        iam.directory().plan_first_administrator("root".parse().unwrap(), iam.now(), iam.rng()).unwrap();
    let first = iam.commit(first).unwrap();
    let whole = Restriction::unrestricted();
    let root = Principal::subject(Subject::User(first.user));
    let by = Grantor::caller(&root, &whole);
    let web: Scope = "project/web".parse().unwrap();

    let planned =
        iam.directory().plan(by, iam.now()).create_user("alice".parse().unwrap(), web.clone(), iam.rng());
    let alice = Subject::User(iam.commit(planned.unwrap()).unwrap());
    let planned =
        iam.directory().plan(by, iam.now()).create_group("devs".parse().unwrap(), web.clone(), iam.rng());
    let devs = iam.commit(planned.unwrap()).unwrap();
    let planned = iam.directory().plan(by, iam.now()).add_member(devs, alice);
    iam.commit(planned.unwrap()).unwrap();
    let planned = iam.directory().plan(by, iam.now()).bind(
        BuiltInRole::AppsRead.into(),
        Holder::Group(devs),
        web.clone(),
        Limit::Unlimited,
        iam.rng(),
    );
    let binding = iam.commit(planned.unwrap()).unwrap();

    let cluster = web.child("vcluster", "ci").unwrap();
    let principal = Principal::subject(alice);
    let ask = |iam: &Rehearsal, permission: &str, scope: &Scope| {
        let permission: Permission = permission.parse().unwrap();
        iam.authorizer().authorize(&AccessRequest::new(&principal, &whole, &permission, scope, iam.now()))
    };
    let Decision::Allow(allow) = ask(&iam, "apps:read", &cluster) else { panic!("denied") };
    assert_eq!(allow.binding(), binding);
    assert_eq!(allow.via(), Some(devs));
    assert_eq!(allow.scope(&cluster), web);
    let Decision::Deny(deny) = ask(&iam, "apps:write", &cluster) else { panic!("allowed") };
    assert_eq!(deny.reason.code(), "no_grant");

    let planned = iam.directory().plan(by, iam.now()).remove_member(devs, alice);
    iam.commit(planned.unwrap()).unwrap();
    let Decision::Deny(deny) = ask(&iam, "apps:read", &cluster) else { panic!("allowed") };
    assert_eq!(deny.reason, DenyReason::NoGrant);

    let alices = Grantor::caller(&principal, &whole);
    let planned = iam.directory().plan(alices, iam.now()).bind(
        BuiltInRole::AppsRead.into(),
        Holder::Subject(alice),
        web,
        Limit::Unlimited,
        iam.rng(),
    );
    assert!(matches!(planned, Err(WriteError::Escalation { .. })));
}
