//! Verifying tokens among a million, beside its floor and its rivals, over the same number of credentials.
//!
//! `cargo bench -p palisade-benches --bench token_vault`; `TOKENS=n` for another number. The floor is one keyed
//! digest of 55 bytes and one uncached look-up of the same map. Memory, warm start, two readers and the longest
//! write are printed before the timings.

#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::disallowed_methods,
    clippy::arithmetic_side_effects,
    clippy::indexing_slicing,
    clippy::as_conversions,
    clippy::string_slice,
    reason = "a bench"
)]

use std::hint::black_box;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use core_types::{Grant, Principal, Restriction, SecureRandom, Subject, SystemRandom, TokenId, UserId};
use criterion::{BatchSize, Criterion};
use pollster::block_on;
use state_store::replica::View;
use state_store::{Commit, MemoryStore, Replica, Revision, StateStore};
use token_vault::testing::{START, format, kind, pepper};
use token_vault::{IssueRequest, Peppers, RevocationReason, TokenView, Vault, VerifyContext};

fn main() {
    let count = std::env::var("TOKENS").ok().and_then(|text| text.parse().ok()).unwrap_or(1_000_000);
    let world = World::new(count);
    world.readers_beside_writes();
    world.timing_differences();
    let mut criterion = Criterion::default()
        .sample_size(20)
        .warm_up_time(Duration::from_millis(500))
        .measurement_time(Duration::from_secs(2))
        .configure_from_args();
    world.bench(&mut criterion);
    rivals::all(&mut criterion);
    criterion.final_summary();
}

struct World {
    store: MemoryStore,
    vault: Vault,
    driver: std::sync::Mutex<state_store::replica::Driver<MemoryStore, TokenView>>,
    tokens: Vec<String>,
    ids: Vec<TokenId>,
}

impl World {
    /// Issues tokens for a quarter as many owners, with a thousand different restrictions.
    fn new(count: usize) -> Self {
        let random = SystemRandom::new();
        let store = MemoryStore::new();
        let clock = core_types::testing::TestClock::at(START);
        let bound = Duration::from_secs(1 << 40);
        let prefix = TokenView::prefix().unwrap();
        let open = || Replica::open(store.clone(), prefix.clone(), TokenView::new(), bound, &clock);
        let (replica, driver) = block_on(open()).unwrap();
        drop(driver);
        let issuer = Vault::new(replica, format(), Peppers::new(&pepper(1)));
        let owners: Vec<Subject> = (0..count.div_ceil(4))
            .map(|_| Subject::User(UserId::generate(START, &random).unwrap()))
            .collect();
        let (mut tokens, mut ids) = (Vec::with_capacity(count), Vec::with_capacity(count));
        let mut together = state_store::Batch::new();
        let before_issue = Instant::now();
        for number in 0..count {
            let scope = format!("org/acme/project/p{}", number % 1000).parse().unwrap();
            let restriction = Restriction::only([Grant::new("apps:*".parse().unwrap(), scope)]).unwrap();
            let end = START.saturating_add(Duration::from_secs(86_400 + number as u64));
            let wish = IssueRequest::new(
                format!("deploy-{number}"),
                kind(),
                owners[number / 4],
                restriction.expiring(end),
            );
            let issued = issuer.plan_issue(wish, START, &random).unwrap();
            tokens.push(issued.token.expose_once(str::to_owned));
            ids.push(issued.info.id);
            together.append(issued.batch).unwrap();
            if together.writes().count() == 256 || number + 1 == count {
                let batch = std::mem::take(&mut together);
                assert!(matches!(block_on(store.commit(batch)).unwrap(), Commit::Committed(_)));
            }
        }
        println!("issue and commit to memory: {:?} each", before_issue.elapsed() / count as u32);
        println!("memory: {} bytes per token in the index", index_bytes(&store, count));
        let before = Instant::now();
        let (replica, driver) = block_on(open()).unwrap();
        println!("warm start of {count} from a memory store: {:?}", before.elapsed());
        let vault = Vault::new(replica, format(), Peppers::new(&pepper(1)));
        // In another order than they lie in memory.
        let mut order: Vec<usize> = (0..count).collect();
        shuffle(&mut order, &random);
        let tokens = order.iter().map(|&at| tokens[at].clone()).collect();
        let ids = order.iter().map(|&at| ids[at]).collect();
        Self { store, vault, driver: std::sync::Mutex::new(driver), tokens, ids }
    }

