//! Pairing codes: two to four words that one person reads to another.

use core::fmt;

use core_types::SecureRandom;
use zeroize::Zeroizing;

use crate::error::CodeError;
use crate::words;

/// The fewest words of a code.
pub const MIN_CODE_WORDS: usize = 2;
/// The most words of a code.
pub const MAX_CODE_WORDS: usize = 4;
/// How many runs a joiner begins with one code.
pub const CODE_RUNS: u32 = 3;

/// Two to four words, 20.7 to 41.4 bits: enough against who has a few guesses, and for nothing that can be tried
/// offline, so it goes into the key exchange and nowhere else. Erased on drop, never printed by itself.
///
/// A code lives in memory. A restart ends it; a new one is made in a call.
pub struct PairingCode {
    text: Zeroizing<String>,
}

impl PairingCode {
    /// Random words.
    ///
    /// # Errors
    /// [`CodeError::Count`], [`CodeError::Random`].
    pub fn generate(words: usize, rng: &dyn SecureRandom) -> Result<Self, CodeError> {
        if !(MIN_CODE_WORDS..=MAX_CODE_WORDS).contains(&words) {
            return Err(CodeError::Count);
        }
        let mut text = Zeroizing::new(String::with_capacity(MAX_CODE_WORDS * (words::MAX_WORD_LEN + 1)));
        for _ in 0..words {
            push(&mut text, words::word(words::random(rng)?).unwrap_or_default());
        }
        Ok(Self { text })
    }

    /// What a person typed: words of the list, in any case, with any white space between them; the first three or more
    /// letters of a word do.
    ///
    /// # Errors
    /// [`CodeError`], with a hint for the person who typed it.
    pub fn parse(typed: &str) -> Result<Self, CodeError> {
        if typed.len() > MAX_TYPED_LEN {
            return Err(CodeError::Count);
        }
        let typed = Zeroizing::new(typed.to_ascii_lowercase());
        if !(MIN_CODE_WORDS..=MAX_CODE_WORDS).contains(&typed.split_whitespace().count()) {
            return Err(CodeError::Count);
        }
        let mut text = Zeroizing::new(String::with_capacity(MAX_CODE_WORDS * (words::MAX_WORD_LEN + 1)));
        for (at, word) in typed.split_whitespace().enumerate() {
            let known = words::number(word).and_then(words::word).or_else(|| words::completed(word));
            let position = at.saturating_add(1);
            push(&mut text, known.ok_or_else(|| CodeError::Word { position, meant: words::nearest(word) })?);
        }
        Ok(Self { text })
    }

    /// The words, joined by one blank, to be shown to the person who will say them.
    #[must_use]
    pub fn expose_secret(&self) -> &str {
        &self.text
    }

    pub(crate) fn duplicate(&self) -> Self {
        Self { text: self.text.clone() }
    }
}

impl fmt::Debug for PairingCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PairingCode(redacted)")
    }
}

fn push(text: &mut String, word: &str) {
    if !text.is_empty() {
        text.push(' ');
    }
    text.push_str(word);
}

const MAX_TYPED_LEN: usize = 256;
