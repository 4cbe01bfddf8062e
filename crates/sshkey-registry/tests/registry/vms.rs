//! Machines, their ports, and the keys attached to them.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use core_types::testing::TestRandom;
use core_types::{Scope, UnixTime};
use sshkey_registry::authorized_keys::{Clause, Feature};
use sshkey_registry::registry::{
    Attach, LastKey, MAX_ATTACHMENTS, NewKey, NewVm, PREFIX, PortPool, SshPort, Standing, VmName, plan_add,
    plan_add_vm, plan_attach, plan_detach, plan_remove, plan_remove_vm, plan_rotate,
};
use sshkey_registry::{
    AddError, AdmissionPolicy, Options, OptionsError, PortError, PublicKey, RegistryView, RemoveError,
    RotateError, VmError,
};
use state_store::{Commit, Key, Revision, Value, View};

use crate::world::{DATA, NOW, WEB, World, account, ada, attach, new_key, new_vm, scope, vm_name};

#[test]
fn ports_are_the_7304_that_no_outgoing_connection_is_given() {
    let all: Vec<u16> = SshPort::all().map(SshPort::get).collect();
    assert_eq!((all.len(), all.first(), all.last()), (SshPort::COUNT, Some(&30_000), Some(&65_535)));
    assert!(all.iter().all(|port| !(32_768..=60_999).contains(port)));
    for number in [0, 22, 29_999, 32_768, 60_999] {
        assert_eq!(SshPort::new(number), Err(PortError::OutOfRange), "{number}");
    }
    assert!(all.into_iter().all(|number| SshPort::new(number).is_ok()));
}

#[test]
fn every_machine_of_a_pool_has_a_port_of_its_own_until_there_are_none() {
    // Straight into a view: the store has nothing to add.
    let (mut view, random) = (RegistryView::new(), TestRandom::seeded(9));
    let mut ports = BTreeSet::new();
    for number in 0..SshPort::COUNT {
        if number > 300 && number < SshPort::COUNT - 3 {
            // The rest is filled up by hand: it is planned 300 times at the beginning, and at the end.
            let port = SshPort::all().find(|port| !ports.contains(port)).unwrap();
            assert!(ports.insert(port));
            let at = Key::new(format!("{PREFIX}port/gateway-1/{port}")).unwrap();
            let holder =
                r#"{"kind":"sshkey-registry/port","version":1,"data":{"project":"project/x","vm":"y"}}"#;
            view.put(&at, &Value::new(holder).unwrap(), Revision::new(1)).unwrap();
            continue;
        }
        let planned = plan_add_vm(&view, new_vm(WEB, &format!("vm-{number}")), NOW, &random).unwrap();
        assert!(ports.insert(planned.value.port()), "{}", planned.value.port());
        for (key, write) in planned.batch.writes() {
            let state_store::Write::Put(value) = write else { panic!("nothing is deleted") };
            view.put(key, value, Revision::new(1)).unwrap();
        }
    }
    assert_eq!(ports.len(), SshPort::COUNT);
    let full = plan_add_vm(&view, new_vm(WEB, "one-more"), NOW, &random);
    assert_eq!(full.err(), Some(VmError::PortsExhausted));
    let other = NewVm { pool: PortPool::parse("gateway-2").unwrap(), ..new_vm(WEB, "one-more") };
    assert!(plan_add_vm(&view, other, NOW, &random).is_ok(), "another pool has its own");
}

#[test]
fn of_two_machines_that_draw_the_same_port_one_conflicts() {
    let mut world = World::new();
    let plan = |world: &World, name| {
        plan_add_vm(world.view(), new_vm(WEB, name), NOW, &TestRandom::seeded(4)).unwrap()
    };
    let (one, two) = (plan(&world, "one"), plan(&world, "two"));
    assert_eq!(one.value.port(), two.value.port(), "the same draw");
    world.must_commit(one.batch);
    assert!(matches!(world.commit(two.batch), Commit::Conflict(_)));
    let again = plan(&world, "two");
    assert_ne!(again.value.port(), one.value.port());
    world.must_commit(again.batch);
}

#[test]
fn a_removed_machine_gives_its_port_back() {
    let mut world = World::new();
    let vm = world.add_vm(WEB, "build");
    assert_eq!(
        plan_add_vm(world.view(), new_vm(WEB, "build"), NOW, &world.random).err(),
        Some(VmError::NameTaken)
    );
    assert!(plan_add_vm(world.view(), new_vm(DATA, "build"), NOW, &world.random).is_ok());
    let planned = plan_remove_vm(world.view(), &scope(WEB), vm.name()).unwrap();
    world.must_commit(planned.batch);
    assert_eq!(world.view().vm(&scope(WEB), vm.name()), None);
    assert_eq!(world.view().vms(&scope(WEB)).count(), 0);
    let gone = plan_remove_vm(world.view(), &scope(WEB), vm.name());
    assert_eq!(gone.err(), Some(VmError::NotFound));
    let same_draw = TestRandom::seeded(1);
    world.random = TestRandom::seeded(1);
    let again = plan_add_vm(world.view(), new_vm(WEB, "build"), NOW, &same_draw).unwrap();
    assert_eq!(again.value.port(), vm.port(), "it can be drawn again");
}

