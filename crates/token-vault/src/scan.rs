//! Finding tokens where they should not be: in any text, offline, with their places, and without showing them.
//!
//! A token is found by its prefix and confirmed by its checksum, one that its holder narrowed by its prefix and the
//! one spelling of its caveats, a signed one by its header and its claims; so ordinary text is not taken for any.
//! Feed a [`Scanner`] the text in pieces of any size; it holds no more than one piece and one token.

mod form;
#[cfg(feature = "git")]
pub mod git;
mod rules;

use core_types::TokenId;
use serde::Serialize;
use zeroize::Zeroize;

pub use self::form::Leaked;
use self::form::Look;
pub use self::rules::{gitleaks_rules, trufflehog_rules};
use crate::format::{MAX_PREFIX_LEN, Redacted, TokenFormat};

/// A token in a text: where, and which, without its secret.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Finding {
    /// The offset of its first byte.
    pub offset: u64,
    /// Its line, counted from 1.
    pub line: u64,
    /// Its first byte's place in the line, counted from 1.
    pub column: u64,
    /// How many bytes it has.
    pub length: usize,
    /// What it is.
    #[serde(flatten)]
    pub leaked: Leaked,
    /// What may be shown of it.
    pub redacted: Redacted,
}

impl Finding {
    /// The token to act upon: the one itself, or the one it was made of; a signed token has none.
    #[must_use]
    pub const fn token(&self) -> Option<TokenId> {
        match self.leaked {
            Leaked::Token { id, .. } | Leaked::Narrowed { id, .. } => Some(id),
            Leaked::Signed { .. } => None,
        }
    }
}

/// Finds tokens in a text that comes in pieces.
///
/// ```
/// use token_vault::{TokenFormat, scan::Scanner};
/// let format = TokenFormat::new(["acmelivepat".parse()?])?;
/// let mut findings = Vec::new();
/// let mut scanner = Scanner::new(&format);
/// scanner.feed(b"nothing to see here, acmelivepat_", |finding| findings.push(finding));
/// scanner.finish(|finding| findings.push(finding));
/// assert!(findings.is_empty());
/// # Ok::<(), token_vault::FormatError>(())
/// ```
pub struct Scanner<'a> {
    format: &'a TokenFormat,
    // What was fed and may still be part of a token.
    held: Vec<u8>,
    // Where the next anchor is looked for in `held`.
    from: usize,
    // The place of the byte at `placed` in `held`, up to which lines were counted.
    place: Place,
    placed: usize,
}

/// The place of a byte in the whole text.
#[derive(Debug, Clone, Copy)]
struct Place {
    offset: u64,
    line: u64,
    column: u64,
}

impl<'a> Scanner<'a> {
    /// A scanner for tokens of these kinds.
    #[must_use]
    pub const fn new(format: &'a TokenFormat) -> Self {
        Self { format, held: Vec::new(), from: 0, place: Place { offset: 0, line: 1, column: 1 }, placed: 0 }
    }

    /// Takes the next piece of the text, and tells what became certain to be a token.
    pub fn feed(&mut self, text: &[u8], mut found: impl FnMut(Finding)) {
        for piece in text.chunks(PIECE_LEN) {
            self.held.extend_from_slice(piece);
            self.look(false, &mut found);
            self.let_go();
        }
    }

    /// Says that the text is over: what was cut off is none, what stands within it may be one.
    pub fn finish(mut self, mut found: impl FnMut(Finding)) {
        self.look(true, &mut found);
    }

    /// Looks at every place where a token may be, up to the first that cannot be told yet.
    fn look(&mut self, is_over: bool, found: &mut impl FnMut(Finding)) {
        while let Some(at) = self.next_anchor() {
            match form::look(self.format, &self.held, at) {
                Look::CutOff if !is_over => {
                    self.from = at;
                    return;
                }
                Look::CutOff | Look::Nothing => {}
                Look::Found { start, length, leaked } => {
                    self.place = self.place.after(self.held.get(self.placed..start).unwrap_or(&[]));
                    self.placed = start;
                    let Place { offset, line, column } = self.place;
                    let redacted = leaked.redacted();
                    found(Finding { offset, line, column, length, leaked, redacted });
                }
            }
            self.from = at.saturating_add(1);
        }
    }

    fn next_anchor(&mut self) -> Option<usize> {
        let rest = self.held.get(self.from..)?;
        match rest.iter().position(|&byte| form::is_anchor(byte)) {
            Some(at) => Some(self.from.saturating_add(at)),
            None => {
                self.from = self.held.len();
                None
            }
        }
    }

    /// Drops what can be no part of a token any more.
    fn let_go(&mut self) {
        let gone = self.from.saturating_sub(MAX_PREFIX_LEN);
        if self.placed < gone {
            self.place = self.place.after(self.held.get(self.placed..gone).unwrap_or(&[]));
            self.placed = gone;
        }
        self.held.copy_within(gone.., 0);
        let kept = self.held.len().saturating_sub(gone);
        if let Some(rest) = self.held.get_mut(kept..) {
            rest.zeroize();
        }
        self.held.truncate(kept);
        self.from = self.from.saturating_sub(gone);
        self.placed = self.placed.saturating_sub(gone);
    }
}

impl Drop for Scanner<'_> {
    fn drop(&mut self) {
        self.held.zeroize();
    }
}

impl core::fmt::Debug for Scanner<'_> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Scanner").field("place", &self.place).finish_non_exhaustive()
    }
}

impl Place {
    /// The place after these bytes.
    fn after(self, bytes: &[u8]) -> Self {
        let lines = bytes.iter().filter(|&&byte| byte == b'\n').count();
        let last = bytes.rsplit(|&byte| byte == b'\n').next().unwrap_or(&[]).len();
        let column = if lines == 0 { self.column } else { 1 };
        Self {
            offset: self.offset.saturating_add(count(bytes.len())),
            line: self.line.saturating_add(count(lines)),
            column: column.saturating_add(count(last)),
        }
    }
}

/// All tokens in a text.
#[must_use]
pub fn scan(format: &TokenFormat, text: &[u8]) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut scanner = Scanner::new(format);
    scanner.feed(text, |finding| findings.push(finding));
    scanner.finish(|finding| findings.push(finding));
    findings
}

/// All tokens in what a reader gives, as they are found.
///
/// # Errors
/// The reader's.
pub fn scan_reader(
    format: &TokenFormat,
    mut reader: impl std::io::Read,
    mut found: impl FnMut(Finding),
) -> std::io::Result<()> {
    let mut scanner = Scanner::new(format);
    let mut buffer = vec![0; PIECE_LEN];
    let outcome = loop {
        match reader.read(&mut buffer) {
            Ok(0) => break Ok(()),
            Ok(length) => scanner.feed(buffer.get(..length).unwrap_or(&[]), &mut found),
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            Err(error) => break Err(error),
        }
    };
    buffer.zeroize();
    scanner.finish(found);
    outcome
}

fn count(length: usize) -> u64 {
    u64::try_from(length).unwrap_or(u64::MAX)
}

/// A text is taken in pieces of at most this size, so memory is bounded whatever is fed.
const PIECE_LEN: usize = 64 << 10;
