//! A registry on a memory store.

use std::sync::Arc;
use std::time::Duration;

use core_types::testing::{TestClock, TestRandom};
use core_types::{Scope, Subject, UnixTime, UserId};
use pollster::block_on;
use sshkey_registry::registry::{
    Added, Attach, LastKey, NewKey, NewVm, PREFIX, Planned, PortPool, Vm, VmName, plan_add, plan_add_vm,
    plan_attach, plan_remove,
};
use sshkey_registry::{
    AccountName, AddError, AdmissionPolicy, KeyLine, KeyName, Options, RegistryView, SshKey, SshKeyId,
};
use state_store::replica::Driver;
use state_store::{Batch, Commit, Key, MemoryStore, Prefix, Replica, StateStore, Value, Write};

/// A store, and a replica that has seen all of it.
pub(crate) struct World {
    pub(crate) store: MemoryStore,
    replica: Replica<RegistryView>,
    driver: Driver<MemoryStore, RegistryView>,
    view: RegistryView,
    pub(crate) random: TestRandom,
}

impl World {
    pub(crate) fn new() -> Self {
        let store = MemoryStore::new();
        let (prefix, clock) = (Prefix::new(PREFIX).unwrap(), TestClock::at(NOW));
        let open = Replica::open(store.clone(), prefix, RegistryView::new(), Duration::from_secs(1), &clock);
        let (replica, driver) = block_on(open).unwrap();
        Self { store, replica, driver, view: RegistryView::new(), random: TestRandom::seeded(1) }
    }

    pub(crate) fn view(&self) -> &RegistryView {
        &self.view
    }

    pub(crate) fn plan(&self, project: &str, name: &str, which: usize) -> Result<Planned<Added>, AddError> {
        plan_add(self.view(), new_key(project, name, which), NOW, &self.random)
    }

    pub(crate) fn commit(&mut self, batch: Batch) -> Commit {
        let writes = !batch.is_read_only();
        let commit = block_on(self.store.commit(batch)).unwrap();
        if let (Commit::Committed(revision), true) = (&commit, writes) {
            while self.replica.snapshot().revision() < *revision {
                block_on(self.driver.step()).unwrap();
            }
        }
        self.view = self.replica.snapshot().view().clone();
        commit
    }

    pub(crate) fn add(&mut self, project: &str, name: &str, which: usize) -> Arc<SshKey> {
        let Planned { value, batch, .. } = self.plan(project, name, which).unwrap();
        let Added::New(key) = value else { panic!("{name} is there already") };
        assert!(matches!(self.commit(batch), Commit::Committed(_)));
        key
    }

    pub(crate) fn remove(&mut self, project: &str, id: SshKeyId) {
        let planned = plan_remove(self.view(), &scope(project), id, ada(), LastKey::Guard, NOW).unwrap();
        assert!(matches!(self.commit(planned.batch), Commit::Committed(_)));
    }

    pub(crate) fn overwrite(&mut self, key: &str, text: &str) {
        let mut batch = Batch::new();
        batch.write(Key::new(key).unwrap(), Write::Put(Value::new(text).unwrap())).unwrap();
        assert!(matches!(self.commit(batch), Commit::Committed(_)));
    }

    pub(crate) fn stored(&self, key: &str) -> String {
        let entry = block_on(self.store.get(&Key::new(key).unwrap())).unwrap().unwrap();
        String::from_utf8(entry.value.as_bytes().to_vec()).unwrap()
    }
}

pub(crate) fn new_key(project: &str, text: &str, which: usize) -> NewKey {
    let file = include_str!("../vectors/ssh-keygen.txt");
    let row = file.lines().filter(|row| !row.starts_with('#')).nth(which).unwrap();
    let (key, comment) = KeyLine::parse(row.rsplit('\t').next().unwrap()).unwrap().into_parts();
    let key = AdmissionPolicy::new().admit(key).unwrap();
    NewKey { project: scope(project), name: name(text), key, comment, added_by: ada(), expires_at: None }
}

pub(crate) fn scope(text: &str) -> Scope {
    text.parse().unwrap()
}

pub(crate) fn name(text: &str) -> KeyName {
    KeyName::parse(text).unwrap()
}

pub(crate) fn ada() -> Subject {
    Subject::User(UserId::from_bytes([7; 16]))
}

pub(crate) const WEB: &str = "org/acme/project/web";
pub(crate) const DATA: &str = "org/acme/project/data";
pub(crate) const NOW: UnixTime = UnixTime::from_secs(1_000);

pub(crate) fn vm_name(text: &str) -> VmName {
    VmName::parse(text).unwrap()
}

pub(crate) fn account(text: &str) -> AccountName {
    AccountName::parse(text).unwrap()
}

pub(crate) fn new_vm(project: &str, text: &str) -> NewVm {
    let pool = PortPool::parse("gateway-1").unwrap();
    NewVm { project: scope(project), name: vm_name(text), pool, created_by: ada() }
}

/// A key for the account `admin`, with the default options.
pub(crate) fn attach(key: SshKeyId) -> Attach {
    Attach { key, account: account("admin"), options: Options::new(), expires_at: None, by: ada() }
}

impl World {
    pub(crate) fn add_vm(&mut self, project: &str, text: &str) -> Arc<Vm> {
        let planned = plan_add_vm(self.view(), new_vm(project, text), NOW, &self.random).unwrap();
        self.must_commit(planned.batch);
        planned.value
    }

    pub(crate) fn attach(&mut self, project: &str, vm: &str, key: SshKeyId) -> Arc<Vm> {
        let planned = plan_attach(self.view(), &scope(project), &vm_name(vm), attach(key), NOW).unwrap();
        self.must_commit(planned.batch);
        planned.value
    }

    pub(crate) fn must_commit(&mut self, batch: Batch) {
        assert!(matches!(self.commit(batch), Commit::Committed(_)));
    }

    /// The keys that may log in to a machine.
    pub(crate) fn working(&self, project: &str, vm: &str, now: UnixTime) -> Vec<SshKeyId> {
        let vm = self.view().vm(&scope(project), &vm_name(vm)).unwrap();
        self.view().working(vm, now).map(|(_, key)| key.id()).collect()
    }
}
