use std::fmt;
use std::num::NonZeroU8;
use std::str::FromStr;

use core_types::ParseError;

use super::error::BundleError;
use crate::hex;

/// How many hashes a full tile has, and how many entries a full bundle.
pub const TILE_WIDTH: usize = 256;

/// The most bytes of a leaf: its length stands in a bundle in two bytes.
pub const MAX_LEAF_BYTES: usize = 0xffff;

/// The most bytes of a bundle of entries.
pub const MAX_BUNDLE_BYTES: usize = TILE_WIDTH * (MAX_LEAF_BYTES + 2);

/// Where a tile or a bundle of entries lies: `tile/<level>/<index>[.p/<width>]` or
/// `tile/entries/<index>[.p/<width>]` (c2sp.org/tlog-tiles).
///
/// The index is written in groups of three digits, of which all but the last begin with `x`. Every path has one
/// spelling, and parsing accepts no other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TilePath {
    // None for a bundle of entries.
    level: Option<u8>,
    index: u64,
    // None for a full tile.
    width: Option<NonZeroU8>,
}

impl TilePath {
    /// The full tile of this level and index; `None` for a level past 63.
    #[must_use]
    pub const fn full(level: u8, index: u64) -> Option<Self> {
        if level > MAX_LEVEL { None } else { Some(Self { level: Some(level), index, width: None }) }
    }

    /// The full bundle of entries of this index.
    #[must_use]
    pub const fn entries(index: u64) -> Self {
        Self { level: None, index, width: None }
    }

    /// The same tile or bundle when it has this many hashes or entries: 1 to 255 make it partial, 256 full.
    #[must_use]
    pub fn with_width(self, width: usize) -> Option<Self> {
        if width == TILE_WIDTH {
            return Some(Self { width: None, ..self });
        }
        let width = u8::try_from(width).ok().and_then(NonZeroU8::new)?;
        Some(Self { width: Some(width), ..self })
    }

    /// The partial tile of this level in a tree of `size` leaves; `None` where that tree has none.
    pub(crate) fn partial(level: u8, size: u64) -> Option<Self> {
        let hashes = size.checked_shr(u32::from(level).checked_mul(8)?).unwrap_or(0);
        let width = usize::try_from(hashes & 0xff).ok().filter(|width| *width > 0)?;
        Self::full(level, hashes >> 8)?.with_width(width)
    }

    /// The level of a tile; none of a bundle of entries.
    #[must_use]
    pub const fn level(&self) -> Option<u8> {
        self.level
    }

    /// The index within its level.
    #[must_use]
    pub const fn index(&self) -> u64 {
        self.index
    }

    /// How many hashes or entries it has.
    #[must_use]
    pub fn width(&self) -> usize {
        self.width.map_or(TILE_WIDTH, |width| usize::from(width.get()))
    }
}

impl fmt::Display for TilePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.level {
            Some(level) => write!(f, "tile/{level}/")?,
            None => f.write_str("tile/entries/")?,
        }
        let digits = self.index.to_string();
        let digits = format!("{digits:0>width$}", width = digits.len().next_multiple_of(3));
        let groups = digits.as_bytes().as_chunks::<3>().0;
        let last = groups.len().saturating_sub(1);
        for (place, group) in groups.iter().enumerate() {
            let group = str::from_utf8(group).map_err(|_| fmt::Error)?;
            if place < last { write!(f, "x{group}/")? } else { f.write_str(group)? }
        }
        self.width.map_or(Ok(()), |width| write!(f, ".p/{width}"))
    }
}

impl FromStr for TilePath {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        if text.len() > MAX_PATH_BYTES {
            return Err(ParseError::TooLong { limit: MAX_PATH_BYTES });
        }
        parse(text).filter(|path| path.to_string() == text).ok_or(ParseError::Form {
            form: "tile/LEVEL/INDEX or tile/entries/INDEX, either followed by .p/WIDTH when partial",
        })
    }
}

/// Reads what may be another spelling.
fn parse(text: &str) -> Option<TilePath> {
    let (level, rest) = text.strip_prefix("tile/")?.split_once('/')?;
    let level = match level {
        "entries" => None,
        level => Some(u8::try_from(hex::parse_decimal(level)?).ok().filter(|level| *level <= MAX_LEVEL)?),
    };
    let (index, width) = match rest.split_once(".p/") {
        Some((index, width)) => {
            let width = u8::try_from(hex::parse_decimal(width)?).ok().and_then(NonZeroU8::new)?;
            (index, Some(width))
        }
        None => (rest, None),
    };
    let mut number = 0_u64;
    for group in index.split('/') {
        let group = group.strip_prefix('x').unwrap_or(group);
        let digits = group.len() == 3 && group.bytes().all(|digit| digit.is_ascii_digit());
        let group = digits.then(|| group.parse::<u64>().ok())??;
        number = number.checked_mul(1000)?.checked_add(group)?;
    }
    Some(TilePath { level, index: number, width })
}

/// Adds a leaf to a bundle of entries; `false`, and nothing added, when it is too long.
pub(crate) fn add_to_bundle(bundle: &mut Vec<u8>, leaf: &[u8]) -> bool {
    let Ok(length) = u16::try_from(leaf.len()) else { return false };
    bundle.extend_from_slice(&length.to_be_bytes());
    bundle.extend_from_slice(leaf);
    true
}

/// The leaves of a bundle of entries, of which it must have exactly `width`.
///
/// # Errors
/// [`BundleError`].
pub fn read_bundle(mut bundle: &[u8], width: usize) -> Result<Vec<&[u8]>, BundleError> {
    let mut leaves = Vec::with_capacity(width.min(TILE_WIDTH));
    while !bundle.is_empty() {
        let (length, rest) = bundle.split_first_chunk::<2>().ok_or(BundleError::CutOff)?;
        let length = usize::from(u16::from_be_bytes(*length));
        let (leaf, rest) = rest.split_at_checked(length).ok_or(BundleError::CutOff)?;
        if leaves.len() >= width.min(TILE_WIDTH) {
            return Err(BundleError::Width);
        }
        leaves.push(leaf);
        bundle = rest;
    }
    if leaves.len() == width { Ok(leaves) } else { Err(BundleError::Width) }
}

const MAX_LEVEL: u8 = 63;
const MAX_PATH_BYTES: usize = 64;
