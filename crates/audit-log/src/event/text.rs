use std::fmt;

use core_types::{Id, IdKind, Permission, Principal, Scope, UnixTime};
use serde::{Deserialize, Serialize};

use crate::error::EventError;

/// The most bytes of one text among the details.
pub const MAX_TEXT_BYTES: usize = 1024;

/// The most bytes of a [`ResourceId`].
pub const MAX_RESOURCE_BYTES: usize = 256;

/// A value that everyone who may read the log may see.
///
/// It comes from a text, a number, a flag, or a public value of the shared vocabulary. There is no way from a
/// secret to here but to expose it and copy its bytes by hand:
///
/// ```compile_fail
/// let secret = core_types::SecretBytes::<32>::take_from(&mut [7; 32]);
/// let value = audit_log::Public::from(secret);
/// ```
///
/// `Display` escapes what could be mistaken for something else ([`Escaped`]); [`as_text`](Self::as_text) is
/// the raw text.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "PublicValue", into = "PublicValue")]
pub struct Public {
    value: PublicValue,
}

impl Public {
    /// A text of at most [`MAX_TEXT_BYTES`].
    ///
    /// # Errors
    /// [`EventError::TooLong`].
    pub fn text(text: impl Into<Box<str>>) -> Result<Self, EventError> {
        PublicValue::Text(bounded(text.into(), "text", MAX_TEXT_BYTES)?).try_into()
    }

    /// The text, where it is one.
    #[must_use]
    pub fn as_text(&self) -> Option<&str> {
        match &self.value {
            PublicValue::Text(text) => Some(text),
            PublicValue::Number(_) | PublicValue::Flag(_) => None,
        }
    }

    /// The number, where it is one.
    #[must_use]
    pub const fn as_number(&self) -> Option<u64> {
        match self.value {
            PublicValue::Number(number) => Some(number),
            PublicValue::Text(_) | PublicValue::Flag(_) => None,
        }
    }

    /// The flag, where it is one.
    #[must_use]
    pub const fn as_flag(&self) -> Option<bool> {
        match self.value {
            PublicValue::Flag(flag) => Some(flag),
            PublicValue::Text(_) | PublicValue::Number(_) => None,
        }
    }

    /// The most bytes it takes as JSON.
    pub(crate) fn json_len(&self) -> usize {
        match &self.value {
            PublicValue::Text(text) => json_text_len(text),
            PublicValue::Number(_) | PublicValue::Flag(_) => 20,
        }
    }
}

impl From<u64> for Public {
    fn from(number: u64) -> Self {
        Self { value: PublicValue::Number(number) }
    }
}

impl From<bool> for Public {
    fn from(flag: bool) -> Self {
        Self { value: PublicValue::Flag(flag) }
    }
}

impl From<UnixTime> for Public {
    fn from(time: UnixTime) -> Self {
        Self::from(time.as_millis())
    }
}

impl<K: IdKind> From<Id<K>> for Public {
    fn from(id: Id<K>) -> Self {
        Self { value: PublicValue::Text(id.to_string().into()) }
    }
}

impl From<&Scope> for Public {
    fn from(scope: &Scope) -> Self {
        // At most `MAX_SCOPE_BYTES`, which is below `MAX_TEXT_BYTES`.
        Self { value: PublicValue::Text(scope.to_string().into()) }
    }
}

impl From<&Permission> for Public {
    fn from(permission: &Permission) -> Self {
        Self { value: PublicValue::Text(permission.to_string().into()) }
    }
}

impl From<Principal> for Public {
    fn from(principal: Principal) -> Self {
        Self { value: PublicValue::Text(principal.to_string().into()) }
    }
}

impl fmt::Display for Public {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.value {
            PublicValue::Text(text) => Escaped::new(text).fmt(f),
            PublicValue::Number(number) => number.fmt(f),
            PublicValue::Flag(flag) => flag.fmt(f),
        }
    }
}

