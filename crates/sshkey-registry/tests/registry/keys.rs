//! Keys of a project: adding, finding, removing.

use std::sync::Arc;

use core_types::testing::TestRandom;
use core_types::{Scope, UnixTime};
use sshkey_registry::registry::{Added, LastKey, NewKey, PREFIX, plan_add, plan_remove};
use sshkey_registry::{AddError, RegistryView, RemoveError};
use state_store::{Commit, Key, Value, View};

use crate::world::{DATA, NOW, WEB, World, ada, name, new_key, scope};

#[test]
fn a_key_is_found_by_its_id_its_fingerprint_and_its_name() {
    let mut world = World::new();
    let key = world.add(WEB, "My-Laptop", 0);
    let view = world.view();
    let project = scope(WEB);
    assert_eq!(view.get(&project, key.id()), Some(&key));
    assert_eq!(view.find(&project, &key.key().fingerprint()), Some(&key));
    assert_eq!(view.find_by_name(&project, &name("my-laptop")), Some(&key));
    assert_eq!(view.list(&project).collect::<Vec<_>>(), [&key]);
    assert_eq!(key.name().as_str(), "My-Laptop", "the spelling stays");
    assert_eq!((key.added_by(), key.added_at(), key.removed()), (ada(), NOW, None));
    assert_eq!(key.comment().unwrap().as_str(), "ed25519@example.test");
    assert!(key.id().to_string().starts_with("key_"));
}

#[test]
fn the_same_key_again_is_the_same_id_under_whatever_name() {
    let mut world = World::new();
    let first = world.add(WEB, "laptop", 0);
    for other in ["laptop", "desk", "LAPTOP"] {
        let planned = world.plan(WEB, other, 0).unwrap();
        assert_eq!(planned.value, Added::AlreadyThere(Arc::clone(&first)), "{other}");
        assert!(planned.batch.is_read_only(), "nothing is written");
        assert!(matches!(world.commit(planned.batch), Commit::Committed(_)));
    }
    assert_eq!(world.view().list(&scope(WEB)).count(), 1);
}

#[test]
fn a_name_is_one_keys_within_a_project_whatever_its_case() {
    let mut world = World::new();
    world.add(WEB, "laptop", 0);
    assert_eq!(world.plan(WEB, "laptop", 1).err(), Some(AddError::NameTaken));
    assert_eq!(world.plan(WEB, "LapTop", 1).err(), Some(AddError::NameTaken));
    assert!(world.plan(WEB, "laptop-2", 1).is_ok());
    assert!(world.plan(DATA, "laptop", 1).is_ok());
}

#[test]
fn no_project_sees_anything_of_another_one() {
    let mut world = World::new();
    let key = world.add(WEB, "laptop", 0);
    let fingerprint = key.key().fingerprint();
    // Neighbours in name, below, above, and beside.
    for other in [
        DATA,
        "org/acme/project/web-2",
        "org/acme/project/we",
        "org/acme",
        "org/acme/project/web/vcluster/ci",
    ] {
        let (other, view) = (scope(other), world.view());
        assert_eq!(view.get(&other, key.id()), None, "{other}");
        assert_eq!(view.find(&other, &fingerprint), None, "{other}");
        assert_eq!(view.find_by_name(&other, key.name()), None, "{other}");
        assert_eq!(view.list(&other).count(), 0, "{other}");
        let removed = plan_remove(view, &other, key.id(), ada(), LastKey::Guard, NOW);
        assert_eq!(removed.err(), Some(RemoveError::NotFound), "{other}");
    }
    // What another project is told about the key does not depend on whether we have it.
    let empty = RegistryView::new();
    let [with, without] = [world.view(), &empty].map(|view| {
        let planned = plan_add(view, new_key(DATA, "laptop", 0), NOW, &TestRandom::seeded(3)).unwrap();
        (planned.value.key().id(), planned.batch)
    });
    assert_eq!(with, without);
    let theirs = world.add(DATA, "laptop", 0);
    assert_ne!(theirs.id(), key.id());
    assert_eq!(world.view().list(&scope(WEB)).collect::<Vec<_>>(), [&key]);
    assert_eq!(world.view().list(&scope(DATA)).collect::<Vec<_>>(), [&theirs]);
}

