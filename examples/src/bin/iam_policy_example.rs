//! iam-policy by itself: groups, roles, bindings; decisions with their reasons.

use core_types::{Clock, Limit, Principal, Restriction, Subject, SystemClock, SystemRandom};
use iam_policy::{AccessRequest, BuiltInRole, Decision, Directory, Grantor, Holder};
use state_store::{Batch, Commit, MemoryStore, Revision, StateStore, View, Write};

#[expect(clippy::print_stdout, reason = "printing is what it is for")]
fn main() -> Result<(), Box<dyn std::error::Error>> {
    let (store, clock, random) = (MemoryStore::new(), SystemClock::new(), SystemRandom::new());
    let mut directory = Directory::new();
    let now = clock.now();

    let (first, batch) = directory.plan_first_administrator("root".parse()?, now, &random)?.into_parts();
    apply(&store, &mut directory, batch)?;
    let admin = Principal::subject(Subject::User(first.user));
    let everything = Restriction::unrestricted();
    let by = Grantor::caller(&admin, &everything);

    let (alice, batch) =
        directory.plan(by, now).create_user("alice".parse()?, "project/web".parse()?, &random)?.into_parts();
    apply(&store, &mut directory, batch)?;
    let (team, batch) = directory
        .plan(by, now)
        .create_group("web-team".parse()?, "project/web".parse()?, &random)?
        .into_parts();
    apply(&store, &mut directory, batch)?;
    let (_, batch) = directory.plan(by, now).add_member(team, Subject::User(alice))?.into_parts();
    apply(&store, &mut directory, batch)?;
    let (_, batch) = directory
        .plan(by, now)
        .bind(
            BuiltInRole::AppsRead.into(),
            Holder::Group(team),
            "project/web".parse()?,
            Limit::Unlimited,
            &random,
        )?
        .into_parts();
    let revision = apply(&store, &mut directory, batch)?;

    let alice = Principal::subject(Subject::User(alice));
    for (permission, scope) in
        [("apps:read", "project/web"), ("apps:write", "project/web"), ("apps:read", "project/shop")]
    {
        let (permission, scope) = (permission.parse()?, scope.parse()?);
        let request = AccessRequest::new(&alice, &everything, &permission, &scope, now);
        match directory.at(revision).authorize(&request) {
            Decision::Allow(allow) => println!("{permission} at {scope}: allowed by {}", allow.role()),
            Decision::Deny(deny) => println!("{permission} at {scope}: denied, {}", deny.reason.code()),
        }
    }

    // Alice may not hand out what she does not hold.
    let by_alice = Grantor::caller(&alice, &everything);
    let wish = directory.plan(by_alice, now).bind(
        BuiltInRole::Administrator.into(),
        Holder::Group(team),
        "project/web".parse()?,
        Limit::Unlimited,
        &random,
    );
    match wish {
        Ok(_) => println!("alice made herself administrator"),
        Err(error) => println!("alice as administrator: refused, {error}"),
    }
    Ok(())
}

/// Commits, and brings the directory up to date by hand; a service has a replica do that.
fn apply(
    store: &MemoryStore,
    directory: &mut Directory,
    batch: Batch,
) -> Result<Revision, Box<dyn std::error::Error>> {
    match pollster::block_on(store.commit(batch.clone()))? {
        Commit::Committed(revision) => {
            for (key, write) in batch.into_writes() {
                match write {
                    Write::Put(value) => directory.put(&key, &value, revision)?,
                    Write::Delete => directory.delete(&key),
                }
            }
            Ok(revision)
        }
        Commit::Conflict(key) => Err(format!("conflict on {key:?}").into()),
    }
}
