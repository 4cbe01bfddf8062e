//! Keys, configurations, plans and records, beside what they are compared with, in the same run.
//!
//! `cargo bench -p palisade-benches --bench wg_keys`. `wg syncconf` needs `wg`, `ip`, `wireguard-go` and root; its figure is
//! printed first.

#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::arithmetic_side_effects,
    clippy::disallowed_methods,
    reason = "a bench that fails should say so, and a bench looks at the clock"
)]

use std::hint::black_box;
use std::io::Write as _;
use std::path::Path as FilePath;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use core_types::{MachineId, SecureRandom as _, SystemRandom, UnixTime};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use ring::signature::{ED25519, UnparsedPublicKey};
use wg_keys::config::DiffPolicy;
use wg_keys::membership::{Directory, KeyRecord, SignedRecord, TrustedIdentities, load, publication};
use wg_keys::rotation::{Path, Plan};
use wg_keys::{Interface, MachineState, Peer, Prefix, PrivateKey, machine_address, text};

fn id(number: u32) -> MachineId {
    let mut bytes = [0; 16];
    *bytes.last_chunk_mut().unwrap() = number.to_be_bytes();
    MachineId::from_bytes(bytes)
}

fn keys(c: &mut Criterion) {
    let rng = SystemRandom::new();
    let mut group = c.benchmark_group("wg_keys/generate");
    group.throughput(Throughput::Elements(1));
    group.bench_function("key_and_public", |b| {
        b.iter(|| PrivateKey::generate(&rng).unwrap().public_key());
    });
    group.bench_function("floor/x25519_dalek", |b| {
        b.iter(|| {
            let mut bytes = [0; 32];
            rng.fill(&mut bytes).unwrap();
            x25519_dalek::PublicKey::from(&x25519_dalek::StaticSecret::from(bytes))
        });
    });
    group.finish();
}

fn mesh(count: u32, changed: Option<u32>) -> Interface {
    let rng = SystemRandom::new();
    let own = std::sync::Arc::new(PrivateKey::clamped_from(&mut [7; 32]));
    let peers = (0..count).map(|number| {
        let mut bytes = [9; 32];
        *bytes.last_chunk_mut().unwrap() = number.to_be_bytes();
        let key = if changed == Some(number) {
            PrivateKey::generate(&rng).unwrap()
        } else {
            bytes[0] = 8;
            *bytes.last_chunk_mut::<8>().unwrap() = (u64::from(number) << 8).to_be_bytes();
            PrivateKey::clamped_from(&mut bytes)
        };
        Peer::new(key.public_key())
            .with_allowed_ips([Prefix::host(machine_address(id(number)).into())])
            .with_endpoint(format!("192.0.2.1:{}", 1000 + number).parse().unwrap())
            .with_keepalive_secs(25)
    });
    Interface::new(Some(own), Some(51_820), peers).unwrap()
}

fn configurations(c: &mut Criterion) {
    syncconf();
    let (before, after) = (mesh(1000, None), mesh(1000, Some(500)));
    let mut group = c.benchmark_group("wg_keys/configuration/1000_peers");
    group.bench_function("render", |b| b.iter(|| text::write_conf(&before)));
    group.bench_function("diff_of_one_key", |b| {
        b.iter(|| {
            let diff = before.diff(&after, DiffPolicy::new()).unwrap();
            assert_eq!(diff.touched().len(), 2);
            diff
        });
    });
    group.bench_function("diff_of_nothing", |b| {
        b.iter(|| assert!(before.diff(&before, DiffPolicy::new()).unwrap().is_empty()));
    });
    group.finish();
}

