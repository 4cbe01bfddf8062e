use core::fmt;

/// The answer to a request, and what it rests on.
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use = "a verdict that is not looked at protects nothing"]
#[expect(clippy::exhaustive_enums, reason = "a third answer must break the caller")]
pub enum Verdict {
    /// It may be done.
    Allow(Vec<Reason>),
    /// It may not.
    Deny(Vec<Reason>),
}

impl Verdict {
    /// What it rests on: at least one thing.
    #[must_use]
    pub fn reasons(&self) -> &[Reason] {
        match self {
            Self::Allow(reasons) | Self::Deny(reasons) => reasons,
        }
    }

    /// Denied, for this reason.
    pub fn denied(reason: Reason) -> Self {
        Self::Deny(vec![reason])
    }
}

/// Why something is allowed or denied.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Reason {
    /// This allows it.
    AllowedBy(String),
    /// This denies it.
    DeniedBy(String),
    /// This denies it, as far as anyone can say: part of it was not understood, or the request says too little.
    MayBeDeniedBy(String),
    /// Nothing allows it.
    NothingAllows,
    /// The request is none.
    BadRequest(String),
    /// The source was refused, so that nobody knows what it denies.
    BadSource(String),
}

impl Reason {
    /// A stable word for it: those of `iam-policy` where it has the same.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::AllowedBy(_) => "granted",
            Self::DeniedBy(_) => "explicit_deny",
            Self::MayBeDeniedBy(_) => "explicit_deny_possible",
            Self::NothingAllows => "no_grant",
            Self::BadRequest(_) => "request",
            Self::BadSource(_) => "source",
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AllowedBy(place) => write!(f, "allowed by {place}"),
            Self::DeniedBy(place) => write!(f, "explicit deny by {place}"),
            Self::MayBeDeniedBy(place) => write!(f, "explicit deny, as far as can be said, by {place}"),
            Self::NothingAllows => f.write_str("implicit deny: nothing allows it"),
            Self::BadRequest(why) => write!(f, "error: {why}"),
            Self::BadSource(why) => write!(f, "error: the policies are refused: {why}"),
        }
    }
}
