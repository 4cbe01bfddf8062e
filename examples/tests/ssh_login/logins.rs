//! Who is let in, who is not, and what may be done.

use std::sync::Arc;
use std::time::Duration;

use core_types::{Scope, Subject, SystemRandom, UnixTime, UserId};
use sshkey_registry::bundle::Entry;
use sshkey_registry::registry::{
    Attach, LastKey, NewKey, NewVm, PortPool, SshKey, VmName, plan_add, plan_add_vm, plan_attach,
    plan_remove, plan_revoke_everywhere, plan_rotate,
};
use sshkey_registry::{AdmissionPolicy, KeyLine, KeyName, Options, PublicKey, RegistryView};
use state_store::{Batch, Revision, View as _, Write};

use crate::sshd::{Pair, Sshd, admin, entry, keygen, mode, now};

/// A registry with one machine, straight in memory.
struct Registry {
    view: RegistryView,
    revision: u64,
}

impl Registry {
    fn new() -> Self {
        let mut registry = Self { view: RegistryView::new(), revision: 0 };
        let new = NewVm {
            project: web(),
            name: VmName::parse("build").unwrap(),
            pool: PortPool::parse("default").unwrap(),
            created_by: ada(),
        };
        let planned = plan_add_vm(&registry.view, new, now(), &SystemRandom::new()).unwrap();
        registry.apply(planned.batch);
        registry
    }

    fn apply(&mut self, batch: Batch) {
        self.revision += 1;
        for (key, write) in batch.into_writes() {
            match write {
                Write::Put(value) => self.view.put(&key, &value, Revision::new(self.revision)).unwrap(),
                Write::Delete => self.view.delete(&key),
            }
        }
    }

    fn new_key(pair: &Pair, name: &str) -> NewKey {
        let line = std::fs::read(pair.private.with_extension("pub")).unwrap();
        let (key, comment) = KeyLine::parse(line).unwrap().into_parts();
        let key = AdmissionPolicy::new().admit(key).unwrap();
        NewKey {
            project: web(),
            name: KeyName::parse(name).unwrap(),
            key,
            comment,
            added_by: ada(),
            expires_at: None,
        }
    }

    /// Uploads a key and attaches it.
    fn register(&mut self, pair: &Pair, name: &str, options: Options) -> Arc<SshKey> {
        let planned = plan_add(&self.view, Self::new_key(pair, name), now(), &SystemRandom::new()).unwrap();
        let key = Arc::clone(planned.value.key());
        self.apply(planned.batch);
        let new = Attach { key: key.id(), account: admin(), options, expires_at: None, by: ada() };
        let planned = plan_attach(&self.view, &web(), &VmName::parse("build").unwrap(), new, now()).unwrap();
        self.apply(planned.batch);
        key
    }

    fn entries(&self) -> Vec<Entry> {
        let vm = self.view.vm(&web(), &VmName::parse("build").unwrap()).unwrap();
        self.view.bundle_entries(vm, now())
    }
}

fn web() -> Scope {
    "project/web".parse().unwrap()
}

fn ada() -> Subject {
    Subject::User(UserId::from_bytes([7; 16]))
}

#[test]
fn registered_keys_log_in_and_one_that_is_removed_does_not_the_next_time() {
    let mut sshd = Sshd::with_bundle("refuse");
    let pairs = [
        keygen(sshd.path(), "ed25519", &["-t", "ed25519"]),
        keygen(sshd.path(), "rsa", &["-t", "rsa", "-b", "2048"]),
        keygen(sshd.path(), "ecdsa", &["-t", "ecdsa", "-b", "256"]),
    ];
    let stranger = keygen(sshd.path(), "stranger", &["-t", "ed25519"]);
    let mut registry = Registry::new();
    let keys: Vec<_> = pairs
        .iter()
        .zip(["a", "b", "c"])
        .map(|(pair, name)| registry.register(pair, name, Options::new()))
        .collect();
    assert!(!sshd.lets_in(&pairs[0]), "there is no bundle yet");
    sshd.deliver(registry.entries());
    let before = sshd.pid();
    for pair in &pairs {
        assert!(sshd.lets_in(pair), "{:?}: {}", pair.private, sshd.log());
    }
    assert!(!sshd.lets_in(&stranger));
    // One is removed from its project, one is revoked everywhere.
    let planned = plan_remove(&registry.view, &web(), keys[1].id(), ada(), LastKey::Guard, now()).unwrap();
    registry.apply(planned.batch);
    let planned = plan_revoke_everywhere(&registry.view, *keys[2].fingerprint(), ada(), now()).unwrap();
    registry.apply(planned.batch);
    sshd.deliver(registry.entries());
    assert_eq!(pairs.each_ref().map(|pair| sshd.lets_in(pair)), [true, false, false]);
    assert_eq!(sshd.pid(), before, "sshd was not touched");
}

