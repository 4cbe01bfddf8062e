use core::fmt;

use crate::error::{KeyError, NameError};

/// A key's name within its project: 1 to [`KeyName::MAX_CHARS`] characters of `[A-Za-z0-9._@-]`, the first one a
/// letter or a digit.
///
/// ASCII only, so that no two names look alike; two names that differ in case alone are the same name to the
/// registry, which keeps the spelling for display.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyName {
    text: Box<str>,
}

impl KeyName {
    /// The most characters a name may have.
    pub const MAX_CHARS: usize = 64;

    /// The name that `text` is.
    ///
    /// # Errors
    /// [`NameError`] when it is none.
    pub fn parse(text: &str) -> Result<Self, NameError> {
        validate_label(text, Self::MAX_CHARS)?;
        Ok(Self { text: text.into() })
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// What is unique within a project.
    pub(crate) fn folded(&self) -> String {
        self.text.to_ascii_lowercase()
    }
}

impl fmt::Display for KeyName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// The comment on a line that we write: 1 to [`LineComment::MAX_CHARS`] characters of `[A-Za-z0-9._@-]`.
///
/// Programs split lines at characters that sshd takes for part of a comment, so a line that a machine reads
/// carries a comment of our own making and never the customer's ([`Comment`]).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LineComment {
    text: Box<str>,
}

impl LineComment {
    /// The most characters it may have.
    pub const MAX_CHARS: usize = 128;

    /// The comment that `text` is.
    ///
    /// # Errors
    /// [`NameError`] when it is none.
    pub fn parse(text: &str) -> Result<Self, NameError> {
        validate_label(text, Self::MAX_CHARS)?;
        Ok(Self { text: text.into() })
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }
}

impl From<&KeyName> for LineComment {
    fn from(name: &KeyName) -> Self {
        Self { text: name.text.clone() }
    }
}

impl From<crate::registry::SshKeyId> for LineComment {
    fn from(id: crate::registry::SshKeyId) -> Self {
        Self { text: id.to_string().into() }
    }
}

/// The name of an account on a machine: a letter or `_`, then up to 31 of `[a-z0-9_-]`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AccountName {
    text: Box<str>,
}

impl AccountName {
    /// The most characters it may have, as `useradd` has it.
    pub const MAX_CHARS: usize = 32;

    /// The name that `text` is.
    ///
    /// # Errors
    /// [`NameError`] when it is none.
    pub fn parse(text: &str) -> Result<Self, NameError> {
        if text.is_empty() {
            return Err(NameError::Empty);
        }
        for (position, character) in text.chars().enumerate() {
            if position >= Self::MAX_CHARS {
                return Err(NameError::TooLong { limit: Self::MAX_CHARS });
            }
            let allowed = match character {
                'a'..='z' | '_' => true,
                '0'..='9' | '-' => position != 0,
                _ => false,
            };
            if !allowed {
                return Err(NameError::Character { at: position.saturating_add(1) });
            }
        }
        Ok(Self { text: text.into() })
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }
}

impl fmt::Display for AccountName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// What the customer wrote after the key: a label to show, never part of a line that a machine reads.
///
/// Printable characters only: no control characters, line or paragraph separators, characters that change the
/// direction of writing, invisible ones, or ones that mean nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Comment {
    text: Box<str>,
}

impl Comment {
    /// The most bytes it may have, in UTF-8.
    pub const MAX_BYTES: usize = 1024;

    /// The comment that `text` is.
    ///
    /// # Errors
    /// [`KeyError::CommentTooLong`], [`KeyError::CommentCharacter`].
    pub fn parse(text: &str) -> Result<Self, KeyError> {
        if text.len() > Self::MAX_BYTES {
            return Err(KeyError::CommentTooLong { limit: Self::MAX_BYTES });
        }
        // Most are ASCII, where what is shown is a range.
        if text.bytes().all(|byte| matches!(byte, b' '..=b'~')) || text.chars().all(is_shown) {
            Ok(Self { text: text.into() })
        } else {
            Err(KeyError::CommentCharacter)
        }
    }

    /// The text. Escape it for wherever it is shown.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }
}

fn validate_label(text: &str, limit: usize) -> Result<(), NameError> {
    if text.is_empty() {
        return Err(NameError::Empty);
    }
    for (position, character) in text.chars().enumerate() {
        if position >= limit {
            return Err(NameError::TooLong { limit });
        }
        let allowed = match character {
            'A'..='Z' | 'a'..='z' | '0'..='9' => true,
            '.' | '_' | '@' | '-' => position != 0,
            _ => false,
        };
        if !allowed {
            return Err(NameError::Character { at: position.saturating_add(1) });
        }
    }
    Ok(())
}

/// Whether a character is one that a person sees as what it is.
pub(crate) fn is_shown(character: char) -> bool {
    if character.is_control() {
        return false;
    }
    let code = u32::from(character);
    let hidden = matches!(code,
        // Soft hyphen, combining grapheme joiner, Arabic letter mark, Hangul fillers, Khmer inherent vowels,
        // Mongolian selectors.
        0x00AD | 0x034F | 0x061C | 0x115F | 0x1160 | 0x17B4 | 0x17B5 | 0x180B..=0x180F
        // Zero-width and direction marks; separators; embeddings and overrides; invisible operators, isolates.
        | 0x200B..=0x200F | 0x2028..=0x202E | 0x2060..=0x206F | 0x3164
        // Variation selectors, byte order mark, half-width filler, interlinear annotation.
        | 0xFE00..=0xFE0F | 0xFEFF | 0xFFA0 | 0xFFF0..=0xFFFB
        // Shorthand and musical format controls, tags and further selectors.
        | 0x1BCA0..=0x1BCA3 | 0x1D173..=0x1D17A | 0xE0000..=0xE0FFF
        // Private use.
        | 0xE000..=0xF8FF | 0xF0000..=0x10FFFF);
    let noncharacter = code & 0xFFFE == 0xFFFE || matches!(code, 0xFDD0..=0xFDEF);
    !hidden && !noncharacter
}
