use core::fmt;

use core_types::{RandomError, SecretBytes, SecureRandom, TokenId};
use zeroize::Zeroizing;

use crate::format::{MAX_TOKEN_LEN, Prefix, Redacted, write_token};

/// The 256 random bits of a token.
pub(crate) struct TokenSecret(SecretBytes<32>);

impl TokenSecret {
    pub(crate) fn generate(rng: &dyn SecureRandom) -> Result<Self, RandomError> {
        SecretBytes::generate(rng).map(Self)
    }

    pub(crate) fn expose_secret(&self) -> &[u8; 32] {
        self.0.expose_secret()
    }
}

/// The plaintext of a token that was just issued: there is no second copy, and no way to make one again.
///
/// Show it once with [`expose_once`](Self::expose_once) when the commit that makes it valid has succeeded.
/// It has no `Clone`, `Display` or serde, its `Debug` is redacted, and it is erased on drop.
///
/// ```compile_fail
/// fn twice(token: token_vault::IssuedToken) {
///     token.expose_once(|_| ());
///     token.expose_once(|_| ());
/// }
/// ```
#[must_use = "the plaintext of a token cannot be had again"]
pub struct IssuedToken {
    text: Zeroizing<String>,
    redacted: Redacted,
}

impl IssuedToken {
    pub(crate) fn new(kind: &Prefix, id: TokenId, secret: &TokenSecret) -> Self {
        let mut text = Zeroizing::new(String::with_capacity(MAX_TOKEN_LEN));
        write_token(kind, id, secret.expose_secret(), &mut text);
        Self { text, redacted: Redacted::new(kind, id) }
    }

    /// Hands the plaintext to `show`, and erases it afterwards.
    pub fn expose_once<T>(self, show: impl FnOnce(&str) -> T) -> T {
        show(&self.text)
    }

    /// What may be shown at any time.
    #[must_use]
    pub const fn redacted(&self) -> &Redacted {
        &self.redacted
    }
}

impl fmt::Debug for IssuedToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "IssuedToken({})", self.redacted)
    }
}
