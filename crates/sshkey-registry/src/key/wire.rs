use core::ops::Range;

use crate::error::KeyError;

/// Reads the length-prefixed fields of a blob (RFC 4251 5), never past its end.
#[derive(Debug)]
pub(super) struct Reader<'a> {
    blob: &'a [u8],
    at: usize,
}

/// Where a field stands within the blob.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Field {
    start: usize,
    end: usize,
}

impl<'a> Reader<'a> {
    pub(super) const fn new(blob: &'a [u8]) -> Self {
        Self { blob, at: 0 }
    }

    /// The next `string`.
    pub(super) fn string(&mut self) -> Result<Field, KeyError> {
        let start = self.at.checked_add(4).ok_or(KeyError::Truncated)?;
        let prefix = self.blob.get(self.at..start).and_then(|prefix| <[u8; 4]>::try_from(prefix).ok());
        let len = u32::from_be_bytes(prefix.ok_or(KeyError::Truncated)?);
        let len = usize::try_from(len).map_err(|_| KeyError::Truncated)?;
        let end = start.checked_add(len).filter(|&end| end <= self.blob.len()).ok_or(KeyError::Truncated)?;
        self.at = end;
        Ok(Field { start, end })
    }

    /// The next `mpint`, minimal and not negative, of at most `limit` bits; without the zero byte that keeps a set
    /// top bit from being a sign.
    pub(super) fn unsigned(&mut self, limit: u32) -> Result<Field, KeyError> {
        let field = self.string()?;
        let bytes = field.of(self.blob);
        let number = match bytes {
            [] => field,
            [0, next, ..] if next & 0x80 != 0 => {
                Field { start: field.start.saturating_add(1), end: field.end }
            }
            [0, ..] => return Err(KeyError::IntegerNotMinimal),
            [first, ..] if first & 0x80 != 0 => return Err(KeyError::NegativeInteger),
            _ => field,
        };
        if bit_len(number.of(self.blob)) > limit {
            return Err(KeyError::RsaTooLong { limit });
        }
        Ok(number)
    }

    /// That nothing is left.
    pub(super) const fn finish(self) -> Result<(), KeyError> {
        if self.at == self.blob.len() { Ok(()) } else { Err(KeyError::TrailingBytes) }
    }
}

impl Field {
    /// Its bytes in the blob it was read from.
    pub(super) fn of(self, blob: &[u8]) -> &[u8] {
        blob.get(self.range()).unwrap_or_default()
    }

    pub(super) const fn range(self) -> Range<usize> {
        self.start..self.end
    }
}

/// How many bits a big-endian number without leading zero bytes has.
pub(super) fn bit_len(number: &[u8]) -> u32 {
    let Some((first, rest)) = number.split_first() else { return 0 };
    let low = u32::try_from(rest.len()).unwrap_or(u32::MAX).saturating_mul(8);
    low.saturating_add(8_u32.saturating_sub(first.leading_zeros()))
}
