//! What a join costs, beside what it is compared with, in the same run.
//!
//! `cargo bench -p palisade-benches --bench join_hmac`. The figures that are no times (memory, the spread of comparisons)
//! are printed first.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::arithmetic_side_effects,
    clippy::disallowed_methods,
    reason = "a bench that fails should say so, and a bench looks at the clock"
)]

use std::hint::black_box;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use core_types::SystemRandom;
use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use join_hmac::code::PairingCode;
use join_hmac::join::{
    Challenged, Decided, HelloOutcome, JoinSecret, Joiner, Monotonic, ProofOutcome, Rate, Window,
    WindowConfig,
};
use join_hmac::microcloud::{
    KdfMemory, MacKind, MacSecret, MacSession, MacSigner, MacVerifier, MacVersion, Mode,
};
use join_hmac::testing::{SOURCE, TODAY, World, direct, machine};
use join_hmac::ticket::Ticket;

const NOW: Monotonic = Monotonic::from_millis(1);
const GENEROUS: Rate = Rate { burst: 1_000_000, interval: Duration::from_millis(1) };

fn code() -> PairingCode {
    PairingCode::parse("saxophone buzzard").unwrap()
}

fn generous() -> WindowConfig {
    WindowConfig {
        half_open: 4096,
        cookies_above: 4096,
        guesses: 1_000_000,
        per_source: GENEROUS,
        code_per_source: GENEROUS,
        global: GENEROUS,
        ..WindowConfig::default()
    }
}

/// A whole join in memory, both sides.
fn join(mut world: World, mut window: Window, mut secret: JoinSecret) {
    let rng = SystemRandom::new();
    let (identity, entry) = machine("beta", "worker");
    let (theirs, ours) = direct(1, &world.identity, &identity);
    let (joiner, hello) = Joiner::start(identity, entry, &mut secret, theirs, NOW, &rng).unwrap();
    let HelloOutcome::Challenge(answer) = window.hello(&hello, SOURCE, &ours, &world, (NOW, TODAY), &rng)
    else {
        panic!("refused")
    };
    let Challenged::Proven(joiner, proof) = joiner.receive(&answer.frame, NOW, &rng).unwrap() else {
        panic!("a cookie")
    };
    let ProofOutcome::Proven(initiator) = window.proof(answer.session, &proof, &world, (NOW, TODAY)) else {
        panic!("refused")
    };
    let (initiator, members) = world.approve(initiator, NOW);
    let Decided::Accepted(joiner, _) = joiner.receive(&members, NOW).unwrap() else { panic!("pending") };
    let (joiner, installed) = joiner.installed();
    let admitted = world.admit(initiator.receive(&installed, NOW).unwrap().into_parts().0);
    let _ = black_box(joiner.receive(admitted.frame(), NOW).unwrap());
}

fn joins(c: &mut Criterion) {
    let mut group = c.benchmark_group("join_hmac/join");
    let with_code = || {
        let world = World::new("alpha");
        let mut window = world.window(generous());
        window.show_code(code());
        (world, window, JoinSecret::code(code()))
    };
    group.bench_function("code/both_sides", |b| {
        b.iter_batched(
            with_code,
            |(world, window, secret)| join(world, window, secret),
            BatchSize::PerIteration,
        );
    });
    let with_ticket = || {
        let mut world = World::new("alpha");
        let ticket = world.ticket(1);
        let window = world.window(generous());
        (world, window, JoinSecret::ticket(ticket))
    };
    group.bench_function("ticket/both_sides", |b| {
        b.iter_batched(
            with_ticket,
            |(world, window, secret)| join(world, window, secret),
            BatchSize::PerIteration,
        );
    });
    // What the server pays for somebody who knows nothing: a challenge and a wrong proof.
    group.bench_function("code/server_wrong_proof", |b| {
        let world = World::new("alpha");
        let mut window = world.window(generous());
        window.show_code(code());
        let rng = SystemRandom::new();
        let (identity, entry) = machine("beta", "worker");
        let (theirs, ours) = direct(1, &world.identity, &identity);
        let mut wrong = JoinSecret::code(PairingCode::parse("zebra zombie").unwrap());
        let (joiner, hello) =
            Joiner::start(Arc::clone(&identity), entry, &mut wrong, theirs, NOW, &rng).unwrap();
        let HelloOutcome::Challenge(first) = window.hello(&hello, SOURCE, &ours, &world, (NOW, TODAY), &rng)
        else {
            panic!("refused")
        };
        let Challenged::Proven(_, proof) = joiner.receive(&first.frame, NOW, &rng).unwrap() else {
            panic!("a cookie")
        };
        let mut now = 1_u64;
        b.iter(|| {
            now += 1;
            let now = Monotonic::from_millis(1 + now % 1000);
            match window.hello(&hello, SOURCE, &ours, &world, (now, TODAY), &rng) {
                HelloOutcome::Challenge(answer) => {
                    let _ = black_box(window.proof(answer.session, &proof, &world, (now, TODAY)));
                }
                other => {
                    window.show_code(code());
                    let _ = black_box(other);
                }
            }
        });
    });
    group.finish();
}

