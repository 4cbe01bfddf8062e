use std::collections::BTreeMap;
use std::net::IpAddr;

use core_types::{Permission, Principal, Restriction, Scope, UnixTime};
use serde::{Deserialize, Serialize};

use super::{said, strict};
use crate::context::{AttributeName, AttributeValue, Context, Text, TextSet};
use crate::error::DocumentError;
use crate::request::AccessRequest;

/// The most bytes the document of a request has.
pub const MAX_REQUEST_BYTES: usize = 256 * 1024;

/// A question: an [`AccessRequest`] as a document.
///
/// ```
/// use iam_policy::document::RequestDocument;
/// let text = r#"{"principal": "usr_00000000000000000000000001", "permission": "apps:delete", "scope": "project/web",
///   "context": {"client_ip": "192.0.2.7", "mfa": true, "tls": true, "attributes":
///     {"principal.team": "build", "request.size": 3, "request.urgent": false, "resource.tags": ["blue", "old"]}}}"#;
/// let request = RequestDocument::parse(text.as_bytes())?;
/// assert_eq!(request.context().mfa(), Some(true));
/// # Ok::<(), iam_policy::DocumentError>(())
/// ```
///
/// `principal` is `usr_…`, `svc_…`, `mch_…`, or `tok_…@` one of these. What is left out of `context`, or all of it,
/// is unknown. `restriction` is what the credential may use of its owner's rights, as a boundary's `limit` is
/// written; left out, all. `now` is the instant of the question; left out, that of the program.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequestDocument {
    principal: Principal,
    permission: Permission,
    scope: Scope,
    restriction: Restriction,
    context: Context,
    now: Option<UnixTime>,
}

impl RequestDocument {
    /// The question, in circumstances of which nothing is known, by a credential that may use all its owner may.
    #[must_use]
    pub const fn new(principal: Principal, permission: Permission, scope: Scope) -> Self {
        Self {
            principal,
            permission,
            scope,
            restriction: Restriction::unrestricted(),
            context: Context::new(),
            now: None,
        }
    }

    /// The same question, with this known.
    #[must_use]
    pub fn with_context(self, context: Context) -> Self {
        Self { context, ..self }
    }

    /// The same question, by a credential of this restriction.
    #[must_use]
    pub fn with_restriction(self, restriction: Restriction) -> Self {
        Self { restriction, ..self }
    }

    /// The same question, at this instant.
    #[must_use]
    pub fn at(self, now: UnixTime) -> Self {
        Self { now: Some(now), ..self }
    }

    /// The question of this text; as strict as [`DirectoryDocument::parse`](super::DirectoryDocument::parse).
    ///
    /// # Errors
    /// [`DocumentError`].
    pub fn parse(bytes: &[u8]) -> Result<Self, DocumentError> {
        if bytes.len() > MAX_REQUEST_BYTES {
            return Err(DocumentError::TooLarge { limit: MAX_REQUEST_BYTES });
        }
        let Raw { principal, permission, scope, restriction, context, now } = strict::from_json(bytes)?;
        let context = context.map_or_else(|| Ok(Context::new()), Context::try_from)?;
        let restriction = restriction.unwrap_or_else(Restriction::unrestricted);
        Ok(Self { principal, permission, scope, restriction, context, now })
    }

    /// The text, without white space.
    ///
    /// # Panics
    /// Never: every part has a JSON form.
    #[must_use]
    pub fn to_json(&self) -> String {
        let Self { principal, permission, scope, restriction, context, now } = self.clone();
        let restriction = (restriction != Restriction::unrestricted()).then_some(restriction);
        let context = (context != Context::new()).then(|| RawContext::from(&context));
        match serde_json::to_string(&Raw { principal, permission, scope, restriction, context, now }) {
            Ok(text) => text,
            Err(error) => unreachable!("every part has a JSON form: {error}"),
        }
    }

