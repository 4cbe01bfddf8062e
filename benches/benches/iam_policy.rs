//! `authorize` beside its floor: one look-up of the subject, one match of the pattern, one of the scope, which
//! is the least that anything which answers from memory has to do.
//!
//! The world: as many groups as a fiftieth of the users, each with one to three bindings in one of a hundred
//! projects; every user in two groups. Requests are drawn at random over all users, half of them allowed.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::as_conversions,
    reason = "a bench that cannot set up its world should stop"
)]

use std::collections::HashMap;
use std::hint::black_box;

use core_types::testing::TestRandom;
use core_types::{Grant, Limit, Permission, Principal, Restriction, Scope, SecureRandom, Subject, UnixTime};
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use iam_policy::{AccessRequest, BuiltInRole, Decision, Directory, Grantor, GroupId, Holder};
use state_store::{Batch, Revision, View, Write};

const NOW: UnixTime = UnixTime::from_secs(1_700_000_000);
const PROJECTS: usize = 100;
const REQUESTS: usize = 1 << 16;
const ROLES: [(BuiltInRole, &str); 4] = [
    (BuiltInRole::ComputeFull, "compute:start"),
    (BuiltInRole::AppsRead, "apps:read"),
    (BuiltInRole::DatabasesWrite, "databases:write"),
    (BuiltInRole::StorageFull, "storage:attach"),
];

struct World {
    directory: Directory,
    revision: Revision,
    /// For the floor: what a user may, by its first group's first binding.
    first: HashMap<Subject, Grant>,
    requests: Vec<(Principal, Permission, Scope)>,
}

impl World {
    fn of(users: usize) -> Self {
        let random = TestRandom::seeded(7);
        let mut world = Self {
            directory: Directory::new(),
            revision: Revision::ZERO,
            first: HashMap::new(),
            requests: Vec::new(),
        };
        let project =
            |number: usize| -> Scope { format!("org/acme/project/p{}", number % PROJECTS).parse().unwrap() };
        let name = || "bench".parse().unwrap();
        let home: Scope = "org/acme".parse().unwrap();
        let mut groups: Vec<(GroupId, usize)> = Vec::new();
        for number in 0..(users / 50).max(2) {
            let planned = world.directory.plan(Grantor::dangerous_unguarded(), NOW);
            let group =
                world.apply(planned.create_group(name(), home.clone(), &random).unwrap().into_parts());
            for extra in 0..=number % 3 {
                let role = ROLES[(number + extra) % ROLES.len()].0;
                let planned = world.directory.plan(Grantor::dangerous_unguarded(), NOW);
                let scope = project(number + extra);
                let bound = planned.bind(role.into(), Holder::Group(group), scope, Limit::Unlimited, &random);
                world.apply(bound.unwrap().into_parts());
            }
            groups.push((group, number));
        }
        let mut people = Vec::new();
        for number in 0..users {
            let planned = world.directory.plan(Grantor::dangerous_unguarded(), NOW);
            let user = world.apply(planned.create_user(name(), home.clone(), &random).unwrap().into_parts());
            let (first, second) = (number % groups.len(), (number * 7 + 1) % groups.len());
            for group in [first, second] {
                let planned = world.directory.plan(Grantor::dangerous_unguarded(), NOW);
                // The two may be one.
                if let Ok(joined) = planned.add_member(groups[group].0, Subject::User(user)) {
                    world.apply(joined.into_parts());
                }
            }
            let at = groups[first].1;
            let pattern = ROLES[at % ROLES.len()].0.permissions()[0].parse().unwrap();
            world.first.insert(Subject::User(user), Grant::new(pattern, project(at)));
            people.push((Subject::User(user), at));
        }
        for number in 0..REQUESTS {
            let mut bytes = [0; 8];
            random.fill(&mut bytes).unwrap();
            let (subject, at) = people[u64::from_le_bytes(bytes) as usize % people.len()];
            // Every other request asks for something no group of the user's has.
            let permission = if number % 2 == 0 { ROLES[at % ROLES.len()].1 } else { "billing:read" };
            let scope = project(at).child("vm", "a").unwrap();
            world.requests.push((Principal::subject(subject), permission.parse().unwrap(), scope));
        }
        world
    }

    fn apply<T>(&mut self, (value, batch): (T, Batch)) -> T {
        self.revision = self.revision.next().unwrap();
        for (key, write) in batch.into_writes() {
            match write {
                Write::Put(value) => self.directory.put(&key, &value, self.revision).unwrap(),
                Write::Delete => self.directory.delete(&key),
            }
        }
        value
    }
}

fn authorize(criterion: &mut Criterion) {
    for users in [1_000, 100_000] {
        let world = World::of(users);
        let everything = Restriction::unrestricted();
        let restricted = Restriction::only(
            ROLES.iter().map(|(_, text)| Grant::new(text.parse().unwrap(), "org/acme".parse().unwrap())),
        )
        .unwrap();
        let ask = |restriction: &Restriction, number: usize| {
            let (principal, permission, scope) = &world.requests[number % REQUESTS];
            let request = AccessRequest::new(principal, restriction, permission, scope, NOW);
            matches!(world.directory.at(world.revision).authorize(&request), Decision::Allow(_))
        };
        // The answers are checked before anything is timed.
        for number in 0..REQUESTS {
            assert_eq!(ask(&everything, number), number % 2 == 0, "request {number}");
            assert_eq!(ask(&restricted, number), number % 2 == 0, "request {number}");
        }

        let mut group = criterion.benchmark_group("iam-policy/authorize");
        group.throughput(Throughput::Elements(1));
        let mut number = 0;
        group.bench_with_input(BenchmarkId::new("floor: look-up and match", users), &(), |bencher, ()| {
            bencher.iter(|| {
                number += 1;
                let (principal, permission, scope) = &world.requests[number % REQUESTS];
                let grant = &world.first[&principal.rights_of()];
                black_box(grant.permissions.matches(permission) & grant.scope.contains(scope))
            });
        });
        group.bench_with_input(BenchmarkId::new("ours", users), &(), |bencher, ()| {
            bencher.iter(|| {
                number += 1;
                black_box(ask(&everything, number))
            });
        });
        group.bench_with_input(BenchmarkId::new("ours, restricted token", users), &(), |bencher, ()| {
            bencher.iter(|| {
                number += 1;
                black_box(ask(&restricted, number))
            });
        });
        group.finish();
    }
}

criterion_group!(benches, authorize);
criterion_main!(benches);
