//! What lies below a replica does not show in what is read from it: verify and authorize beside each other on all four
//! backends; and how soon a revocation at one node is in force at another one.
//!
//! `cargo bench -p palisade-benches --bench scale_hot`. The servers are started for the bench, where `TMPDIR` is. The
//! backends hold the same entries, and are measured in turns of one run, each followed by its driver; ratios to the memory
//! store count. `PALISADE_BENCH_TOKENS` sets how many tokens there are (20,000).

#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::arithmetic_side_effects,
    clippy::as_conversions,
    clippy::cast_precision_loss,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::disallowed_methods,
    reason = "a bench that fails may say so by a panic, and measures real time"
)]

use std::hint::black_box;
use std::thread;
use std::time::{Duration, Instant};

use core_types::testing::TestClock;
use core_types::{
    Clock as _, Grant, Limit, Permission, Principal, Restriction, Scope, Subject, SystemClock, SystemRandom,
    TokenId, UserId,
};
use iam_policy::{AccessRequest, Authorizer, Decision, Directory, Grantor, Holder};
use pollster::block_on;
use state_store::replica::{Driver, View};
use state_store::{Batch, Commit, Key, MemoryStore, Prefix, Replica, Revision, StateStore, Write};
use state_store_etcd::EtcdStore;
use state_store_etcd::testing::Cluster;
use state_store_postgres::PostgresStore;
use state_store_postgres::testing::Server;
use state_store_redb::{Expected, RedbStore};
use token_vault::testing::{START, format, kind, pepper};
use token_vault::{IssueRequest, Peppers, RevocationReason, TokenView, Vault, VerifyContext};

fn main() {
    // `cargo test` runs benches too, to see that they run.
    if !std::env::args().any(|argument| argument == "--bench") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start().unwrap();
    let cluster = Cluster::start(3).unwrap();
    let random = SystemRandom::new();
    let world = World::new();
    let redb = RedbStore::open(folder.path().join("store"), Expected::New, &random).unwrap();
    let nodes = [
        world.node("memory", &world.store),
        world.node("redb", &redb),
        world.node("PostgreSQL", &postgres(&server)),
        world.node("etcd", &etcd(&cluster)),
    ];
    in_turns("verify a token", &nodes, |node, number| {
        let token = &world.tokens[number % world.tokens.len()];
        node.vault.verify(token, &VerifyContext::at(START)).is_ok()
    });
    in_turns("authorize a request", &nodes, |node, number| {
        let user = &world.users[number % world.users.len()];
        let (permission, scope) = (&world.permission, &world.scopes[number % world.scopes.len()]);
        let request = AccessRequest::new(user, &world.everything, permission, scope, START);
        let current = node.directory.current(START).unwrap();
        matches!(Authorizer::of(&current).authorize(&request), Decision::Allow(_))
    });
    drop(nodes);
    revocations("PostgreSQL", &postgres(&server), &postgres(&server));
    revocations("etcd", &etcd(&cluster), &etcd(&cluster));
}

fn postgres(server: &Server) -> PostgresStore {
    block_on(PostgresStore::open(server.url("hot").parse().unwrap(), &SystemRandom::new())).unwrap()
}

fn etcd(cluster: &Cluster) -> EtcdStore {
    block_on(EtcdStore::open(cluster.url("hot").parse().unwrap(), &SystemRandom::new())).unwrap()
}

/// What every backend holds.
struct World {
    store: MemoryStore,
    tokens: Vec<String>,
    users: Vec<Principal>,
    scopes: Vec<Scope>,
    permission: Permission,
    everything: Restriction,
}

/// What answers, from the memory that is kept current from a backend.
struct Node {
    name: &'static str,
    vault: Vault,
    directory: Replica<Directory>,
}

