use core::time::Duration;

/// An instant of a clock that never goes back: milliseconds since any fixed moment of this process.
///
/// Sessions end by this clock alone, so setting the time of day neither ends nor prolongs them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Monotonic {
    millis: u64,
}

impl Monotonic {
    /// The instant this many milliseconds after the clock's beginning.
    #[must_use]
    pub const fn from_millis(millis: u64) -> Self {
        Self { millis }
    }

    /// Milliseconds since the clock's beginning.
    #[must_use]
    pub const fn as_millis(self) -> u64 {
        self.millis
    }

    /// The instant `later` after this one.
    #[must_use]
    pub fn saturating_add(self, later: Duration) -> Self {
        Self { millis: self.millis.saturating_add(millis(later)) }
    }
}

pub(super) fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
