//! Conditions of statements: typed, total, and true, false or unknown.
//!
//! A condition asks one thing of the [`Context`] of a request or of its time. It always has an
//! answer, and the answer is *unknown* where the context does not say, or says something of another type: an
//! allow applies only where all its conditions are true, a deny wherever none of its conditions is false.

mod cidr;

use std::net::IpAddr;

use core_types::{Limit, UnixTime};
use serde::{Deserialize, Serialize};

pub use self::cidr::Cidr;
use crate::context::{AttributeName, AttributeValue, Context, Text, TextSet};
use crate::error::PolicyError;

/// The most networks one condition names.
pub const MAX_NETWORKS: usize = 64;

/// One thing that must hold for a statement to apply.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Condition {
    not: bool,
    test: Test,
}

/// What a condition asks.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
#[non_exhaustive]
pub enum Test {
    /// The client's address is in one of these networks.
    ClientIp(Networks),
    /// It is this instant or later, and before that one.
    Time {
        /// The first instant.
        from: Limit<UnixTime>,
        /// The first instant after.
        until: Limit<UnixTime>,
    },
    /// The caller proved a second factor.
    Mfa,
    /// The request came over TLS.
    Tls,
    /// The attribute is true.
    Flag(AttributeName),
    /// The attribute is a number within these bounds, both of which are in.
    Number {
        /// Which.
        attribute: AttributeName,
        /// The least.
        at_least: Limit<i64>,
        /// The greatest.
        at_most: Limit<i64>,
    },
    /// The attribute is a text of this set.
    Text {
        /// Which.
        attribute: AttributeName,
        /// The texts.
        one_of: TextSet,
    },
    /// The attribute is a text that begins so.
    Prefix {
        /// Which.
        attribute: AttributeName,
        /// How.
        starts_with: Text,
    },
    /// The attribute is a set of texts, and at least one of them is in this set.
    Any {
        /// Which.
        attribute: AttributeName,
        /// The texts.
        one_of: TextSet,
    },
    /// The attribute is a set of texts, and all of them are in this set. Of the empty set it is unknown.
    All {
        /// Which.
        attribute: AttributeName,
        /// The texts.
        one_of: TextSet,
    },
}

/// The answer to a condition.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[expect(clippy::exhaustive_enums, reason = "a fourth answer must break whoever combines them")]
pub enum Truth {
    /// It does not hold.
    False,
    /// Nobody can say.
    Unknown,
    /// It holds.
    True,
}

impl Condition {
    /// That the test comes out true.
    #[must_use]
    pub const fn is(test: Test) -> Self {
        Self { not: false, test }
    }

    /// That the test comes out false.
    #[must_use]
    pub const fn is_not(test: Test) -> Self {
        Self { not: true, test }
    }

    /// What is asked.
    #[must_use]
    pub const fn test(&self) -> &Test {
        &self.test
    }

    /// That which is false where this is true, and the other way round.
    #[must_use]
    pub fn opposite(&self) -> Self {
        Self { not: !self.not, test: self.test.clone() }
    }

    /// Whether it holds.
    #[must_use]
    pub fn holds(&self, context: &Context, now: UnixTime) -> Truth {
        match (self.test.result(context, now), self.not) {
            (None, _) => Truth::Unknown,
            (Some(result), not) if result != not => Truth::True,
            (Some(_), _) => Truth::False,
        }
    }
}

impl Truth {
    /// Whether all hold: false where one is false, unknown where one is unknown, true of none at all.
    #[must_use]
    pub fn all(truths: impl IntoIterator<Item = Self>) -> Self {
        truths.into_iter().min().unwrap_or(Self::True)
    }
}

impl Test {
    /// `None` where the context does not say.
    fn result(&self, context: &Context, now: UnixTime) -> Option<bool> {
        match self {
            Self::ClientIp(networks) => {
                let address = context.client_ip()?;
                Some(networks.list.iter().any(|network| network.contains(address)))
            }
            Self::Time { from, until } => {
                let begun = !matches!(from, Limit::Only(from) if now < *from);
                let ended = matches!(until, Limit::Only(until) if now >= *until);
                Some(begun && !ended)
            }
            Self::Mfa => context.mfa(),
            Self::Tls => context.tls(),
            Self::Flag(attribute) => match context.attribute(attribute)? {
                AttributeValue::Flag(flag) => Some(*flag),
                _ => None,
            },
            Self::Number { attribute, at_least, at_most } => match context.attribute(attribute)? {
                AttributeValue::Number(number) => {
                    let too_small = matches!(at_least, Limit::Only(least) if number < least);
                    let too_great = matches!(at_most, Limit::Only(most) if number > most);
                    Some(!too_small && !too_great)
                }
                _ => None,
            },
            Self::Text { attribute, one_of } => match context.attribute(attribute)? {
                AttributeValue::Text(text) => Some(one_of.contains(text)),
                _ => None,
            },
            Self::Prefix { attribute, starts_with } => match context.attribute(attribute)? {
                AttributeValue::Text(text) => Some(text.as_str().starts_with(starts_with.as_str())),
                _ => None,
            },
            Self::Any { attribute, one_of } => match context.attribute(attribute)? {
                AttributeValue::Texts(texts) => Some(texts.iter().any(|text| one_of.contains(text))),
                _ => None,
            },
            Self::All { attribute, one_of } => match context.attribute(attribute)? {
                AttributeValue::Texts(texts) if texts.is_empty() => None,
                AttributeValue::Texts(texts) => Some(texts.iter().all(|text| one_of.contains(text))),
                _ => None,
            },
        }
    }
}

/// At most [`MAX_NETWORKS`] networks; of none, no address is in one.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "Vec<Cidr>", into = "Vec<Cidr>")]
pub struct Networks {
    list: Vec<Cidr>,
}

impl Networks {
    /// The first addresses of the networks, and the first after them: between two of these, all addresses are in
    /// the same networks.
    pub(crate) fn borders(&self) -> impl Iterator<Item = IpAddr> {
        self.list.iter().flat_map(|network| network.borders().into_iter().flatten())
    }
}

impl TryFrom<Vec<Cidr>> for Networks {
    type Error = PolicyError;

    fn try_from(list: Vec<Cidr>) -> Result<Self, PolicyError> {
        if list.len() > MAX_NETWORKS {
            return Err(PolicyError::TooMany { what: "networks", limit: MAX_NETWORKS });
        }
        Ok(Self { list })
    }
}

impl From<Networks> for Vec<Cidr> {
    fn from(networks: Networks) -> Self {
        networks.list
    }
}
