//! Which rows outlive which changes.

use core_types::Subject;
use state_store::{Key, Revision, Value, View};

use super::super::{Directory, SubjectEntry, table};
use super::*;
use crate::PREFIX;
use crate::document::DirectoryDocument;

const ALICE: &str = "usr_00000000000000000000000001";
const BOB: &str = "usr_00000000000000000000000002";
const TEAM: &str = "grp_00000000000000000000000001";
const OTHERS: &str = "grp_00000000000000000000000002";

/// Alice has a role by a group, Bob another one of his own.
fn world() -> Directory {
    let text = format!(
        r#"{{"version": 1,
        "subjects": [{{"id": "{ALICE}", "name": "alice", "home": "/", "state": "enabled"}},
          {{"id": "{BOB}", "name": "bob", "home": "/", "state": "enabled"}}],
        "groups": [{{"id": "{TEAM}", "name": "team", "home": "/"}}, {{"id": "{OTHERS}", "name": "others", "home": "/"}}],
        "roles": [{}, {}],
        "memberships": [{{"group": "{TEAM}", "subject": "{ALICE}"}}],
        "bindings": [{}, {}]}}"#,
        role(1, "apps:read"),
        role(2, "apps:write"),
        binding(1, 1, TEAM),
        binding(2, 2, BOB),
    );
    DirectoryDocument::parse(text.as_bytes()).unwrap().directory()
}

fn role(number: u8, permission: &str) -> String {
    let policies = "[]";
    format!(
        r#"{{"id":"rol_0000000000000000000000000{number}","name":"r","home":"/","permissions":["{permission}"],"policies":{policies}}}"#
    )
}

fn binding(number: u8, role: u8, holder: &str) -> String {
    format!(
        r#"{{"id":"bnd_0000000000000000000000000{number}","role":"rol_0000000000000000000000000{role}","holder":"{holder}","scope":"/","expires_at":"unlimited"}}"#
    )
}

fn put(directory: &mut Directory, key: &str, kind: &str, data: &str) {
    let key = Key::new(format!("{PREFIX}{key}")).unwrap();
    let value = Value::new(format!(r#"{{"kind":"iam-policy/{kind}","version":1,"data":{data}}}"#)).unwrap();
    directory.put(&key, &value, Revision::new(1)).unwrap();
}

/// Where the row lies by which the subject is decided about, and whether it is the first one made.
fn row(directory: &Directory, subject: &str) -> (usize, bool) {
    let subject: Subject = subject.parse().unwrap();
    let row = directory.live(subject).unwrap().row();
    ((&raw const *row).addr(), matches!(row, RowRef::First(_)))
}

#[test]
fn a_row_outlives_the_changes_that_do_not_touch_it() {
    let mut directory = world();
    let (alice, bob) = (row(&directory, ALICE), row(&directory, BOB));
    assert!(alice.1 && bob.1 && alice.0 != bob.0);
    let former = directory.clone();
    put(&mut directory, "role/rol_00000000000000000000000002", "role", &role(2, "apps:delete"));
    assert_eq!(row(&directory, ALICE), alice, "another role");
    assert_ne!(row(&directory, BOB), bob, "its own role");
    let binding = binding(3, 1, OTHERS);
    put(&mut directory, &format!("binding/{OTHERS}/bnd_00000000000000000000000003"), "binding", &binding);
    assert_eq!(row(&directory, ALICE), alice, "another group");
    let again = row(&directory, BOB);
    put(
        &mut directory,
        &format!("member/{OTHERS}/{BOB}"),
        "membership",
        &format!(r#"{{"group":"{OTHERS}","subject":"{BOB}"}}"#),
    );
    assert_eq!(row(&directory, ALICE), alice, "another subject");
    assert_ne!(row(&directory, BOB), again, "itself");
    assert!(row(&directory, BOB).1);
    put(&mut directory, "role/rol_00000000000000000000000001", "role", &role(1, "apps:delete"));
    assert!(row(&directory, ALICE) != alice && !row(&directory, ALICE).1, "the role of its group");
    // The state before has its own answer still.
    assert!(row(&former, BOB).1);
}

#[test]
fn a_row_that_nobody_asked_for_over_many_changes_is_made_anew() {
    let mut directory = world();
    let alice = row(&directory, ALICE);
    for _ in 0..300 {
        put(&mut directory, "role/rol_00000000000000000000000002", "role", &role(2, "apps:delete"));
    }
    assert_ne!(row(&directory, ALICE), alice);
    let anew = row(&directory, ALICE);
    put(&mut directory, "role/rol_00000000000000000000000002", "role", &role(2, "apps:list"));
    assert_eq!(row(&directory, ALICE), anew);
}

#[test]
fn what_decisions_look_at_of_a_subject_is_one_cache_line() {
    assert_eq!(table::entry_len::<Subject, SubjectEntry>(), 64);
}
