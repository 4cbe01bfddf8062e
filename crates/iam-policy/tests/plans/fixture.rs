//! A directory with a root administrator, and short words for changing it.

use core_types::{Grant, Limit, Permission, Principal, Restriction, Scope, Subject, UnixTime};
use iam_policy::testing::Rehearsal;
use iam_policy::{
    AccessRequest, BindingId, Context, Decision, Directory, Grantor, GroupId, Holder, PatternSet, Planned,
    Planner, PolicyDocument, PolicyId, RoleId, RoleRef, Statement, WriteError,
};

pub(crate) struct Fixture {
    pub(crate) iam: Rehearsal,
    pub(crate) root: Subject,
}

/// Who asks: a subject, by a credential of this restriction.
#[derive(Debug, Clone)]
pub(crate) struct Caller {
    principal: Principal,
    restriction: Restriction,
}

impl Caller {
    pub(crate) fn new(subject: Subject, restriction: Restriction) -> Self {
        Self { principal: Principal::subject(subject), restriction }
    }

    pub(crate) const fn grantor(&self) -> Grantor<'_> {
        Grantor::caller(&self.principal, &self.restriction)
    }
}

pub(crate) fn whole(subject: Subject) -> Caller {
    Caller::new(subject, Restriction::unrestricted())
}

impl Fixture {
    pub(crate) fn new() -> Self {
        let mut iam = Rehearsal::starting_at(NOW);
        let first = iam.directory().plan_first_administrator("root".parse().unwrap(), NOW, iam.rng());
        let first = iam.commit(first.unwrap()).unwrap();
        Self { iam, root: Subject::User(first.user) }
    }

    /// Plans and makes a change by this caller.
    pub(crate) fn by<T>(
        &mut self,
        caller: &Caller,
        plan: impl FnOnce(Planner<'_>, &Rehearsal) -> Result<Planned<T>, WriteError>,
    ) -> Result<T, WriteError> {
        let planned = plan(self.iam.directory().plan(caller.grantor(), self.iam.now()), &self.iam)?;
        Ok(self.iam.commit(planned).unwrap())
    }

    pub(crate) fn user(&mut self, home: &str) -> Subject {
        let root = whole(self.root);
        let plan = |plan: Planner<'_>, iam: &Rehearsal| plan.create_user(name(), scope(home), iam.rng());
        Subject::User(self.by(&root, plan).unwrap())
    }

    pub(crate) fn group(&mut self, home: &str) -> GroupId {
        let root = whole(self.root);
        self.by(&root, |plan, iam| plan.create_group(name(), scope(home), iam.rng())).unwrap()
    }

    pub(crate) fn role(&mut self, home: &str, permissions: &[&str]) -> RoleId {
        let root = whole(self.root);
        self.by(&root, |plan, iam| plan.create_role(name(), scope(home), patterns(permissions), iam.rng()))
            .unwrap()
    }

    /// Root binds a new role of these permissions.
    pub(crate) fn give(&mut self, holder: impl Into<Holder>, permissions: &[&str], at: &str) -> BindingId {
        let role = self.role("/", permissions);
        self.bind_until(role, holder, at, Limit::Unlimited)
    }

    pub(crate) fn bind_until(
        &mut self,
        role: impl Into<RoleRef>,
        holder: impl Into<Holder>,
        at: &str,
        end: Limit<UnixTime>,
    ) -> BindingId {
        let root = whole(self.root);
        let (role, holder) = (role.into(), holder.into());
        self.by(&root, |plan, iam| plan.bind(role, holder, scope(at), end, iam.rng())).unwrap()
    }

    pub(crate) fn join(&mut self, group: GroupId, subject: Subject) {
        let root = whole(self.root);
        self.by(&root, |plan, _| plan.add_member(group, subject)).unwrap();
    }

    pub(crate) fn allows(&self, subject: Subject, permission: &str, at: &str) -> bool {
        let permission = permission.parse().unwrap();
        let what = (&permission, &scope(at));
        allows(self.iam.directory(), subject, what, self.iam.now(), &Context::new())
    }

    /// A policy of these statements, with the root for its home.
    pub(crate) fn policy(&mut self, statements: &[Statement]) -> PolicyId {
        let root = whole(self.root);
        let document = document(statements);
        self.by(&root, |plan, iam| plan.create_policy(name(), scope("/"), document, iam.rng())).unwrap()
    }
}

pub(crate) fn allows(
    directory: &Directory,
    subject: Subject,
    (permission, resource): (&Permission, &Scope),
    now: UnixTime,
    context: &Context,
) -> bool {
    let principal = Principal::subject(subject);
    let whole = Restriction::unrestricted();
    let request = AccessRequest::new(&principal, &whole, permission, resource, now);
    matches!(
        directory.at(state_store::Revision::ZERO).authorize(&request.with_context(context)),
        Decision::Allow(_)
    )
}

pub(crate) fn escalation(permission: &str, at: &str) -> WriteError {
    WriteError::Escalation { missing: grant(permission, at) }
}

pub(crate) fn grant(permission: &str, at: &str) -> Grant {
    Grant::new(permission.parse().unwrap(), scope(at))
}

pub(crate) fn patterns(texts: &[&str]) -> PatternSet {
    PatternSet::new(texts.iter().map(|text| text.parse().unwrap())).unwrap()
}

pub(crate) fn document(statements: &[Statement]) -> PolicyDocument {
    PolicyDocument::new(statements.iter().cloned()).unwrap()
}

pub(crate) fn deny(permissions: &[&str]) -> Statement {
    Statement::deny(patterns(permissions))
}

pub(crate) fn allow(permissions: &[&str]) -> Statement {
    Statement::allow(patterns(permissions))
}

pub(crate) fn scope(text: &str) -> Scope {
    text.parse().unwrap()
}

pub(crate) fn name() -> iam_policy::Name {
    "name".parse().unwrap()
}

pub(crate) const NOW: UnixTime = UnixTime::from_secs(1_000);
pub(crate) const LATER: UnixTime = UnixTime::from_secs(2_000);
pub(crate) const LATEST: UnixTime = UnixTime::from_secs(3_000);
