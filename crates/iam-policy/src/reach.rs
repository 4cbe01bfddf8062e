//! Who can come to hold something by changes that are guarded: administrators that nobody calls so.
//!
//! Nobody gives what it does not hold, unless it may use `iam:escalate`: who may, holds as good as everything there.
//! For each subject the changes it can make by itself are planned, by the same planner that guards the routes: to
//! give itself what is looked for, to lift its own boundary, to end what denies it. Each only ever adds to what it
//! holds, so their order does not matter, and when none is left that is granted, nothing it can change helps.

use core_types::{
    Grant, Limit, PermissionPattern, Principal, Restriction, Scope, SecureRandom, Subject, UnixTime,
};
use state_store::{Batch, Revision, View as _, Write};

use crate::builtin::BuiltInRole;
use crate::directory::Directory;
use crate::error::WriteError;
use crate::holder::{BindingId, Holder, RoleRef};
use crate::pattern_set::PatternSet;
use crate::plan::{Grantor, Planned, Planner};

/// The most changes one way has; who would need more is listed as undecided.
pub const MAX_STEPS: usize = 64;

/// Who holds something, or can come to hold it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Reached {
    /// In the order of their ids.
    pub ways: Vec<Way>,
    /// Those whose way would be longer than [`MAX_STEPS`].
    pub undecided: Vec<Subject>,
}

/// How one subject comes to hold it, by its own changes.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Way {
    /// Who.
    pub subject: Subject,
    /// The changes, in order; none where it holds it already.
    pub steps: Vec<Step>,
}

/// A change that the subject can make.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Step {
    /// It makes a role of these permissions, at home there.
    CreateRole {
        /// What the role permits.
        permissions: PermissionPattern,
        /// Its home.
        home: Scope,
    },
    /// It binds the role to itself; the one it has just made, where that is none.
    Bind {
        /// The role.
        role: Option<BuiltInRole>,
        /// Where.
        scope: Scope,
    },
    /// It takes its own boundary away.
    RemoveBoundary,
    /// It ends a binding, of its own or of a group, that denies it something.
    Unbind(BindingId),
}

impl Directory {
    /// Who holds the grant, or can come to hold it by changes of its own: under no condition, for ever, with nothing
    /// of it denied. A way that is told can be gone: each of its changes was planned after those before it. Whether
    /// the routes let the subject ask for the changes is for the embedder to know.
    ///
    /// Looks at every subject: for an administrator or a nightly run.
    ///
    /// # Errors
    /// [`WriteError`] when there is no randomness.
    pub fn who_can_become(
        &self,
        target: &Grant,
        now: UnixTime,
        rng: &dyn SecureRandom,
    ) -> Result<Reached, WriteError> {
        let mut subjects: Vec<Subject> = self.subjects().map(|record| record.id).collect();
        subjects.sort_unstable();
        let mut reached = Reached::default();
        for subject in subjects {
            let mut climb = Climb { directory: self.clone(), subject, now, steps: Vec::new() };
            match climb.reach(target, rng)? {
                Some(true) => reached.ways.push(Way { subject, steps: climb.steps }),
                Some(false) => {}
                None => reached.undecided.push(subject),
            }
        }
        Ok(reached)
    }
}

/// One subject, and what it has changed.
struct Climb {
    directory: Directory,
    subject: Subject,
    now: UnixTime,
    steps: Vec<Step>,
}

impl Climb {
    /// Whether it comes to hold the target; `None` past [`MAX_STEPS`].
    fn reach(&mut self, target: &Grant, rng: &dyn SecureRandom) -> Result<Option<bool>, WriteError> {
        let mut has_given = false;
        while !self.plan(|planner| Ok(planner.holds(target)))? {
            if self.steps.len() >= MAX_STEPS {
                return Ok(None);
            }
            if !has_given && self.give(target, rng)? {
                has_given = true;
            } else if !self.remove_boundary(target)? && !self.unbind(target)? {
                return Ok(Some(false));
            }
        }
        Ok(Some(true))
    }

    fn give(&mut self, target: &Grant, rng: &dyn SecureRandom) -> Result<bool, WriteError> {
        let (Grant { permissions, scope }, holder) = (target.clone(), Holder::Subject(self.subject));
        let before = (self.directory.clone(), self.steps.len());
        let role: RoleRef = if permissions == PermissionPattern::all() {
            BuiltInRole::Administrator.into()
        } else {
            let name = "reach".parse().map_err(|_| WriteError::Unchanged)?;
            let set = PatternSet::new([permissions.clone()]).unwrap_or_default();
            let home = scope.clone();
            let made =
                self.plan(|planner| planner.create_role(name, home, set, rng).map(Some).or_else(refused))?;
            let Some(role) = self.make(made, Step::CreateRole { permissions, home: scope.clone() }) else {
                return Ok(false);
            };
            role.into()
        };
        let built_in = match role {
            RoleRef::BuiltIn(role) => Some(role),
            RoleRef::Custom(_) | RoleRef::Policy(_) => None,
        };
        let at = scope.clone();
        let bound = self.plan(|planner| {
            planner.bind(role, holder, at, Limit::Unlimited, rng).map(Some).or_else(refused)
        })?;
        let has_bound = self.make(bound, Step::Bind { role: built_in, scope }).is_some();
        if !has_bound {
            // A role that nobody has changes nothing.
            self.directory = before.0;
            self.steps.truncate(before.1);
        }
        Ok(has_bound)
    }

    fn remove_boundary(&mut self, target: &Grant) -> Result<bool, WriteError> {
        let Some(boundary) = self.directory.boundary(self.subject) else { return Ok(false) };
        let contains = match boundary.limit.grants() {
            Limit::Unlimited => true,
            Limit::Only(grants) => grants.iter().any(|grant| grant.contains(target)),
        };
        if contains && boundary.limit.expires_at() == Limit::Unlimited {
            return Ok(false);
        }
        let subject = self.subject;
        let lifted = self.plan(|planner| planner.remove_boundary(subject).map(Some).or_else(refused))?;
        Ok(self.make(lifted, Step::RemoveBoundary).is_some())
    }

    /// Ends one binding that denies a part of the target.
    fn unbind(&mut self, target: &Grant) -> Result<bool, WriteError> {
        for binding in self.plan(|planner| Ok(planner.denials_of(target)))? {
            let ended = self.plan(|planner| planner.unbind(binding).map(Some).or_else(refused))?;
            if self.make(ended, Step::Unbind(binding)).is_some() {
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn plan<T>(&self, plan: impl FnOnce(Planner<'_>) -> Result<T, WriteError>) -> Result<T, WriteError> {
        let (principal, whole) = (Principal::subject(self.subject), Restriction::unrestricted());
        plan(self.directory.plan(Grantor::caller(&principal, &whole), self.now))
    }

    fn make<T>(&mut self, planned: Option<Planned<T>>, step: Step) -> Option<T> {
        let (value, batch) = planned?.into_parts();
        apply(&mut self.directory, batch);
        self.steps.push(step);
        Some(value)
    }
}

/// Makes the change in a directory that no store has.
fn apply(directory: &mut Directory, batch: Batch) {
    for (key, write) in batch.into_writes() {
        match write {
            Write::Put(value) => {
                if directory.put(&key, &value, Revision::ZERO).is_err() {
                    directory.poison(&key);
                }
            }
            Write::Delete => directory.delete(&key),
        }
    }
}

/// A change that is refused is none; only a failure is an error.
fn refused<T>(error: WriteError) -> Result<Option<T>, WriteError> {
    match error {
        WriteError::Random(_) => Err(error),
        _ => Ok(None),
    }
}
