//! The registry against a slow and obvious model of it.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use core_types::UnixTime;
use proptest::prelude::*;
use sshkey_registry::SshKeyId;
use sshkey_registry::registry::{
    Added, LastKey, NewKey, plan_add, plan_add_vm, plan_attach, plan_detach, plan_remove, plan_remove_vm,
    plan_revoke_everywhere, plan_rotate,
};

use crate::world::{DATA, NOW, WEB, World, account, ada, attach, new_key, new_vm, scope, vm_name};

#[derive(Debug, Clone)]
enum Operation {
    Add { project: usize, name: usize, which: usize, secs: Option<u64> },
    Remove { project: usize, which: usize, guard: bool },
    AddVm { project: usize, vm: usize },
    RemoveVm { project: usize, vm: usize },
    Attach { project: usize, vm: usize, which: usize },
    Detach { project: usize, vm: usize, which: usize, guard: bool },
    Rotate { project: usize, old: usize, name: usize, which: usize, secs: u64 },
    Revoke { which: usize },
    Wait { secs: u64 },
}

/// What the model knows of a live key.
#[derive(Debug, Clone)]
struct Known {
    id: SshKeyId,
    name: usize,
    expires_at: Option<UnixTime>,
}

#[derive(Debug, Default)]
struct Model {
    /// By project and which key.
    keys: BTreeMap<(usize, usize), Known>,
    /// By project and name: which keys are attached.
    vms: BTreeMap<(usize, usize), BTreeSet<usize>>,
    revoked: BTreeSet<usize>,
}

impl Model {
    fn works(&self, project: usize, which: usize, now: UnixTime) -> bool {
        let live = self.keys.get(&(project, which));
        !self.revoked.contains(&which) && live.is_some_and(|key| key.expires_at.is_none_or(|at| now < at))
    }

    fn working(&self, project: usize, vm: usize, now: UnixTime) -> BTreeSet<usize> {
        let attached = self.vms.get(&(project, vm)).cloned().unwrap_or_default();
        attached.into_iter().filter(|&which| self.works(project, which, now)).collect()
    }

    /// Whether a machine that has a working key would lose its last one.
    fn strands(&self, project: usize, vm: usize, which: usize, now: UnixTime) -> bool {
        self.working(project, vm, now) == BTreeSet::from([which])
    }

    fn name_is_free(&self, project: usize, name: usize) -> bool {
        !self.keys.iter().any(|(&(other, _), key)| other == project && key.name == name)
    }

    /// Whether a key can be added, and whether it is there already.
    fn add(&self, project: usize, name: usize, which: usize) -> Result<bool, ()> {
        if self.revoked.contains(&which) {
            return Err(());
        }
        if self.keys.contains_key(&(project, which)) {
            return Ok(true);
        }
        if self.name_is_free(project, name) { Ok(false) } else { Err(()) }
    }
}

const PROJECTS: [&str; 2] = [WEB, DATA];