impl fmt::Debug for Public {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
enum PublicValue {
    Text(Box<str>),
    Number(u64),
    Flag(bool),
}

impl TryFrom<PublicValue> for Public {
    type Error = EventError;

    fn try_from(value: PublicValue) -> Result<Self, EventError> {
        match value {
            PublicValue::Text(text) if text.len() > MAX_TEXT_BYTES => {
                Err(EventError::TooLong { field: "text", limit: MAX_TEXT_BYTES })
            }
            value => Ok(Self { value }),
        }
    }
}

impl From<Public> for PublicValue {
    fn from(public: Public) -> Self {
        public.value
    }
}

/// What the call is about, below its scope: a key's fingerprint, a record's id.
///
/// Any text of 1 to [`MAX_RESOURCE_BYTES`] bytes; `Display` escapes it.
#[derive(Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct ResourceId {
    text: Box<str>,
}

impl ResourceId {
    /// The id that is this text.
    ///
    /// # Errors
    /// [`EventError::Empty`], [`EventError::TooLong`].
    pub fn new(text: impl Into<Box<str>>) -> Result<Self, EventError> {
        let text = bounded(text.into(), "resource", MAX_RESOURCE_BYTES)?;
        if text.is_empty() { Err(EventError::Empty { field: "resource" }) } else { Ok(Self { text }) }
    }

    /// The raw text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }
}

impl<K: IdKind> From<Id<K>> for ResourceId {
    fn from(id: Id<K>) -> Self {
        Self { text: id.to_string().into() }
    }
}

impl fmt::Display for ResourceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Escaped::new(&self.text).fmt(f)
    }
}

impl fmt::Debug for ResourceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl From<ResourceId> for String {
    fn from(resource: ResourceId) -> Self {
        resource.text.into()
    }
}

impl TryFrom<String> for ResourceId {
    type Error = EventError;

    fn try_from(text: String) -> Result<Self, EventError> {
        Self::new(text)
    }
}

/// Shows a stranger's text so that it is taken for nothing else.
///
/// Control characters (line ends, terminal escapes, U+0085), line and paragraph separators, directional
/// controls (Unicode UAX #9 2), invisible formatting and the backslash itself appear as `\u{..}`.
///
/// ```
/// let shown = audit_log::event::Escaped::new("curl\n\u{1b}[2J\u{202e}").to_string();
/// assert_eq!(shown, r"curl\u{a}\u{1b}[2J\u{202e}");
/// ```
#[derive(Debug, Clone, Copy)]
pub struct Escaped<'a> {
    text: &'a str,
}

impl<'a> Escaped<'a> {
    /// Shows this text.
    #[must_use]
    pub const fn new(text: &'a str) -> Self {
        Self { text }
    }
}

impl fmt::Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.text.chars().try_for_each(|symbol| {
            if is_misleading(symbol) {
                symbol.escape_unicode().fmt(f)
            } else {
                fmt::Write::write_char(f, symbol)
            }
        })
    }
}

fn is_misleading(symbol: char) -> bool {
    symbol.is_control()
        || matches!(
            symbol,
            '\\' | '\u{ad}'
                | '\u{61c}'
                | '\u{180e}'
                | '\u{200b}'..='\u{200f}'
                | '\u{2028}'..='\u{202e}'
                | '\u{2060}'..='\u{206f}'
                | '\u{feff}'
                | '\u{fff9}'..='\u{fffb}'
                | '\u{e0000}'..='\u{e007f}'
        )
}

pub(super) fn bounded(text: Box<str>, field: &'static str, limit: usize) -> Result<Box<str>, EventError> {
    if text.len() > limit { Err(EventError::TooLong { field, limit }) } else { Ok(text) }
}

/// The bytes of a text as JSON, quotes included: six for a control character at most.
pub(super) fn json_text_len(text: &str) -> usize {
    text.bytes().fold(2, |sum: usize, byte| {
        sum.saturating_add(match byte {
            0..=0x1f => 6,
            b'"' | b'\\' => 2,
            _ => 1,
        })
    })
}
