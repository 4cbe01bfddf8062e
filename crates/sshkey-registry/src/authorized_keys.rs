//! Lines of `authorized_keys`: typed options, a key, a comment of our own making.
//!
//! The grammar is that of `sshd(8)`, section «AUTHORIZED_KEYS FILE FORMAT», as OpenSSH's `auth-options.c` and
//! `auth2-pubkeyfile.c` read it: options are separated by commas, their values stand in double quotes, within which
//! `\"` is a quote and every other backslash is itself; the first blank outside quotes ends them. Names of options are
//! the same in upper and lower case. sshd ignores a line with an option that it does not know; here it is refused.
//!
//! Where sshd is lenient and nobody needs it, this is strict: no comma without an option behind it, no text between a
//! value and the next comma, no characters in a value that some program splits lines at, none that a person cannot see.

mod clause;
mod options;
mod value;

use core::fmt;

pub use self::clause::{Clause, Feature};
pub use self::options::{MAX_CLAUSES, MAX_OPTIONS_BYTES, Options};
pub use self::value::{
    Environment, ExpiryTime, ForwardTarget, ListenAddress, OptionText, Pattern, Patterns, TunnelDevice,
};
use crate::error::LineError;
use crate::key::{KeyLine, MAX_LINE_BYTES, PublicKey};
use crate::name::{Comment, LineComment};

/// A line of `authorized_keys` as someone wrote it: options, key, comment.
///
/// ```
/// use sshkey_registry::authorized_keys::{AuthorizedKey, Options};
/// let line = "restrict,command=\"echo \\\"ssh-ed25519 AAAA\\\"\" ssh-ed25519 \
///     AAAAC3NzaC1lZDI1NTE5AAAAIHXZHXXdSsdymvNonZUOsatzbPbl2r/6NwQfy8TLkmqC";
/// let parsed = AuthorizedKey::parse(line)?;
/// assert_eq!(parsed.options().to_string(), "restrict,command=\"echo \\\"ssh-ed25519 AAAA\\\"\"");
/// assert_eq!(parsed.key().key_type().as_str(), "ssh-ed25519");
/// # Ok::<(), sshkey_registry::LineError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuthorizedKey {
    options: Options,
    key: PublicKey,
    comment: Option<Comment>,
}

impl AuthorizedKey {
    /// The parts of a line, which has at most [`MAX_LINE_BYTES`] and no line end but at its own end.
    ///
    /// What sshd takes for a key is what is taken for one here: a key within a quoted value or a comment is none.
    ///
    /// # Errors
    /// [`LineError::Options`] and [`LineError::Key`].
    pub fn parse(line: impl AsRef<[u8]>) -> Result<Self, LineError> {
        let line = line.as_ref();
        if line.len() > MAX_LINE_BYTES {
            return Err(crate::error::KeyError::LineTooLong { limit: MAX_LINE_BYTES }.into());
        }
        let text = core::str::from_utf8(line).map_err(|_| crate::error::KeyError::NotUtf8)?;
        let text = text.trim_start_matches([' ', '\t']);
        // As sshd does: first the line is read as a key without options.
        let word = text.split([' ', '\t']).next().unwrap_or_default();
        let is_option_list =
            text.get(word.len()..).is_some_and(|rest| !rest.is_empty()) && Options::begins_like_options(word);
        if !is_option_list {
            let (key, comment) = KeyLine::parse(text)?.into_parts();
            return Ok(Self { options: Options::dangerous_unrestricted(), key, comment });
        }
        let (options, rest) = Options::split(text)?;
        let (key, comment) = KeyLine::parse(rest)?.into_parts();
        Ok(Self { options, key, comment })
    }

    /// What the key may do.
    #[must_use]
    pub const fn options(&self) -> &Options {
        &self.options
    }

    /// The key.
    #[must_use]
    pub const fn key(&self) -> &PublicKey {
        &self.key
    }

    /// What stands after the key: a label to show, never to be written again.
    #[must_use]
    pub const fn comment(&self) -> Option<&Comment> {
        self.comment.as_ref()
    }

    /// The options and the key.
    #[must_use]
    pub fn into_parts(self) -> (Options, PublicKey) {
        (self.options, self.key)
    }
}

/// A line that we write: options, a key, and a comment that no program can take for anything else.
///
/// `Display` is the line, without a line end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuthorizedLine {
    options: Options,
    key: PublicKey,
    comment: LineComment,
}

impl AuthorizedLine {
    /// The line of these parts.
    #[must_use]
    pub const fn new(options: Options, key: PublicKey, comment: LineComment) -> Self {
        Self { options, key, comment }
    }

    /// What the key may do.
    #[must_use]
    pub const fn options(&self) -> &Options {
        &self.options
    }

    /// The key.
    #[must_use]
    pub const fn key(&self) -> &PublicKey {
        &self.key
    }

    /// The comment.
    #[must_use]
    pub const fn comment(&self) -> &LineComment {
        &self.comment
    }
}

impl fmt::Display for AuthorizedLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.options.is_empty() {
            write!(f, "{} ", self.options)?;
        }
        write!(f, "{} {}", self.key, self.comment.as_str())
    }
}

/// A whole file: each line with a line end behind it.
#[must_use]
pub fn render<'a>(lines: impl IntoIterator<Item = &'a AuthorizedLine>) -> String {
    lines.into_iter().map(|line| format!("{line}\n")).collect()
}