#[test]
fn a_removed_key_is_gone_at_once_and_leaves_a_tombstone() {
    let mut world = World::new();
    let key = world.add(WEB, "laptop", 0);
    let other = world.add(WEB, "desk", 1);
    let later = UnixTime::from_secs(2_000);
    let planned = plan_remove(world.view(), &scope(WEB), key.id(), ada(), LastKey::Guard, later).unwrap();
    assert_eq!(planned.value.removed().map(|removal| (removal.by, removal.at)), Some((ada(), later)));
    assert!(matches!(world.commit(planned.batch), Commit::Committed(_)));
    let (view, project) = (world.view(), scope(WEB));
    assert_eq!(view.get(&project, key.id()), None);
    assert_eq!(view.find(&project, &key.key().fingerprint()), None);
    assert_eq!(view.find_by_name(&project, key.name()), None);
    assert_eq!(view.list(&project).collect::<Vec<_>>(), [&other]);
    assert!(view.get_with_removed(&project, key.id()).unwrap().removed().is_some());
    let again = plan_remove(view, &project, key.id(), ada(), LastKey::Guard, later);
    assert_eq!(again.err(), Some(RemoveError::NotFound));
}

#[test]
fn a_removed_key_can_be_added_again_and_has_a_new_id() {
    let mut world = World::new();
    let first = world.add(WEB, "laptop", 0);
    world.remove(WEB, first.id());
    let second = world.add(WEB, "laptop", 0);
    assert_ne!(second.id(), first.id());
    assert_eq!(world.view().find(&scope(WEB), &first.key().fingerprint()), Some(&second));
    assert!(world.view().get_with_removed(&scope(WEB), first.id()).unwrap().removed().is_some());
    world.remove(WEB, second.id());
    assert_eq!(world.view().list(&scope(WEB)).count(), 0);
}

#[test]
fn of_two_uploads_that_collide_one_conflicts_and_finds_the_other_when_it_plans_again() {
    let mut world = World::new();
    let (one, two) = (world.plan(WEB, "laptop", 0).unwrap(), world.plan(WEB, "desk", 0).unwrap());
    let (same_name, free) = (world.plan(WEB, "laptop", 1).unwrap(), world.plan(WEB, "phone", 1).unwrap());
    assert!(matches!(world.commit(one.batch), Commit::Committed(_)));
    assert!(matches!(world.commit(two.batch), Commit::Conflict(_)), "the same key");
    assert!(matches!(world.commit(same_name.batch), Commit::Conflict(_)), "the same name");
    assert!(matches!(world.commit(free.batch), Commit::Committed(_)), "nothing in common");
    assert_eq!(world.plan(WEB, "desk", 0).unwrap().value, Added::AlreadyThere(Arc::clone(one.value.key())));
}

#[test]
fn of_a_removal_and_an_upload_that_collide_the_second_conflicts() {
    let mut world = World::new();
    let key = world.add(WEB, "laptop", 0);
    let found = world.plan(WEB, "laptop", 0).unwrap();
    let [first, second] = [(), ()]
        .map(|()| plan_remove(world.view(), &scope(WEB), key.id(), ada(), LastKey::Guard, NOW).unwrap());
    assert!(matches!(world.commit(first.batch), Commit::Committed(_)));
    assert!(matches!(world.commit(second.batch), Commit::Conflict(_)), "it is removed once");
    assert!(matches!(world.commit(found.batch), Commit::Conflict(_)), "it is not there any more");
}

#[test]
fn a_list_is_in_the_order_of_adding() {
    let mut world = World::new();
    let mut expected = Vec::new();
    for (which, (name, secs)) in [("c", 10), ("a", 20), ("b", 30)].into_iter().enumerate() {
        let at = UnixTime::from_secs(secs);
        let planned = plan_add(world.view(), new_key(WEB, name, which), at, &world.random).unwrap();
        expected.push(Arc::clone(planned.value.key()));
        assert!(matches!(world.commit(planned.batch), Commit::Committed(_)));
    }
    assert_eq!(world.view().list(&scope(WEB)).cloned().collect::<Vec<_>>(), expected);
}

