//! What is known of a request besides who, what and where.

use core::fmt;
use core::str::FromStr;
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use core_types::ParseError;

use crate::error::ContextError;

/// The most attributes a context has.
pub const MAX_ATTRIBUTES: usize = 64;

/// The most bytes a text in a context or a condition has, and the most texts in a set.
pub const MAX_TEXT_BYTES: usize = 256;

/// The most texts in a set, of a context or of a condition.
pub const MAX_TEXTS: usize = 64;

/// What is known of the circumstances of a request, for conditions to look at.
///
/// What is not set is *unknown*, which is not the same as absent: an allow under a condition that is unknown
/// does not apply, a deny does.
///
/// ```
/// use iam_policy::{AttributeValue, Context};
/// let context = Context::new()
///     .with_client_ip([192, 0, 2, 7].into())
///     .with_mfa(true)
///     .with_attribute("principal.team".parse()?, AttributeValue::text("build")?)?;
/// assert_eq!(context.mfa(), Some(true));
/// assert_eq!(context.tls(), None);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Context {
    client_ip: Option<IpAddr>,
    mfa: Option<bool>,
    tls: Option<bool>,
    // INVARIANT: at most MAX_ATTRIBUTES.
    attributes: BTreeMap<AttributeName, AttributeValue>,
}

impl Context {
    /// Nothing is known.
    #[must_use]
    pub const fn new() -> Self {
        Self { client_ip: None, mfa: None, tls: None, attributes: BTreeMap::new() }
    }

    /// The address the request came from. An IPv4 address in IPv6 clothes (`::ffff:192.0.2.7`) is taken for
    /// the IPv4 address.
    #[must_use]
    pub const fn with_client_ip(mut self, address: IpAddr) -> Self {
        self.client_ip = Some(address.to_canonical());
        self
    }

    /// Whether the caller proved a second factor.
    #[must_use]
    pub const fn with_mfa(mut self, present: bool) -> Self {
        self.mfa = Some(present);
        self
    }

    /// Whether the request came over TLS.
    #[must_use]
    pub const fn with_tls(mut self, present: bool) -> Self {
        self.tls = Some(present);
        self
    }

    /// An attribute of the principal, the resource or the request, over what was said of it before.
    ///
    /// # Errors
    /// [`ContextError`] past [`MAX_ATTRIBUTES`].
    pub fn with_attribute(
        mut self,
        name: AttributeName,
        value: AttributeValue,
    ) -> Result<Self, ContextError> {
        if self.attributes.len() >= MAX_ATTRIBUTES && !self.attributes.contains_key(&name) {
            return Err(ContextError::TooMany { what: "attributes", limit: MAX_ATTRIBUTES });
        }
        self.attributes.insert(name, value);
        Ok(self)
    }

    /// The address the request came from.
    #[must_use]
    pub const fn client_ip(&self) -> Option<IpAddr> {
        self.client_ip
    }

    /// Whether the caller proved a second factor.
    #[must_use]
    pub const fn mfa(&self) -> Option<bool> {
        self.mfa
    }

    /// Whether the request came over TLS.
    #[must_use]
    pub const fn tls(&self) -> Option<bool> {
        self.tls
    }

    /// The attribute of this name.
    #[must_use]
    pub fn attribute(&self, name: &AttributeName) -> Option<&AttributeValue> {
        self.attributes.get(name)
    }

    /// All attributes, by name.
    pub fn attributes(&self) -> impl Iterator<Item = (&AttributeName, &AttributeValue)> {
        self.attributes.iter()
    }
}

/// Nothing is known.
impl Default for Context {
    fn default() -> Self {
        Self::new()
    }
}

/// The name of an attribute: of what, and which; `principal.team`, `resource.stage`, `request.ticket`.
///
/// Two names of 1 to 63 characters of `[a-z0-9-]`, no `-` at either end, with a dot between.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
#[serde(try_from = "Box<str>", into = "Box<str>")]
pub struct AttributeName {
    text: Box<str>,
}

