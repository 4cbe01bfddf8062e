//! Where a right holds: a path of typed segments, root first.
//!
//! `org/acme/project/web/vcluster/ci/namespace/build` has four levels, each a kind and a name. A scope
//! contains itself and everything below it. The root, written `/`, contains every scope. Kinds and names are
//! 1 to 63 characters of `[a-z0-9-]` that neither begin nor end with `-`; a scope has at most
//! [`MAX_LEVELS`] levels. Every scope has one spelling; the empty text is no scope.

use core::fmt;
use core::iter;
use core::str::FromStr;

use crate::error::ParseError;

/// The most levels (pairs of kind and name) a scope may have.
pub const MAX_LEVELS: usize = 8;

/// The most bytes a kind or a name may have: a DNS label (RFC 1035 2.3.4).
pub const MAX_SEGMENT_BYTES: usize = 63;

/// The most bytes the text of a scope may have: 16 segments and the slashes between them.
pub const MAX_SCOPE_BYTES: usize = 2 * MAX_LEVELS * (MAX_SEGMENT_BYTES + 1) - 1;

/// A path of typed segments; contains itself and everything below.
///
/// ```
/// use core_types::Scope;
/// let project: Scope = "org/acme/project/web".parse()?;
/// let cluster = project.child("vcluster", "ci")?;
/// assert!(project.contains(&cluster) && !cluster.contains(&project));
/// assert!(!project.contains(&"org/acme/project/web-2".parse()?), "a name is compared whole");
/// # Ok::<(), core_types::ParseError>(())
/// ```
///
/// `Ord` is the order of the texts, for use as a key; containment is [`contains`](Self::contains).
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Scope {
    // INVARIANT: "" for the root, else an even number of valid segments joined by '/'.
    path: Box<str>,
}

/// One level of a scope.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct Level<'a> {
    /// What it is: `org`, `project`, `namespace`, …
    pub kind: &'a str,
    /// Which one.
    pub name: &'a str,
}

impl Scope {
    /// The scope that contains every scope.
    #[must_use]
    pub fn root() -> Self {
        Self { path: "".into() }
    }

    /// Whether this is the root.
    #[must_use]
    pub fn is_root(&self) -> bool {
        self.path.is_empty()
    }

    /// The scope one level below.
    ///
    /// # Errors
    /// [`ParseError`] when `kind` or `name` is not a segment, [`ParseError::TooDeep`] below the last level.
    pub fn child(&self, kind: &str, name: &str) -> Result<Self, ParseError> {
        if self.depth() >= MAX_LEVELS {
            return Err(ParseError::TooDeep { limit: MAX_LEVELS });
        }
        validate_segment(kind, 0)?;
        validate_segment(name, 0)?;
        let path =
            if self.is_root() { format!("{kind}/{name}") } else { format!("{}/{kind}/{name}", self.path) };
        Ok(Self { path: path.into() })
    }

    /// The scope one level above; `None` for the root.
    #[must_use]
    pub fn parent(&self) -> Option<Self> {
        self.ancestor_paths().nth(1).map(|path| Self { path: path.into() })
    }

    /// The number of levels; 0 for the root.
    #[must_use]
    pub fn depth(&self) -> usize {
        let slashes = self.path.bytes().filter(|byte| *byte == b'/').count();
        // One between kind and name, one between levels.
        if self.is_root() { 0 } else { slashes.div_ceil(2) }
    }

    /// The text of the first level, `org/acme`; `""` for the root.
    ///
    /// ```
    /// let scope: core_types::Scope = "org/acme/project/web".parse()?;
    /// assert_eq!(scope.first_level(), "org/acme");
    /// # Ok::<(), core_types::ParseError>(())
    /// ```
    #[must_use]
    #[inline]
    pub fn first_level(&self) -> &str {
        let mut slashes = self.path.bytes().enumerate().filter(|(_, byte)| *byte == b'/');
        slashes.nth(1).and_then(|(end, _)| self.path.get(..end)).unwrap_or(&self.path)
    }

    /// The levels, root first.
    pub fn levels(&self) -> impl Iterator<Item = Level<'_>> {
        let mut segments = self.path.split('/');
        iter::from_fn(move || {
            let kind = segments.next().filter(|kind| !kind.is_empty())?;
            Some(Level { kind, name: segments.next()? })
        })
    }

    /// The texts of this scope, its parent, and so on up to the root, whose text is here `""`.
    ///
    /// For looking up what is kept per scope without building scopes on the way.
    pub fn ancestor_paths(&self) -> impl Iterator<Item = &str> {
        iter::successors(Some(&*self.path), |path| {
            if path.is_empty() {
                return None;
            }
            // Two segments off the end; what has only two becomes the root.
            let without_name = path.rsplit_once('/').map_or("", |(head, _)| head);
            Some(without_name.rsplit_once('/').map_or("", |(head, _)| head))
        })
    }

    /// Whether `other` is this scope or lies below it.
    #[must_use]
    pub fn contains(&self, other: &Self) -> bool {
        if self.is_root() {
            return true;
        }
        match other.path.strip_prefix(&*self.path) {
            // INVARIANT makes every '/' after an even number of segments a level's border.
            Some(rest) => rest.is_empty() || rest.starts_with('/'),
            None => false,
        }
    }

    /// What both scopes contain: the deeper one where one contains the other, else nothing.
    #[must_use]
    pub fn intersect<'a>(&'a self, other: &'a Self) -> Option<&'a Self> {
        if self.contains(other) {
            Some(other)
        } else if other.contains(self) {
            Some(self)
        } else {
            None
        }
    }

    /// The text without the root's slash: `""` for the root, `org/acme` below it.
    #[must_use]
    pub fn as_path(&self) -> &str {
        &self.path
    }
}