impl World {
    fn new() -> Self {
        let (store, random) = (MemoryStore::new(), SystemRandom::new());
        let scopes: Vec<Scope> =
            (0..50).map(|number| format!("project/p{number}").parse().unwrap()).collect();
        let users = directory(&store, &scopes);
        let (vault, mut driver) = vault(&store);
        let count = std::env::var("PALISADE_BENCH_TOKENS").map_or(20_000, |text| text.parse().unwrap());
        let mut tokens = Vec::with_capacity(count);
        let mut together = Batch::new();
        for number in 0..count {
            let scope = scopes[number % scopes.len()].clone();
            let restriction = Restriction::only([Grant::new("apps:*".parse().unwrap(), scope)]).unwrap();
            let owner = Subject::User(UserId::generate(START, &random).unwrap());
            let wish = IssueRequest::new(format!("deploy-{number}"), kind(), owner, restriction);
            let issued = vault.plan_issue(wish, START, &random).unwrap();
            tokens.push(issued.token.expose_once(str::to_owned));
            together.append(issued.batch).unwrap();
            if together.writes().count() >= 100 || number + 1 == count {
                commit(&store, std::mem::take(&mut together));
            }
        }
        catch_up(&mut driver, vault.replica(), &store);
        let permission = "apps:read".parse().unwrap();
        Self { store, tokens, users, scopes, permission, everything: Restriction::unrestricted() }
    }

    fn copy<S: StateStore>(&self, store: &S) {
        let mut after: Option<Key> = None;
        loop {
            let page = block_on(self.store.scan(&Prefix::all(), after.as_ref(), 100)).unwrap();
            let mut batch = Batch::new();
            for entry in &page.entries {
                batch.write(entry.key.clone(), Write::Put(entry.value.clone())).unwrap();
            }
            commit(store, batch);
            if !page.more {
                return;
            }
            after = page.entries.last().map(|entry| entry.key.clone());
        }
    }

    /// Copies everything into `store`, and follows it from there.
    fn node<S: StateStore>(&self, name: &'static str, store: &S) -> Node {
        let is_empty = !block_on(store.scan(&Prefix::all(), None, 0)).unwrap().more;
        if is_empty {
            self.copy(store);
        }
        let (vault, driver) = vault(store);
        let iam = Prefix::new(iam_policy::PREFIX).unwrap();
        let (directory, follow) = open(store, iam, Directory::new());
        keep_following(driver);
        keep_following(follow);
        assert_eq!(vault.replica().snapshot().view().len(), self.tokens.len());
        Node { name, vault, directory }
    }
}

/// Two hundred users, each with a role at some of the projects.
fn directory(store: &MemoryStore, scopes: &[Scope]) -> Vec<Principal> {
    let random = SystemRandom::new();
    let iam = Prefix::new(iam_policy::PREFIX).unwrap();
    let (replica, mut driver) = open(store, iam, Directory::new());
    let name = |text: &str| text.parse().unwrap();
    let first = replica.snapshot().view().plan_first_administrator(name("first"), START, &random);
    let (first, batch) = first.unwrap().into_parts();
    commit(store, batch);
    catch_up(&mut driver, &replica, store);
    let (by, all) = (Principal::subject(Subject::User(first.user)), Restriction::unrestricted());
    let mut users = Vec::new();
    for number in 0..200 {
        let snapshot = replica.snapshot();
        let planner = snapshot.view().plan(Grantor::caller(&by, &all), START);
        let (user, batch) = planner.create_user(name("user"), Scope::root(), &random).unwrap().into_parts();
        commit(store, batch);
        catch_up(&mut driver, &replica, store);
        for part in 0..5 {
            let snapshot = replica.snapshot();
            let planner = snapshot.view().plan(Grantor::caller(&by, &all), START);
            let scope = scopes[(number * 7 + part * 11) % scopes.len()].clone();
            let (role, holder) = ("apps-read".parse().unwrap(), Holder::Subject(Subject::User(user)));
            let planned = planner.bind(role, holder, scope, Limit::Unlimited, &random);
            commit(store, planned.unwrap().into_parts().1);
            catch_up(&mut driver, &replica, store);
        }
        users.push(Principal::subject(Subject::User(user)));
    }
    users
}

fn vault<S: StateStore>(store: &S) -> (Vault, Driver<S, TokenView>) {
    let (replica, driver) = open(store, TokenView::prefix().unwrap(), TokenView::new());
    (Vault::new(replica, format(), Peppers::new(&pepper(1))), driver)
}

fn open<S: StateStore, V: View>(store: &S, prefix: Prefix, empty: V) -> (Replica<V>, Driver<S, V>) {
    let (bound, clock) = (Duration::from_secs(1 << 40), TestClock::at(START));
    block_on(Replica::open(store.clone(), prefix, empty, bound, &clock)).unwrap()
}

