//! How answers are written.

use iam_policy::{Decision, Fact, Lint};
use serde_json::Value;

use super::super::{CliError, Streams, print_json, print_line};

/// One line of an answer.
pub(super) struct Row {
    value: Value,
}

impl Row {
    pub(super) const fn new(value: Value) -> Self {
        Self { value }
    }

    /// Adds the field, where there is something to say.
    pub(super) fn add(&mut self, name: &str, value: Option<impl Into<Value>>) {
        if let (Value::Object(fields), Some(value)) = (&mut self.value, value) {
            fields.insert(name.to_owned(), value.into());
        }
    }

    /// Prints the object, or the words.
    pub(super) fn print(&self, json: bool, words: &str, streams: &mut Streams<'_>) -> Result<(), CliError> {
        if json { print_json(streams, &self.value) } else { print_line(streams, words) }
    }
}

/// The code of the reason: `granted`, or why not.
pub(super) const fn why(decision: &Decision) -> &'static str {
    match decision {
        Decision::Allow(_) => "granted",
        Decision::Deny(deny) => deny.reason.code(),
    }
}

/// The id of what a finding is about, and what kind of record it is.
pub(super) fn fact(fact: &Fact) -> (String, &'static str) {
    match fact {
        Fact::Subject(id) => (id.to_string(), "subject"),
        Fact::Boundary(id) => (id.to_string(), "boundary"),
        Fact::Membership(group, subject) => (format!("{group}/{subject}"), "membership"),
        Fact::Nesting(group, inner) => (format!("{group}/{inner}"), "nesting"),
        Fact::Group(id) => (id.to_string(), "group"),
        Fact::Binding(_, id) => (id.to_string(), "binding"),
        Fact::Role(id) => (id.to_string(), "role"),
        Fact::Policy(id) => (id.to_string(), "policy"),
        Fact::Trust(id) => (id.to_string(), "trust"),
        Fact::BreakGlass(id) => (id.to_string(), "break-glass"),
        _ => (String::new(), "record"),
    }
}

/// What the code means.
pub(super) const fn described(lint: Lint) -> &'static str {
    match lint {
        Lint::Unreadable => "cannot be read; it denies what it may have denied",
        Lint::Dangling => "of something that does not exist; says nothing",
        Lint::OutOfReach => "outside the home of its holder or of what it binds; says nothing",
        Lint::Expired => "has ended; says nothing",
        Lint::Redundant => "another binding gives the same",
        Lint::Dead => "says nothing",
        Lint::Shadowed => "another statement says at least the same",
        Lint::Denied => "another statement always denies it",
        Lint::UnknownPermission => "matches nothing in the registry",
        Lint::Growing => "grows by whatever is added later",
        Lint::Administrator => "allows everything everywhere",
        Lint::Escalator => "allows to give what one does not hold",
        Lint::EmptyRole => "permits nothing, and brings no policy",
        Lint::NoMembers => "something is bound to it, and nobody is in it",
        Lint::BrokenGlass => "glass was broken, and nobody has closed the emergency",
        Lint::Tangled => {
            "in groups that are in a circle, too many or too deep; denies everything where it counts"
        }
        Lint::IdleNesting => "of a group that does not exist, or of two tenants; says nothing",
        Lint::IdleTrust => "has ended, is not accepted, or names no two tenants; lets nobody in",
        _ => "looks wrong",
    }
}