    fn bench(&self, criterion: &mut Criterion) {
        let context = VerifyContext::at(START);
        let mut group = criterion.benchmark_group("token-vault");
        let mut next = walk(self.tokens.len());
        group.bench_function("verify/1M", |bencher| {
            // What was presented has just been received: it is in the cache, the token's record is not.
            bencher.iter_batched(
                || self.tokens[next()].clone(),
                |text| self.vault.verify(black_box(&text), &context),
                BatchSize::NumIterations(16),
            );
        });
        let key = ring::hmac::Key::new(ring::hmac::HMAC_SHA256, &[7; 32]);
        let snapshot = self.vault.replica().snapshot();
        let mut next = walk(self.ids.len());
        group.bench_function("floor/digest+lookup/1M", |bencher| {
            bencher.iter_batched(
                || self.ids[next()],
                |id| {
                    let tag = ring::hmac::sign(&key, black_box(&[1; 55]));
                    (tag.as_ref()[0], token_vault::testing::touch(snapshot.view(), id))
                },
                BatchSize::NumIterations(16),
            );
        });
        group.bench_function("floor/hmac-sha256/55B", |bencher| {
            bencher.iter(|| ring::hmac::sign(&key, black_box(&[1; 55])));
        });
        let mut next = walk(self.ids.len());
        group.bench_function("floor/lookup/1M", |bencher| {
            bencher.iter_batched(
                || self.ids[next()],
                |id| token_vault::testing::touch(snapshot.view(), id),
                BatchSize::NumIterations(16),
            );
        });
        let mut garbage = self.tokens[0].clone();
        let last = if garbage.ends_with('0') { "1" } else { "0" };
        garbage.replace_range(garbage.len() - 1.., last);
        group.bench_function("garbage/checksum", |bencher| {
            bencher.iter(|| self.vault.verify(black_box(&garbage), &context).is_err());
        });
        group.bench_function("garbage/short", |bencher| {
            bencher.iter(|| self.vault.verify(black_box("Bearer xyz"), &context).is_err());
        });
        let random = SystemRandom::new();
        let unknown = token_vault::testing::with_checksum(&format!(
            "plsdtestpat_{}{}",
            &"0123456789012345678901"[..22],
            &self.tokens[0][34..77]
        ));
        group.bench_function("unknown", |bencher| {
            bencher.iter(|| self.vault.verify(black_box(&unknown), &context).is_err());
        });
        let owner = Subject::User(UserId::generate(START, &random).unwrap());
        group.bench_function("issue/plan", |bencher| {
            bencher.iter_batched(
                || IssueRequest::new("x", kind(), owner, Restriction::unrestricted()),
                |wish| self.vault.plan_issue(wish, START, &random).unwrap(),
                BatchSize::SmallInput,
            );
        });
        group.finish();
    }

    /// Verifies on one thread, then on two beside a thousand revocations a second.
    fn readers_beside_writes(&self) {
        let alone = self.readers(1, false);
        let pair = self.readers(2, false);
        let beside = self.readers(2, true);
        println!("verify, 1 thread: {:.2} M/s", alone.0 / 1e6);
        println!("verify, 2 threads: {:.2} M/s = {:.2}x", pair.0 / 1e6, pair.0 / alone.0);
        println!(
            "verify, 2 threads beside {} writes/s: {:.2} M/s = {:.2}x; longest write {:?}",
            beside.2,
            beside.0 / 1e6,
            beside.0 / alone.0,
            beside.1
        );
    }

    /// After dudect (Reparaz, Balasch, Verbauwhede 2017): Welch's t between two classes of wrong tokens in random
    /// order. Below 4.5 no difference is seen; the means say how large one is that is.
    fn timing_differences(&self) {
        let token = &self.tokens[0];
        let wrong_at = |at: usize| {
            let mut body = token[..77].to_owned();
            // The first digit of a secret is 4 at most, so that the number stays within its bytes.
            let other = if &token[at..=at] == "1" { "0" } else { "1" };
            body.replace_range(at..=at, other);
            token_vault::testing::with_checksum(&body)
        };
        let unknown = {
            let mut body = token[..77].to_owned();
            let other = if &token[33..34] == "1" { "0" } else { "1" };
            body.replace_range(33..34, other);
            token_vault::testing::with_checksum(&body)
        };
        let (first, last) = (wrong_at(34), wrong_at(76));
        self.compare("wrong first digit / wrong last digit", &first, &last);
        self.compare("wrong secret / unknown id", &last, &unknown);
        self.compare("the same text twice", &last, &last.clone());
    }