/// The text of a scope, checked and borrowed: for questions that need no scope of their own.
///
/// ```
/// use core_types::ScopeRef;
/// let scope = ScopeRef::parse("org/acme")?;
/// assert_eq!(scope.to_scope(), "org/acme".parse()?);
/// # Ok::<(), core_types::ParseError>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ScopeRef<'a> {
    // INVARIANT: that of `Scope::path`.
    path: &'a str,
}

impl<'a> ScopeRef<'a> {
    /// Reads the text of a scope, as [`Scope`]'s `FromStr` does.
    ///
    /// # Errors
    /// [`ParseError`] when it is none.
    #[inline]
    pub fn parse(text: &'a str) -> Result<Self, ParseError> {
        if text == ROOT {
            return Ok(Self { path: "" });
        }
        let separators = count_separators(text, b'/');
        if separators.is_none_or(|slashes| slashes.is_multiple_of(2) || slashes / 2 >= MAX_LEVELS) {
            // Not short and well-formed: what it is, is found out slowly.
            validate_path(text)?;
        }
        Ok(Self { path: text })
    }

    /// The text without the root's slash, as [`Scope::as_path`].
    #[must_use]
    pub const fn as_path(&self) -> &'a str {
        self.path
    }

    /// The scope.
    #[must_use]
    pub fn to_scope(&self) -> Scope {
        Scope { path: self.path.into() }
    }
}

impl FromStr for Scope {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        ScopeRef::parse(text).map(|scope| scope.to_scope())
    }
}

/// Whether this is the text of a scope below the root.
fn validate_path(text: &str) -> Result<(), ParseError> {
    if text.is_empty() {
        return Err(ParseError::Empty);
    }
    if text.len() > MAX_SCOPE_BYTES {
        return Err(ParseError::TooLong { limit: MAX_SCOPE_BYTES });
    }
    let mut at = 0_usize;
    let mut segments = 0_usize;
    for segment in text.split('/') {
        validate_segment(segment, at)?;
        at = at.saturating_add(segment.len()).saturating_add(1);
        segments = segments.saturating_add(1);
    }
    if !segments.is_multiple_of(2) {
        return Err(ParseError::Form { form: "kind/name/kind/name" });
    }
    if segments / 2 > MAX_LEVELS {
        return Err(ParseError::TooDeep { limit: MAX_LEVELS });
    }
    Ok(())
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.is_root() { ROOT } else { &self.path })
    }
}

impl fmt::Debug for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(feature = "serde")]
crate::serde_text::impl_text!(impl[] Scope);

/// How many separators there are in a text of names, each `[a-z0-9-]+` without `-` at either end, with one separator between
/// two; `None` where it is not that, or longer than one name may be: then nothing is known of it.
#[inline]
pub(crate) fn count_separators(text: &str, separator: u8) -> Option<usize> {
    let bytes = text.as_bytes();
    if bytes.len() > MAX_SEGMENT_BYTES {
        return None;
    }
    let is_edge = |byte: u8| byte == b'-' || byte == separator;
    let is_known = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || is_edge(byte);
    // Without a way out on the way: whole vectors of bytes are looked at at once.
    let are_known = bytes.iter().fold(true, |all, byte| all & is_known(*byte));
    let (first, rest) = bytes.split_first()?;
    let meet = |a: u8, b: u8| is_edge(a) & is_edge(b) & !((a == b'-') & (b == b'-'));
    let do_meet = bytes.iter().zip(rest).fold(false, |any, (a, b)| any | meet(*a, *b));
    if !are_known | do_meet || is_edge(*first) || bytes.last().is_some_and(|last| is_edge(*last)) {
        return None;
    }
    Some(bytes.iter().filter(|byte| **byte == separator).count())
}

/// Accepts `[a-z0-9-]{1,63}` without `-` at either end; `at` is where the segment stands in the whole text.
pub(crate) fn validate_segment(segment: &str, at: usize) -> Result<(), ParseError> {
    if segment.is_empty() {
        return Err(ParseError::Form { form: "non-empty parts" });
    }
    if segment.len() > MAX_SEGMENT_BYTES {
        return Err(ParseError::TooLong { limit: MAX_SEGMENT_BYTES });
    }
    let last = segment.len().saturating_sub(1);
    for (offset, byte) in segment.bytes().enumerate() {
        let allowed = match byte {
            b'a'..=b'z' | b'0'..=b'9' => true,
            b'-' => offset != 0 && offset != last,
            _ => false,
        };
        if !allowed {
            return Err(ParseError::Character { at: at.saturating_add(offset) });
        }
    }
    Ok(())
}

const ROOT: &str = "/";
