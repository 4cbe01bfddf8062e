//! Digests as words, for people who compare two screens.

use core::fmt;

use core_types::Fingerprint;

use crate::error::FingerprintWordsError;
use crate::mac::{Digest, Parts};
use crate::words;

/// Words of a fingerprint, the check word not counted: 82.7 bits.
pub const FINGERPRINT_WORDS: usize = 8;

/// A fingerprint as eight words of the EFF short list and a ninth that tells mistakes in reading or typing.
///
/// To find another certificate with the same words takes 2^82 tries on average, whatever is computed beforehand.
#[derive(Clone, PartialEq, Eq)]
pub struct FingerprintWords {
    numbers: [u16; FINGERPRINT_WORDS],
}

impl FingerprintWords {
    /// The words of a fingerprint: its digest under a label of its own, as one number in base 1296.
    #[must_use]
    pub fn of(fingerprint: &Fingerprint) -> Self {
        let digest = Parts::new("palisade-join/1 fingerprint words").with(fingerprint.as_bytes()).value();
        let mut numbers = [0; FINGERPRINT_WORDS];
        fill(&digest, &mut numbers);
        Self { numbers }
    }

    /// Reads nine words as a person typed them.
    ///
    /// # Errors
    /// [`FingerprintWordsError`].
    pub fn parse(typed: &str) -> Result<Self, FingerprintWordsError> {
        if typed.len() > MAX_TYPED_LEN {
            return Err(FingerprintWordsError::Count);
        }
        let typed = typed.to_ascii_lowercase();
        let mut all = Vec::with_capacity(FINGERPRINT_WORDS + 1);
        for (at, word) in typed.split_whitespace().enumerate().take(FINGERPRINT_WORDS + 2) {
            let known = words::number(word).or_else(|| words::completed(word).and_then(words::number));
            let position = at.saturating_add(1);
            let unknown = || FingerprintWordsError::Word { position, meant: words::nearest(word) };
            all.push(known.ok_or_else(unknown)?);
        }
        let (check, numbers) = all.split_last().ok_or(FingerprintWordsError::Count)?;
        let numbers = numbers.try_into().map_err(|_| FingerprintWordsError::Count)?;
        let words = Self { numbers };
        if words.check() == *check { Ok(words) } else { Err(FingerprintWordsError::Check) }
    }

    /// The ninth word: eleven bits of the digest of the eight others.
    fn check(&self) -> u16 {
        let mut label = Parts::new("palisade-join/1 check word");
        self.numbers.iter().for_each(|number| label.add(&number.to_be_bytes()));
        let mut check = [0];
        fill(&label.value(), &mut check);
        let [check] = check;
        check
    }
}

/// Nine words, joined by one blank.
impl fmt::Display for FingerprintWords {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for number in self.numbers {
            write!(f, "{} ", words::word(number).unwrap_or_default())?;
        }
        f.write_str(words::word(self.check()).unwrap_or_default())
    }
}

impl fmt::Debug for FingerprintWords {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "FingerprintWords({self})")
    }
}

/// The last digits, in base 1296, of the first 16 bytes of the digest.
pub(crate) fn fill(digest: &Digest, numbers: &mut [u16]) {
    let mut rest = digest.first_chunk::<16>().map_or(0, |bytes| u128::from_be_bytes(*bytes));
    for number in numbers {
        let base = u128::from(words::WORD_COUNT);
        *number = rest.checked_rem(base).and_then(|digit| u16::try_from(digit).ok()).unwrap_or_default();
        rest = rest.checked_div(base).unwrap_or_default();
    }
}

const MAX_TYPED_LEN: usize = 512;
