use core::fmt;
use core::str::FromStr;

use super::clause::{Clause, Feature};
use crate::error::OptionsError;

/// The most options a line may have.
pub const MAX_CLAUSES: usize = 64;

/// The most bytes that the options of a line may have as text.
pub const MAX_OPTIONS_BYTES: usize = 2048;

/// The options of a line: what a key may do, in the order in which sshd reads it.
///
/// `Display` and [`parse`](Self::parse) are inverse: printing what was parsed gives the same options in the same order,
/// names in OpenSSH's spelling.
///
/// ```
/// use sshkey_registry::authorized_keys::{Feature, Options};
/// let options = Options::parse(r#"Restrict,pty,from="10.0.0.0/8,!10.1.2.3""#)?;
/// assert_eq!(options.to_string(), r#"restrict,pty,from="10.0.0.0/8,!10.1.2.3""#);
/// assert!(options.allows(Feature::Pty) && !options.allows(Feature::PortForwarding));
/// assert!(Options::parse("restrict,no-such-option").is_err());
/// # Ok::<(), sshkey_registry::OptionsError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Options {
    // INVARIANT: at most MAX_CLAUSES, at most MAX_OPTIONS_BYTES when printed, none twice that may be there once.
    clauses: Vec<Clause>,
}

impl Options {
    /// A terminal and commands, and nothing else: `restrict,pty`.
    #[must_use]
    pub fn new() -> Self {
        Self { clauses: vec![Clause::Restrict, Clause::On(Feature::Pty)] }
    }

    /// No options: everything that the server's configuration allows.
    #[must_use]
    pub const fn dangerous_unrestricted() -> Self {
        Self { clauses: Vec::new() }
    }

    /// The options that `text` is, and nothing else.
    ///
    /// # Errors
    /// [`OptionsError`]. The customer may be told the message.
    pub fn parse(text: &str) -> Result<Self, OptionsError> {
        if text.is_empty() {
            return Ok(Self::dangerous_unrestricted());
        }
        let (options, rest) = Self::split(text)?;
        if text.ends_with([' ', '\t']) || !rest.is_empty() { Err(OptionsError::Blank) } else { Ok(options) }
    }

    /// These options and one more.
    ///
    /// # Errors
    /// [`OptionsError::Repeated`], [`OptionsError::TooMany`], [`OptionsError::TooLong`].
    pub fn with(mut self, clause: Clause) -> Result<Self, OptionsError> {
        self.push(clause)?;
        Ok(self)
    }

    /// The options, in order.
    #[must_use]
    pub fn clauses(&self) -> &[Clause] {
        &self.clauses
    }

    /// Whether there are none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.clauses.is_empty()
    }

    /// Whether the line allows a feature, as sshd reads it: the last word counts. Of
    /// [`Feature::TouchRequired`] and [`Feature::VerifyRequired`] it says whether they are asked for.
    #[must_use]
    pub fn allows(&self, feature: Feature) -> bool {
        let by_default = feature != Feature::VerifyRequired;
        let is_demand = matches!(feature, Feature::TouchRequired | Feature::VerifyRequired);
        self.clauses.iter().fold(by_default, |allowed, clause| match clause {
            Clause::Restrict if !is_demand => false,
            Clause::On(named) if *named == feature => true,
            Clause::Off(named) if *named == feature => false,
            _ => allowed,
        })
    }

    /// Whether a line that begins with this word begins with options.
    pub(super) fn begins_like_options(word: &str) -> bool {
        Clause::is_name(word.split(['=', ',']).next().unwrap_or_default())
    }

    /// The options at the beginning of a line, and what stands after the blanks behind them.
    pub(super) fn split(line: &str) -> Result<(Self, &str), OptionsError> {
        let mut options = Self::dangerous_unrestricted();
        let mut rest = line;
        loop {
            let name_len = rest.find(['=', ',', ' ', '\t']).unwrap_or(rest.len());
            let (name, after) = rest.split_at_checked(name_len).unwrap_or((rest, ""));
            if name.is_empty() {
                return Err(OptionsError::Empty);
            }
            let (value, after) = match after.strip_prefix('=') {
                Some(after) => {
                    let (value, after) = dequote(after)?;
                    (Some(value), after)
                }
                None => (None, after),
            };
            options.push(Clause::of(name, value)?)?;
            match after.strip_prefix(',') {
                Some(next) => rest = next,
                None if after.is_empty() => return Ok((options, "")),
                None => {
                    let line = after.trim_start_matches([' ', '\t']);
                    return if line.len() == after.len() {
                        Err(OptionsError::AfterValue)
                    } else {
                        Ok((options, line))
                    };
                }
            }
        }
    }

    fn push(&mut self, clause: Clause) -> Result<(), OptionsError> {
        if self.clauses.iter().any(|known| known.at_most_once(&clause)) {
            return Err(OptionsError::Repeated);
        }
        if self.clauses.len() >= MAX_CLAUSES {
            return Err(OptionsError::TooMany { limit: MAX_CLAUSES });
        }
        self.clauses.push(clause);
        if self.to_string().len() > MAX_OPTIONS_BYTES {
            self.clauses.pop();
            return Err(OptionsError::TooLong { limit: MAX_OPTIONS_BYTES });
        }
        Ok(())
    }
}

impl Default for Options {
    fn default() -> Self {
        Self::new()
    }
}

impl FromStr for Options {
    type Err = OptionsError;

    fn from_str(text: &str) -> Result<Self, OptionsError> {
        Self::parse(text)
    }
}

impl fmt::Display for Options {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, clause) in self.clauses.iter().enumerate() {
            if at > 0 {
                f.write_str(",")?;
            }
            clause.fmt(f)?;
        }
        Ok(())
    }
}

/// The value of a quoted text, and what stands behind the closing quote.
fn dequote(text: &str) -> Result<(String, &str), OptionsError> {
    let mut rest = text.strip_prefix('"').ok_or(OptionsError::NotQuoted)?;
    let mut value = String::new();
    loop {
        let at = rest.find(['"', '\\']).ok_or(OptionsError::QuoteOpen)?;
        let (plain, special) = rest.split_at_checked(at).ok_or(OptionsError::QuoteOpen)?;
        value.push_str(plain);
        if let Some(behind) = special.strip_prefix("\\\"") {
            value.push('"');
            rest = behind;
        } else if let Some(behind) = special.strip_prefix('\\') {
            value.push('\\');
            rest = behind;
        } else {
            return Ok((value, special.strip_prefix('"').unwrap_or_default()));
        }
    }
}
