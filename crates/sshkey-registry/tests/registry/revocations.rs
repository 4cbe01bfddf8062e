//! Revoking a key everywhere.

use core_types::UnixTime;
use sshkey_registry::registry::{NewKey, PREFIX, Standing, plan_add, plan_revoke_everywhere};
use sshkey_registry::{AddError, AdmissionPolicy, PublicKey, RegistryView, RevokeError};
use state_store::{Key, View};

use crate::world::{DATA, NOW, WEB, World, ada, new_key, scope};

#[test]
fn one_call_revokes_a_key_in_every_project_and_says_where_it_was() {
    let mut world = World::new();
    let (web, data, other) = (world.add(WEB, "a", 0), world.add(DATA, "b", 0), world.add(WEB, "c", 1));
    for (project, vm, key) in
        [(WEB, "one", &web), (WEB, "two", &web), (DATA, "one", &data), (WEB, "one", &other)]
    {
        if world.view().vm(&scope(project), &crate::world::vm_name(vm)).is_none() {
            world.add_vm(project, vm);
        }
        world.attach(project, vm, key.id());
    }
    let fingerprint = *web.fingerprint();
    let used = world.view().where_used(&fingerprint);
    let mut used: Vec<_> = used
        .map(|usage| (usage.key.id(), usage.vms.iter().map(|vm| vm.scope().to_string()).collect::<Vec<_>>()))
        .collect();
    used.sort();
    let vm = |project: &str, name: &str| format!("{project}/vm/{name}");
    let mut expected =
        vec![(web.id(), vec![vm(WEB, "one"), vm(WEB, "two")]), (data.id(), vec![vm(DATA, "one")])];
    expected.sort();
    assert_eq!(used, expected);

    let planned = plan_revoke_everywhere(world.view(), fingerprint, ada(), NOW).unwrap();
    assert_eq!(planned.batch.writes().count(), 1, "however many projects there are");
    assert_eq!(planned.value.keys.len(), 2);
    world.must_commit(planned.batch);
    assert_eq!(world.working(WEB, "one", NOW), [other.id()]);
    assert_eq!(world.working(WEB, "two", NOW), []);
    assert_eq!(world.working(DATA, "one", NOW), []);
    let view = world.view();
    assert_eq!(view.standing(&web, NOW), Standing::Revoked);
    assert_eq!(view.find_working(&scope(WEB), &fingerprint, NOW), None);
    assert!(view.find_working(&scope(WEB), other.fingerprint(), NOW).is_some());
    for project in [WEB, DATA, "project/third"] {
        assert_eq!(world.plan(project, "again", 0).err(), Some(AddError::Compromised), "{project}");
    }
    let again = plan_revoke_everywhere(view, fingerprint, ada(), NOW);
    assert_eq!(again.err(), Some(RevokeError::AlreadyRevoked));
    // A customer can still clear it away, and then use the name again.
    world.remove(WEB, web.id());
    assert!(world.plan(WEB, "a", 2).is_ok());
}

#[test]
fn a_key_that_nobody_has_can_be_revoked_before_it_comes() {
    let mut world = World::new();
    let unknown = new_key(WEB, "x", 3).key.into_key();
    let planned = plan_revoke_everywhere(world.view(), unknown.fingerprint(), ada(), NOW).unwrap();
    assert!(planned.value.keys.is_empty());
    world.must_commit(planned.batch);
    assert_eq!(world.plan(WEB, "x", 3).err(), Some(AddError::Compromised));
    assert!(world.view().is_fingerprint_revoked(&unknown.fingerprint()));
}

#[test]
fn the_same_modulus_with_another_exponent_goes_with_the_key() {
    let mut world = World::new();
    let rsa = |line: &str| {
        let key = PublicKey::parse(line).unwrap();
        AdmissionPolicy::new().admit(key).unwrap()
    };
    let row = |name: &str| {
        let file = include_str!("../vectors/ssh-keygen.txt");
        let row = file.lines().find(|row| row.starts_with(&format!("{name}\t"))).unwrap();
        row.rsplit('\t').next().unwrap().to_owned()
    };
    let one = rsa(&row("rsa2048"));
    let blob = one.key().as_blob();
    // The exponent 65537 stands behind the name; 65539 is as good.
    let mut other = blob.to_vec();
    assert_eq!(other[15..18], [1, 0, 1]);
    other[17] = 3;
    let other = AdmissionPolicy::new().admit(PublicKey::from_blob(&other).unwrap()).unwrap();
    let mut add = |name: &str, key| {
        let new = NewKey { key, ..new_key(WEB, name, 0) };
        let planned = plan_add(world.view(), new, NOW, &world.random).unwrap();
        world.must_commit(planned.batch);
        std::sync::Arc::clone(planned.value.key())
    };
    let (one, other) = (add("one", one), add("other", other));
    let planned = plan_revoke_everywhere(world.view(), *one.fingerprint(), ada(), NOW).unwrap();
    assert_eq!(planned.value.keys.len(), 2);
    world.must_commit(planned.batch);
    assert_eq!(world.view().standing(&other, NOW), Standing::Revoked);
    assert!(world.view().is_revoked(other.key()));
}

#[test]
fn a_revocation_that_cannot_be_read_still_revokes() {
    let mut world = World::new();
    let (key, other) = (world.add(WEB, "a", 0), world.add(WEB, "b", 1));
    let hex: String = key.fingerprint().as_bytes().iter().map(|byte| format!("{byte:02x}")).collect();
    let path = format!("{PREFIX}compromised/{hex}");
    world.overwrite(&path, "{}");
    assert_eq!(world.view().standing(&key, NOW), Standing::Revoked);
    assert_eq!(world.view().standing(&other, NOW), Standing::Working);
    let mut view = RegistryView::clone(world.view());
    view.delete(&Key::new(&path).unwrap());
    assert_eq!(view.standing(&key, UnixTime::from_secs(1)), Standing::Working);
}

#[test]
fn a_key_that_shares_a_factor_with_one_of_any_project_is_found_for_operators() {
    let mut world = World::new();
    let built = include_str!("../vectors/built.txt");
    let admitted = |name: &str| {
        let row = built.lines().find(|row| row.split('\t').next() == Some(name)).unwrap();
        AdmissionPolicy::new().admit(PublicKey::parse(row.rsplit('\t').next().unwrap()).unwrap()).unwrap()
    };
    let (one, two) = (admitted("rsa, shared factor, one"), admitted("rsa, shared factor, two"));
    world.add(WEB, "laptop", 5);
    let new = NewKey { key: one.clone(), ..new_key(DATA, "token", 0) };
    let planned = plan_add(world.view(), new, NOW, &world.random).unwrap();
    let id = planned.value.key().id();
    world.must_commit(planned.batch);
    let usage = world.view().where_factor_shared(two.key()).unwrap();
    assert_eq!((usage.key.id(), usage.key.project()), (id, &scope(DATA)));
    assert_eq!(world.view().where_factor_shared(one.key()), None, "a key shares nothing with itself");
    world.remove(DATA, id);
    assert_eq!(world.view().where_factor_shared(two.key()), None);
}
