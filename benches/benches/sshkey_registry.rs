//! Lines of keys, admission, look-ups, and the command that sshd runs.
//!
//! The floor of reading a line is base64-simd, SHA-256 by ring and MD5 over the same bytes; the rivals are the ssh-key
//! crate and ssh-keygen as a process. Since that crate has no MD5, it is given the floor's, and both are measured without
//! it, too. The command is measured when it has been built beside the benches (`cargo build --release --bin palisade
//! --bin palisade_authorized_keys`); its floor is `/bin/true` and one look-up.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "a bench that cannot be set up has nothing to say"
)]

use std::collections::HashMap;
use std::hint::black_box;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use core_types::testing::TestRandom;
use core_types::{Fingerprint, Scope, SecureRandom, Subject, SystemClock, UnixTime, UserId};
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use md5::{Digest as _, Md5};
use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _};
use sshkey_registry::bundle::{BundleKey, Contents, Entry, Staleness, TrustedSigners, WhenStale};
use sshkey_registry::registry::{NewKey, plan_add};
use sshkey_registry::{
    AccountName, AdmissionPolicy, AuthorizedLine, KeyLine, KeyName, LineComment, Options, PublicKey,
    RegistryView, SshKey,
};
use state_store::{Revision, View as _, Write};

const LINES: usize = 100_000;
const KEYS: u64 = 1_000_000;

/// 60 % Ed25519, 25 % RSA, 10 % ECDSA, 5 % Ed25519 on security keys, all of them different.
fn lines() -> Vec<String> {
    let random = TestRandom::seeded(1);
    let fill = |len: usize| {
        let mut bytes = vec![0; len];
        random.fill(&mut bytes).unwrap();
        bytes
    };
    let field = |bytes: &[u8]| [&u32::try_from(bytes.len()).unwrap().to_be_bytes()[..], bytes].concat();
    let system = SystemRandom::new();
    let line = |number: usize| {
        let (name, rest) = match number % 20 {
            0..=11 => ("ssh-ed25519", field(&fill(32))),
            12..=16 => {
                let len = [256, 256, 384, 384, 512][number % 20 - 12];
                let mut modulus = fill(len);
                modulus[0] |= 0x80;
                modulus[len - 1] |= 1;
                ("ssh-rsa", [field(&[1, 0, 1]), field(&[&[0][..], &modulus].concat())].concat())
            }
            17..=18 => {
                let pair = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &system).unwrap();
                let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, pair.as_ref(), &system)
                    .unwrap();
                let point = field(pair.public_key().as_ref());
                ("ecdsa-sha2-nistp256", [field(b"nistp256"), point].concat())
            }
            _ => ("sk-ssh-ed25519@openssh.com", [field(&fill(32)), field(b"ssh:")].concat()),
        };
        let blob = [field(name.as_bytes()), rest].concat();
        format!("{name} {} user{number}@host", base64_simd::STANDARD.encode_to_string(&blob))
    };
    (0..LINES).map(line).collect()
}

fn reading(c: &mut Criterion) {
    let lines = lines();
    let mut group = c.benchmark_group("sshkey-registry/read-and-fingerprint");
    group.throughput(Throughput::Elements(u64::try_from(LINES).unwrap())).sample_size(10);
    let blob = |line: &str| base64_simd::STANDARD.decode_to_vec(line.split(' ').nth(1).unwrap()).unwrap();
    let sha256 = |blob: &[u8]| ring::digest::digest(&ring::digest::SHA256, blob);
    let md5 = |blob: &[u8]| -> [u8; 16] { Md5::digest(blob).into() };
    let mut each = |name: &str, read: &dyn Fn(&str)| {
        group.bench_function(BenchmarkId::new(name, LINES), |b| {
            b.iter(|| lines.iter().for_each(|line| read(line)))
        });
    };
    each("ours", &|line| {
        let line = KeyLine::parse(line).unwrap();
        black_box((line.key().fingerprint(), line.key().md5_fingerprint()));
    });
    each("floor", &|line| {
        let blob = blob(line);
        black_box((sha256(&blob), md5(&blob)));
    });
    each("ssh-key", &|line| {
        let key = ssh_key::PublicKey::from_openssh(line).unwrap();
        black_box((key.fingerprint(ssh_key::HashAlg::Sha256), md5(&key.to_bytes().unwrap())));
    });
    each("ours-without-md5", &|line| {
        black_box(KeyLine::parse(line).unwrap().key().fingerprint());
    });
    each("floor-without-md5", &|line| {
        black_box(sha256(&blob(line)));
    });
    each("ssh-key-without-md5", &|line| {
        let key = ssh_key::PublicKey::from_openssh(line).unwrap();
        black_box(key.fingerprint(ssh_key::HashAlg::Sha256));
    });
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("keys");
    std::fs::write(&file, lines.join("\n")).unwrap();
    group.bench_function(BenchmarkId::new("ssh-keygen", LINES), |b| {
        b.iter(|| {
            let mut command = Command::new("ssh-keygen");
            let status = command.arg("-lf").arg(&file).stdout(Stdio::null()).stderr(Stdio::null()).status();
            assert!(status.unwrap().success());
        });
    });
    group.finish();
}