#[test]
fn the_root_scope_is_no_project_and_a_scope_that_is_too_long_is_an_error() {
    let world = World::new();
    let plan = |project: Scope| {
        let new = NewKey { project, ..new_key(WEB, "laptop", 0) };
        plan_add(world.view(), new, NOW, &world.random).err()
    };
    assert_eq!(plan(Scope::root()), Some(AddError::RootScope));
    let segment = "x".repeat(63);
    let deepest = [&*segment; 16].join("/").parse::<Scope>().unwrap();
    assert!(matches!(plan(deepest.clone()), Some(AddError::Batch(_))));
    assert_eq!(world.view().list(&deepest).count(), 0);
}

#[test]
fn a_record_that_cannot_be_read_is_no_live_key_and_its_fingerprint_stays_refused() {
    let mut world = World::new();
    let key = world.add(WEB, "laptop", 0);
    world.overwrite(&format!("{PREFIX}key/{WEB}/{}", key.id()), "{}");
    let (view, project) = (world.view(), scope(WEB));
    assert_eq!(view.get(&project, key.id()), None);
    assert_eq!(view.list(&project).count(), 0);
    assert_eq!(view.find(&project, &key.key().fingerprint()), None);
    assert_eq!(world.plan(WEB, "other", 0).err(), Some(AddError::Damaged));
    assert_eq!(world.plan(WEB, "laptop", 1).err(), Some(AddError::Damaged));
    let removed = plan_remove(world.view(), &project, key.id(), ada(), LastKey::Guard, NOW);
    assert_eq!(removed.err(), Some(RemoveError::Damaged));
}

#[test]
fn a_damaged_index_does_not_stand_in_the_way_of_a_removal() {
    let mut world = World::new();
    let key = world.add(WEB, "laptop", 0);
    world.overwrite(&format!("{PREFIX}by-name/{WEB}/laptop"), "{}");
    assert_eq!(world.plan(WEB, "laptop", 1).err(), Some(AddError::Damaged));
    world.remove(WEB, key.id());
    assert_eq!(world.view().get(&scope(WEB), key.id()), None);
}

#[test]
fn records_that_contradict_themselves_are_kept_apart() {
    let mut world = World::new();
    let key = world.add(WEB, "laptop", 0);
    let path = format!("{PREFIX}key/{WEB}/{}", key.id());
    let good = world.stored(&path);
    assert!(good.contains(r#""removed":null"#), "{good}");
    let by = good.split(r#""added_by":"#).nth(1).and_then(|rest| rest.split(',').next()).unwrap();
    let removed = |text: &str| good.replace(r#""removed":null"#, &format!(r#""removed":{text}"#));
    let elsewhere = format!("{PREFIX}key/{DATA}/{}", key.id());
    for (path, text) in [
        (&elsewhere, good.clone()),
        (&path, good.replace(r#","removed":null"#, "")),
        (&path, good.replace(r#""expires_at":null,"#, "")),
        (&path, good.replace("ssh-ed25519", "ssh-rsa")),
        (&path, good.replace("laptop", "lap top")),
        (&path, good.replace("ed25519@example.test", "ed25519\\u2028")),
        (&path, good.replace(r#""version":1"#, r#""version":2"#)),
        (&path, good.replace(r#""removed":null"#, r#""removed":null,"x":1"#)),
        // An array of the fields is no object, at the top and further down.
        (&path, format!("[{good}]")),
        (&path, removed(&format!("[{by},1000]"))),
    ] {
        let mut view = world.view().clone();
        let (at, value) = (Key::new(path).unwrap(), Value::new(text.as_bytes()).unwrap());
        assert!(view.put(&at, &value, state_store::Revision::new(9)).is_err(), "{text}");
    }
    let mut view = RegistryView::new();
    for text in [removed(&format!(r#"{{"by":{by},"at":1000}}"#)), good] {
        let (at, value) = (Key::new(&path).unwrap(), Value::new(text.as_bytes()).unwrap());
        assert!(view.put(&at, &value, state_store::Revision::new(9)).is_ok(), "{text}");
    }
    assert_eq!(view.get(&scope(WEB), key.id()), Some(&key), "what was stored comes back as it was");
}