#[test]
fn several_keys_log_in_to_one_machine_and_one_key_to_several() {
    let mut world = World::new();
    let keys = [0, 1, 2].map(|which| world.add(WEB, &format!("key-{which}"), which));
    for vm in ["one", "two"] {
        world.add_vm(WEB, vm);
        for key in &keys {
            world.attach(WEB, vm, key.id());
        }
        assert_eq!(world.working(WEB, vm, NOW), keys.each_ref().map(|key| key.id()));
    }
    let vm = Arc::clone(world.view().vm(&scope(WEB), &vm_name("one")).unwrap());
    let entries = world.view().bundle_entries(&vm, NOW);
    assert_eq!(entries.len(), 3);
    for (entry, key) in entries.iter().zip(&keys) {
        assert_eq!(entry.line.to_string(), format!("restrict,pty {} {}", key.key(), key.id()));
    }
    assert_eq!(vm.scope().to_string(), format!("{WEB}/vm/one"));
}

#[test]
fn attaching_the_same_again_changes_nothing_and_another_way_is_refused() {
    let mut world = World::new();
    let key = world.add(WEB, "laptop", 0);
    world.add_vm(WEB, "build");
    world.attach(WEB, "build", key.id());
    let (project, vm) = (scope(WEB), vm_name("build"));
    let again = plan_attach(world.view(), &project, &vm, attach(key.id()), NOW).unwrap();
    assert!(again.batch.is_read_only());
    let plan = |new: Attach| plan_attach(world.view(), &project, &vm, new, NOW).map(|_| ()).err();
    let forwarding = Options::new().with(Clause::On(Feature::PortForwarding)).unwrap();
    assert_eq!(plan(Attach { options: forwarding, ..attach(key.id()) }), Some(VmError::AlreadyAttached));
    assert_eq!(plan(Attach { account: account("backup"), ..attach(key.id()) }), None);
    assert_eq!(plan(Attach { expires_at: Some(NOW), ..attach(key.id()) }), Some(VmError::ExpiresInPast));
    for text in ["cert-authority", "principals=\"ada\""] {
        let options = Options::parse(text).unwrap();
        assert_eq!(plan(Attach { options, ..attach(key.id()) }), Some(VmError::CertAuthority), "{text}");
    }
}

#[test]
fn a_key_of_another_project_cannot_be_attached() {
    let mut world = World::new();
    let theirs = world.add(DATA, "laptop", 0);
    world.add_vm(WEB, "build");
    let planned = plan_attach(world.view(), &scope(WEB), &vm_name("build"), attach(theirs.id()), NOW);
    assert_eq!(planned.err(), Some(VmError::NoSuchKey));
    let planned = plan_attach(world.view(), &scope(DATA), &vm_name("build"), attach(theirs.id()), NOW);
    assert_eq!(planned.err(), Some(VmError::NotFound));
}

#[test]
fn the_last_working_key_of_a_machine_stays_unless_it_is_meant() {
    let mut world = World::new();
    let (one, two) = (world.add(WEB, "one", 0), world.add(WEB, "two", 1));
    world.add_vm(WEB, "build");
    world.attach(WEB, "build", one.id());
    world.attach(WEB, "build", two.id());
    let (project, vm) = (scope(WEB), vm_name("build"));
    world.remove(WEB, two.id());
    let last = || Some(Box::from("build"));
    let removed = plan_remove(world.view(), &project, one.id(), ada(), LastKey::Guard, NOW).err();
    assert_eq!(removed, last().map(|vm| RemoveError::LastKey { vm }));
    let detach = |world: &World, last| {
        plan_detach(world.view(), &project, &vm, one.id(), &account("admin"), last, NOW)
    };
    assert_eq!(detach(&world, LastKey::Guard).err(), last().map(|vm| VmError::LastKey { vm }));
    let meant = detach(&world, LastKey::DangerouslyGiveUp).unwrap();
    assert!(meant.value.attachments().is_empty(), "{:?}", meant.value);
    let meant =
        plan_remove(world.view(), &project, one.id(), ada(), LastKey::DangerouslyGiveUp, NOW).unwrap();
    world.must_commit(meant.batch);
    assert_eq!(world.working(WEB, "build", NOW), []);
}