    fn compare(&self, name: &str, one: &str, other: &str) {
        let context = VerifyContext::at(START);
        let mut random = [0_u8; 4096];
        let mut times: [Vec<f64>; 2] = [Vec::new(), Vec::new()];
        for _ in 0..50 {
            SystemRandom::new().fill(&mut random).unwrap();
            for byte in random {
                let class = usize::from(byte & 1);
                let text = [one, other][class];
                let began = Instant::now();
                black_box(self.vault.verify(black_box(text), &context).is_err());
                times[class].push(began.elapsed().as_nanos() as f64);
            }
        }
        // What the scheduler did to a few of them says nothing of the code.
        let mut all: Vec<f64> = times.concat();
        all.sort_unstable_by(f64::total_cmp);
        let crop = all[all.len() * 9 / 10];
        let [(mean0, error0), (mean1, error1)] = times.map(|times| {
            let times: Vec<f64> = times.into_iter().filter(|time| *time <= crop).collect();
            let mean = times.iter().sum::<f64>() / times.len() as f64;
            let variance = times.iter().map(|time| (time - mean).powi(2)).sum::<f64>() / times.len() as f64;
            (mean, variance / times.len() as f64)
        });
        let t = (mean0 - mean1) / (error0 + error1).sqrt();
        println!("timing, {name}: {mean0:.1} ns, {mean1:.1} ns, t = {t:.1}");
    }

    fn readers(&self, threads: usize, write: bool) -> (f64, Duration, usize) {
        let stop = AtomicBool::new(false);
        let time = Duration::from_secs(3);
        std::thread::scope(|scope| {
            let readers: Vec<_> = (0..threads)
                .map(|thread| {
                    let stop = &stop;
                    scope.spawn(move || {
                        let context = VerifyContext::at(START);
                        let (mut done, mut at) = (0_u64, thread * 7919);
                        while !stop.load(Ordering::Relaxed) {
                            at = (at + 7919) % self.tokens.len();
                            black_box(self.vault.verify(&self.tokens[at], &context).is_ok());
                            done += 1;
                        }
                        done
                    })
                })
                .collect();
            let (mut longest, mut writes) = (Duration::ZERO, 0);
            let began = Instant::now();
            let by = Principal::subject(Subject::User(UserId::from_bytes([1; 16])));
            while began.elapsed() < time {
                if !write {
                    std::thread::sleep(Duration::from_millis(10));
                    continue;
                }
                let id = self.ids[writes];
                let change = self.vault.plan_revoke(id, by, RevocationReason::Unneeded, START);
                if let Ok(change) = change {
                    let write = Instant::now();
                    let commit = block_on(self.store.commit(change.batch)).unwrap();
                    assert!(matches!(commit, Commit::Committed(_)));
                    block_on(self.driver.lock().unwrap().step()).unwrap();
                    longest = longest.max(write.elapsed());
                }
                writes += 1;
                let due = began + Duration::from_millis(writes as u64);
                std::thread::sleep(due.saturating_duration_since(Instant::now()));
            }
            stop.store(true, Ordering::Relaxed);
            let done: u64 = readers.into_iter().map(|reader| reader.join().unwrap()).sum();
            (done as f64 / began.elapsed().as_secs_f64(), longest, writes / time.as_secs() as usize)
        })
    }
}

/// What the resident set grows by when a view is filled, with nothing else kept.
fn index_bytes(store: &MemoryStore, count: usize) -> usize {
    let prefix = TokenView::prefix().unwrap();
    let before = resident();
    let mut view = TokenView::new();
    let mut after = None;
    loop {
        let page = block_on(store.scan(&prefix, after.as_ref(), 1000)).unwrap();
        for entry in &page.entries {
            view.put(&entry.key, &entry.value, Revision::new(1)).unwrap();
        }
        after = page.entries.last().map(|entry| entry.key.clone());
        if !page.more {
            break;
        }
    }
    let bytes = resident().saturating_sub(before) / count;
    assert_eq!(view.len(), count);
    bytes
}

fn resident() -> usize {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap();
    statm.split(' ').nth(1).unwrap().parse::<usize>().unwrap() * 4096
}

fn shuffle(order: &mut [usize], random: &SystemRandom) {
    for at in (1..order.len()).rev() {
        let mut bytes = [0; 8];
        random.fill(&mut bytes).unwrap();
        order.swap(at, (u64::from_le_bytes(bytes) % (at as u64 + 1)) as usize);
    }
}

/// Places far from one another, so that no look-up finds the one before in a cache.
fn walk(len: usize) -> impl FnMut() -> usize {
    let mut at = 0;
    move || {
        at = (at + 7919) % len;
        at
    }
}

mod rivals {
    use super::{Criterion, black_box};

    #[derive(serde::Serialize, serde::Deserialize)]
    struct Claims {
        sub: String,
        aud: String,
        scope: String,
        exp: u64,
    }

