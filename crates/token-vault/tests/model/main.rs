//! Random lives of tokens over several vaults on one store, against a slow and obvious reference.
//!
//! A vault that has not caught up may plan what is out of date: its commits conflict, or what they make is dead
//! on arrival. A vault that has caught up accepts exactly what the reference accepts, with exactly the
//! restriction the reference computes.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "a helper that fails is a test that fails"
)]

mod reference;

use std::time::Duration;

use core_types::testing::{SERVICES, VERBS, arb_restriction};
use core_types::{Limit, Permission, Principal, Restriction, Scope, Subject, TokenId, UnixTime};
use pollster::block_on;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{Index, select};
use reference::{Reference, Revoked};
use state_store::{Batch, Commit, MemoryStore, StateStore};
use token_vault::attenuated::attenuate;
use token_vault::testing::{EveryoneActive, Fixture, STALENESS_BOUND, START, format, kind, owner};
use token_vault::vault::Many;
use token_vault::{IssueRequest, RevocationReason};

#[derive(Debug, Clone)]
enum Step {
    Issue { owner: usize, home: &'static str, restriction: Restriction, seconds: Option<u64> },
    IssueThrough { secret: Index, restriction: Restriction },
    Attenuate { secret: Index, caveat: Restriction },
    Rotate { token: Index, overlap: u64 },
    EndOverlap { token: Index },
    Narrow { token: Index, restriction: Restriction },
    Revoke { token: Index },
    RevokeDescendants { token: Index },
    Quarantine { token: Index },
    Release { token: Index },
    RevokeOwner { owner: usize, before: Option<u64> },
    RevokeScope { scope: &'static str },
    Advance { seconds: u64 },
    CatchUp,
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn vaults_accept_what_the_reference_accepts(steps in vec((0_usize..VAULTS, arb_step()), 1..60)) {
        block_on(run(steps));
    }
}

async fn run(steps: Vec<(usize, Step)>) {
    let store = MemoryStore::new();
    let mut vaults = Vec::new();
    for number in 0..=VAULTS {
        let vault = Fixture::on(store.clone(), STALENESS_BOUND, EveryoneActive).await;
        // Every vault's generator gives the same: ids of different vaults must differ.
        for _ in 0..number * 1000 {
            let _ = TokenId::generate(START, &vault.random);
        }
        vaults.push(vault);
    }
    let owners: Vec<Subject> = (0..OWNERS).map(|_| owner(&vaults[VAULTS].random)).collect();
    let mut reference = Reference::new(VAULTS);
    let mut now = START;
    for (at, step) in steps {
        match step {
            Step::Advance { seconds } => {
                now = now.saturating_add(Duration::from_secs(seconds));
                vaults.iter().for_each(|vault| vault.clock.set(now));
            }
            Step::CatchUp => {
                vaults[at].catch_up().await;
                reference.caught_up(at);
            }
            step => {
                perform(&mut vaults[at], at, &store, &owners, &mut reference, step).await;
            }
        }
        // The last vault issues nothing and always knows everything.
        vaults[VAULTS].catch_up().await;
        compare(&vaults[VAULTS], &reference, now);
    }
    for (number, vault) in vaults.iter_mut().enumerate() {
        vault.catch_up().await;
        if number < VAULTS {
            compare(vault, &reference, now);
        }
    }
}

/// Plans at one vault, and tells the reference if the store took it.
async fn perform(
    vault: &mut Fixture,
    at: usize,
    store: &MemoryStore,
    owners: &[Subject],
    reference: &mut Reference,
    step: Step,
) {
    let now = vault.now();
    let by = Principal::subject(owners[0]);
    let why = RevocationReason::Administrative;
    match step {
        Step::Issue { owner, home, restriction, seconds } => {
            let restriction = match seconds {
                Some(seconds) => restriction.expiring(now.saturating_add(Duration::from_secs(seconds))),
                None => restriction,
            };
            let home: Scope = home.parse().unwrap();
            let wish = IssueRequest::new("t", kind(), owners[owner], restriction.clone())
                .at_home_in(home.clone())
                .delegable();
            let Ok(issued) = vault.vault.plan_issue(wish, now, &vault.random) else { return };
            if committed(store, issued.batch).await {
                let text = issued.token.expose_once(str::to_owned);
                reference.issued(issued.info.id, owners[owner], home, restriction, None, text, now, at);
            }
        }
        Step::IssueThrough { secret, restriction } => {
            let Some((parent_text, parent)) = reference.pick_secret(&secret) else { return };
            let Ok(verified) = vault.vault.verify(&parent_text, &vault.context()) else { return };
            let wish = IssueRequest::new("c", kind(), verified.owner(), restriction).issued_by(&verified);
            let Ok(issued) = vault.vault.plan_issue(wish, now, &vault.random) else { return };
            if committed(store, issued.batch).await {
                let (info, text) = (issued.info, issued.token.expose_once(str::to_owned));
                reference.issued(
                    info.id,
                    info.owner,
                    info.home,
                    info.restriction,
                    Some(parent),
                    text,
                    now,
                    at,
                );
            }
        }
        Step::Attenuate { secret, caveat } => {
            let Some((text, token)) = reference.pick_secret(&secret) else { return };
            if let Ok(narrowed) = attenuate(&format(), &text, &caveat) {
                reference.attenuated(token, &text, narrowed.expose_once(str::to_owned), caveat);
            }
        }
        Step::Rotate { token, overlap } => {
            let Some(id) = reference.pick_token(&token) else { return };
            let overlap = Duration::from_secs(overlap);
            let Ok(rotated) = vault.vault.plan_rotate(id, overlap, by, now, &vault.random) else { return };
            if committed(store, rotated.batch).await {
                reference.rotated(id, rotated.token.expose_once(str::to_owned), now.saturating_add(overlap));
            }
        }
        Step::EndOverlap { token } => {
            let Some(id) = reference.pick_token(&token) else { return };
            let Ok(change) = vault.vault.plan_end_overlap(id, by, now) else { return };
            if committed(store, change.batch).await {
                reference.overlap_ended(id, now);
            }
        }
        Step::Narrow { token, restriction } => {
            let Some(id) = reference.pick_token(&token) else { return };
            let Ok(change) = vault.vault.plan_narrow(id, &restriction, by, now) else { return };
            if committed(store, change.batch).await {
                reference.narrowed(id, &restriction);
            }
        }
        Step::Revoke { token } => {
            let Some(id) = reference.pick_token(&token) else { return };
            let Ok(change) = vault.vault.plan_revoke(id, by, why, now) else { return };
            if committed(store, change.batch).await {
                reference.token(id).revoked = true;
            }
        }
        Step::RevokeDescendants { token } => {
            let Some(id) = reference.pick_token(&token) else { return };
            let Ok(change) = vault.vault.plan_revoke_descendants(id, by, why, now) else { return };
            if committed(store, change.batch).await {
                reference.descendants_revoked(id);
            }
        }
        Step::Quarantine { token } => {
            let Some(id) = reference.pick_token(&token) else { return };
            let Ok(change) = vault.vault.plan_quarantine(id, by, why, now) else { return };
            if committed(store, change.batch).await {
                reference.token(id).held = true;
            }
        }
        Step::Release { token } => {
            let Some(id) = reference.pick_token(&token) else { return };
            let Ok(change) = vault.vault.plan_release(id, by, now) else { return };
            if committed(store, change.batch).await {
                reference.token(id).held = false;
            }
        }
        Step::RevokeOwner { owner, before } => {
            let before = before.map(|seconds| START.saturating_add(Duration::from_secs(seconds)));
            let limit = before.map_or(Limit::Unlimited, Limit::Only);
            let many = Many::OwnedBy(owners[owner]);
            let plan = vault.vault.plan_revoke_many(&many, limit, by, why, now).unwrap();
            if committed(store, plan.batch).await {
                reference.revoked_many(Revoked::Owner(owners[owner]), before);
            }
        }
        Step::RevokeScope { scope } => {
            let scope: Scope = scope.parse().unwrap();
            let many = Many::AtHomeIn(scope.clone());
            let plan = vault.vault.plan_revoke_many(&many, Limit::Unlimited, by, why, now).unwrap();
            if committed(store, plan.batch).await {
                reference.revoked_many(Revoked::Scope(scope), None);
            }
        }
        Step::Advance { .. } | Step::CatchUp => {}
    }
}

/// Every secret there ever was, at a vault that knows everything.
fn compare(vault: &Fixture, reference: &Reference, now: UnixTime) {
    for (text, expected) in reference.answers(now) {
        let verified = vault.vault.verify(&text, &vault.context());
        match (&verified, expected) {
            (Err(_), None) => {}
            (Ok(verified), Some(bounds)) => {
                let allowed = |permission: &Permission, scope: &Scope| {
                    bounds.iter().all(|bound| bound.allows(permission, scope, now))
                };
                for (permission, scope) in everything() {
                    assert_eq!(
                        verified.restriction().allows(&permission, &scope, now),
                        allowed(&permission, &scope),
                        "{permission} at {scope}"
                    );
                }
            }
            (verified, expected) => panic!("vault: {verified:?}, reference: {expected:?}"),
        }
    }
}

fn everything() -> impl Iterator<Item = (Permission, Scope)> {
    let permissions = SERVICES.iter().flat_map(|service| VERBS.iter().map(move |verb| (service, verb)));
    permissions.flat_map(|(service, verb)| {
        ["/", "org/a", "org/b", "project/a", "org/a/project/b", "project/ab"]
            .iter()
            .map(move |scope| (Permission::new(service, verb).unwrap(), scope.parse().unwrap()))
    })
}

async fn committed(store: &MemoryStore, batch: Batch) -> bool {
    matches!(store.commit(batch).await.unwrap(), Commit::Committed(_))
}

/// Grants over a small alphabet; ends come with the steps, in this decade.
fn arb_grants() -> impl Strategy<Value = Restriction> {
    arb_restriction().prop_map(|restriction| match restriction.grants() {
        Limit::Unlimited => Restriction::unrestricted(),
        Limit::Only(grants) => Restriction::only(grants.iter().cloned()).unwrap(),
    })
}

fn arb_step() -> impl Strategy<Value = Step> {
    let seconds = || prop::option::of(0_u64..60);
    prop_oneof![
        6 => (0..OWNERS, select(HOMES), arb_grants(), seconds())
            .prop_map(|(owner, home, restriction, seconds)| Step::Issue { owner, home, restriction, seconds }),
        6 => (any::<Index>(), arb_grants())
            .prop_map(|(secret, restriction)| Step::IssueThrough { secret, restriction }),
        3 => (any::<Index>(), arb_grants(), seconds()).prop_map(|(secret, caveat, seconds)| {
            let end = |seconds| START.saturating_add(Duration::from_secs(seconds));
            let caveat = seconds.map_or(caveat.clone(), |seconds| caveat.expiring(end(seconds)));
            Step::Attenuate { secret, caveat }
        }),
        3 => (any::<Index>(), 0_u64..40).prop_map(|(token, overlap)| Step::Rotate { token, overlap }),
        1 => any::<Index>().prop_map(|token| Step::EndOverlap { token }),
        3 => (any::<Index>(), arb_grants()).prop_map(|(token, restriction)| Step::Narrow { token, restriction }),
        1 => any::<Index>().prop_map(|token| Step::Revoke { token }),
        1 => any::<Index>().prop_map(|token| Step::RevokeDescendants { token }),
        1 => any::<Index>().prop_map(|token| Step::Quarantine { token }),
        1 => any::<Index>().prop_map(|token| Step::Release { token }),
        1 => (0..OWNERS, seconds()).prop_map(|(owner, before)| Step::RevokeOwner { owner, before }),
        1 => select(HOMES).prop_map(|scope| Step::RevokeScope { scope }),
        2 => (1_u64..20).prop_map(|seconds| Step::Advance { seconds }),
        6 => Just(Step::CatchUp),
    ]
}

const VAULTS: usize = 3;
const OWNERS: usize = 2;
const HOMES: &[&str] = &["/", "project/a", "project/a/vcluster/b", "project/b"];
