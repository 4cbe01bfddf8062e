//! The file `head`: lost, changed, or of another time.

use audit_log::files::Directory;
use audit_log::testing::MemoryDirectory;
use audit_log::verify::verify_in;
use audit_log::{Checkpoint, FindingKind, LogId, OpenError, Options, VerifyError};

use super::{SEGMENT, is_refused, kinds, located, open, sample};

#[test]
fn a_flip_of_any_byte_of_head_is_found() {
    let (disk, _) = sample();
    let good = disk.read("head");
    for at in 0..good.len() {
        for flip in [0x01, 0x20, 0x80] {
            let mut bad = good.clone();
            bad[at] ^= flip;
            disk.write("head", bad);
            let report = verify_in(&disk, &[]).unwrap();
            assert_eq!(kinds(&report), [FindingKind::HeadDamaged], "byte {at}: {report}");
            assert!(is_refused(&disk));
        }
    }
    disk.write("head", [&good[..], b"\n"].concat());
    assert_eq!(kinds(&verify_in(&disk, &[]).unwrap()), [FindingKind::HeadDamaged], "nothing may follow");
}

#[test]
fn a_log_without_head_is_opened_only_by_one_who_knows_where_it_stood() {
    let (disk, last) = sample();
    disk.erase("head");
    let report = verify_in(&disk, &[]).unwrap();
    assert_eq!(kinds(&report), [FindingKind::HeadMissing]);
    assert_eq!((report.proven_to(), report.head()), (6, Some(last)), "the records themselves are all right");
    assert!(is_refused(&disk));
    let log = open(&disk, &Options::new().with_known(last)).unwrap();
    log.close_blocking().unwrap();
    assert!(verify_in(&disk, &[last]).unwrap().findings().is_empty());
}

#[test]
fn an_older_head_says_less_and_nothing_wrong() {
    let (disk, last) = sample();
    let old = head(&Checkpoint::genesis(last.log()), 1);
    disk.write("head", old);
    assert!(verify_in(&disk, &[last]).unwrap().findings().is_empty());
}

#[test]
fn a_head_that_knows_of_more_finds_the_log_truncated() {
    let (disk, last) = sample();
    disk.write("head", head(&Checkpoint::new(last.log(), 9, [7; 32]), 10));
    let report = verify_in(&disk, &[last]).unwrap();
    assert_eq!(located(&report), [(FindingKind::Truncated, 7, 9)]);
    assert!(is_refused(&disk));
}

#[test]
fn an_older_copy_with_its_own_head_is_found_by_who_kept_a_checkpoint() {
    let (disk, old) = sample();
    let copy = disk.after_kill();
    let log = open(&disk, &Options::new()).unwrap();
    super::call(&log, "apps:write");
    let last = log.close_blocking().unwrap();

    assert!(verify_in(&copy, &[old]).unwrap().is_intact(), "it is true as far as it goes");
    let report = verify_in(&copy, &[old, last]).unwrap();
    assert_eq!(located(&report), [(FindingKind::RolledBack, 7, 8)]);
    assert_eq!(report.confirmed_to(), Some(6));
    let error = open(&copy, &Options::new().with_known(last)).unwrap_err();
    let OpenError::Damaged(finding) = error else { panic!("{error}") };
    assert_eq!(finding.kind(), FindingKind::RolledBack);
}

#[test]
fn a_copy_that_was_written_to_is_a_fork() {
    let (disk, _) = sample();
    let copy = disk.after_kill();
    let log = open(&disk, &Options::new()).unwrap();
    super::call(&log, "apps:write");
    let last = log.close_blocking().unwrap();
    let log = open(&copy, &Options::new()).unwrap();
    super::call(&log, "apps:read");
    log.close_blocking().unwrap();
    let report = verify_in(&copy, &[last]).unwrap();
    assert_eq!(located(&report), [(FindingKind::Forked, 1, 8)]);
    let error = open(&copy, &Options::new().with_known(last)).unwrap_err();
    assert!(matches!(error, OpenError::Damaged(_)));
}