fn argon2(c: &mut Criterion) {
    let mut group = c.benchmark_group("join_hmac/microcloud");
    group.sample_size(10);
    let version = MacVersion::microcloud();
    let secret = || MacSecret::new(b"oftentimes rupture saxophone buzzard").unwrap();
    let mut memory = KdfMemory::new().unwrap();
    let body = vec![b'x'; 240];
    let signer = MacSigner::argon2_with_salt(version.clone(), &secret(), &[7; 16], &mut memory).unwrap();
    let header = signer.sign(&body).to_string();
    let verifier = MacVerifier::new(version, MacKind::Argon2, Mode::Strict, secret());
    group.bench_function("check_with_derivation/240", |b| {
        b.iter(|| black_box(verifier.verify(header.as_bytes(), &body, &mut memory)).unwrap());
    });
    let mut session = MacSession::new(verifier, 1);
    assert!(session.verify(header.as_bytes(), &body).is_ok());
    group.bench_function("check_with_known_key/240", |b| {
        b.iter(|| black_box(session.verify(header.as_bytes(), &body)).unwrap());
    });
    group.finish();
}

fn macs(c: &mut Criterion) {
    let mut group = c.benchmark_group("join_hmac/mac_verify");
    for size in [240, 2048, 16_384] {
        let body = vec![b'x'; size];
        group.throughput(Throughput::Bytes(u64::try_from(size).unwrap()));
        let secret = || MacSecret::new(&[7; 32]).unwrap();
        let header = MacSigner::plain(MacVersion::microcloud(), &secret()).sign(&body);
        let text = header.to_string();
        let verifier = MacVerifier::new(MacVersion::microcloud(), MacKind::Plain, Mode::Strict, secret());
        let mut session = MacSession::new(verifier, 0);
        group.bench_function(format!("ours/{size}"), |b| {
            b.iter(|| black_box(session.verify(text.as_bytes(), &body)).unwrap());
        });
        group.bench_function(format!("ring/{size}"), |b| {
            b.iter(|| {
                let key = ring::hmac::Key::new(ring::hmac::HMAC_SHA256, &[7; 32]);
                black_box(ring::hmac::verify(&key, &body, header.mac())).unwrap();
            });
        });
    }
    group.finish();
}

fn strangers(c: &mut Criterion) {
    let mut group = c.benchmark_group("join_hmac/stranger");
    let world = World::new("alpha");
    let rng = SystemRandom::new();
    let (identity, entry) = machine("beta", "worker");
    let (theirs, ours) = direct(1, &world.identity, &identity);
    let mut secret = JoinSecret::code(code());
    let (_, hello) = Joiner::start(identity, entry, &mut secret, theirs, NOW, &rng).unwrap();
    let mut malformed = hello.clone();
    malformed.truncate(100);
    let mut window = world.window(WindowConfig { cookies_above: 0, ..generous() });
    group.bench_function("malformed_hello", |b| {
        b.iter(|| black_box(window.hello(&malformed, SOURCE, &ours, &world, (NOW, TODAY), &rng)));
    });
    group.bench_function("hello_without_cookie", |b| {
        b.iter(|| black_box(window.hello(&hello, SOURCE, &ours, &world, (NOW, TODAY), &rng)));
    });
    group.finish();
}

/// Resident memory of this process, in KiB.
fn resident_kib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