impl FromStr for AttributeName {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        let (of, name) = text.split_once('.').ok_or(ParseError::Form { form: "of.name" })?;
        // The alphabet is that of permissions.
        core_types::Permission::new(of, name)?;
        Ok(Self { text: text.into() })
    }
}

impl fmt::Display for AttributeName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl fmt::Debug for AttributeName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl TryFrom<Box<str>> for AttributeName {
    type Error = ParseError;

    fn try_from(text: Box<str>) -> Result<Self, ParseError> {
        text.parse()
    }
}

impl From<AttributeName> for Box<str> {
    fn from(name: AttributeName) -> Self {
        name.text
    }
}

/// The value of an attribute.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum AttributeValue {
    /// Yes or no.
    Flag(bool),
    /// A number.
    Number(i64),
    /// A text.
    Text(Text),
    /// A set of texts.
    Texts(TextSet),
}

impl AttributeValue {
    /// A text.
    ///
    /// # Errors
    /// [`ContextError`] past [`MAX_TEXT_BYTES`].
    pub fn text(text: &str) -> Result<Self, ContextError> {
        Text::new(text).map(Self::Text)
    }

    /// A set of texts.
    ///
    /// # Errors
    /// [`ContextError`] past [`MAX_TEXT_BYTES`] or [`MAX_TEXTS`].
    pub fn texts<'a>(texts: impl IntoIterator<Item = &'a str>) -> Result<Self, ContextError> {
        TextSet::new(texts).map(Self::Texts)
    }
}

/// A text of at most [`MAX_TEXT_BYTES`], compared byte by byte.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
#[serde(try_from = "Box<str>", into = "Box<str>")]
pub struct Text {
    text: Box<str>,
}

impl Text {
    /// The text.
    ///
    /// # Errors
    /// [`ContextError`] past [`MAX_TEXT_BYTES`].
    pub fn new(text: &str) -> Result<Self, ContextError> {
        if text.len() > MAX_TEXT_BYTES {
            return Err(ContextError::TextTooLong { limit: MAX_TEXT_BYTES });
        }
        Ok(Self { text: text.into() })
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }
}

impl TryFrom<Box<str>> for Text {
    type Error = ContextError;

    fn try_from(text: Box<str>) -> Result<Self, ContextError> {
        Self::new(&text)
    }
}

impl From<Text> for Box<str> {
    fn from(text: Text) -> Self {
        text.text
    }
}

/// At most [`MAX_TEXTS`] different texts.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
#[serde(try_from = "Vec<Text>", into = "Vec<Text>")]
pub struct TextSet {
    texts: BTreeSet<Text>,
}

impl TextSet {
    /// The set of these texts.
    ///
    /// # Errors
    /// [`ContextError`] past [`MAX_TEXT_BYTES`] or [`MAX_TEXTS`], repeated ones counted.
    pub fn new<'a>(texts: impl IntoIterator<Item = &'a str>) -> Result<Self, ContextError> {
        let texts: Vec<Text> =
            texts.into_iter().take(MAX_TEXTS.saturating_add(1)).map(Text::new).collect::<Result<_, _>>()?;
        texts.try_into()
    }

    /// Whether the text is in the set.
    #[must_use]
    pub fn contains(&self, text: &Text) -> bool {
        self.texts.contains(text)
    }

    /// The texts, in order.
    pub fn iter(&self) -> impl Iterator<Item = &Text> {
        self.texts.iter()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.texts.is_empty()
    }
}

impl TryFrom<Vec<Text>> for TextSet {
    type Error = ContextError;

    fn try_from(texts: Vec<Text>) -> Result<Self, ContextError> {
        if texts.len() > MAX_TEXTS {
            return Err(ContextError::TooMany { what: "texts", limit: MAX_TEXTS });
        }
        Ok(Self { texts: texts.into_iter().collect() })
    }
}

impl From<TextSet> for Vec<Text> {
    fn from(set: TextSet) -> Self {
        set.texts.into_iter().collect()
    }
}
