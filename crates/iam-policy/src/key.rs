use core_types::Subject;
use state_store::{Key, LimitError};

use crate::holder::{BindingId, GroupId, Holder, RoleId};

/// What the keys of this crate begin with; a replica of the directory watches it.
pub const PREFIX: &str = "iam-policy/";

/// What stands under a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Place {
    Subject(Subject),
    Group(GroupId),
    Role(RoleId),
    Member(GroupId, Subject),
    Binding(BindingId),
    Stamp(Stamped),
    Started,
}

/// What can carry a stamp.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Stamped {
    Holder(Holder),
    Role(RoleId),
    /// A group's coming to have more members, rather than to carry more.
    Members(GroupId),
}

/// Why a key is none of ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NoPlace {
    /// The family is known and only ever grants; the rest of the key is no id.
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
            Self::Binding(id) => Key::new(format!("{PREFIX}binding/{id}")),
            Self::Stamp(Stamped::Holder(id)) => Key::new(format!("{PREFIX}stamp/{id}")),
            Self::Stamp(Stamped::Role(id)) => Key::new(format!("{PREFIX}stamp/{id}")),
            Self::Stamp(Stamped::Members(id)) => Key::new(format!("{PREFIX}joined/{id}")),
            Self::Started => Key::new(format!("{PREFIX}started")),
        }
    }

    pub(crate) fn of(key: &Key) -> Result<Self, NoPlace> {
        let text = key.strip_text_prefix(PREFIX).ok_or(NoPlace::Unknown)?;
        if text == "started" {
            return Ok(Self::Started);
        }
        let (family, id) = text.split_once('/').ok_or(NoPlace::Unknown)?;
        let place = match family {
            "subject" => id.parse().ok().map(Self::Subject),
            "group" => id.parse().ok().map(Self::Group),
            "role" => id.parse().ok().map(Self::Role),
            "member" => id
                .split_once('/')
                .and_then(|(group, subject)| Some(Self::Member(group.parse().ok()?, subject.parse().ok()?))),
            "binding" => id.parse().ok().map(Self::Binding),
            "stamp" => {
                let holder = id.parse().ok().map(Stamped::Holder);
                holder.or_else(|| id.parse().ok().map(Stamped::Role)).map(Self::Stamp)
            }
            "joined" => id.parse().ok().map(Stamped::Members).map(Self::Stamp),
            _ => return Err(NoPlace::Unknown),
        };
        place.ok_or(NoPlace::Nameless)
    }
}
