use core::fmt;

use core_types::Permission;

use crate::error::{Refusal, RefusalReason};

/// What to answer a request that is not let through: status and `WWW-Authenticate` (RFC 6750, section 3).
///
/// ```
/// use token_vault::Challenge;
/// let challenge = Challenge::missing("palisade")?;
/// assert_eq!(challenge.status(), 401);
/// assert_eq!(challenge.www_authenticate().unwrap(), r#"Bearer realm="palisade""#);
/// # Ok::<(), token_vault::FormatError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Challenge {
    realm: Box<str>,
    kind: Kind,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Kind {
    Missing,
    Invalid,
    Insufficient(Permission),
    Later(u64),
    Unavailable,
}

impl Challenge {
    /// There is no credential, or it is not of a form we read: 401 without an error, as RFC 6750 asks.
    ///
    /// # Errors
    /// [`FormatError::Realm`](crate::FormatError::Realm) for a realm that needs escaping.
    pub fn missing(realm: &str) -> Result<Self, crate::FormatError> {
        let plain = |byte: u8| byte.is_ascii_graphic() && byte != b'"' && byte != b'\\';
        if realm.is_empty() || realm.len() > MAX_REALM || !realm.bytes().all(plain) {
            return Err(crate::FormatError::Realm);
        }
        Ok(Self { realm: realm.into(), kind: Kind::Missing })
    }

    /// The token was refused: 401 for every reason that is the token's, 429 for a source that failed too often,
    /// 503 where this vault cannot answer now.
    #[must_use]
    pub fn refused(mut self, refusal: &Refusal) -> Self {
        self.kind = match refusal.reason() {
            RefusalReason::RateLimited { retry_after } => {
                Kind::Later(retry_after.as_secs().saturating_add(1))
            }
            RefusalReason::Stale | RefusalReason::Damaged => Kind::Unavailable,
            _ => Kind::Invalid,
        };
        self
    }

    /// Nobody can say now whether the token is good: 503.
    #[must_use]
    pub fn unavailable(mut self) -> Self {
        self.kind = Kind::Unavailable;
        self
    }

    /// The token is good and does not allow this: 403.
    #[must_use]
    pub fn insufficient(mut self, needed: Permission) -> Self {
        self.kind = Kind::Insufficient(needed);
        self
    }

    /// The status code.
    #[must_use]
    pub const fn status(&self) -> u16 {
        match self.kind {
            Kind::Missing | Kind::Invalid => 401,
            Kind::Insufficient(_) => 403,
            Kind::Later(_) => 429,
            Kind::Unavailable => 503,
        }
    }

    /// The value of `WWW-Authenticate`, where one belongs.
    #[must_use]
    pub fn www_authenticate(&self) -> Option<String> {
        let realm = &self.realm;
        match &self.kind {
            Kind::Missing => Some(format!("Bearer realm=\"{realm}\"")),
            Kind::Invalid => Some(format!("Bearer realm=\"{realm}\", error=\"invalid_token\"")),
            Kind::Insufficient(needed) => {
                Some(format!("Bearer realm=\"{realm}\", error=\"insufficient_scope\", scope=\"{needed}\""))
            }
            Kind::Later(_) | Kind::Unavailable => None,
        }
    }

    /// The value of `Retry-After` in seconds, where one belongs.
    #[must_use]
    pub const fn retry_after(&self) -> Option<u64> {
        match self.kind {
            Kind::Later(seconds) => Some(seconds),
            _ => None,
        }
    }

    /// A stable code for the body.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self.kind {
            Kind::Missing => "unauthenticated",
            Kind::Invalid => "invalid_token",
            Kind::Insufficient(_) => "insufficient_scope",
            Kind::Later(_) => "too_many_failures",
            Kind::Unavailable => "unavailable",
        }
    }
}

impl fmt::Display for Challenge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code())
    }
}

const MAX_REALM: usize = 64;
