//! The one encoding of everything that is sent, hashed or signed.
//!
//! ```text
//! frame   type (1 byte)  length of the fields (3 bytes)  fields
//! field   tag (2 bytes)  length of the value (4 bytes)   value
//! list    of items, each: length (4 bytes)               item
//! ```
//!
//! Numbers are big-endian. Tags strictly ascend; an unknown, missing or repeated tag, a value of another length than
//! its kind has, and anything after the end are refused. So every value has one encoding, and every encoding one value.
//! Fields with tags from 0x80 on are proofs; what they prove is the frame without them.

pub(crate) mod message;

use crate::error::WireError;

/// The most bytes of a connection's first frame: a nonce, a few digests, a key and numbers.
pub const MAX_FIRST_FRAME_LEN: usize = 512;

/// The most bytes of a frame, but for the two kinds that hold members.
pub const MAX_FRAME_LEN: usize = 16 << 10;

/// The most bytes of a frame that holds members.
pub const MAX_LONG_FRAME_LEN: usize = 2 << 20;

/// The bytes of a frame before its fields: the type and the length of the fields.
pub const HEADER_LEN: usize = 4;

/// How many bytes follow this header on a stream: for reading a frame whole, and nothing of what comes after it.
///
/// # Errors
/// [`WireError::TooLong`] when the frame would be longer than `max`: nothing of it need be read.
pub fn fields_len(header: [u8; HEADER_LEN], max: usize) -> Result<usize, WireError> {
    let [_, high, middle, low] = header;
    let length = usize::try_from(u32::from_be_bytes([0, high, middle, low])).unwrap_or(usize::MAX);
    if length.saturating_add(HEADER_LEN) > max { Err(WireError::TooLong { limit: max }) } else { Ok(length) }
}

/// What a machine begins a connection with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "a member answers both, and nothing else")]
pub enum Opening {
    /// A new join: for [`Window::hello`](crate::join::Window::hello).
    Hello,
    /// One that was interrupted: for [`Window::resume`](crate::join::Window::resume).
    Resume,
}

impl Opening {
    /// Which of the two a frame is; only its type is looked at.
    ///
    /// # Errors
    /// [`WireError::Kind`] for any other, [`WireError::Truncated`] for none.
    pub fn of(frame: &[u8]) -> Result<Self, WireError> {
        match frame.first() {
            Some(&message::HELLO) => Ok(Self::Hello),
            Some(&message::RESUME) => Ok(Self::Resume),
            Some(_) => Err(WireError::Kind),
            None => Err(WireError::Truncated),
        }
    }
}

/// Builds a frame.
pub(crate) struct Writer {
    kind: u8,
    fields: Vec<u8>,
}

impl Writer {
    pub(crate) const fn new(kind: u8) -> Self {
        Self { kind, fields: Vec::new() }
    }

    /// The caller's tags ascend.
    pub(crate) fn field(mut self, tag: u16, value: &[u8]) -> Self {
        self.fields.extend_from_slice(&tag.to_be_bytes());
        self.fields.extend_from_slice(&crate::mac::length(value));
        self.fields.extend_from_slice(value);
        self
    }

    pub(crate) fn optional(self, tag: u16, value: Option<&[u8]>) -> Self {
        match value {
            Some(value) => self.field(tag, value),
            None => self,
        }
    }

    pub(crate) fn list<'a>(self, tag: u16, items: impl IntoIterator<Item = &'a [u8]>) -> Self {
        let mut value = Vec::new();
        for item in items {
            value.extend_from_slice(&crate::mac::length(item));
            value.extend_from_slice(item);
        }
        self.field(tag, &value)
    }

    pub(crate) fn finish(self) -> Vec<u8> {
        let length = u32::try_from(self.fields.len()).unwrap_or(u32::MAX).to_be_bytes();
        let mut frame = Vec::with_capacity(self.fields.len().saturating_add(HEADER_LEN));
        frame.push(self.kind);
        frame.extend(length.iter().skip(1));
        frame.extend_from_slice(&self.fields);
        frame
    }
}

/// Reads the fields of a frame, in the order of their tags.
pub(crate) struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    /// The fields of a frame of this kind and of at most `max` bytes.
    pub(crate) fn new(frame: &'a [u8], kind: u8, max: usize) -> Result<Self, WireError> {
        if frame.len() > max {
            return Err(WireError::TooLong { limit: max });
        }
        let (header, rest) = frame.split_first_chunk::<HEADER_LEN>().ok_or(WireError::Truncated)?;
        let [found, ..] = *header;
        if found != kind {
            return Err(WireError::Kind);
        }
        if rest.len() != fields_len(*header, max)? {
            return Err(WireError::Truncated);
        }
        Ok(Self { rest })
    }

    pub(crate) fn optional(&mut self, tag: u16) -> Result<Option<&'a [u8]>, WireError> {
        let Some((found, rest)) = self.rest.split_first_chunk::<2>() else {
            return if self.rest.is_empty() { Ok(None) } else { Err(WireError::Truncated) };
        };
        if u16::from_be_bytes(*found) != tag {
            return Ok(None);
        }
        let (value, rest) = take(rest)?;
        self.rest = rest;
        Ok(Some(value))
    }

    pub(crate) fn field(&mut self, tag: u16) -> Result<&'a [u8], WireError> {
        self.optional(tag)?.ok_or(WireError::Field { tag })
    }

    pub(crate) fn array<const N: usize>(&mut self, tag: u16) -> Result<[u8; N], WireError> {
        self.field(tag)?.try_into().map_err(|_| WireError::Field { tag })
    }

    pub(crate) fn optional_array<const N: usize>(&mut self, tag: u16) -> Result<Option<[u8; N]>, WireError> {
        self.optional(tag)?.map(|value| value.try_into().map_err(|_| WireError::Field { tag })).transpose()
    }

    pub(crate) fn number(&mut self, tag: u16) -> Result<u64, WireError> {
        self.array(tag).map(u64::from_be_bytes)
    }

    pub(crate) fn byte(&mut self, tag: u16) -> Result<u8, WireError> {
        self.array::<1>(tag).map(|[byte]| byte)
    }

    pub(crate) fn text(&mut self, tag: u16) -> Result<&'a str, WireError> {
        core::str::from_utf8(self.field(tag)?).map_err(|_| WireError::Field { tag })
    }

    pub(crate) fn list(&mut self, tag: u16, max: usize) -> Result<Vec<&'a [u8]>, WireError> {
        let mut rest = self.field(tag)?;
        let mut items = Vec::new();
        while !rest.is_empty() {
            if items.len() >= max {
                return Err(WireError::Field { tag });
            }
            let (item, after) = take(rest)?;
            items.push(item);
            rest = after;
        }
        Ok(items)
    }

    pub(crate) fn finish(self) -> Result<(), WireError> {
        if self.rest.is_empty() { Ok(()) } else { Err(WireError::Trailing) }
    }
}

/// A length in four bytes, and as many bytes; and what is after them.
fn take(bytes: &[u8]) -> Result<(&[u8], &[u8]), WireError> {
    let (length, rest) = bytes.split_first_chunk::<4>().ok_or(WireError::Truncated)?;
    let length = usize::try_from(u32::from_be_bytes(*length)).map_err(|_| WireError::Truncated)?;
    rest.split_at_checked(length).ok_or(WireError::Truncated)
}
