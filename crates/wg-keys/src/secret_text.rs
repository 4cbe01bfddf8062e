//! Texts with secrets in them.

use core::fmt;

use zeroize::Zeroize as _;

/// A text with secrets in it, such as a configuration: erased on drop and wherever it had to move from, never
/// printed, copied or compared.
///
/// ```compile_fail
/// fn printed(text: &wg_keys::SecretText) -> String { text.to_string() }
/// ```
/// ```compile_fail
/// fn copied(text: &wg_keys::SecretText) -> wg_keys::SecretText { text.clone() }
/// ```
pub struct SecretText {
    text: String,
}

impl SecretText {
    /// The text, for the one program that needs it.
    #[must_use]
    pub fn expose_secret(&self) -> &str {
        &self.text
    }

    pub(crate) fn with_capacity(bytes: usize) -> Self {
        Self { text: String::with_capacity(bytes) }
    }

    /// Takes a text over.
    #[must_use]
    pub const fn take_from(text: String) -> Self {
        Self { text }
    }

    pub(crate) fn push(&mut self, part: &str) {
        let needed = self.text.len().saturating_add(part.len());
        if needed > self.text.capacity() {
            // A string that grows by itself leaves a copy behind.
            let mut larger = String::with_capacity(needed.saturating_mul(2));
            larger.push_str(&self.text);
            self.text.zeroize();
            self.text = larger;
        }
        self.text.push_str(part);
    }

    pub(crate) fn push_char(&mut self, character: char) {
        self.push(character.encode_utf8(&mut [0; 4]));
    }

    pub(crate) fn push_secret(&mut self, part: &Self) {
        self.push(part.expose_secret());
    }
}

impl Drop for SecretText {
    fn drop(&mut self) {
        self.text.zeroize();
    }
}

impl fmt::Debug for SecretText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretText(redacted)")
    }
}

/// Public parts are formatted into it.
impl fmt::Write for SecretText {
    fn write_str(&mut self, part: &str) -> fmt::Result {
        self.push(part);
        Ok(())
    }
}