#[test]
fn a_rotation_lets_both_keys_in_until_the_old_one_expires() {
    let mut sshd = Sshd::with_bundle("refuse");
    let [old, new] = ["old", "new"].map(|name| keygen(sshd.path(), name, &["-t", "ed25519"]));
    let mut registry = Registry::new();
    let key = registry.register(&old, "old", Options::new());
    let before = registry.view.clone();
    // Ten minutes ago, with an overlap that lasts, and with one that is over.
    let then = now().saturating_sub(Duration::from_mins(10));
    for (overlap, expected) in
        [(Duration::from_mins(60), [true, true]), (Duration::from_mins(5), [false, true])]
    {
        registry.view = before.clone();
        let planned = plan_rotate(
            &registry.view,
            key.id(),
            Registry::new_key(&new, "new"),
            overlap,
            then,
            &SystemRandom::new(),
        )
        .unwrap();
        registry.apply(planned.batch);
        // The bundle as it was made then: the machine itself knows when a key expires.
        let vm = registry.view.vm(&web(), &VmName::parse("build").unwrap()).unwrap();
        let entries = registry.view.bundle_entries(vm, then);
        assert_eq!(entries.len(), 2);
        sshd.deliver_as_of(entries, then);
        assert_eq!([&old, &new].map(|pair| sshd.lets_in(pair)), expected, "{overlap:?}: {}", sshd.log());
    }
}

