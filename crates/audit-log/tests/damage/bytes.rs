//! Every byte flipped, every length cut to.

use audit_log::files::Directory;
use audit_log::testing::MemoryDirectory;
use audit_log::verify::verify_in;
use audit_log::{FindingKind, Options};

use super::forge::Segment;
use super::{
    SEGMENT, call, is_refused, kinds, located, open, sample, sample_after_kill, sample_of_one_batch,
    sample_of_segments,
};

#[test]
fn a_flip_of_any_byte_of_a_closed_log_is_found_where_it_is() {
    let (disk, _) = sample();
    let good = disk.read(SEGMENT);
    let records: Vec<_> = Segment::read(&good).records().cloned().collect();
    for at in 0..good.len() {
        let mut bad = good.clone();
        bad[at] ^= 1 << (at % 8);
        disk.write(SEGMENT, bad);
        let report = match verify_in(&disk, &[]) {
            Ok(report) => report,
            Err(error) => panic!("byte {at}: {error}"),
        };
        assert!(!report.is_intact(), "byte {at}");
        let [finding] = report.findings() else { panic!("byte {at}: {report}") };
        let found = (finding.first(), finding.last());
        // In a batch's header or its table, every record of the batch is in doubt: here it has one.
        let expected = records.iter().find(|record| at < record.to).map(|record| record.sequence);
        assert_eq!(Some(found), expected.map(|expected| (expected, expected)), "byte {at}: {report}");
        assert!(is_refused(&disk), "byte {at}");
    }
}

#[test]
fn a_flip_anywhere_in_several_segments_is_found_where_it_is() {
    let (disk, last) = sample_of_segments();
    let names = disk.names().unwrap().into_iter().filter(|name| name.ends_with(".log"));
    for name in names.collect::<Vec<_>>() {
        let good = disk.read(&name);
        let records: Vec<_> = Segment::read(&good).records().cloned().collect();
        for at in (0..good.len()).step_by(3) {
            let mut bad = good.clone();
            bad[at] ^= 1 << (at % 8);
            disk.write(&name, bad);
            let report = verify_in(&disk, &[last]).unwrap();
            let expected = records.iter().find(|record| at < record.to).unwrap().sequence;
            assert_eq!(located(&report), [(FindingKind::Edited, expected, expected)], "{name}, byte {at}");
            assert_eq!(report.findings()[0].file(), Some(&*name));
            assert_eq!(report.proven_to(), expected - 1);
        }
        disk.write(&name, good);
    }
}

#[test]
fn a_flip_in_the_last_batch_is_not_taken_for_a_torn_write() {
    let (disk, _) = sample_after_kill();
    let good = disk.read(SEGMENT);
    let last = Segment::read(&good).batches.pop().unwrap().pop().unwrap();
    for at in last.from - 36..last.to {
        for bit in [0, 7] {
            let mut bad = good.clone();
            bad[at] ^= 1 << bit;
            disk.write(SEGMENT, bad);
            let report = verify_in(&disk, &[]).unwrap();
            assert!(!report.is_intact(), "byte {at}, bit {bit}");
            assert_eq!(located(&report), [(FindingKind::Edited, 6, 6)], "byte {at}, bit {bit}");
            assert!(is_refused(&disk), "byte {at}, bit {bit}");
        }
    }
}

#[test]
fn anything_in_the_unused_space_is_found() {
    let (disk, _) = sample_after_kill();
    let good = disk.read(SEGMENT);
    let end = Segment::read(&good).records().last().unwrap().to;
    assert!(end < good.len(), "there is room for more");
    let sector = end.next_multiple_of(512);
    for at in (end..good.len()).step_by(7) {
        let mut bad = good.clone();
        bad[at] = 1;
        disk.write(SEGMENT, bad);
        let report = verify_in(&disk, &[]).unwrap();
        // From the next sector on it may be the rest of a write of which the first sector is missing.
        let kind = if at < sector { FindingKind::Edited } else { FindingKind::TornTail };
        assert_eq!(located(&report), [(kind, 7, 7)], "byte {at}");
        assert_eq!(is_refused(&disk), at < sector, "byte {at}");
    }
}

#[test]
fn a_closed_log_cut_anywhere_is_truncated() {
    let (disk, last) = sample();
    let good = disk.read(SEGMENT);
    let segment = Segment::read(&good);
    for length in 0..good.len() {
        disk.write(SEGMENT, &good[..length]);
        let whole = segment.records().filter(|record| record.to <= length).count() as u64;
        for known in [&[][..], &[last]] {
            let report = verify_in(&disk, known).unwrap();
            assert!(!report.is_intact(), "cut to {length}");
            let truncated = located(&report).pop();
            assert_eq!(truncated, Some((FindingKind::Truncated, whole + 1, 6)), "cut to {length}: {report}");
            assert_eq!((report.records(), report.proven_to()), (whole, whole), "cut to {length}");
        }
        assert!(is_refused(&disk), "cut to {length}");
    }
}