#[test]
fn two_removals_that_count_on_each_others_key_do_not_both_happen() {
    let mut world = World::new();
    let (one, two) = (world.add(WEB, "one", 0), world.add(WEB, "two", 1));
    world.add_vm(WEB, "build");
    world.attach(WEB, "build", one.id());
    world.attach(WEB, "build", two.id());
    let (project, vm) = (scope(WEB), vm_name("build"));
    let [first, second] = [&one, &two]
        .map(|key| plan_remove(world.view(), &project, key.id(), ada(), LastKey::Guard, NOW).unwrap());
    let detach =
        plan_detach(world.view(), &project, &vm, two.id(), &account("admin"), LastKey::Guard, NOW).unwrap();
    let attached_meanwhile =
        plan_attach(world.view(), &project, &vm, Attach { account: account("b"), ..attach(one.id()) }, NOW)
            .unwrap();
    world.must_commit(first.batch);
    assert!(matches!(world.commit(second.batch), Commit::Conflict(_)), "its witness is gone");
    assert!(matches!(world.commit(detach.batch), Commit::Conflict(_)), "its witness is gone");
    assert!(matches!(world.commit(attached_meanwhile.batch), Commit::Conflict(_)), "its key is gone");
    assert_eq!(world.working(WEB, "build", NOW), [two.id()]);
}

#[test]
fn an_expired_key_works_nowhere_and_is_no_witness() {
    let mut world = World::new();
    let later = UnixTime::from_secs(2_000);
    let new = NewKey { expires_at: Some(later), ..new_key(WEB, "brief", 0) };
    let planned = plan_add(world.view(), new.clone(), NOW, &world.random).unwrap();
    let brief = Arc::clone(planned.value.key());
    world.must_commit(planned.batch);
    let lasting = world.add(WEB, "lasting", 1);
    world.add_vm(WEB, "build");
    world.attach(WEB, "build", brief.id());
    world.attach(WEB, "build", lasting.id());
    let just_before = UnixTime::from_millis(later.as_millis() - 1);
    assert_eq!(world.working(WEB, "build", just_before), [brief.id(), lasting.id()]);
    assert_eq!(world.working(WEB, "build", later), [lasting.id()]);
    let view = world.view();
    assert_eq!(view.standing(&brief, just_before), Standing::Working);
    assert_eq!(view.standing(&brief, later), Standing::Expired);
    assert!(view.find_working(&scope(WEB), brief.fingerprint(), just_before).is_some());
    assert!(view.find_working(&scope(WEB), brief.fingerprint(), later).is_none());
    let remove = |now| plan_remove(view, &scope(WEB), lasting.id(), ada(), LastKey::Guard, now).err();
    assert_eq!(remove(just_before), None);
    assert_eq!(remove(later), Some(RemoveError::LastKey { vm: "build".into() }));
    let late = plan_add(view, NewKey { expires_at: Some(NOW), ..new }, NOW, &world.random);
    assert_eq!(late.err(), Some(AddError::ExpiresInPast));
}

#[test]
fn a_rotation_overlaps_and_then_only_the_new_key_is_left() {
    let mut world = World::new();
    let old = world.add(WEB, "laptop", 0);
    for vm in ["one", "two"] {
        world.add_vm(WEB, vm);
        world.attach(WEB, vm, old.id());
    }
    let overlap = Duration::from_secs(600);
    let planned =
        plan_rotate(world.view(), old.id(), new_key(WEB, "laptop-2", 1), overlap, NOW, &world.random)
            .unwrap();
    let rotated = planned.value;
    world.must_commit(planned.batch);
    assert_eq!(rotated.vms.len(), 2);
    let ends = NOW.saturating_add(overlap);
    assert_eq!(rotated.old.expires_at(), Some(ends));
    for vm in ["one", "two"] {
        let during = UnixTime::from_millis(ends.as_millis() - 1);
        assert_eq!(world.working(WEB, vm, during), [old.id(), rotated.new.id()]);
        assert_eq!(world.working(WEB, vm, ends), [rotated.new.id()]);
    }
    let again =
        plan_rotate(world.view(), old.id(), new_key(WEB, "laptop-3", 2), overlap, ends, &world.random);
    assert_eq!(again.err(), Some(RotateError::NotFound), "an expired key is not rotated");
    let same = plan_rotate(world.view(), old.id(), new_key(WEB, "other", 0), overlap, NOW, &world.random);
    assert_eq!(same.err(), Some(RotateError::SameKey));
    let theirs = plan_rotate(world.view(), old.id(), new_key(DATA, "other", 2), overlap, NOW, &world.random);
    assert_eq!(theirs.err(), Some(RotateError::NotFound), "another project's");
}

