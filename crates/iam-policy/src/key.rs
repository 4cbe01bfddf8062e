use core::str::FromStr;

use core_types::Subject;
use state_store::{Key, LimitError};

use crate::holder::{BindingId, BreakGlassId, GroupId, Holder, PolicyId, RoleId, TrustId};

/// What the keys of this crate begin with; a replica of the directory watches it.
pub const PREFIX: &str = "iam-policy/";

/// What stands under a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Place {
    Subject(Subject),
    Group(GroupId),
    Role(RoleId),
    Policy(PolicyId),
    Boundary(Subject),
    Member(GroupId, Subject),
    /// That the second group is in the first.
    Nested(GroupId, GroupId),
    Binding(Holder, BindingId),
    BreakGlass(BreakGlassId),
    Trust(TrustId),
    Stamp(Stamped),
    Started,
}

/// What can carry a stamp.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Stamped {
    Holder(Holder),
    Role(RoleId),
    Policy(PolicyId),
    /// That something comes to be forbidden to someone.
    Forbidding,
    /// A group's coming to have more members, rather than to carry more.
    Members(GroupId),
    /// That some group comes to be in another one.
    Nesting,
}

/// Why a key is none of ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NoPlace {
    /// The family is known; the rest of the key is no id, so that nothing can be about anyone here.
    Nameless,
    /// A family this version does not know.
    Unknown,
}

impl Place {
    pub(crate) fn key(self) -> Result<Key, LimitError> {
        match self {
            Self::Subject(id) => Key::new(format!("{PREFIX}subject/{id}")),
            Self::Group(id) => Key::new(format!("{PREFIX}group/{id}")),
            Self::Role(id) => Key::new(format!("{PREFIX}role/{id}")),
            Self::Member(group, subject) => Key::new(format!("{PREFIX}member/{group}/{subject}")),
            Self::Nested(outer, inner) => Key::new(format!("{PREFIX}nesting/{outer}/{inner}")),
            Self::Policy(id) => Key::new(format!("{PREFIX}policy/{id}")),
            Self::Boundary(id) => Key::new(format!("{PREFIX}boundary/{id}")),
            Self::Binding(holder, id) => Key::new(format!("{PREFIX}binding/{holder}/{id}")),
            Self::BreakGlass(id) => Key::new(format!("{PREFIX}break-glass/{id}")),
            Self::Trust(id) => Key::new(format!("{PREFIX}trust/{id}")),
            Self::Stamp(Stamped::Holder(id)) => Key::new(format!("{PREFIX}stamp/{id}")),
            Self::Stamp(Stamped::Role(id)) => Key::new(format!("{PREFIX}stamp/{id}")),
            Self::Stamp(Stamped::Policy(id)) => Key::new(format!("{PREFIX}stamp/{id}")),
            Self::Stamp(Stamped::Forbidding) => Key::new(format!("{PREFIX}forbidding")),
            Self::Stamp(Stamped::Nesting) => Key::new(format!("{PREFIX}nested")),
            Self::Stamp(Stamped::Members(id)) => Key::new(format!("{PREFIX}joined/{id}")),
            Self::Started => Key::new(format!("{PREFIX}started")),
        }
    }

    pub(crate) fn of(key: &Key) -> Result<Self, NoPlace> {
        let text = key.strip_text_prefix(PREFIX).ok_or(NoPlace::Unknown)?;
        if text == "started" {
            return Ok(Self::Started);
        }
        if text == "forbidding" {
            return Ok(Self::Stamp(Stamped::Forbidding));
        }
        if text == "nested" {
            return Ok(Self::Stamp(Stamped::Nesting));
        }
        let (family, id) = text.split_once('/').ok_or(NoPlace::Unknown)?;
        let place = match family {
            "subject" => id.parse().ok().map(Self::Subject),
            "group" => id.parse().ok().map(Self::Group),
            "role" => id.parse().ok().map(Self::Role),
            "policy" => id.parse().ok().map(Self::Policy),
            "break-glass" => id.parse().ok().map(Self::BreakGlass),
            "trust" => id.parse().ok().map(Self::Trust),
            "boundary" => id.parse().ok().map(Self::Boundary),
            "member" => pair(id).map(|(group, subject)| Self::Member(group, subject)),
            "nesting" => pair(id).map(|(outer, inner)| Self::Nested(outer, inner)),
            "binding" => pair(id).map(|(holder, binding)| Self::Binding(holder, binding)),
            "stamp" => {
                let holder = id.parse().ok().map(Stamped::Holder);
                let role = || id.parse().ok().map(Stamped::Role);
                let policy = || id.parse().ok().map(Stamped::Policy);
                holder.or_else(role).or_else(policy).map(Self::Stamp)
            }
            "joined" => id.parse().ok().map(Stamped::Members).map(Self::Stamp),
            _ => return Err(NoPlace::Unknown),
        };
        place.ok_or(NoPlace::Nameless)
    }
}

fn pair<A: FromStr, B: FromStr>(text: &str) -> Option<(A, B)> {
    let (first, second) = text.split_once('/')?;
    Some((first.parse().ok()?, second.parse().ok()?))
}
