use super::MAX_OPEN_CALLS;
use super::policy::Policies;
use crate::checkpoint::Checkpoint;
use crate::error::OpenError;
use crate::scan::to_u64;

/// How a log is opened.
#[derive(Debug, Clone)]
pub struct Options {
    pub(super) segment_bytes: u64,
    pub(super) queue_records: usize,
    pub(super) open_calls: usize,
    pub(super) known: Option<Checkpoint>,
    pub(super) policies: Option<Policies>,
}

impl Options {
    /// Segments of 16 MiB, a queue of 4096 records, [`MAX_OPEN_CALLS`], nothing known of the log, the strictest
    /// policies.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            segment_bytes: 16 << 20,
            queue_records: 4096,
            open_calls: MAX_OPEN_CALLS,
            known: None,
            policies: None,
        }
    }

    /// The size at which a new segment is begun: 1 KiB to 1 GiB. One such file is kept ready, and a reserve of
    /// 1 MiB at most.
    #[must_use]
    pub const fn with_segment_bytes(self, segment_bytes: u64) -> Self {
        Self { segment_bytes, ..self }
    }

    /// How many records may wait to be written before callers wait for room: 1 to 65,536.
    #[must_use]
    pub const fn with_queue_records(self, queue_records: usize) -> Self {
        Self { queue_records, ..self }
    }

    /// How many calls may be under way before one more is refused: 1 to [`MAX_OPEN_CALLS`].
    #[must_use]
    pub const fn with_open_calls(self, open_calls: usize) -> Self {
        Self { open_calls, ..self }
    }

    /// A checkpoint that the log must contain, or it is not opened. It is also the way back when the file
    /// `head` was lost: the checkpoint that [`verify`](crate::verify()) reports, once somebody has looked.
    #[must_use]
    pub const fn with_known(self, known: Checkpoint) -> Self {
        Self { known: Some(known), ..self }
    }

    /// What is promised for each class of record; it is recorded in the log.
    #[must_use]
    pub const fn with_policies(self, policies: Policies) -> Self {
        Self { policies: Some(policies), ..self }
    }

    pub(super) fn validate(&self) -> Result<(), OpenError> {
        let (queue_records, open_calls) = (to_u64(self.queue_records), to_u64(self.open_calls));
        for (option, value, least, most) in [
            ("segment_bytes", self.segment_bytes, 1 << 10, 1 << 30),
            ("queue_records", queue_records, 1, 1 << 16),
            ("open_calls", open_calls, 1, to_u64(MAX_OPEN_CALLS)),
        ] {
            if !(least..=most).contains(&value) {
                return Err(OpenError::Option { option, least, most });
            }
        }
        self.policies.as_ref().map_or(Ok(()), Policies::validate)
    }
}

impl Default for Options {
    fn default() -> Self {
        Self::new()
    }
}