#[test]
fn a_checkpoint_of_another_log_is_told_apart() {
    let (disk, last) = sample();
    let other = Checkpoint::new(LogId::from_bytes([9; 16]), last.sequence(), *last.chain());
    let report = verify_in(&disk, &[other]).unwrap();
    assert_eq!(located(&report), [(FindingKind::OtherLog, 6, 6)]);
    assert!(open(&disk, &Options::new().with_known(other)).is_err());
}

#[test]
fn nothing_to_check_is_no_answer() {
    let (disk, last) = sample();
    disk.erase("head");
    disk.erase(SEGMENT);
    assert_eq!(verify_in(&disk, &[last]), Err(VerifyError::NoLog));
    assert!(open(&disk, &Options::new().with_known(last)).is_err(), "it is not begun anew");
}

#[test]
fn a_killed_log_that_lost_its_last_segment_but_one_is_truncated() {
    let disk = MemoryDirectory::new();
    let log = open(&disk, &Options::new().with_segment_bytes(1 << 10)).unwrap();
    (0..10).for_each(|_| super::call(&log, "apps:write"));
    let disk = disk.after_kill();
    let segments = disk.names().unwrap().into_iter().filter(|name| name.ends_with(".log"));
    let [.., before_last, last] = &*segments.collect::<Vec<_>>() else { panic!("two segments") };
    disk.erase(last);
    let report = verify_in(&disk, &[]).unwrap();
    assert!(report.is_intact(), "a head is as old as the last segment's beginning: {report}");
    disk.erase(before_last);
    let report = verify_in(&disk, &[]).unwrap();
    assert_eq!(kinds(&report), [FindingKind::Truncated], "{report}");
    assert!(is_refused(&disk));
}

#[test]
fn head_is_written_anew_after_many_records() {
    let disk = MemoryDirectory::new();
    let log = open(&disk, &Options::new()).unwrap();
    let before = disk.read("head");
    let wave = || {
        std::thread::scope(|scope| {
            for _ in 0..50 {
                scope.spawn(|| {
                    (0..320).for_each(|_| {
                        log.record_blocking(super::intent("apps:write"), super::denied()).unwrap();
                    });
                });
            }
        });
    };
    wave();
    assert_eq!(disk.read("head"), before, "not after 16,000 records");
    wave();
    let report = verify_in(&disk, &[]).unwrap();
    assert_eq!((report.is_intact(), report.records()), (true, 32_000));
    let text = String::from_utf8(disk.read("head")).unwrap();
    let reached: Checkpoint = text.lines().nth(1).unwrap().parse().unwrap();
    assert!((1 << 14..20_000).contains(&reached.sequence()), "{reached}");
}

#[test]
fn a_log_whose_segments_are_all_gone_is_truncated() {
    let (disk, last) = sample();
    disk.erase(SEGMENT);
    let report = verify_in(&disk, &[last]).unwrap();
    assert_eq!(located(&report), [(FindingKind::Truncated, 1, 6)]);
    assert!(is_refused(&disk));
}

#[test]
fn a_later_format_is_refused_by_name() {
    let (disk, _) = sample();
    let mut bytes = disk.read(SEGMENT);
    bytes[11] = 2;
    let crc = crc32fast::hash(&bytes[..76]).to_be_bytes();
    bytes[76..80].copy_from_slice(&crc);
    disk.write(SEGMENT, bytes);
    assert_eq!(verify_in(&disk, &[]), Err(VerifyError::Version { file: SEGMENT.into(), found: 2 }));
    let error = open(&disk, &Options::new()).unwrap_err();
    assert_eq!(error, OpenError::Version { file: SEGMENT.into(), found: 2 });
}

/// The bytes of `head`, by its description.
fn head(reached: &Checkpoint, open_from: u64) -> String {
    let body = format!("palisade audit-log head 1\n{reached}\nopen-from {open_from}\n");
    format!("{body}crc32 {:08x}\n", crc32fast::hash(body.as_bytes()))
}
