//! What someone does who knows the format: checksums and lengths are right afterwards.

use audit_log::files::Directory;
use audit_log::testing::MemoryDirectory;
use audit_log::verify::verify_in;
use audit_log::{Checkpoint, FindingKind, Report};

use super::forge::{Record, Segment};
use super::{SEGMENT, is_refused, located, sample, sample_after_kill, sample_of_segments};

#[test]
fn the_description_of_the_format_is_that_of_the_log() {
    let (disk, last) = sample();
    let good = disk.read(SEGMENT);
    let mut segment = Segment::read(&good);
    assert_eq!(segment.write(), good, "the second implementation writes the same bytes");
    segment.rechain(1);
    assert_eq!(segment.write(), good, "and computes the same chain");
    assert_eq!(segment.record(6).chain, *last.chain());
}

#[test]
fn an_edited_record_with_right_checksums_breaks_the_chain() {
    for sequence in 1..=6 {
        let report = attack(|segment| segment.reword(sequence));
        let before = sequence.saturating_sub(1).max(1);
        assert_eq!(located(&report).first(), Some(&(FindingKind::BrokenChain, before, sequence)), "{report}");
        assert_eq!(report.proven_to(), before - 1);
    }
}

#[test]
fn an_edited_record_with_its_own_chain_hash_made_right_breaks_the_chain_after_it() {
    for sequence in 1..=4 {
        let report = attack(|segment| {
            segment.reword(sequence);
            let kept: Vec<Record> = segment.records().cloned().collect();
            segment.rechain(sequence);
            // Only this record's hash was computed anew.
            for record in kept.into_iter().filter(|record| record.sequence > sequence) {
                segment.record(record.sequence).chain = record.chain;
            }
        });
        let broken = (FindingKind::BrokenChain, sequence, sequence + 1);
        assert!(located(&report).contains(&broken), "{report}");
    }
}

#[test]
fn a_log_rewritten_from_some_record_on_forks_from_its_head_and_from_every_checkpoint() {
    for sequence in [3, 4] {
        let (disk, last) = sample();
        rewrite(&disk, sequence);
        let report = verify_in(&disk, &[]).unwrap();
        assert_eq!(located(&report), [(FindingKind::Forked, 1, 6)], "by the head: {report}");
        assert!(is_refused(&disk));

        let (disk, _) = sample_after_kill();
        let good = Segment::read(&disk.read(SEGMENT));
        let early = checkpoint(&last, &good, sequence - 1);
        rewrite(&disk, sequence);
        assert!(verify_in(&disk, &[]).unwrap().is_intact(), "nobody kept anything: nobody can tell");
        let report = verify_in(&disk, &[last, early]).unwrap();
        assert_eq!(located(&report), [(FindingKind::Forked, sequence, 6)], "between the two: {report}");
        assert_eq!(report.confirmed_to(), Some(sequence - 1));
    }
}

#[test]
fn a_deleted_batch_is_missing() {
    for index in 0..5 {
        let report = attack(|segment| _ = segment.batches.remove(index));
        let sequence = index as u64 + 1;
        assert_eq!(located(&report).first(), Some(&(FindingKind::Missing, sequence, sequence)), "{report}");
        assert_eq!(report.proven_to(), sequence - 1);
    }
}

#[test]
fn deleted_records_whose_followers_were_renumbered_break_the_chain() {
    let report = attack(|segment| {
        segment.batches.remove(2);
        for (sequence, record) in (1..).zip(segment.batches.iter_mut().flatten()) {
            record.sequence = sequence;
        }
    });
    assert_eq!(located(&report).first(), Some(&(FindingKind::BrokenChain, 2, 3)), "{report}");
}

#[test]
fn records_in_another_order_are_misplaced() {
    for (one, other) in [(0, 1), (2, 3), (1, 4), (4, 5)] {
        let report = attack(|segment| segment.batches.swap(one, other));
        let misplaced = located(&report).into_iter().filter(|(kind, ..)| *kind == FindingKind::Misplaced);
        assert!(misplaced.count() >= 1, "{one} and {other}: {report}");
        assert_eq!(report.proven_to(), one as u64, "{report}");
    }
}

#[test]
fn an_inserted_copy_is_found() {
    for index in 0..6 {
        let report = attack(|segment| {
            let copy = segment.batches[index].clone();
            segment.batches.push(copy);
        });
        let sequence = index as u64 + 1;
        assert_eq!(located(&report), [(FindingKind::Inserted, sequence, sequence)], "{report}");
    }
}

#[test]
fn inserted_bytes_are_found() {
    let (disk, _) = sample();
    let good = disk.read(SEGMENT);
    let segment = Segment::read(&good);
    for record in segment.records().filter(|record| record.sequence < 6) {
        let bad = [&good[..record.to], b"something else", &good[record.to..]].concat();
        disk.write(SEGMENT, bad);
        let report = verify_in(&disk, &[]).unwrap();
        let next = record.sequence + 1;
        assert_eq!(located(&report), [(FindingKind::Inserted, next, next)], "{report}");
        assert_eq!(report.findings()[0].offset(), Some(record.to as u64));
        assert!(is_refused(&disk));
    }
}

#[test]
fn a_record_appended_by_another_is_found_by_the_next_who_knows_what_should_follow() {
    let (disk, last) = sample();
    let mut segment = Segment::read(&disk.read(SEGMENT));
    let mut record = segment.record(3).clone();
    record.sequence = 7;
    segment.batches.push(vec![record]);
    disk.write(SEGMENT, segment.write());
    let report = verify_in(&disk, &[last]).unwrap();
    assert_eq!(located(&report), [(FindingKind::BrokenChain, 6, 7)], "{report}");
}

