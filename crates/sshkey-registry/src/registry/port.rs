use core::fmt;

use core_types::SecureRandom;

use crate::error::{NameError, PortError};

/// A port that a machine's sshd is reached at: 30000 to 32767, or 61000 to 65535.
///
/// Linux gives ports between the two to outgoing connections (`net.ipv4.ip_local_port_range`), and sshd could not
/// listen on one that such a connection holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SshPort {
    number: u16,
}

impl SshPort {
    /// How many there are.
    pub const COUNT: usize = 7304;

    /// The port of this number.
    ///
    /// # Errors
    /// [`PortError`] when it is not one of these.
    pub const fn new(number: u16) -> Result<Self, PortError> {
        if matches!(number, 30_000..=32_767 | 61_000..=65_535) {
            Ok(Self { number })
        } else {
            Err(PortError::OutOfRange)
        }
    }

    /// Its number.
    #[must_use]
    pub const fn get(self) -> u16 {
        self.number
    }

    /// Every port, in order.
    pub fn all() -> impl Iterator<Item = Self> {
        (30_000..=32_767).chain(61_000..=65_535).map(|number| Self { number })
    }
}

impl fmt::Display for SshPort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.number.fmt(f)
    }
}

/// Within what a port is unique: the machines behind one address. `[a-z0-9-]`, 1 to 63 characters.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PortPool {
    text: Box<str>,
}

/// The name of a machine within its project: `[a-z0-9-]`, 1 to 63 characters.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct VmName {
    text: Box<str>,
}

impl PortPool {
    /// The pool of this name.
    ///
    /// # Errors
    /// [`NameError`] when it is no name.
    pub fn parse(text: &str) -> Result<Self, NameError> {
        validate_segment(text)?;
        Ok(Self { text: text.into() })
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }
}

impl VmName {
    /// The name that `text` is.
    ///
    /// # Errors
    /// [`NameError`] when it is no name.
    pub fn parse(text: &str) -> Result<Self, NameError> {
        validate_segment(text)?;
        Ok(Self { text: text.into() })
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }
}

impl fmt::Display for VmName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// One of these, each as likely as any other; `None` when there is none.
pub(super) fn choose<T: Copy>(
    among: &[T],
    rng: &dyn SecureRandom,
) -> Result<Option<T>, core_types::RandomError> {
    let Ok(count) = u64::try_from(among.len()) else { return Ok(None) };
    let Some(last_fair) = u64::MAX.checked_sub(u64::MAX.checked_rem(count).unwrap_or(0)) else {
        return Ok(None);
    };
    if count == 0 {
        return Ok(None);
    }
    for _ in 0..MAX_DRAWS {
        let mut bytes = [0; 8];
        rng.fill(&mut bytes)?;
        let drawn = u64::from_be_bytes(bytes);
        if drawn < last_fair {
            let at = drawn.checked_rem(count).and_then(|at| usize::try_from(at).ok());
            return Ok(at.and_then(|at| among.get(at)).copied());
        }
    }
    // A source that gives the same number for ever; any choice is as good.
    Ok(among.first().copied())
}

/// What a segment of a scope may be.
fn validate_segment(text: &str) -> Result<(), NameError> {
    if text.is_empty() {
        return Err(NameError::Empty);
    }
    for (position, character) in text.chars().enumerate() {
        if position >= MAX_SEGMENT {
            return Err(NameError::TooLong { limit: MAX_SEGMENT });
        }
        let allowed = matches!(character, 'a'..='z' | '0'..='9') || character == '-' && position != 0;
        if !allowed {
            return Err(NameError::Character { at: position.saturating_add(1) });
        }
    }
    if text.ends_with('-') { Err(NameError::Character { at: text.len() }) } else { Ok(()) }
}

const MAX_SEGMENT: usize = 63;
const MAX_DRAWS: u32 = 64;