fn figures(_: &mut Criterion) {
    let mut world = World::new("alpha");
    let text = world.ticket(1).expose(str::to_owned);
    let rng = SystemRandom::new();
    let (identity, entry) = machine("beta", "worker");
    let (theirs, ours) = direct(1, &world.identity, &identity);
    let mut window = world.window(generous());
    let before = resident_kib();
    for _ in 0..1000 {
        let mut secret = JoinSecret::ticket(Ticket::parse(&text).unwrap());
        let (_, hello) =
            Joiner::start(Arc::clone(&identity), entry.clone(), &mut secret, theirs.clone(), NOW, &rng)
                .unwrap();
        let _ = black_box(window.hello(&hello, SOURCE, &ours, &world, (NOW, TODAY), &rng));
    }
    println!("1000 half-open sessions: {} KiB ({} open)", resident_kib() - before, window.half_open());
    let mut window =
        world.window(WindowConfig { lifetime: Duration::from_secs(3600), ..WindowConfig::default() });
    let sources = 10_000_000_u32;
    let (mut honest, mut let_in, mut spent) = (0_u32, 0_u32, Duration::ZERO);
    let before = resident_kib();
    let mut hello = Vec::new();
    for number in 0..sources {
        // Three thousand spoofed sources a second; an honest machine asks once a second.
        let now = Monotonic::from_millis(u64::from(number) / 3);
        if number.is_multiple_of(3000) {
            let mut secret = JoinSecret::ticket(Ticket::parse(&text).unwrap());
            let (joiner, first) =
                Joiner::start(Arc::clone(&identity), entry.clone(), &mut secret, theirs.clone(), now, &rng)
                    .unwrap();
            honest += 1;
            let mut answer = window.hello(&first, SOURCE, &ours, &world, (now, TODAY), &rng);
            if let HelloOutcome::Retry(cookie) = &answer {
                let Challenged::Again(_, again) = joiner.receive(cookie, now, &rng).unwrap() else {
                    panic!("a challenge")
                };
                answer = window.hello(&again, SOURCE, &ours, &world, (now, TODAY), &rng);
            }
            if let HelloOutcome::Challenge(answer) = answer {
                let_in += 1;
                window.closed(answer.session);
            }
            hello = first;
        }
        let spoofed = IpAddr::from((u128::from(number) << 64).to_be_bytes());
        let started = Instant::now();
        let _ = black_box(window.hello(&hello, spoofed, &ours, &world, (now, TODAY), &rng));
        spent += started.elapsed();
    }
    println!(
        "{sources} spoofed sources: {} KiB more, {:?} each, {} half open; honest machine let in {let_in} of {honest} times",
        resident_kib().saturating_sub(before),
        spent / sources,
        window.half_open()
    );
    spread();
}

/// Times of what differs in a secret only, interleaved: Welch's t over both classes (dudect).
fn spread() {
    let secret = || MacSecret::new(&[7; 32]).unwrap();
    let body = [b'x'; 64];
    let right = *MacSigner::plain(MacVersion::microcloud(), &secret()).sign(&body).mac();
    let text = |at: usize| {
        let mut wrong = right;
        if let Some(byte) = wrong.get_mut(at) {
            // The digits are as many letters as before: reading them, which is no secret, takes the same time.
            let letters = |byte: u8| format!("{byte:02x}").bytes().filter(u8::is_ascii_digit).count();
            let bit = (0..8).find(|bit| letters(*byte) == letters(*byte ^ (1 << bit))).unwrap_or(7);
            *byte ^= 1 << bit;
        }
        let hex: String = wrong.iter().map(|byte| format!("{byte:02x}")).collect();
        format!("{} {hex}", MacVersion::MICROCLOUD)
    };
    let verifier = MacVerifier::new(MacVersion::microcloud(), MacKind::Plain, Mode::Strict, secret());
    let mut session = MacSession::new(verifier, 0);
    let macs = [text(0), text(31)];
    welch("MAC that is wrong in its first byte, in its last", 200_000, |class| {
        let text = macs.get(class).map(String::as_bytes).unwrap_or_default();
        timed(|| session.verify(text, &body))
    });
    tags();
    codes();
}