#[test]
fn a_completion_of_another_call_than_was_begun_is_inconsistent() {
    let report = attack(|segment| {
        // The begun call is rewritten with all hashes; its completion still says the other thing.
        segment.reword(1);
        segment.rechain(1);
    });
    assert!(located(&report).contains(&(FindingKind::Inconsistent, 2, 2)), "{report}");

    let (disk, _) = sample_after_kill();
    let mut segment = Segment::read(&disk.read(SEGMENT));
    segment.record(6).entry = segment.record(2).entry.clone();
    segment.rechain(6);
    disk.write(SEGMENT, segment.write());
    let report = verify_in(&disk, &[]).unwrap();
    assert_eq!(located(&report), [(FindingKind::Inconsistent, 6, 6)], "ended twice: {report}");
    assert!(is_refused(&disk));
}

#[test]
fn an_entry_that_is_none_is_malformed() {
    for entry in [&b""[..], b"{}", b"null", b"{\"v\":2}", b"\xff"] {
        let report = attack(|segment| {
            segment.record(3).entry = entry.to_vec();
            segment.rechain(3);
        });
        assert!(located(&report).contains(&(FindingKind::Malformed, 3, 3)), "{report}");
    }
}

#[test]
fn a_missing_segment_is_missed() {
    let (disk, _) = sample_of_segments();
    let first = Segment::read(&disk.read(SEGMENT)).records().count() as u64;
    let second = Segment::read(&disk.read("00000002.log")).records().count() as u64;
    for (name, from, to) in [(SEGMENT, 1, first), ("00000002.log", first + 1, first + second)] {
        let kept = disk.read(name);
        disk.erase(name);
        let report = verify_in(&disk, &[]).unwrap();
        let kinds: Vec<_> = located(&report);
        assert_eq!(kinds[0].0, FindingKind::MissingSegment, "{report}");
        assert_eq!(kinds[1], (FindingKind::Missing, from, to), "{report}");
        assert_eq!(report.proven_to(), from - 1);
        assert!(is_refused(&disk));
        disk.write(name, kept);
    }
    assert!(verify_in(&disk, &[]).unwrap().is_intact());
}

#[test]
fn a_missing_last_segment_is_a_truncation() {
    let (disk, last) = sample_of_segments();
    let name = disk.names().unwrap().into_iter().rfind(|name| name.ends_with(".log")).unwrap();
    let first = Segment::read(&disk.read(&name)).records().next().unwrap().sequence;
    disk.erase(&name);
    let report = verify_in(&disk, &[last]).unwrap();
    assert_eq!(located(&report), [(FindingKind::Truncated, first, 12)], "{report}");
    assert!(is_refused(&disk));
}

#[test]
fn segments_under_each_others_names_are_misplaced() {
    let (disk, _) = sample_of_segments();
    let (one, two) = (disk.read(SEGMENT), disk.read("00000002.log"));
    disk.write(SEGMENT, two);
    disk.write("00000002.log", one);
    let report = verify_in(&disk, &[]).unwrap();
    assert_eq!(located(&report)[0].0, FindingKind::Misplaced, "{report}");
    assert!(is_refused(&disk));
}

#[test]
fn a_segment_of_another_log_is_told_apart() {
    let (disk, _) = sample_of_segments();
    let mut other = Segment::read(&disk.read("00000002.log"));
    other.header[12] ^= 1;
    other.seal_header();
    disk.write("00000002.log", other.write());
    let report = verify_in(&disk, &[]).unwrap();
    assert_eq!(located(&report)[0].0, FindingKind::OtherLog, "{report}");
    assert!(is_refused(&disk));
}

#[test]
fn a_segment_whose_header_tells_of_another_chain_is_found() {
    let (disk, _) = sample_of_segments();
    let mut other = Segment::read(&disk.read("00000002.log"));
    let first = other.records().next().unwrap().sequence;
    other.header[50] ^= 1;
    other.seal_header();
    disk.write("00000002.log", other.write());
    let report = verify_in(&disk, &[]).unwrap();
    assert_eq!(located(&report), [(FindingKind::BrokenChain, first - 1, first)], "{report}");
}

/// Does something to the one segment of a closed log, makes all checksums right, and verifies.
fn attack(change: impl FnOnce(&mut Segment)) -> Report {
    let (disk, last) = sample();
    let mut segment = Segment::read(&disk.read(SEGMENT));
    change(&mut segment);
    disk.write(SEGMENT, segment.write());
    let report = verify_in(&disk, &[last]).unwrap();
    assert!(!report.is_intact(), "{report}");
    assert!(is_refused(&disk), "{report}");
    report
}

/// Rewrites the log from this record on, chain and all, as its owner can.
fn rewrite(disk: &MemoryDirectory, sequence: u64) {
    let mut segment = Segment::read(&disk.read(SEGMENT));
    segment.reword(sequence);
    segment.rechain(sequence);
    disk.write(SEGMENT, segment.write());
}

fn checkpoint(of: &Checkpoint, segment: &Segment, sequence: u64) -> Checkpoint {
    let record = segment.records().find(|record| record.sequence == sequence).unwrap();
    Checkpoint::new(of.log(), sequence, record.chain)
}