    pub(super) fn all(criterion: &mut Criterion) {
        let mut group = criterion.benchmark_group("rival");
        let claims = || Claims {
            sub: "usr_01JD9Z6Q7V8W9X0Y1Z2A3B4C5D".into(),
            aud: "palisade".into(),
            scope: "apps:* at org/acme/project/p1".into(),
            exp: 4_000_000_000,
        };
        {
            use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation, decode, encode};
            let token =
                encode(&Header::new(Algorithm::HS256), &claims(), &EncodingKey::from_secret(&[7; 32]))
                    .unwrap();
            let mut validation = Validation::new(Algorithm::HS256);
            validation.set_audience(&["palisade"]);
            let key = DecodingKey::from_secret(&[7; 32]);
            group.bench_function("jsonwebtoken/HS256", |bencher| {
                bencher.iter(|| decode::<Claims>(black_box(&token), &key, &validation).is_ok());
            });
            let random = ring::rand::SystemRandom::new();
            let pkcs8 = ring::signature::Ed25519KeyPair::generate_pkcs8(&random).unwrap();
            let pair = ring::signature::Ed25519KeyPair::from_pkcs8(pkcs8.as_ref()).unwrap();
            let public = ring::signature::KeyPair::public_key(&pair).as_ref().to_vec();
            let token =
                encode(&Header::new(Algorithm::EdDSA), &claims(), &EncodingKey::from_ed_der(pkcs8.as_ref()))
                    .unwrap();
            let mut validation = Validation::new(Algorithm::EdDSA);
            validation.set_audience(&["palisade"]);
            let key = DecodingKey::from_ed_der(&public);
            assert!(decode::<Claims>(&token, &key, &validation).is_ok());
            group.bench_function("jsonwebtoken/EdDSA", |bencher| {
                bencher.iter(|| decode::<Claims>(black_box(&token), &key, &validation).is_ok());
            });
        }
        {
            use prefixed_api_key::PrefixedApiKeyController;
            let controller = PrefixedApiKeyController::configure()
                .prefix("acme".to_owned())
                .seam_defaults()
                .finalize()
                .unwrap();
            let (key, hash) = controller.generate_key_and_hash();
            let text = key.to_string();
            group.bench_function("prefixed-api-key/parse+check, no look-up", |bencher| {
                bencher.iter(|| {
                    let key = prefixed_api_key::PrefixedApiKey::from_string(black_box(&text)).unwrap();
                    controller.check_hash(&key, &hash)
                });
            });
        }
        {
            use macaroon::{Macaroon, MacaroonKey, Verifier};
            macaroon::initialize().unwrap();
            let key = MacaroonKey::generate(b"a root key");
            let mut macaroon = Macaroon::create(None, &key, "token-1".into()).unwrap();
            macaroon.add_first_party_caveat("scope = org/acme/project/p1".into());
            let text = macaroon.serialize(macaroon::Format::V2).unwrap();
            let mut verifier = Verifier::default();
            verifier.satisfy_exact("scope = org/acme/project/p1".into());
            assert!(verifier.verify(&macaroon, &key, Vec::new()).is_ok());
            group.bench_function("macaroon/1 caveat", |bencher| {
                bencher.iter(|| {
                    let macaroon = Macaroon::deserialize(black_box(&text)).unwrap();
                    verifier.verify(&macaroon, &key, Vec::new()).is_ok()
                });
            });
        }
        {
            use biscuit_auth::macros::{authorizer, biscuit};
            use biscuit_auth::{Biscuit, KeyPair};
            let root = KeyPair::new();
            let token = biscuit!(r#"right("apps", "read"); check if time($t), $t < 2096-01-01T00:00:00Z;"#)
                .build(&root)
                .unwrap();
            let text = token.to_base64().unwrap();
            group.bench_function("biscuit-auth/signature+authorize", |bencher| {
                bencher.iter(|| {
                    let token = Biscuit::from_base64(black_box(&text), root.public()).unwrap();
                    let mut authorizer =
                        authorizer!(r#"time(2026-01-01T00:00:00Z); allow if right("apps", "read");"#)
                            .build(&token)
                            .unwrap();
                    authorizer.authorize().is_ok()
                });
            });
        }
        {
            use pasetors::claims::{Claims, ClaimsValidationRules};
            use pasetors::keys::{AsymmetricKeyPair, Generate};
            use pasetors::{Public, public, token::UntrustedToken, version4::V4};
            let pair = AsymmetricKeyPair::<V4>::generate().unwrap();
            let claims = Claims::new_expires_in(&core::time::Duration::from_secs(86_400)).unwrap();
            let text = public::sign(&pair.secret, &claims, None, None).unwrap();
            let rules = ClaimsValidationRules::new();
            group.bench_function("pasetors/v4.public", |bencher| {
                bencher.iter(|| {
                    let token = UntrustedToken::<Public, V4>::try_from(black_box(&text)).unwrap();
                    public::verify(&pair.public, &token, &rules, None, None).is_ok()
                });
            });
        }
        group.finish();
    }
}
