//! Readers decide while a writer changes the directory under them.

#![expect(clippy::unwrap_used, reason = "a helper that fails is a test that fails")]

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use core_types::testing::TestClock;
use core_types::{Principal, Restriction, Scope, Subject, UnixTime};
use iam_policy::{AccessRequest, Authorizer, Decision, Directory, PREFIX};
use pollster::block_on;
use state_store::{Batch, Commit, Key, MemoryStore, Prefix, Replica, Revision, StateStore, Value, Write};

const ALICE: &str = "usr_00000000000000000000000001";
const SWAPS: u64 = 3000;

#[test]
fn readers_see_each_commit_whole_and_never_go_back_while_a_writer_swaps() {
    let store = MemoryStore::new();
    let clock = TestClock::at(UnixTime::from_secs(100));
    let subject = format!(r#"{{"id":"{ALICE}","name":"alice","home":"/","state":"enabled"}}"#);
    let first = commit(&store, [put("subject", &format!("subject/{ALICE}"), &subject)]);
    commit(&store, swap(first.get() + 1));
    let prefix = Prefix::new(PREFIX).unwrap();
    let opened = Replica::open(store.clone(), prefix, Directory::new(), Duration::from_secs(5), &clock);
    let (replica, mut driver) = block_on(opened).unwrap();
    let is_done = AtomicBool::new(false);
    let last = std::thread::scope(|scope| {
        let read = || {
            let (mut before, mut asked) = (Revision::ZERO, 0_u64);
            while asked < 2000 || !is_done.load(Ordering::Acquire) {
                let snapshot = replica.snapshot();
                let authorizer = Authorizer::of(&snapshot);
                assert!(authorizer.revision() >= before, "the state went back");
                before = authorizer.revision();
                // One batch ends the one right and gives the other: by its revision, one of them is held.
                let holds = [may(&authorizer, "apps:read"), may(&authorizer, "databases:write")];
                let is_even = before.get().is_multiple_of(2);
                assert_eq!(holds, [is_even, !is_even], "at {before:?}");
                asked += 1;
            }
            before
        };
        let readers = [scope.spawn(read), scope.spawn(read), scope.spawn(read)];
        let mut last = Revision::ZERO;
        for _ in 0..SWAPS {
            last = commit(&store, swap(last.get().max(first.get() + 1) + 1));
            block_on(driver.step()).unwrap();
        }
        is_done.store(true, Ordering::Release);
        assert!(readers.into_iter().all(|reader| reader.join().unwrap() <= last));
        last
    });
    assert_eq!(replica.snapshot().revision(), last);
}

/// A group gives one right, then the other: what its members' bindings come to is worked out by many threads and for two
/// states at once, and each thread has the answer of the state it asks.
#[test]
fn threads_that_ask_two_states_at_once_each_have_the_answer_of_theirs() {
    let member = "usr_00000000000000000000000001";
    let group = "grp_00000000000000000000000001";
    let records = |role: &str| {
        let text = format!(
            r#"{{"version": 1,
            "subjects": [{{"id": "{member}", "name": "alice", "home": "/", "state": "enabled"}}],
            "groups": [{{"id": "{group}", "name": "team", "home": "/"}}],
            "memberships": [{{"group": "{group}", "subject": "{member}"}}],
            "bindings": [{{"id": "bnd_00000000000000000000000001", "role": "{role}", "holder": "{group}",
              "scope": "/", "expires_at": "unlimited"}}]}}"#
        );
        iam_policy::document::DirectoryDocument::parse(text.as_bytes()).unwrap().directory()
    };
    let mut states = vec![records("apps-read")];
    let binding = |role: &str| {
        let data = format!(
            r#"{{"id":"bnd_00000000000000000000000001","role":"{role}","holder":"{group}","scope":"/","expires_at":"unlimited"}}"#
        );
        put("binding", &format!("binding/{group}/bnd_00000000000000000000000001"), &data)
    };
    // Each state shares the member's record, and what was worked out for it, with those before.
    for number in 1..6_u64 {
        let mut next = states.last().unwrap().clone();
        let role = if number.is_multiple_of(2) { "apps-read" } else { "databases-write" };
        let (key, Write::Put(value)) = binding(role) else { unreachable!("a put") };
        state_store::View::put(&mut next, &key, &value, Revision::new(number)).unwrap();
        states.push(next);
    }
    std::thread::scope(|scope| {
        for offset in 0..4_usize {
            let states = &states;
            scope.spawn(move || {
                for round in 0..6000_usize {
                    let at = round.wrapping_mul(offset + 1) % states.len();
                    let authorizer = states.get(at).unwrap().at(Revision::new(7));
                    let holds = [may(&authorizer, "apps:read"), may(&authorizer, "databases:write")];
                    let is_even = at.is_multiple_of(2);
                    assert_eq!(holds, [is_even, !is_even], "state {at}");
                }
            });
        }
    });
}

/// The batch that becomes the commit of this revision.
fn swap(revision: u64) -> [(Key, Write); 2] {
    let [given, ended] = match revision.is_multiple_of(2) {
        true => [("1", "apps-read"), ("2", "databases-write")],
        false => [("2", "databases-write"), ("1", "apps-read")],
    };
    let id = |number| format!("bnd_0000000000000000000000000{number}");
    let (given, role, ended) = (id(given.0), given.1, id(ended.0));
    let record = format!(
        r#"{{"id":"{given}","role":"{role}","holder":"{ALICE}","scope":"/","expires_at":"unlimited"}}"#
    );
    let ended = Key::new(format!("{PREFIX}binding/{ALICE}/{ended}")).unwrap();
    [put("binding", &format!("binding/{ALICE}/{given}"), &record), (ended, Write::Delete)]
}

fn put(kind: &str, key: &str, data: &str) -> (Key, Write) {
    let value = format!(r#"{{"kind":"iam-policy/{kind}","version":1,"data":{data}}}"#);
    (Key::new(format!("{PREFIX}{key}")).unwrap(), Write::Put(Value::new(value).unwrap()))
}

fn commit(store: &MemoryStore, writes: impl IntoIterator<Item = (Key, Write)>) -> Revision {
    let mut batch = Batch::new();
    for (key, write) in writes {
        batch.write(key, write).unwrap();
    }
    match block_on(store.commit(batch)).unwrap() {
        Commit::Committed(revision) => revision,
        other => unreachable!("nothing was expected: {other:?}"),
    }
}

fn may(authorizer: &Authorizer<'_>, permission: &str) -> bool {
    let alice: Subject = ALICE.parse().unwrap();
    let (principal, whole) = (Principal::subject(alice), Restriction::unrestricted());
    let (permission, scope) = (permission.parse().unwrap(), "project/web".parse::<Scope>().unwrap());
    let request = AccessRequest::new(&principal, &whole, &permission, &scope, UnixTime::EPOCH);
    matches!(authorizer.authorize(&request), Decision::Allow(_))
}
