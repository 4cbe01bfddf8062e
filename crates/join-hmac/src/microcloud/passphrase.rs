//! Four words that two people can say to each other.

use core::fmt;

use core_types::SecureRandom;
use zeroize::Zeroizing;

use super::kdf::MacSecret;
use crate::error::{MacError, PassphraseError};
use crate::words;

/// Words of a generated passphrase.
pub const PASSPHRASE_WORDS: usize = 4;

/// Four words of the EFF short list 2.0, joined by one blank: 41.36 bits. Erased on drop, never printed by itself.
pub struct Passphrase {
    text: Zeroizing<String>,
}

impl Passphrase {
    /// Four random words.
    ///
    /// # Errors
    /// [`MacError::Random`].
    pub fn generate(rng: &dyn SecureRandom) -> Result<Self, MacError> {
        let mut numbers = Zeroizing::new([0; PASSPHRASE_WORDS]);
        for number in numbers.iter_mut() {
            *number = words::random(rng)?;
        }
        Ok(Self::of(numbers.iter().filter_map(|&number| words::word(number))))
    }

    /// What a person typed: four words of the list, in any case, with any white space between them.
    ///
    /// # Errors
    /// [`PassphraseError`], with a hint for the person who typed it.
    pub fn parse(typed: &str) -> Result<Self, PassphraseError> {
        if typed.len() > MAX_TYPED_LEN {
            return Err(PassphraseError::Count { found: None });
        }
        let typed = Zeroizing::new(typed.to_ascii_lowercase());
        let found = typed.split_whitespace().count();
        if found != PASSPHRASE_WORDS {
            return Err(PassphraseError::Count { found: Some(found) });
        }
        for (at, word) in typed.split_whitespace().enumerate() {
            if words::number(word).is_none() {
                let position = at.saturating_add(1);
                return Err(PassphraseError::Word { position, meant: words::nearest(word) });
            }
        }
        Ok(Self::of(typed.split_whitespace()))
    }

    /// The words, to be shown to the person who will say them.
    #[must_use]
    pub fn expose_secret(&self) -> &str {
        &self.text
    }

    /// As the secret of a MAC.
    ///
    /// # Errors
    /// None today; as [`MacSecret::new`].
    pub fn to_secret(&self) -> Result<MacSecret, MacError> {
        MacSecret::new(self.text.as_bytes())
    }

    fn of<'a>(words: impl Iterator<Item = &'a str>) -> Self {
        let mut text = Zeroizing::new(String::with_capacity(PASSPHRASE_WORDS * (words::MAX_WORD_LEN + 1)));
        for word in words {
            if !text.is_empty() {
                text.push(' ');
            }
            text.push_str(word);
        }
        Self { text }
    }
}

impl fmt::Debug for Passphrase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Passphrase(redacted)")
    }
}

const MAX_TYPED_LEN: usize = 256;