#[test]
fn a_log_that_was_not_closed_and_is_cut_is_never_misread() {
    let (disk, last) = sample_after_kill();
    let good = disk.read(SEGMENT);
    let segment = Segment::read(&good);
    let end = segment.records().last().unwrap().to;
    for length in 0..good.len() {
        disk.write(SEGMENT, &good[..length]);
        let whole = segment.records().filter(|record| record.to <= length).count() as u64;
        let on_border = length == 80 || segment.records().any(|record| record.to == length) || length > end;
        let report = verify_in(&disk, &[]).unwrap();
        assert!(report.is_intact(), "a crash looks like this: cut to {length}: {report}");
        assert_eq!(kinds(&report), if on_border { vec![] } else { vec![FindingKind::TornTail] }, "{length}");
        assert_eq!((report.records(), report.proven_to()), (whole, whole), "cut to {length}");
        // Whoever kept a checkpoint knows better.
        let report = verify_in(&disk, &[last]).unwrap();
        let rolled_back = (FindingKind::RolledBack, whole + 1, 6);
        assert_eq!(located(&report).contains(&rolled_back), whole < 6, "cut to {length}: {report}");
        assert_eq!(report.is_intact(), whole == 6);
    }
}

#[test]
fn a_write_of_which_sectors_are_missing_is_torn() {
    let (disk, _) = sample_after_kill();
    let good = disk.read(SEGMENT);
    let last = Segment::read(&good).batches.pop().unwrap().pop().unwrap();
    let batch = last.from - 36..last.to;
    let mut torn = 0;
    for sector in (0..good.len()).step_by(512) {
        let lost = sector.max(batch.start)..(sector + 512).min(batch.end);
        if lost.is_empty() {
            continue;
        }
        let mut bad = good.clone();
        bad[lost].fill(0);
        disk.write(SEGMENT, bad);
        let report = verify_in(&disk, &[]).unwrap();
        assert_eq!(located(&report), [(FindingKind::TornTail, 6, 6)], "sector at {sector}");
        assert!(!is_refused(&disk), "sector at {sector}");
        torn += 1;
    }
    assert!(torn > 1, "the last batch lies in several sectors");
}

#[test]
fn a_sector_of_an_earlier_write_that_is_gone_is_damage() {
    let (disk, _) = sample_after_kill();
    let good = disk.read(SEGMENT);
    let batches = Segment::read(&good).batches;
    let border = batches[5][0].from - 36;
    for sector in (0..border).step_by(512).skip(1) {
        let mut bad = good.clone();
        bad[sector..(sector + 512).min(border)].fill(0);
        disk.write(SEGMENT, bad);
        let report = verify_in(&disk, &[]).unwrap();
        assert!(!report.is_intact(), "sector at {sector}");
        assert!(report.findings().iter().all(|finding| finding.kind() == FindingKind::Edited), "{report}");
        assert!(is_refused(&disk), "sector at {sector}");
    }
}

#[test]
fn damage_is_told_from_what_a_writer_is_just_doing() {
    let disk = MemoryDirectory::new();
    let log = open(&disk, &Options::new().with_segment_bytes(4 << 10)).unwrap();
    (0..3).for_each(|_| call(&log, "apps:write"));
    let good = disk.read(SEGMENT);
    let records: Vec<_> = Segment::read(&good).records().cloned().collect();
    let (end, last) = (records[5].to, records[5].from - 36);
    for at in 80..end {
        let mut bad = good.clone();
        bad[at] ^= 1;
        disk.write(SEGMENT, bad);
        let report = verify_in(&disk, &[]).unwrap();
        // Of the last batch, nobody but the writer can say yet whether it is finished.
        assert_eq!((report.is_intact(), report.is_being_written()), (at >= last, at >= last), "byte {at}");
    }
    for length in end - 100..end {
        disk.write(SEGMENT, &good[..length]);
        let report = verify_in(&disk, &[]).unwrap();
        assert!(report.findings().is_empty(), "cut to {length}: {report}");
        assert_eq!((report.records(), report.is_being_written()), (5, true), "cut to {length}");
    }
}

#[test]
fn of_a_batch_of_many_only_the_record_is_in_doubt() {
    let (disk, count) = sample_of_one_batch();
    let good = disk.read(SEGMENT);
    let segment = Segment::read(&good);
    let batch = segment.batches.iter().find(|batch| batch.len() > 1).unwrap();
    assert_eq!(batch.len(), count);
    for record in batch {
        // In the checksum, the chain hash, the first and the last byte of the entry.
        for at in [record.from, record.from + 4, record.from + 35, record.from + 36, record.to - 1] {
            let mut bad = good.clone();
            bad[at] ^= 2;
            disk.write(SEGMENT, bad);
            let report = verify_in(&disk, &[]).unwrap();
            let sequence = record.sequence;
            assert_eq!(located(&report), [(FindingKind::Edited, sequence, sequence)], "byte {at}");
            assert_eq!(report.findings()[0].offset(), Some(record.from as u64));
        }
    }
    // The table of lengths says where the records are: without it the whole batch is in doubt.
    let mut bad = good.clone();
    bad[batch[0].from - 7] ^= 2;
    disk.write(SEGMENT, bad);
    let report = verify_in(&disk, &[]).unwrap();
    let (first, last) = (batch[0].sequence, batch[count - 1].sequence);
    assert_eq!(located(&report), [(FindingKind::Edited, first, last)], "{report}");
}