/// What `wg syncconf` takes for one changed key among 1,000 peers of wireguard-go, and our difference through its socket.
fn syncconf() {
    let name = format!("pwb{}", std::process::id() % 100_000);
    let done = |arguments: &[&str]| assert!(Command::new("ip").args(arguments).status().unwrap().success());
    done(&["netns", "add", &name]);
    let mut child = Command::new("ip")
        .args(["netns", "exec", &name, "wireguard-go", "-f", &name])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let socket = format!("/var/run/wireguard/{name}.sock");
    while !FilePath::new(&socket).exists() {
        std::thread::sleep(Duration::from_millis(20));
    }
    let device = wg_keys::device::DeviceSocket::of_interface(&name).unwrap();
    let _ = device.configure(&mesh(1000, None), DiffPolicy::new()).unwrap();
    let (mut wg, mut ours) = (Vec::new(), Vec::new());
    for number in 0..7 {
        let wanted = mesh(1000, Some(number));
        let start = Instant::now();
        let mut sync = Command::new("ip")
            .args(["netns", "exec", &name, "wg", "syncconf", &name, "/dev/stdin"])
            .stdin(Stdio::piped())
            .spawn()
            .unwrap();
        sync.stdin.take().unwrap().write_all(text::write_conf(&wanted).expose_secret().as_bytes()).unwrap();
        assert!(sync.wait().unwrap().success());
        wg.push(start.elapsed());
        let next = mesh(1000, Some(number + 100));
        let diff = wanted.diff(&next, DiffPolicy::new()).unwrap();
        let start = Instant::now();
        device.apply(&diff).unwrap();
        ours.push(start.elapsed());
        device.configure(&mesh(1000, None), DiffPolicy::new()).map(drop).unwrap();
    }
    wg.sort();
    ours.sort();
    println!(
        "one key of 1,000 peers: wg syncconf {:?}, our difference through the socket {:?} (medians of 7)",
        wg.get(3).unwrap(),
        ours.get(3).unwrap()
    );
    let _ = child.kill();
    let _ = child.wait();
    done(&["netns", "delete", &name]);
    let _ = std::fs::remove_file(socket);
}

fn plans(c: &mut Criterion) {
    let paths: Vec<_> = (1..=10_000)
        .map(|number| Path {
            peer: id(number),
            second_port: number % 3 != 0,
            strict_reverse_path: number % 7 == 0,
            packets_per_second: number,
            round_trip: Duration::from_micros(u64::from(number) * 10),
            poll: Duration::from_millis(20),
        })
        .collect();
    let mut group = c.benchmark_group("wg_keys/plan");
    group.throughput(Throughput::Elements(10_000));
    group.bench_function("10000_machines", |b| b.iter(|| Plan::new(id(0), &paths).unwrap()));
    group.finish();
}

fn records(c: &mut Criterion) {
    let (rng, mut trust) = (SystemRandom::new(), TrustedIdentities::new());
    let life = (UnixTime::from_secs(1), UnixTime::from_secs(2_000_000_000));
    let store = state_store::MemoryStore::new();
    let mut signed: Vec<(SignedRecord, [u8; 32])> = Vec::new();
    for number in 0..10_000 {
        let state = MachineState::generate(id(number), 51_820, &rng).unwrap();
        trust.admit(id(number), state.identity_key(), []).unwrap();
        let record =
            KeyRecord::first(id(number), state.current().public_key(), state.agreement_public(), life)
                .with_endpoints(["192.0.2.1:51820".parse().unwrap()]);
        let record = record.sign(&state).unwrap();
        let _ = pollster::block_on(state_store::StateStore::commit(&store, publication(&record).unwrap()))
            .unwrap();
        signed.push((record, *state.identity_public()));
    }
    let found = pollster::block_on(load(&store)).unwrap();
    let now = UnixTime::from_secs(1_800_000_000);
    let mut group = c.benchmark_group("wg_keys/records/10000");
    group.throughput(Throughput::Elements(10_000)).sample_size(10);
    group.bench_function("floor/ed25519_verify", |b| {
        b.iter(|| {
            for (record, identity) in &signed {
                let (body, signature) = record.as_bytes().split_last_chunk::<64>().unwrap();
                UnparsedPublicKey::new(&ED25519, identity).verify(body, signature).unwrap();
            }
        });
    });
    group.bench_function("directory", |b| {
        b.iter(|| {
            let mut directory = Directory::new();
            let report = directory.observe(found.iter().cloned(), &trust, now);
            assert_eq!(report.renewed.len(), 10_000);
            black_box(directory)
        });
    });
    let mut known = Directory::new();
    let _ = known.observe(found.iter().cloned(), &trust, now);
    group.bench_function("directory_that_knows_them", |b| {
        b.iter(|| known.observe(found.iter().cloned(), &trust, now));
    });
    group.finish();
}

criterion_group!(benches, keys, configurations, plans, records);
criterion_main!(benches);
