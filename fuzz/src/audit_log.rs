//! Checkpoints and other texts, segments that anyone may have written, and logs that somebody tampered with.

use std::sync::{Arc, LazyLock};
use std::time::Duration;

use audit_log::files::Directory;
use audit_log::query::Cursor;
use audit_log::testing::{MemoryDirectory, read_entry};
use audit_log::verify::verify_in;
use audit_log::{Action, Actor, AuditLog, Checkpoint, Completion, Intent, LogId, Options, Outcome};
use core_types::testing::{TestClock, TestRandom};
use core_types::{Permission, Principal, Subject, UserId};

use crate::follow::NOW;
use crate::text::read;

/// Checkpoints, ids of logs, cursors, actors, actions, outcomes.
pub(crate) fn text(input: &[u8]) -> bool {
    let hex = |text: &str, digits| {
        text.chars().count() == digits && text.chars().all(|digit| "0123456789abcdef".contains(digit))
    };
    let decimal = |text: &str| text.parse::<u64>().is_ok_and(|number| number.to_string() == text);
    let log = read::<LogId>(input, |text| hex(text, 32));
    let cursor = read::<Cursor>(input, |text| {
        let sequence = text.strip_prefix("before-").or_else(|| text.strip_prefix("after-"));
        text == "newest" || sequence.is_some_and(decimal)
    });
    let checkpoint = read::<Checkpoint>(input, |text| match text.split(':').collect::<Vec<_>>()[..] {
        ["palisade-audit-1", log, sequence, chain] => hex(log, 32) && decimal(sequence) && hex(chain, 64),
        _ => false,
    });
    if let Some(checkpoint) = checkpoint {
        let same = Checkpoint::new(checkpoint.log(), checkpoint.sequence(), *checkpoint.chain());
        assert_eq!(same, checkpoint);
    }
    let is_known = |text: &str| ["anonymous", "system"].contains(&text);
    let actor = read::<Actor>(input, |text| is_known(text) || text.parse::<Principal>().is_ok());
    let action = read::<Action>(input, |text| text.parse::<Permission>().is_ok());
    let outcomes = ["allowed", "denied", "failed", "unauthenticated", "abandoned", "unknown"];
    let outcome = read::<Outcome>(input, |text| outcomes.contains(&text));
    log.is_some()
        || cursor.is_some()
        || checkpoint.is_some()
        || actor.is_some()
        || action.is_some()
        || outcome.is_some()
}

/// Any bytes as an entry, after another on the line before: the quick way to read it takes nothing that the slow one does
/// not, and says the same of it.
pub(crate) fn entry(input: &[u8]) -> bool {
    let (before, input) = match input.iter().position(|byte| *byte == b'\n') {
        Some(at) => {
            (input.get(..at).unwrap_or_default(), input.get(at.saturating_add(1)..).unwrap_or_default())
        }
        None => (&[][..], input),
    };
    let (quick, slow) = read_entry(before, input);
    assert!(slow || !quick);
    slow
}

/// Any bytes as the only segment of a log, and any bytes after a blank line as its head.
pub(crate) fn segment(input: &[u8]) -> bool {
    let directory = MemoryDirectory::new();
    let (segment, head) = match input.windows(2).position(|pair| pair == b"\n\n") {
        Some(at) => input.split_at(at),
        None => (input, &[][..]),
    };
    directory.write("00000001.log", segment);
    if let Some(head) = head.get(2..) {
        directory.write("head", head);
    }
    examine(&directory)
}