/// The tag of a proof that is wrong in its first byte, and in its last.
fn tags() {
    let mut world = World::new("alpha");
    let text = world.ticket(1).expose(str::to_owned);
    let rng = SystemRandom::new();
    let (identity, entry) = machine("beta", "worker");
    let (theirs, ours) = direct(1, &world.identity, &identity);
    let mut window = world.window(generous());
    let mut secret = JoinSecret::ticket(Ticket::parse(&text).unwrap());
    welch("tag of a proof that is wrong in its first byte, in its last", 10_000, |class| {
        let (joiner, hello) =
            Joiner::start(Arc::clone(&identity), entry.clone(), &mut secret, theirs.clone(), NOW, &rng)
                .unwrap();
        let HelloOutcome::Challenge(answer) = window.hello(&hello, SOURCE, &ours, &world, (NOW, TODAY), &rng)
        else {
            panic!("refused")
        };
        let Challenged::Proven(_, mut proof) = joiner.receive(&answer.frame, NOW, &rng).unwrap() else {
            panic!("a cookie")
        };
        // The tag is the last field.
        let at = if class == 0 { proof.len() - 32 } else { proof.len() - 1 };
        if let Some(byte) = proof.get_mut(at) {
            *byte ^= 0x80;
        }
        timed(|| window.proof(answer.session, &proof, &world, (NOW, TODAY)))
    });
}

/// A guess whose first word is right, and one whose words are both wrong.
fn codes() {
    let world = World::new("alpha");
    let rng = SystemRandom::new();
    let (identity, entry) = machine("beta", "worker");
    let (theirs, ours) = direct(1, &world.identity, &identity);
    let mut window = world.window(generous());
    let guesses = ["saxophone zombie", "zebra zombie"];
    welch("code of which one word is right, none", 5000, |class| {
        window.show_code(code());
        let guess = PairingCode::parse(guesses.get(class).copied().unwrap_or_default()).unwrap();
        let mut secret = JoinSecret::code(guess);
        let (joiner, hello) =
            Joiner::start(Arc::clone(&identity), entry.clone(), &mut secret, theirs.clone(), NOW, &rng)
                .unwrap();
        let HelloOutcome::Challenge(answer) = window.hello(&hello, SOURCE, &ours, &world, (NOW, TODAY), &rng)
        else {
            panic!("refused")
        };
        let Challenged::Proven(_, proof) = joiner.receive(&answer.frame, NOW, &rng).unwrap() else {
            panic!("a cookie")
        };
        timed(|| window.proof(answer.session, &proof, &world, (NOW, TODAY)))
    });
}

fn timed<T>(work: impl FnOnce() -> T) -> f64 {
    let started = Instant::now();
    let done = black_box(work());
    let nanoseconds = started.elapsed().as_secs_f64() * 1e9;
    drop(done);
    nanoseconds
}

/// Runs one of two classes at a time, and says by how much their times differ.
fn welch(what: &str, rounds: usize, mut run: impl FnMut(usize) -> f64) {
    let mut times = [Vec::new(), Vec::new()];
    // Marsaglia's xorshift: classes in an order that nothing in the machine learns.
    let mut random = 0x9e37_79b9_7f4a_7c15_u64;
    for _ in 0..rounds {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        let class = usize::from(random & 0x10 == 0);
        let time = run(class);
        if let Some(times) = times.get_mut(class) {
            times.push(time);
        }
    }
    let moments: Vec<(f64, f64, f64)> = times
        .iter_mut()
        .map(|all| {
            all.sort_by(f64::total_cmp);
            // Without the slowest tenth, which the machine makes.
            all.truncate(all.len() * 9 / 10);
            let n = f64::from(u32::try_from(all.len()).unwrap());
            let mean = all.iter().sum::<f64>() / n;
            let variance = all.iter().map(|time| (time - mean).powi(2)).sum::<f64>() / (n - 1.0);
            (mean, variance, n)
        })
        .collect();
    if let [(one, v1, n1), (other, v2, n2)] = moments.as_slice() {
        let t = (one - other) / (v1 / n1 + v2 / n2).sqrt();
        println!("{what}: {one:.1} ns, {other:.1} ns, t = {t:.2} (under 4.5: no sign of a leak)");
    }
}

criterion_group!(all, figures, joins, argon2, macs, strangers);
criterion_main!(all);
