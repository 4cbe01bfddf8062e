//! What happens when the log cannot take a record at once.

use std::time::Duration;

use crate::error::OpenError;
use crate::scan::to_u64;

/// What a record is about, and so what becomes of the call when the log cannot take it at once.
///
/// There is no class that is not recorded, and none whose record may be lost without a word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Class {
    /// What protects others: refusals, revocations, changes of rights. Durable before the effect. On a disk that
    /// is full they may use the reserve that is kept for them.
    Security,
    /// Every other change. Durable before the effect, or the call is refused.
    Change,
    /// What changes nothing. By [`Reads`] durable before the answer, or on its way.
    Read,
}

impl Class {
    /// The name: `security`, `change` or `read`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Security => "security",
            Self::Change => "change",
            Self::Read => "read",
        }
    }
}

/// How far the record of a read must have come before it is answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Reads {
    /// It is durable.
    Durable,
    /// It is in the queue. Only a crash within the next batch, or a failing disk, loses it; a log that has stopped
    /// refuses reads all the same.
    Queued,
}

impl Reads {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Durable => "durable",
            Self::Queued => "queued",
        }
    }
}

/// What the log promises for each [`Class`]. Options with policies make the log begin with a record of them
/// (`audit:configure`); one that is opened without follows the default, which is the strictest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Policies {
    pub(super) reads: Reads,
    pub(super) individually: u32,
    pub(super) window: Duration,
}

impl Policies {
    /// Reads are durable; of the unauthenticated attempts from one network at one action, the first 10 in a minute
    /// are recorded one by one, the others are counted.
    #[must_use]
    pub const fn new() -> Self {
        Self { reads: Reads::Durable, individually: 10, window: Duration::from_secs(60) }
    }

    /// How far the record of a read must have come.
    #[must_use]
    pub const fn with_reads(self, reads: Reads) -> Self {
        Self { reads, ..self }
    }

    /// How many unauthenticated attempts of one source are recorded one by one in each window, 1 to 100,000; those
    /// beyond are recorded as one entry with their number when the window, 1 second to 1 hour, is over.
    #[must_use]
    pub const fn with_failures(self, individually: u32, window: Duration) -> Self {
        Self { individually, window, ..self }
    }

    pub(super) fn validate(&self) -> Result<(), OpenError> {
        let window = u64::try_from(self.window.as_millis()).unwrap_or(u64::MAX);
        for (option, value, least, most) in [
            ("failures_individually", u64::from(self.individually), 1, 100_000),
            ("failures_window_ms", window, 1000, 3_600_000),
        ] {
            if !(least..=most).contains(&value) {
                return Err(OpenError::Option { option, least, most });
            }
        }
        Ok(())
    }

    /// Names and values, as they are recorded.
    pub(super) fn details(&self) -> [(&'static str, Detail); 6] {
        let window = u64::try_from(self.window.as_millis()).unwrap_or(u64::MAX);
        [
            ("security", Detail::Text("durable, with a reserve")),
            ("change", Detail::Text("durable")),
            ("read", Detail::Text(self.reads.as_str())),
            ("failures_individually", Detail::Number(u64::from(self.individually))),
            ("failures_window_ms", Detail::Number(window)),
            ("failures_sources", Detail::Number(to_u64(super::flood::MAX_SOURCES))),
        ]
    }
}

impl Default for Policies {
    fn default() -> Self {
        Self::new()
    }
}

/// A value of [`Policies::details`].
pub(super) enum Detail {
    Text(&'static str),
    Number(u64),
}
