//! Bytes of strangers: never a panic, never taken for the log that was.

use std::sync::LazyLock;

use audit_log::testing::MemoryDirectory;
use audit_log::verify::verify_in;
use audit_log::{Checkpoint, FindingKind};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::Index;

use super::forge::Segment;
use super::{SEGMENT, is_refused, kinds, sample};

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn any_bytes_are_read_without_a_panic(
        segment in vec(any::<u8>(), 0..600),
        keep in 0..200_usize,
        head in proptest::option::of(any::<String>()),
    ) {
        let (disk, _, good) = &*SAMPLE;
        let disk = disk.after_kill();
        // With and without a beginning that is right.
        disk.write(SEGMENT, [&good[..keep], &segment].concat());
        if let Some(head) = head {
            disk.write("head", head);
        }
        prop_assert!(!verify_in(&disk, &[]).is_ok_and(|report| report.is_intact()));
        prop_assert!(is_refused(&disk));
    }

    #[test]
    fn whatever_is_done_to_a_log_whoever_kept_its_checkpoint_sees_it(
        changes in vec((any::<Index>(), any::<Index>(), any::<Index>(), 0..4_u8), 1..4),
    ) {
        let (disk, last, good) = &*SAMPLE;
        let disk = disk.after_kill();
        let mut bad = good.clone();
        for (from, to, other, kind) in changes {
            let length = bad.len();
            let (from, to) = (from.index(length), to.index(length));
            let (from, to) = (from.min(to), from.max(to));
            let other = other.index(length);
            match kind {
                0 => bad[from..to].reverse(),
                1 => _ = bad.drain(from..to),
                2 => bad[from..to].fill(0),
                _ => {
                    let copy = bad[from..to].to_vec();
                    bad.splice(other..other, copy);
                }
            }
            if bad.is_empty() {
                break;
            }
        }
        let is_same = bad.starts_with(good) && bad[good.len()..].iter().all(|byte| *byte == 0);
        disk.write(SEGMENT, bad);
        let report = verify_in(&disk, &[*last]).unwrap();
        prop_assert_eq!(report.is_intact(), is_same, "{}", report);
        prop_assert_eq!(is_refused(&disk), !is_same);
    }

    #[test]
    fn whatever_is_done_to_records_with_all_checksums_made_right_is_seen(
        changes in vec((any::<Index>(), any::<Index>(), 0..5_u8), 1..4),
    ) {
        let (disk, last, good) = &*SAMPLE;
        let disk = disk.after_kill();
        let mut segment = Segment::read(good);
        let before = segment.clone();
        for (one, other, kind) in changes {
            let (one, other) = (one.index(segment.batches.len()), other.index(segment.batches.len()));
            match kind {
                0 => segment.batches.swap(one, other),
                1 => segment.batches[one][0].entry = segment.batches[other][0].entry.clone(),
                2 => segment.batches[one][0].chain = segment.batches[other][0].chain,
                3 => segment.batches[one][0].sequence = segment.batches[other][0].sequence,
                _ => segment.rechain(one as u64),
            }
        }
        let is_same = segment.write() == before.write();
        disk.write(SEGMENT, segment.write());
        let report = verify_in(&disk, &[*last]).unwrap();
        prop_assert_eq!(report.is_intact(), is_same, "{}", report);
        prop_assert!(!kinds(&report).contains(&FindingKind::TornTail));
    }
}

static SAMPLE: LazyLock<(MemoryDirectory, Checkpoint, Vec<u8>)> = LazyLock::new(|| {
    let (disk, last) = sample();
    let good = disk.read(SEGMENT);
    (disk, last, good)
});
