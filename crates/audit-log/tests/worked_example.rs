//! The example in FORMAT.md is what the log writes.

#![expect(clippy::unwrap_used, reason = "a helper that fails is a test that fails")]

use std::sync::Arc;
use std::time::Duration;

use audit_log::testing::MemoryDirectory;
use audit_log::verify::verify_in;
use audit_log::{Actor, AuditLog, Client, Completion, FindingKind, Intent, Options};
use core_types::testing::TestClock;
use core_types::{RandomError, SecureRandom, UnixTime};

#[test]
fn the_worked_example_is_what_is_written() {
    let disk = MemoryDirectory::new();
    write(&disk);
    let segment = disk.read("00000001.log");
    assert_eq!(hex(&segment), hex(&described_segment()), "{}", dump(&segment));
    assert_eq!(String::from_utf8(disk.read("head")).unwrap(), block("text", 1));
}

#[test]
fn the_worked_example_verifies() {
    let disk = MemoryDirectory::new();
    disk.write("00000001.log", described_segment());
    disk.write("head", block("text", 1));
    let checkpoint = block("text", 1).lines().nth(1).unwrap().parse().unwrap();
    let report = verify_in(&disk, &[checkpoint]).unwrap();
    assert!(report.findings().is_empty(), "{report}");
    assert_eq!((report.entries(), report.records(), report.confirmed_to()), (2, 3, Some(3)));
    disk.write("head", block("text", 1).replace("open-from 4", "open-from 3"));
    assert_eq!(verify_in(&disk, &[]).unwrap().findings().first().unwrap().kind(), FindingKind::HeadDamaged);
}

/// A call, and an attempt without effect.
fn write(disk: &MemoryDirectory) {
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
    log.close_blocking().unwrap();
}

/// The segment's bytes as FORMAT.md has them: hexadecimal, or text in quotes, up to two spaces and a remark.
fn described_segment() -> Vec<u8> {
    block("hex", 0).lines().flat_map(bytes_of_line).collect()
}

fn bytes_of_line(line: &str) -> Vec<u8> {
    let line = line.split_once(": ").map_or(line, |(_, bytes)| bytes);
    if let Some(text) = line.strip_prefix('\'') {
        return text.strip_suffix('\'').unwrap().into();
    }
    let (bytes, _) = line.split_once("  ").unwrap_or((line, ""));
    bytes.split(' ').map(|byte| u8::from_str_radix(byte, 16).unwrap()).collect()
}

/// The block of this language and number in FORMAT.md.
fn block(language: &str, number: usize) -> String {
    let fence = format!("```{language}\n");
    let rest = FORMAT.split(&fence).skip(1).nth(number).unwrap();
    rest.split("```").next().unwrap().to_owned()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// For writing the example anew.
fn dump(bytes: &[u8]) -> String {
    let lines = bytes.chunks(16).zip((0..).step_by(16));
    lines.map(|(line, at)| format!("{at:04x}: {} {:?}\n", hex(line), String::from_utf8_lossy(line))).collect()
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
