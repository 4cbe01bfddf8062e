//! What is recorded of a call: an [`Intent`] before its effect, a [`Completion`] after it, together an
//! [`Entry`].

mod actor;
mod client;
mod completion;
mod details;
mod entry;
mod field;
mod intent;
mod outline;
mod text;

pub use actor::{Action, Actor};
pub use client::{Client, MAX_USER_AGENT_BYTES, UserAgent};
pub use completion::{Completion, MAX_REASON_BYTES, Outcome};
pub use details::{Details, MAX_DETAIL_KEY_BYTES, MAX_DETAILS, MAX_DETAILS_BYTES};
pub use entry::Entry;
pub use field::{Field, MAX_SEAL_KEY_BYTES, MAX_SEALED_BYTES, Redacted, Sealed};
pub use intent::Intent;
pub use text::{Escaped, MAX_RESOURCE_BYTES, MAX_TEXT_BYTES, Public, ResourceId};

pub(crate) use entry::{Kind, Record, encode_closing, encode_event, encode_intent};
pub(crate) use outline::{Outline, OutlineReader};