#[test]
fn a_machine_whose_record_cannot_be_read_takes_no_changes_and_lets_nobody_in() {
    let mut world = World::new();
    let key = world.add(WEB, "laptop", 0);
    world.add_vm(WEB, "build");
    world.attach(WEB, "build", key.id());
    let path = format!("{PREFIX}vm/{WEB}/_build");
    let good = world.stored(&path);
    world.overwrite(&path, &good.replace("restrict,pty", "restrict,pty,no-such-option"));
    let (project, vm) = (scope(WEB), vm_name("build"));
    assert_eq!(world.view().vm(&project, &vm), None);
    let planned = plan_attach(world.view(), &project, &vm, attach(key.id()), NOW);
    assert_eq!(planned.err(), Some(VmError::Damaged));
    let planned = plan_add_vm(world.view(), new_vm(WEB, "build"), NOW, &world.random);
    assert_eq!(planned.err(), Some(VmError::Damaged));
    for (path, text) in [
        (format!("{PREFIX}vm/{DATA}/_build"), good.clone()),
        (path.clone(), good.replace("\"expires_at\":null,", "")),
        (path.clone(), good.replace("admin", "Admin")),
        (path, good.replace("gateway-1", "Gateway")),
    ] {
        let mut view = world.view().clone();
        let (at, value) = (Key::new(path).unwrap(), Value::new(&text).unwrap());
        assert!(view.put(&at, &value, Revision::new(9)).is_err(), "{text}");
    }
}

#[test]
fn a_machine_has_a_bounded_number_of_keys_and_forgets_those_that_are_over() {
    let mut world = World::new();
    let key = world.add(WEB, "laptop", 0);
    world.add_vm(WEB, "build");
    let (project, vm) = (scope(WEB), vm_name("build"));
    let ends = UnixTime::from_secs(5_000);
    for number in 0..MAX_ATTACHMENTS {
        let new =
            Attach { account: account(&format!("a{number}")), expires_at: Some(ends), ..attach(key.id()) };
        let planned = plan_attach(world.view(), &project, &vm, new, NOW).unwrap();
        world.must_commit(planned.batch);
    }
    let full = plan_attach(world.view(), &project, &vm, attach(key.id()), NOW);
    assert_eq!(full.err(), Some(VmError::TooManyKeys { limit: MAX_ATTACHMENTS }));
    let later = plan_attach(world.view(), &project, &vm, attach(key.id()), ends).unwrap();
    assert_eq!(later.value.attachments().len(), 1);
}

#[test]
fn names_of_machines_are_segments_of_scopes() {
    for name in ["", "-a", "a-", "A", "a_b", "a.b", &*"x".repeat(64)] {
        assert!(VmName::parse(name).is_err(), "{name}");
        assert!(scope(WEB).child("vm", name).is_err(), "{name}");
    }
    let world = World::new();
    let root =
        plan_add_vm(world.view(), NewVm { project: Scope::root(), ..new_vm(WEB, "a") }, NOW, &world.random);
    assert_eq!(root.err(), Some(VmError::NoProject));
}

#[test]
fn a_rotation_to_a_security_key_asks_what_the_policy_asks() {
    let mut world = World::new();
    let old = world.add(WEB, "laptop", 0);
    world.add_vm(WEB, "build");
    world.attach(WEB, "build", old.id());
    let built =
        include_str!("../vectors/built.txt").lines().find(|row| row.starts_with("sk-ed25519\t")).unwrap();
    let key = PublicKey::parse(built.rsplit('\t').next().unwrap()).unwrap();
    let admitted = AdmissionPolicy::new().with_user_verification().admit(key).unwrap();
    let new = NewKey { key: admitted, ..new_key(WEB, "token", 1) };
    let overlap = Duration::from_secs(60);
    let planned = plan_rotate(world.view(), old.id(), new.clone(), overlap, NOW, &world.random).unwrap();
    world.must_commit(planned.batch);
    let vm = world.view().vm(&scope(WEB), &vm_name("build")).unwrap();
    let options: Vec<_> = vm.attachments().iter().map(|one| one.options.to_string()).collect();
    assert_eq!(options, ["restrict,pty", "restrict,pty,verify-required"]);
    let lines: Vec<_> =
        world.view().bundle_entries(vm, NOW).iter().map(|entry| entry.line.to_string()).collect();
    assert!(
        lines.iter().any(|line| line.starts_with("restrict,pty,verify-required sk-ssh-ed25519@openssh.com "))
    );

    // What the old key was allowed may be what the new one is not.
    let third = world.add(WEB, "desktop", 2);
    world.add_vm(WEB, "test");
    let lax = Attach { options: Options::parse("no-touch-required").unwrap(), ..attach(third.id()) };
    let planned = plan_attach(world.view(), &scope(WEB), &vm_name("test"), lax, NOW).unwrap();
    world.must_commit(planned.batch);
    let refused = plan_rotate(world.view(), third.id(), new, overlap, NOW, &world.random);
    assert_eq!(refused.err(), Some(RotateError::Options(OptionsError::TouchWaived)));
}