fn step(world: &mut World, model: &mut Model, now: &mut UnixTime, operation: &Operation) {
    let path = |project: usize| scope(PROJECTS[project]);
    let guard = |guard: bool| if guard { LastKey::Guard } else { LastKey::DangerouslyGiveUp };
    let id = |model: &Model, project, which| {
        let known = model.keys.get(&(project, which)).map(|key: &Known| key.id);
        known.unwrap_or_else(|| SshKeyId::from_bytes([9; 16]))
    };
    let at = *now;
    match *operation {
        Operation::Add { project, name, which, secs } => {
            let expires_at = secs.map(|secs| at.saturating_add(Duration::from_secs(secs)));
            let new = NewKey { expires_at, ..new_key(PROJECTS[project], &format!("n{name}"), which) };
            let planned = plan_add(world.view(), new, at, &world.random);
            let expected = model.add(project, name, which);
            assert_eq!(
                planned
                    .as_ref()
                    .map(|planned| matches!(planned.value, Added::AlreadyThere(_)))
                    .map_err(|_| ()),
                expected
            );
            let Ok(planned) = planned else { return };
            let id = planned.value.key().id();
            if let Some(known) = model.keys.get(&(project, which)) {
                assert_eq!(known.id, id, "the same key is the same id");
            } else {
                model.keys.insert((project, which), Known { id, name, expires_at });
            }
            world.must_commit(planned.batch);
        }
        Operation::Remove { project, which, guard: guarded } => {
            let planned = plan_remove(
                world.view(),
                &path(project),
                id(model, project, which),
                ada(),
                guard(guarded),
                at,
            );
            let strands = guarded && (0..VMS).any(|vm| model.strands(project, vm, which, at));
            let expected = model.keys.contains_key(&(project, which)) && !strands;
            assert_eq!(planned.is_ok(), expected, "{:?}", planned.err());
            let Ok(planned) = planned else { return };
            world.must_commit(planned.batch);
            model.keys.remove(&(project, which));
            // A key that is added again has another id: it is attached nowhere.
            for ((of, _), attached) in &mut model.vms {
                if *of == project {
                    attached.remove(&which);
                }
            }
        }
        Operation::AddVm { project, vm } => {
            let planned =
                plan_add_vm(world.view(), new_vm(PROJECTS[project], &format!("v{vm}")), at, &world.random);
            assert_eq!(planned.is_ok(), !model.vms.contains_key(&(project, vm)));
            let Ok(planned) = planned else { return };
            world.must_commit(planned.batch);
            model.vms.insert((project, vm), BTreeSet::new());
        }
        Operation::RemoveVm { project, vm } => {
            let planned = plan_remove_vm(world.view(), &path(project), &vm_name(&format!("v{vm}")));
            assert_eq!(planned.is_ok(), model.vms.remove(&(project, vm)).is_some());
            if let Ok(planned) = planned {
                world.must_commit(planned.batch);
            }
        }
        Operation::Attach { project, vm, which } => {
            let new = attach(id(model, project, which));
            let planned = plan_attach(world.view(), &path(project), &vm_name(&format!("v{vm}")), new, at);
            let expected = model.works(project, which, at) && model.vms.contains_key(&(project, vm));
            assert_eq!(planned.is_ok(), expected, "{:?}", planned.err());
            let Ok(planned) = planned else { return };
            world.must_commit(planned.batch);
            model.vms.get_mut(&(project, vm)).unwrap().insert(which);
        }
        Operation::Detach { project, vm, which, guard: guarded } => {
            let planned = plan_detach(
                world.view(),
                &path(project),
                &vm_name(&format!("v{vm}")),
                id(model, project, which),
                &account("admin"),
                guard(guarded),
                at,
            );
            let attached = model.vms.get(&(project, vm)).is_some_and(|attached| attached.contains(&which));
            let expected = attached && !(guarded && model.strands(project, vm, which, at));
            assert_eq!(planned.is_ok(), expected, "{:?}", planned.err());
            let Ok(planned) = planned else { return };
            world.must_commit(planned.batch);
            model.vms.get_mut(&(project, vm)).unwrap().remove(&which);
        }
        Operation::Rotate { project, old, name, which, secs } => {
            let new = new_key(PROJECTS[project], &format!("n{name}"), which);
            let overlap = Duration::from_secs(secs);
            let planned = plan_rotate(world.view(), id(model, project, old), new, overlap, at, &world.random);
            let added = model.add(project, name, which);
            let usable = match added {
                Ok(true) => model.works(project, which, at),
                Ok(false) => true,
                Err(()) => false,
            };
            let expected = model.works(project, old, at) && old != which && usable;
            assert_eq!(planned.is_ok(), expected, "{:?}", planned.err());
            let Ok(planned) = planned else { return };
            world.must_commit(planned.batch);
            let ends = at.saturating_add(overlap);
            let known = model.keys.get_mut(&(project, old)).unwrap();
            known.expires_at = Some(known.expires_at.map_or(ends, |known| known.min(ends)));
            let id = planned.value.new.id();
            model.keys.entry((project, which)).or_insert(Known { id, name, expires_at: None });
            for ((of, _), attached) in &mut model.vms {
                if *of == project && attached.contains(&old) {
                    attached.insert(which);
                }
            }
        }
        Operation::Revoke { which } => {
            let fingerprint = new_key(WEB, "x", which).key.key().fingerprint();
            let planned = plan_revoke_everywhere(world.view(), fingerprint, ada(), at);
            let live = model.keys.keys().filter(|(_, known)| *known == which).count();
            assert_eq!(planned.is_ok(), model.revoked.insert(which));
            if let Ok(planned) = planned {
                assert_eq!(planned.value.keys.len(), live);
                world.must_commit(planned.batch);
            }
        }
        Operation::Wait { secs } => *now = at.saturating_add(Duration::from_secs(secs)),
    }
}

