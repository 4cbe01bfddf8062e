//! Trusts: both sides say so, nobody offers what it does not hold, and what is held by one is not given on.

use core_types::{Limit, Restriction, Subject};
use iam_policy::{BuiltInRole, GroupId, TrustId, WriteError};

use crate::fixture::{Caller, Fixture, LATER, NOW, escalation, grant, scope, whole};

/// The administrators of `org/web` and of `org/help`, and a user of the latter.
struct Tenants {
    all: Fixture,
    web: Caller,
    help: Caller,
    helper: Subject,
}

impl Tenants {
    fn new() -> Self {
        let mut all = Fixture::new();
        let [web, help] = ["org/web", "org/help"].map(|home| {
            let user = all.user(home);
            all.bind_until(BuiltInRole::Administrator, user, home, Limit::Unlimited);
            whole(user)
        });
        let helper = all.user("org/help");
        Self { all, web, help, helper }
    }

    fn offer(&mut self, by: &Caller, limit: Restriction) -> Result<TrustId, WriteError> {
        let pair = (scope("org/web"), scope("org/help"));
        self.all.by(by, |plan, iam| plan.offer_trust(pair, limit, iam.rng()))
    }

    fn accept(&mut self, by: &Caller, trust: TrustId) -> Result<(), WriteError> {
        self.all.by(by, |plan, _| plan.accept_trust(trust))
    }

    fn bind(&mut self, by: &Caller, holder: impl Into<iam_policy::Holder>) -> Result<(), WriteError> {
        let (role, holder) = (BuiltInRole::AppsRead.into(), holder.into());
        self.all
            .by(by, |plan, iam| plan.bind(role, holder, scope("org/web"), Limit::Unlimited, iam.rng()))
            .map(drop)
    }

    fn reads(&self) -> bool {
        self.all.allows(self.helper, "apps:read", "org/web/project/shop")
    }
}

#[test]
fn a_tenant_is_let_in_when_one_side_offers_and_the_other_accepts() {
    let mut it = Tenants::new();
    let (web, help, helper) = (it.web.clone(), it.help.clone(), it.helper);
    assert_eq!(it.bind(&web, helper), Err(WriteError::OtherTenant));
    let trust = it.offer(&web, Restriction::unrestricted()).unwrap();
    assert_eq!(it.bind(&web, helper), Err(WriteError::OtherTenant), "only offered");
    assert_eq!(it.accept(&web, trust), Err(escalation("*:*", "org/help")), "the other side");
    it.accept(&help, trust).unwrap();
    assert_eq!(it.accept(&help, trust), Err(WriteError::Unchanged));
    assert!(!it.reads(), "a trust gives nothing by itself");
    it.bind(&web, helper).unwrap();
    assert!(it.reads());
    assert!(!it.all.allows(helper, "apps:write", "org/web/project/shop"));
    it.all.by(&help, |plan, _| plan.withdraw_trust(trust)).unwrap();
    assert!(!it.reads());
    assert_eq!(it.accept(&help, trust), Err(WriteError::UnknownTrust(trust)));
}

#[test]
fn nobody_offers_what_it_does_not_hold() {
    let mut it = Tenants::new();
    let (web, help) = (it.web.clone(), it.help.clone());
    assert_eq!(it.offer(&help, Restriction::unrestricted()), Err(escalation("*:*", "org/web")));
    let elsewhere = Restriction::only([grant("apps:read", "org/help")]).unwrap();
    assert_eq!(it.offer(&web, elsewhere), Err(WriteError::NoTenants));
    let ended = Restriction::unrestricted().expiring(NOW);
    assert_eq!(it.offer(&web, ended), Err(WriteError::AlreadyExpired));
    for (truster, trusted) in
        [("/", "org/help"), ("org/web", "/"), ("org/web", "org/web"), ("org/web/vm/v", "org/help")]
    {
        let pair = (scope(truster), scope(trusted));
        let offered = it.all.by(&web, |plan, iam| plan.offer_trust(pair, Restriction::nothing(), iam.rng()));
        assert_eq!(offered.unwrap_err(), WriteError::NoTenants, "{truster} {trusted}");
    }
    // Who holds a part offers that part, for as long as it holds it.
    let part = it.all.user("org/web");
    it.all.bind_until(BuiltInRole::AppsRead, part, "org/web/project/shop", Limit::Only(LATER));
    let shop = Restriction::only([grant("apps:read", "org/web/project/shop")]).unwrap();
    let part = whole(part);
    assert_eq!(it.offer(&part, shop.clone()), Err(escalation("apps:read", "org/web/project/shop")));
    it.offer(&part, shop.expiring(LATER)).unwrap();
}

#[test]
fn what_is_held_by_a_trust_is_not_given_on() {
    let mut it = Tenants::new();
    let (web, help, helper) = (it.web.clone(), it.help.clone(), it.helper);
    let trust = it.offer(&web, Restriction::unrestricted()).unwrap();
    it.accept(&help, trust).unwrap();
    it.bind(&web, helper).unwrap();
    // The user who is let in binds nobody there, whatever it may do there itself.
    let friend = it.all.user("org/help");
    let missing = Err(escalation("apps:read", "org/web"));
    assert_eq!(it.bind(&whole(helper), friend), missing);
    // A group that is let in: its own administrator adds nobody, nor enables who is in it.
    let group: GroupId = it.all.group("org/help");
    it.all.join(group, helper);
    it.bind(&web, group).unwrap();
    let joined = it.all.by(&help, |plan, _| plan.add_member(group, friend));
    assert_eq!(joined, missing);
    assert_eq!(it.all.by(&help, |plan, _| plan.disable(helper)), Ok(()));
    assert_eq!(it.all.by(&help, |plan, _| plan.enable(helper)), missing);
    let root = whole(it.all.root);
    it.all.by(&root, |plan, _| plan.enable(helper)).unwrap();
    it.all.by(&root, |plan, _| plan.add_member(group, friend)).unwrap();
    assert!(it.all.allows(friend, "apps:read", "org/web"));
}

#[test]
fn two_tenants_have_no_more_trusts_than_can_be_looked_at() {
    let mut it = Tenants::new();
    let web = it.web.clone();
    for _ in 0..iam_policy::plan::MAX_TRUSTS_BETWEEN {
        it.offer(&web, Restriction::nothing()).unwrap();
    }
    let limit = iam_policy::plan::MAX_TRUSTS_BETWEEN;
    let refused = WriteError::TooMany { what: "trusts of two tenants", limit };
    assert_eq!(it.offer(&web, Restriction::nothing()), Err(refused));
}