    /// The question; `now` is when, where it does not say.
    #[must_use]
    pub fn as_request(&self, now: UnixTime) -> AccessRequest<'_> {
        let now = self.now.unwrap_or(now);
        AccessRequest::new(&self.principal, &self.restriction, &self.permission, &self.scope, now)
            .with_context(&self.context)
    }

    /// Who asks.
    #[must_use]
    pub const fn principal(&self) -> &Principal {
        &self.principal
    }

    /// What is to be done.
    #[must_use]
    pub const fn permission(&self) -> &Permission {
        &self.permission
    }

    /// To what.
    #[must_use]
    pub const fn scope(&self) -> &Scope {
        &self.scope
    }

    /// What is known.
    #[must_use]
    pub const fn context(&self) -> &Context {
        &self.context
    }
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Raw {
    principal: Principal,
    permission: Permission,
    scope: Scope,
    #[serde(default, deserialize_with = "said", skip_serializing_if = "Option::is_none")]
    restriction: Option<Restriction>,
    #[serde(default, deserialize_with = "said", skip_serializing_if = "Option::is_none")]
    context: Option<RawContext>,
    #[serde(default, deserialize_with = "said", skip_serializing_if = "Option::is_none")]
    now: Option<UnixTime>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawContext {
    #[serde(default, deserialize_with = "said", skip_serializing_if = "Option::is_none")]
    client_ip: Option<IpAddr>,
    #[serde(default, deserialize_with = "said", skip_serializing_if = "Option::is_none")]
    mfa: Option<bool>,
    #[serde(default, deserialize_with = "said", skip_serializing_if = "Option::is_none")]
    tls: Option<bool>,
    #[serde(default, deserialize_with = "unique", skip_serializing_if = "BTreeMap::is_empty")]
    attributes: BTreeMap<AttributeName, RawValue>,
}

#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum RawValue {
    Flag(bool),
    Number(i64),
    Text(Text),
    Texts(TextSet),
}

impl TryFrom<RawContext> for Context {
    type Error = DocumentError;

    fn try_from(raw: RawContext) -> Result<Self, DocumentError> {
        let mut context = Self::new();
        context = raw.client_ip.into_iter().fold(context, Self::with_client_ip);
        context = raw.mfa.into_iter().fold(context, Self::with_mfa);
        context = raw.tls.into_iter().fold(context, Self::with_tls);
        for (name, value) in raw.attributes {
            let value = match value {
                RawValue::Flag(flag) => AttributeValue::Flag(flag),
                RawValue::Number(number) => AttributeValue::Number(number),
                RawValue::Text(text) => AttributeValue::Text(text),
                RawValue::Texts(texts) => AttributeValue::Texts(texts),
            };
            context = context.with_attribute(name, value)?;
        }
        Ok(context)
    }
}

impl From<&Context> for RawContext {
    fn from(context: &Context) -> Self {
        let value = |value: &AttributeValue| match value {
            AttributeValue::Flag(flag) => RawValue::Flag(*flag),
            AttributeValue::Number(number) => RawValue::Number(*number),
            AttributeValue::Text(text) => RawValue::Text(text.clone()),
            AttributeValue::Texts(texts) => RawValue::Texts(texts.clone()),
        };
        let attributes = context.attributes().map(|(name, it)| (name.clone(), value(it))).collect();
        Self { client_ip: context.client_ip(), mfa: context.mfa(), tls: context.tls(), attributes }
    }
}

/// A map in which no name comes twice, and no more of them than a context has.
fn unique<'de, D>(value: D) -> Result<BTreeMap<AttributeName, RawValue>, D::Error>
where
    D: serde::Deserializer<'de>,
{
    struct Unique;
    impl<'de> serde::de::Visitor<'de> for Unique {
        type Value = BTreeMap<AttributeName, RawValue>;

        fn expecting(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
            f.write_str("an object of attributes")
        }

        fn visit_map<A: serde::de::MapAccess<'de>>(self, mut entries: A) -> Result<Self::Value, A::Error> {
            let mut attributes = BTreeMap::new();
            while let Some((name, value)) = entries.next_entry::<AttributeName, RawValue>()? {
                if attributes.insert(name, value).is_some() {
                    return Err(serde::de::Error::custom("an attribute is there twice"));
                }
            }
            Ok(attributes)
        }
    }
    value.deserialize_map(Unique)
}