/// What can be seen is the same.
fn compare(world: &World, model: &Model, now: UnixTime) {
    let mut ports = BTreeSet::new();
    for (project, path) in PROJECTS.into_iter().enumerate() {
        let path = scope(path);
        let of_project = model.keys.iter().filter(|((of, _), _)| *of == project);
        let expected: BTreeSet<_> = of_project.map(|(_, key)| key.id).collect();
        assert_eq!(world.view().list(&path).map(|key| key.id()).collect::<BTreeSet<_>>(), expected);
        for which in 0..KEYS {
            let key = new_key(WEB, "x", which).key.into_key();
            let found = world.view().find_working(&path, &key.fingerprint(), now).map(|key| key.id());
            let known = model.keys.get(&(project, which)).map(|key| key.id);
            assert_eq!(found, known.filter(|_| model.works(project, which, now)));
            assert_eq!(world.view().find(&path, &key.fingerprint()).map(|key| key.id()), known);
            assert_eq!(world.view().is_revoked(&key), model.revoked.contains(&which));
        }
        for vm in 0..VMS {
            let Some(found) = world.view().vm(&path, &vm_name(&format!("v{vm}"))) else {
                assert!(!model.vms.contains_key(&(project, vm)));
                continue;
            };
            assert!(ports.insert(found.port()), "no two machines of a pool have one port");
            let working: BTreeSet<_> = world.view().working(found, now).map(|(_, key)| key.id()).collect();
            let expected = model.working(project, vm, now);
            assert_eq!(working, expected.iter().map(|which| model.keys[&(project, *which)].id).collect());
            assert_eq!(world.view().bundle_entries(found, now).len(), working.len());
        }
    }
}

fn operation() -> impl Strategy<Value = Operation> {
    let (p, v, k, n) = (0..2_usize, 0..VMS, 0..KEYS, 0..3_usize);
    let (p2, v2, k2) = (p.clone(), v.clone(), k.clone());
    prop_oneof![
        4 => (p.clone(), n.clone(), k.clone(), prop::option::of(1..50_u64))
            .prop_map(|(project, name, which, secs)| Operation::Add { project, name, which, secs }),
        2 => (p.clone(), k.clone(), any::<bool>())
            .prop_map(|(project, which, guard)| Operation::Remove { project, which, guard }),
        3 => (p.clone(), v.clone()).prop_map(|(project, vm)| Operation::AddVm { project, vm }),
        1 => (p.clone(), v.clone()).prop_map(|(project, vm)| Operation::RemoveVm { project, vm }),
        6 => (p.clone(), v, k.clone()).prop_map(|(project, vm, which)| Operation::Attach { project, vm, which }),
        3 => (p.clone(), v2, k.clone(), any::<bool>())
            .prop_map(|(project, vm, which, guard)| Operation::Detach { project, vm, which, guard }),
        3 => (p2, k2.clone(), n, k2, 1..50_u64)
            .prop_map(|(project, old, name, which, secs)| Operation::Rotate { project, old, name, which, secs }),
        1 => k.prop_map(|which| Operation::Revoke { which }),
        2 => (1..30_u64).prop_map(|secs| Operation::Wait { secs }),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, ..ProptestConfig::default() })]

    #[test]
    fn whatever_happens_the_registry_is_as_the_model_says(operations in prop::collection::vec(operation(), 1..40)) {
        let (mut world, mut model, mut now) = (World::new(), Model::default(), NOW);
        for operation in &operations {
            step(&mut world, &mut model, &mut now, operation);
            compare(&world, &model, now);
        }
    }
}

const KEYS: usize = 4;
const VMS: usize = 2;