/// A good log, a checkpoint of it that is kept elsewhere, and someone who changes the files.
///
/// Each four bytes are a change: what is done, to which file, where, with what.
#[expect(clippy::unwrap_used, reason = "a directory in memory is read without an error")]
pub(crate) fn tampered(input: &[u8]) -> bool {
    let (good, known) = &*GOOD_LOG;
    let files = good.names().unwrap();
    let tampered = good.after_kill();
    for [what, file, at, with] in input.as_chunks::<4>().0.iter().take(16).copied() {
        let Some(name) = usize::from(file).checked_rem(files.len()).and_then(|file| files.get(file)) else {
            return false;
        };
        let mut bytes = tampered.read(name);
        // Where in the file: one of 256 places that are spread over it.
        let place = usize::from(at).saturating_mul(bytes.len()).checked_shr(8).unwrap_or(0);
        let place = place.saturating_add(usize::from(what >> 4)).min(bytes.len());
        match what & 7 {
            0 | 1 => bytes.iter_mut().skip(place).take(1).for_each(|byte| *byte ^= with),
            2 => bytes.truncate(place),
            3 => drop(bytes.drain(place..bytes.len().min(place.saturating_add(usize::from(with))))),
            4 => bytes.extend(std::iter::repeat_n(with, usize::from(at))),
            5 => bytes.insert(place, with),
            6 => {
                let other = usize::from(with).checked_rem(files.len()).and_then(|other| files.get(other));
                bytes = good.read(other.unwrap_or(name));
            }
            _ => {
                tampered.erase(name);
                continue;
            }
        }
        tampered.write(name, bytes);
    }
    // What is kept for later holds no record, whatever is in it.
    let log = |names: Vec<String>| -> Vec<String> {
        names.into_iter().filter(|name| !["spare", "reserve"].contains(&name.as_str())).collect()
    };
    let files = log(files);
    let is_whole = log(tampered.names().unwrap()) == files;
    let is_only_longer =
        is_whole && files.iter().all(|name| tampered.read(name).starts_with(&good.read(name)));
    let is_unchanged = is_whole && files.iter().all(|name| tampered.read(name) == good.read(name));

    examine(&tampered);
    let Ok(report) = verify_in(&tampered, &[*known]) else {
        assert!(!is_unchanged, "there is a log");
        return false;
    };
    assert!(!is_unchanged || report.is_intact(), "nothing was changed: {report}");
    if report.is_intact() {
        // What stands behind the end was never acknowledged, and may be what a crash left.
        assert!(is_only_longer, "a change was not seen");
        assert_eq!(report.confirmed_to(), Some(known.sequence()));
        assert!(report.proven_to() >= known.sequence());
    }
    report.is_intact()
}

/// What is true of every directory: there is a verdict, it is the same twice, and what is intact can be opened, and
/// is intact when it is closed again.
#[expect(clippy::unwrap_used, reason = "a log that is intact can be opened and closed")]
fn examine(directory: &MemoryDirectory) -> bool {
    let verdict = verify_in(directory, &[]);
    assert_eq!(verdict, verify_in(directory, &[]));
    let Ok(report) = verdict else { return false };
    assert_eq!(report.is_intact(), report.findings().iter().all(|finding| !finding.kind().is_damage()));
    assert!(report.proven_to() <= report.records() && report.entries() <= report.records());
    if report.is_intact() {
        let opened = directory.after_kill();
        let clock = Arc::new(TestClock::at(NOW));
        let random = TestRandom::seeded(1);
        let log = AuditLog::open_in(Arc::new(opened.clone()), clock, &random, &Options::new()).unwrap();
        let end = log.close_blocking().unwrap();
        assert!(end.sequence() >= report.proven_to());
        assert!(verify_in(&opened, &[end]).unwrap().is_intact());
    }
    report.is_intact()
}

/// Three calls, a denied attempt and a call under way, in segments of one kibibyte; closed.
static GOOD_LOG: LazyLock<(MemoryDirectory, Checkpoint)> = LazyLock::new(good_log);

#[expect(clippy::unwrap_used, reason = "constants, on a disk without faults")]
fn good_log() -> (MemoryDirectory, Checkpoint) {
    let directory = MemoryDirectory::new();
    let options = Options::new().with_segment_bytes(1 << 10);
    let clock = Arc::new(TestClock::at(NOW));
    let log =
        AuditLog::open_in(Arc::new(directory.clone()), clock, &TestRandom::seeded(1), &options).unwrap();
    let ada = Principal::subject(Subject::User(UserId::from_bytes([7; 16])));
    let intent = |action: &str| {
        Intent::new(ada, action.parse::<Action>().unwrap(), "project/web".parse().unwrap(), NOW)
    };
    for action in ["ssh-keys:create", "tokens:issue", "machines:start"] {
        let guard = log.begin_blocking(intent(action)).unwrap();
        guard.finish_blocking(Completion::allowed(Duration::from_millis(2))).unwrap();
    }
    let denied = Completion::denied(Duration::from_micros(80)).with_reason("no role grants it").unwrap();
    log.record_blocking(intent("iam:write"), denied).unwrap();
    let known = log.close_blocking().unwrap();
    (directory, known)
}