fn admission(c: &mut Criterion) {
    let vectors = include_str!("../../crates/sshkey-registry/tests/vectors/ssh-keygen.txt");
    let policy = AdmissionPolicy::new();
    let mut group = c.benchmark_group("sshkey-registry/admit");
    group.sample_size(30);
    for name in ["ed25519", "ecdsa256", "ecdsa384", "rsa2048", "rsa3072", "rsa4096", "rsa16384"] {
        let row = vectors.lines().find(|row| row.split('\t').next() == Some(name)).unwrap();
        let key = PublicKey::parse(row.rsplit('\t').next().unwrap()).unwrap();
        group.bench_function(name, |b| b.iter(|| policy.admit(black_box(key.clone())).unwrap()));
    }
    group.finish();
}

/// Keys of the base point's multiples, so that each is one.
fn made_up(number: u64) -> PublicKey {
    let point = Fingerprint::of(&number.to_be_bytes());
    let blob = [&[0, 0, 0, 11][..], b"ssh-ed25519", &[0, 0, 0, 32], point.as_bytes()].concat();
    PublicKey::from_blob(&blob).unwrap()
}

/// A registry with a million keys: one is added as it should be, the others have its record with another key in it.
fn registry(project: &Scope) -> RegistryView {
    let mut view = RegistryView::new();
    let vectors = include_str!("../../crates/sshkey-registry/tests/vectors/ssh-keygen.txt");
    let row = vectors.lines().find(|row| row.starts_with("ed25519\t")).unwrap();
    let key =
        AdmissionPolicy::new().admit(PublicKey::parse(row.rsplit('\t').next().unwrap()).unwrap()).unwrap();
    let new = NewKey {
        project: project.clone(),
        name: KeyName::parse("key").unwrap(),
        key,
        comment: None,
        added_by: Subject::User(UserId::from_bytes([7; 16])),
        expires_at: None,
    };
    let at = UnixTime::from_secs(1_000);
    let planned = plan_add(&view, new, at, &TestRandom::seeded(1)).unwrap();
    let (id, line) = (planned.value.key().id(), planned.value.key().key().to_string());
    let (path, record) = planned
        .batch
        .writes()
        .find_map(|(key, write)| match write {
            Write::Put(value) if key.as_bytes().starts_with(b"sshkey-registry/key/") => {
                let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
                Some((text(key.as_bytes()), text(value.as_bytes())))
            }
            _ => None,
        })
        .unwrap();
    for number in 0..KEYS {
        let mut bytes = id.to_bytes();
        bytes[8..].copy_from_slice(&number.to_be_bytes());
        let other = sshkey_registry::SshKeyId::from_bytes(bytes).to_string();
        let record = record.replace(&id.to_string(), &other).replace(&line, &made_up(number).to_string());
        let key = state_store::Key::new(path.replace(&id.to_string(), &other)).unwrap();
        view.put(&key, &state_store::Value::new(record).unwrap(), Revision::new(1)).unwrap();
    }
    view
}

