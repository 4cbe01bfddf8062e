use std::fmt;
use std::str::FromStr;

use core_types::{ParseError, Permission, Principal};
use serde::{Deserialize, Serialize};

/// Who acted.
///
/// The text form is the principal's, or `anonymous`, or `system`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
#[non_exhaustive]
pub enum Actor {
    /// Someone whose credential was verified.
    Principal(Principal),
    /// Someone unknown: no credential, or none that holds.
    Anonymous,
    /// The control plane itself.
    System,
}

impl From<Principal> for Actor {
    fn from(principal: Principal) -> Self {
        Self::Principal(principal)
    }
}

impl FromStr for Actor {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        match text {
            ANONYMOUS => Ok(Self::Anonymous),
            SYSTEM => Ok(Self::System),
            _ => text.parse().map(Self::Principal),
        }
    }
}

impl fmt::Display for Actor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Principal(principal) => principal.fmt(f),
            Self::Anonymous => f.write_str(ANONYMOUS),
            Self::System => f.write_str(SYSTEM),
        }
    }
}

impl From<Actor> for String {
    fn from(actor: Actor) -> Self {
        actor.to_string()
    }
}

impl TryFrom<String> for Actor {
    type Error = ParseError;

    fn try_from(text: String) -> Result<Self, ParseError> {
        text.parse()
    }
}

/// What was done or tried, `service:verb`: `ssh-keys:create`.
///
/// It has the form of a permission, and often is the one the call needs.
#[derive(Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct Action {
    name: Permission,
}

impl Action {
    /// The action as a permission, to be matched by a pattern.
    #[must_use]
    pub const fn as_permission(&self) -> &Permission {
        &self.name
    }
}

impl From<Permission> for Action {
    fn from(name: Permission) -> Self {
        Self { name }
    }
}

impl FromStr for Action {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        text.parse().map(|name| Self { name })
    }
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.name.fmt(f)
    }
}

impl fmt::Debug for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.name.fmt(f)
    }
}

impl From<Action> for String {
    fn from(action: Action) -> Self {
        action.to_string()
    }
}

impl TryFrom<String> for Action {
    type Error = ParseError;

    fn try_from(text: String) -> Result<Self, ParseError> {
        text.parse()
    }
}

const ANONYMOUS: &str = "anonymous";
const SYSTEM: &str = "system";
