//! Large batches: the next segment is room that was reserved, and everything else is as ever.

#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a helper that fails is a test that fails")]

use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use audit_log::files::{Directory as _, OpenFile, SystemDirectory};
use audit_log::testing::{MemoryDirectory, open_stepped};
use audit_log::verify::verify_in;
use audit_log::{Actor, AuditLog, Checkpoint, Completion, Intent, Options, Public};
use core_types::UnixTime;
use core_types::testing::{TestClock, TestRandom};

/// Writes batches of so many records of about a kibibyte; returns where the log stood when the last was acknowledged.
fn write(disk: &MemoryDirectory, segment_bytes: u64, batches: usize, records: usize) -> Checkpoint {
    let clock = Arc::new(TestClock::at(UnixTime::from_secs(2)));
    let options = Options::new().with_segment_bytes(segment_bytes);
    let (log, mut stepper) =
        open_stepped(Arc::new(disk.clone()), clock, &TestRandom::seeded(1), &options).unwrap();
    for _ in 0..batches {
        let action: audit_log::Action = "apps:write".parse().unwrap();
        let intent =
            Intent::new(Actor::Anonymous, action, "project/web".parse().unwrap(), UnixTime::from_secs(1))
                .with_detail("text", Public::text("x".repeat(1000)).unwrap())
                .unwrap();
        let mut context = Context::from_waker(Waker::noop());
        let mut waiting: Vec<_> = (0..records)
            .map(|_| Box::pin(log.record(intent.clone(), Completion::denied(Duration::ZERO))))
            .collect();
        waiting.iter_mut().for_each(|record| assert!(record.as_mut().poll(&mut context).is_pending()));
        assert!(stepper.step());
        for mut record in waiting {
            let Poll::Ready(recorded) = record.as_mut().poll(&mut context) else {
                unreachable!("one batch takes them all")
            };
            recorded.expect("a disk without faults");
        }
    }
    log.checkpoint()
}

#[test]
fn while_batches_are_large_the_next_segment_is_reserved_and_nothing_is_lost() {
    let disk = MemoryDirectory::new();
    let reached = write(&disk, 1 << 20, 12, 250);
    assert!(disk.reservations() >= 2, "{}", disk.reservations());
    for seed in 0..40 {
        let left = disk.after_power_cut(seed);
        let clock = Arc::new(TestClock::at(UnixTime::from_secs(3)));
        let options = Options::new().with_segment_bytes(1 << 20).with_known(reached);
        let log = AuditLog::open_in(Arc::new(left.clone()), clock, &TestRandom::seeded(2), &options).unwrap();
        log.close_blocking().unwrap();
        let report = verify_in(&left, &[reached]).unwrap();
        assert!(report.is_intact() && report.confirmed_to() == Some(reached.sequence()), "{report}");
    }
}

#[test]
fn while_batches_are_small_the_next_segment_is_zeros_that_were_written() {
    let disk = MemoryDirectory::new();
    let reached = write(&disk, 64 << 10, 200, 1);
    assert_eq!(disk.reservations(), 0);
    assert!(disk.names().unwrap().contains(&"00000003.log".to_owned()), "some segments were filled");
    assert!(verify_in(&disk, &[reached]).unwrap().is_intact());
}

#[test]
fn room_that_was_reserved_reads_as_zeros() {
    let folder = tempfile::tempdir().unwrap();
    let directory = SystemDirectory::create(&folder.path().join("log")).unwrap();
    let file = directory.open("spare.new", OpenFile::Create).unwrap();
    let is_reserved = file.reserve(1 << 20).unwrap();
    assert_eq!(file.size().unwrap(), if is_reserved { 1 << 20 } else { 0 });
    assert_eq!(file.write_at(b"record", 4096).unwrap(), 6);
    file.sync().unwrap();
    let mut bytes = vec![1; 8192];
    let read = file.read_at(&mut bytes, 0).unwrap();
    let expected = [&[0; 4096][..], b"record", &[0; 4090]].concat();
    assert!(expected.starts_with(bytes.get(..read).unwrap()) && read >= 4102);
}
