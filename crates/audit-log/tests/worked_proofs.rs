//! The published files and the receipt in FORMAT.md are what is published of the example's log.

#![expect(clippy::unwrap_used, reason = "a helper that fails is a test that fails")]

use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

use audit_log::testing::{MemoryDirectory, MemoryTiles};
use audit_log::tlog::{
    Ed25519Signer, EpochProof, Prover, Publisher, Signer as _, TileStore, TlogProof, VerifierKey,
};
use audit_log::verify::Verification;
use audit_log::{Actor, AuditLog, Client, Completion, Intent, Options};
use core_types::testing::TestClock;
use core_types::{RandomError, Scope, SecretBytes, SecureRandom, UnixTime};

#[test]
fn the_published_example_is_what_is_published() {
    let (_, tiles, key) = publish();
    let mut made = format!("key\n{}", text(&tiles, "key"));
    for file in ["tenants/0/checkpoint", "epochs/checkpoint", "heads/0.1", "state"] {
        write!(made, "\n{file}\n{}", text(&tiles, file)).unwrap();
    }
    for tree in ["tenants/0", "epochs"] {
        for file in tiles.names().iter().filter(|name| name.starts_with(&format!("{tree}/tile/"))) {
            let bytes = tiles.contents(file);
            if file.contains("entries") {
                writeln!(made, "\n{file}").unwrap();
                let mut rest = &bytes[..];
                while let Some((length, after)) = rest.split_first_chunk::<2>() {
                    let (leaf, after) = after.split_at(usize::from(u16::from_be_bytes(*length)));
                    writeln!(made, "{} {}", hex(length), str::from_utf8(leaf).unwrap()).unwrap();
                    rest = after;
                }
            } else {
                writeln!(made, "\n{file}").unwrap();
                bytes.chunks(32).for_each(|hash| writeln!(made, "{}", hex(hash)).unwrap());
            }
        }
    }
    assert_eq!(made, block(0), "\n{made}");
    let mut prover = Prover::new(Arc::new(tiles), key);
    let tenant: Scope = "project/web".parse().unwrap();
    let receipt = prover.prove(&tenant, 2).unwrap().to_string();
    assert_eq!(receipt, block(1), "\n{receipt}");
    let (same, epoch) = prover.prove_bound(&tenant, 2).unwrap();
    assert_eq!((same.to_string(), epoch.to_string()), (receipt, block(2)), "\n{epoch}");
}

#[test]
fn the_published_example_verifies() {
    let (disk, tiles, key) = publish();
    assert_eq!(block(0).lines().nth(1).unwrap().parse::<VerifierKey>().unwrap(), key);
    let proven = block(1).parse::<TlogProof>().unwrap().verify(&key).unwrap();
    assert_eq!((proven.sequence(), proven.index()), (2, 1));
    assert_eq!(proven.entry().unwrap().outcome().as_str(), "allowed");
    let epoch = block(2).parse::<EpochProof>().unwrap().verify(&key, proven.head()).unwrap();
    assert_eq!((epoch.sequence, epoch.through, epoch.slot, epoch.tenants), (4, 3, 0, 1));
    let tiles: Arc<dyn TileStore> = Arc::new(tiles);
    let report = Verification::new().with_key(key).run_in(&disk, Some(tiles)).unwrap();
    assert!(report.findings().is_empty(), "{report}");
    assert_eq!((report.records(), report.published_to()), (4, Some(3)));
}

/// The log of the example, published.
fn publish() -> (MemoryDirectory, MemoryTiles, VerifierKey) {
    let (disk, tiles) = (MemoryDirectory::new(), MemoryTiles::new());
    let clock = Arc::new(TestClock::at(UnixTime::from_millis(1_700_000_000_005)));
    let log = AuditLog::open_in(Arc::new(disk.clone()), clock, &Counting, &Options::new()).unwrap();
    let intent = |actor: Actor| {
        let action: audit_log::Action = "apps:write".parse().unwrap();
        Intent::new(actor, action, "project/web".parse().unwrap(), UnixTime::from_millis(1_700_000_000_000))
            .with_client(Client::peer("192.0.2.1".parse().unwrap()))
    };
    let ada = intent("usr_01HF7YAT00000000000000000A".parse().unwrap());
    let guard = log.begin_blocking(ada).unwrap();
    guard.finish_blocking(Completion::allowed(Duration::from_micros(5200))).unwrap();
    let refused = Completion::unauthenticated(Duration::from_micros(80)).with_reason("no token").unwrap();
    log.record_blocking(intent(Actor::Anonymous), refused).unwrap();
    let signer =
        Ed25519Signer::from_seed("audit.example/log", &SecretBytes::take_from(&mut [7; 32])).unwrap();
    let key = signer.verifier().clone();
    Publisher::new(log.clone(), tiles.clone(), signer).unwrap().step().unwrap();
    log.close_blocking().unwrap();
    (disk, tiles, key)
}

/// The block of this number among those about published files.
fn block(number: usize) -> String {
    let rest = FORMAT.split("```tlog\n").skip(1).nth(number).unwrap();
    rest.split("```").next().unwrap().to_owned()
}

fn text(tiles: &MemoryTiles, file: &str) -> String {
    String::from_utf8(tiles.contents(file)).unwrap()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Makes the log's id 000102….
struct Counting;

impl SecureRandom for Counting {
    fn fill(&self, out: &mut [u8]) -> Result<(), RandomError> {
        (0..).zip(out).for_each(|(number, byte)| *byte = number);
        Ok(())
    }
}

const FORMAT: &str = include_str!("../FORMAT.md");