fn look_up(c: &mut Criterion) {
    let project: Scope = "org/acme/project/web".parse().unwrap();
    let view = registry(&project);
    let now = UnixTime::from_secs(2_000);
    // In no order, so that neither memory nor the branch predictor knows what comes; and few enough for the caches.
    for (name, different) in [("everywhere", 100_000), ("in-cache", 500)] {
        let sought: Vec<_> =
            (0..different).map(|number| made_up(number * 7_919 % KEYS).fingerprint()).collect();
        let mut next = sought.iter().cycle();
        c.bench_function(&format!("sshkey-registry/find-working/1000000/{name}"), |b| {
            b.iter(|| view.find_working(&project, next.next().unwrap(), now).unwrap().id());
        });
    }
    // The floor: a table of one project's keys, without the project, and without asking whether they work.
    let table: HashMap<Fingerprint, Arc<SshKey>> =
        view.list(&project).map(|key| (*key.fingerprint(), Arc::clone(key))).collect();
    let sought: Vec<_> = (0..100_000).map(|number| made_up(number * 7_919 % KEYS).fingerprint()).collect();
    let mut next = sought.iter().cycle();
    c.bench_function("sshkey-registry/find-working/1000000/floor-everywhere", |b| {
        b.iter(|| table.get(next.next().unwrap()).unwrap().id());
    });
}

/// A process that answers for one key among a million, beside one that does nothing.
fn command(c: &mut Criterion) {
    let folder = tempfile::tempdir().unwrap();
    let machine: Scope = "project/web/vm/build".parse().unwrap();
    let account = AccountName::parse("git").unwrap();
    let signer = BundleKey::generate(&core_types::SystemRandom::new()).unwrap();
    let comment = LineComment::parse("key").unwrap();
    let entry = |number| Entry {
        account: account.clone(),
        line: AuthorizedLine::new(Options::new(), made_up(number), comment.clone()),
        expires_at: None,
    };
    let issued_at = core_types::Clock::now(&SystemClock::new());
    let contents = Contents {
        machine: machine.clone(),
        revision: 1,
        issued_at,
        entries: (0..KEYS).map(entry).collect(),
    };
    let bytes = contents.sign(&signer).unwrap();
    drop(contents);
    let (bundle, signers) = (folder.path().join("keys"), folder.path().join("signers"));
    std::fs::write(&bundle, &bytes).unwrap();
    std::fs::write(&signers, signer.public_key().unwrap().to_string()).unwrap();
    let mut next = (0..).map(|number: u64| made_up(number * 7_919 % KEYS).fingerprint());
    let trusted = TrustedSigners::new(&signer.public_key()).unwrap();
    let staleness = Staleness { max_age: Duration::from_hours(1), when_stale: WhenStale::Refuse };
    let mut group = c.benchmark_group("sshkey-registry/authorized-keys");
    group.sample_size(100);
    group.bench_function(BenchmarkId::new("open-and-look-up", KEYS), |b| {
        b.iter(|| {
            let file = sshkey_registry::bundle::file::BundleFile::open(&bundle, 0).unwrap();
            let opened = sshkey_registry::bundle::Bundle::open(file, &trusted, &machine).unwrap();
            opened.authorize(&account, &next.next().unwrap(), issued_at, staleness).unwrap()
        });
    });
    group.bench_function("floor/true", |b| {
        b.iter(|| assert!(run(&mut Command::new("/bin/true"))));
    });
    for (name, verb) in [("palisade", &["ssh", "authorized-keys"][..]), ("palisade_authorized_keys", &[])] {
        let Some(program) = program(name) else { continue };
        group.bench_function(BenchmarkId::new(name, KEYS), |b| {
            b.iter(|| {
                let mut command = Command::new(&program);
                command.args(verb).args(["--machine", "project/web/vm/build", "--bundle"]);
                command.arg(&bundle).arg("--signers").arg(&signers);
                command.args(["git", &next.next().unwrap().to_string()]);
                assert!(run(&mut command));
            });
        });
    }
    group.finish();
}

fn run(command: &mut Command) -> bool {
    command.stdin(Stdio::null()).stdout(Stdio::null()).status().unwrap().success()
}

/// A program of the examples, where cargo puts it: two folders above the bench.
fn program(name: &str) -> Option<PathBuf> {
    let own = std::env::current_exe().unwrap();
    let program = own.parent().and_then(Path::parent)?.join(name);
    program.is_file().then_some(program)
}

criterion_group!(benches, reading, admission, look_up, command);
criterion_main!(benches);