#[test]
fn options_are_enforced() {
    let mut sshd = Sshd::with_bundle("refuse");
    let pair = keygen(sshd.path(), "user", &["-t", "ed25519"]);
    let with = |sshd: &mut Sshd, options: &str| {
        sshd.deliver(vec![entry(&pair.public, Options::parse(options).unwrap())]);
    };
    with(&mut sshd, r#"restrict,command="echo \"forced: $SSH_ORIGINAL_COMMAND\"""#);
    assert_eq!(sshd.run(&pair, &[], &["id"]).as_deref(), Some("forced: id"));
    with(&mut sshd, "restrict");
    assert_eq!(sshd.run(&pair, &[], &["tty || true"]).as_deref(), Some("not a tty"));
    let private = pair.private.to_str().unwrap();
    let identity = ["-o", "IdentitiesOnly=yes", "-o", "IdentityAgent=none", "-i", private];
    let asked = sshd.ssh(&identity, &["-tt"], &["tty"]);
    assert!(String::from_utf8_lossy(&asked.stderr).contains("PTY allocation request failed"), "{asked:?}");
    with(&mut sshd, "restrict,pty");
    let tty = sshd.run(&pair, &["-tt"], &["tty || true"]).unwrap();
    assert!(tty.starts_with("/dev/"), "{tty}");
    let forward = ["-o", "ExitOnForwardFailure=yes", "-R", "127.0.0.1:0:127.0.0.1:9"];
    assert!(!sshd.ssh(&identity, &forward, &["true"]).status.success(), "no forwarding under `restrict`");
    with(&mut sshd, "restrict,port-forwarding");
    assert!(sshd.ssh(&identity, &forward, &["true"]).status.success(), "{}", sshd.log());
    with(&mut sshd, r#"from="192.0.2.0/24""#);
    assert!(!sshd.lets_in(&pair));
    with(&mut sshd, r#"from="192.0.2.0/24,127.0.0.0/8""#);
    assert!(sshd.lets_in(&pair));
    with(&mut sshd, r#"restrict,expiry-time="20200101Z""#);
    assert!(!sshd.lets_in(&pair));
    // Every option that there is, on one line that sshd takes whole.
    with(
        &mut sshd,
        r#"restrict,agent-forwarding,X11-forwarding,user-rc,pty,no-pty,no-touch-required,verify-required,no-verify-required,touch-required,environment="A=b",expiry-time="20990101000000Z",from="127.0.0.1",permitopen="localhost:1",permitopen="[::1]:*",permitlisten="8080",permitlisten="localhost:*",tunnel="any",port-forwarding,no-port-forwarding,command="echo in""#,
    );
    assert!(sshd.lets_in(&pair), "{}", sshd.log());
}

#[test]
fn hostile_comments_and_options_let_nobody_else_in() {
    let mut sshd = Sshd::with_bundle("refuse");
    let [own, other] = ["own", "other"].map(|name| keygen(sshd.path(), name, &["-t", "ed25519"]));
    let second = other.public.to_string();
    let base64 = second.split(' ').nth(1).unwrap().to_owned();
    // What cannot be uploaded at all.
    for separator in
        ["\n", "\r", "\r\n", "\u{b}", "\u{c}", "\u{1c}", "\u{85}", "\u{2028}", "\u{2029}", " ", "\t"]
    {
        let upload = format!("{} laptop{separator}{second}", own.public);
        assert!(KeyLine::parse(&upload).is_err(), "{separator:?}");
    }
    for options in ["cert-authority", "command=\"x", "restrict", "environment=\"A=b\""] {
        assert!(KeyLine::parse(format!("{options} {}", own.public)).is_err(), "{options}");
    }
    // What can: it is a label, and never in what sshd reads.
    for comment in
        ["x\" ,command=\"/bin/false", "# restrict", "zz\\", "cert-authority,*", base64.as_str(), "zz-ssh-rsa"]
    {
        let (key, label) = KeyLine::parse(format!("{} {comment}", own.public)).unwrap().into_parts();
        assert_eq!(label.unwrap().as_str(), comment);
        sshd.deliver(vec![entry(&key, Options::new())]);
        let shown = std::fs::read(sshd.path().join("keys")).unwrap();
        let is_there = shown.windows(comment.len()).any(|window| window == comment.as_bytes());
        assert!(!is_there, "{comment}");
    }
    assert_eq!([&own, &other].map(|pair| sshd.lets_in(pair)), [true, false]);
    // A key in a command is part of the command.
    let hidden = format!(r#"command="echo in \" {second} \" #",no-pty"#);
    sshd.deliver(vec![entry(&own.public, Options::parse(&hidden).unwrap())]);
    assert!(sshd.run(&own, &[], &["id"]).is_some_and(|answer| answer.starts_with("in")));
    assert!(!sshd.lets_in(&other));
    // The same text in a file of lines: the one writer serves both.
    let line = entry(&own.public, Options::parse(&hidden).unwrap()).line;
    let by_file = Sshd::with_keys_file(&sshkey_registry::authorized_keys::render([&line]));
    assert!(by_file.run(&own, &[], &["id"]).is_some_and(|answer| answer.starts_with("in")));
    assert!(!by_file.lets_in(&other));
}

#[test]
fn a_stale_bundle_lets_in_nobody_or_whom_it_did_as_the_policy_says() {
    for (when_stale, expected) in [("refuse", false), ("keep", true)] {
        let mut sshd = Sshd::with_bundle(when_stale);
        let pair = keygen(sshd.path(), "user", &["-t", "ed25519"]);
        let stranger = keygen(sshd.path(), "stranger", &["-t", "ed25519"]);
        let entries = vec![entry(&pair.public, Options::new())];
        let minutes_ago = |minutes| now().saturating_sub(Duration::from_mins(minutes));
        sshd.deliver_as_of(entries.clone(), minutes_ago(61));
        assert_eq!(sshd.lets_in(&pair), expected, "{when_stale}: {}", sshd.log());
        assert!(!sshd.lets_in(&stranger));
        sshd.deliver_as_of(entries.clone(), minutes_ago(50));
        assert!(sshd.lets_in(&pair), "{when_stale}");
        let from_the_future = UnixTime::from_millis(now().as_millis() + 3_600_000);
        sshd.deliver_as_of(entries, from_the_future);
        assert_eq!(sshd.lets_in(&pair), expected, "{when_stale}");
        assert!(!sshd.lets_in(&stranger));
    }
}

#[test]
fn a_bundle_that_cannot_be_believed_lets_nobody_in() {
    let mut sshd = Sshd::with_bundle("keep");
    let pair = keygen(sshd.path(), "user", &["-t", "ed25519"]);
    sshd.deliver(vec![entry(&pair.public, Options::new())]);
    assert!(sshd.lets_in(&pair), "{}", sshd.log());
    let path = sshd.path().join("keys");
    let good = std::fs::read(&path).unwrap();
    let mut damaged = good.clone();
    *damaged.last_mut().unwrap() ^= 1;
    for bytes in [&damaged[..], &good[..good.len() - 1], b""] {
        std::fs::write(&path, bytes).unwrap();
        assert!(!sshd.lets_in(&pair));
    }
    std::fs::write(&path, &good).unwrap();
    mode(&path, 0o666);
    assert!(!sshd.lets_in(&pair), "anyone could have written it");
    mode(&path, 0o644);
    assert!(sshd.lets_in(&pair));
    std::fs::remove_file(&path).unwrap();
    assert!(!sshd.lets_in(&pair));
}

/// What is asked for by key is answered for that key.
#[test]
fn a_key_of_another_account_is_not_let_in() {
    let mut sshd = Sshd::with_bundle("refuse");
    let pair = keygen(sshd.path(), "user", &["-t", "ed25519"]);
    let key: &PublicKey = &pair.public;
    let mut elsewhere = entry(key, Options::new());
    elsewhere.account = sshkey_registry::AccountName::parse("backup").unwrap();
    sshd.deliver(vec![elsewhere]);
    assert!(!sshd.lets_in(&pair));
}

/// sshd counts the keys that a client offers, not those that a machine has; it asks twice for the one that is right.
#[test]
fn the_last_of_many_keys_of_a_machine_is_let_in_at_the_first_try() {
    let mut sshd = Sshd::with_bundle("refuse");
    let pair = keygen(sshd.path(), "user", &["-t", "ed25519"]);
    let others = (0..2000_u32).map(|number| {
        let point = core_types::Fingerprint::of(&number.to_be_bytes());
        let blob = [&[0, 0, 0, 11][..], b"ssh-ed25519", &[0, 0, 0, 32], point.as_bytes()].concat();
        entry(&PublicKey::from_blob(&blob).unwrap(), Options::new())
    });
    let all = others.chain([entry(&pair.public, Options::new())]).collect();
    sshd.deliver(all);
    assert!(sshd.lets_in(&pair), "{}", sshd.log());
    assert!(!sshd.log().contains("Too many authentication failures"), "{}", sshd.log());
}