fn keep_following<S: StateStore, V: View>(mut driver: Driver<S, V>) {
    thread::spawn(move || block_on(driver.run()));
}

fn catch_up<S: StateStore, V: View>(driver: &mut Driver<S, V>, replica: &Replica<V>, store: &S) {
    let head = block_on(store.scan(&Prefix::all(), None, 0)).unwrap().revision;
    while replica.snapshot().revision() < head {
        block_on(driver.step()).unwrap();
    }
}

fn commit<S: StateStore>(store: &S, batch: Batch) -> Revision {
    match block_on(store.commit(batch)).unwrap() {
        Commit::Committed(revision) => revision,
        Commit::Conflict(key) => panic!("{key:?}"),
    }
}

/// Each node in its turn, round by round, the first one of a round another one each time; prints the middle of each, and
/// the middle of its ratios to the first one within the same round.
fn in_turns(what: &str, nodes: &[Node], call: impl Fn(&Node, usize) -> bool) {
    let mut times = vec![Vec::with_capacity(ROUNDS); nodes.len()];
    for round in 0..WARM_UP + ROUNDS {
        for turn in 0..nodes.len() {
            let place = (round + turn) % nodes.len();
            let began = Instant::now();
            let mut good = 0_usize;
            for number in 0..CALLS {
                // Far from one another, and the same for all.
                good += usize::from(black_box(call(&nodes[place], (round * CALLS + number) * STEP)));
            }
            let took = began.elapsed().as_nanos() as f64 / CALLS as f64;
            assert!(good > 0);
            if round >= WARM_UP {
                times[place].push(took);
            }
        }
    }
    for (node, took) in nodes.iter().zip(&times) {
        let ratios = took.iter().zip(&times[0]).map(|(time, first)| time / first).collect();
        println!(
            "{what}, replica of {:10}: {:7.0} ns, ratio to memory's {:.3}",
            node.name,
            middle(took.clone()),
            middle(ratios)
        );
    }
}

/// From the commit of a revocation at one node to the refusal at another one, each with connections of its own.
fn revocations<S: StateStore>(what: &str, here: &S, there: &S) {
    let random = SystemRandom::new();
    let clock = SystemClock::new();
    let (issuer, driver) = vault(here);
    let (other, follow) = vault(there);
    keep_following(driver);
    keep_following(follow);
    let owner = Subject::User(UserId::generate(clock.now(), &random).unwrap());
    let context = VerifyContext::at(START);
    let mut times = Vec::new();
    for _ in 0..REVOCATIONS {
        let wish = IssueRequest::new("short-lived", kind(), owner, Restriction::unrestricted());
        let issued = issuer.plan_issue(wish, START, &random).unwrap();
        let (id, token): (TokenId, String) = (issued.info.id, issued.token.expose_once(str::to_owned));
        let revision = commit(here, issued.batch);
        block_on(other.replica().applied(revision));
        assert!(other.verify(&token, &context).is_ok());
        let by = Principal::subject(owner);
        let began = Instant::now();
        let receipt = block_on(issuer.revoke(here, id, by, RevocationReason::Administrative, START)).unwrap();
        let committed = Instant::now();
        while other.verify(&token, &context).is_ok() {
            thread::sleep(Duration::from_micros(20));
        }
        times.push((committed.elapsed(), began.elapsed()));
        assert!(other.replica().snapshot().revision() >= receipt.revision());
    }
    let at = |mut times: Vec<Duration>, part: usize| {
        times.sort();
        times[(times.len() * part / 100).min(times.len() - 1)]
    };
    let (after, whole): (Vec<Duration>, Vec<Duration>) = times.into_iter().unzip();
    for (since, times) in [("its commit's return", after), ("its call", whole)] {
        println!(
            "a revocation at one node is in force at another, {what}, since {since}: p50 {:?}, p99 {:?}, max {:?}",
            at(times.clone(), 50),
            at(times.clone(), 99),
            at(times.clone(), 100)
        );
    }
}

fn middle(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

const WARM_UP: usize = 20;
const ROUNDS: usize = 300;
const CALLS: usize = 1_000;
const STEP: usize = 7_919;
const REVOCATIONS: usize = 500;
