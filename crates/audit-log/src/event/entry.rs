use std::fmt;
use std::time::Duration;

use core_types::{Objects, UnixTime};
use serde::{Deserialize, Serialize};
use serde_json::Deserializer;
use serde_json::value::RawValue;

use super::completion::{Completion, Outcome};
use super::details::Details;
use super::intent::Intent;
use crate::format::MAX_ENTRY_BYTES;

/// One call, or one attempt at one: what was wanted, and how it ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    pub(crate) sequence: u64,
    pub(crate) begun: Option<u64>,
    pub(crate) recorded_at: UnixTime,
    pub(crate) intent: Intent,
    pub(crate) completion: Completion,
}

impl Entry {
    /// The entry's place: the sequence of the record that completed it. Order and pages go by it.
    #[must_use]
    pub const fn sequence(&self) -> u64 {
        self.sequence
    }

    /// The sequence of the record that was made durable before the effect; none for what had no effect.
    #[must_use]
    pub const fn begun(&self) -> Option<u64> {
        self.begun
    }

    /// When it was completed, by the log's clock.
    #[must_use]
    pub const fn recorded_at(&self) -> UnixTime {
        self.recorded_at
    }

    /// What was wanted.
    #[must_use]
    pub const fn intent(&self) -> &Intent {
        &self.intent
    }

    /// How it ended, with reason and details.
    #[must_use]
    pub const fn completion(&self) -> &Completion {
        &self.completion
    }

    /// How it ended.
    #[must_use]
    pub const fn outcome(&self) -> Outcome {
        self.completion.outcome()
    }

    /// How long it took.
    #[must_use]
    pub fn duration(&self) -> Option<Duration> {
        self.completion.duration()
    }
}

/// One line; what strangers wrote is escaped.
impl fmt::Display for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { sequence, intent, completion, .. } = self;
        write!(f, "{sequence} {} {} in {}", intent.actor(), intent.action(), intent.scope())?;
        if let Some(resource) = intent.resource() {
            write!(f, " on {resource}")?;
        }
        if let Some(client) = intent.client() {
            write!(f, " from {}", client.address())?;
        }
        write!(f, ": {completion}")
    }
}

/// What a record is; the first field after the version tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Kind {
    /// The first half of a call.
    Intent,
    /// A whole call whose intent was recorded before.
    Call,
    /// A whole attempt that never had an effect.
    Event,
    /// The heads of all tenants' trees; nobody's entry.
    Epoch,
}

impl Kind {
    /// The kind, from the first bytes of an entry as this program writes it; decoding decides.
    pub(crate) fn guess(entry: &[u8]) -> Option<Self> {
        let kinds = [
            (Self::Intent, &b"intent\""[..]),
            (Self::Call, b"call\""),
            (Self::Event, b"event\""),
            (Self::Epoch, b"epoch\""),
        ];
        let rest = entry.strip_prefix(b"{\"v\":1,\"kind\":\"")?;
        kinds.into_iter().find(|(_, name)| rest.starts_with(name)).map(|(kind, _)| kind)
    }
}

/// An entry's bytes, read.
#[derive(Debug)]
pub(crate) struct Record<'a> {
    pub(crate) kind: Kind,
    pub(crate) recorded_at: UnixTime,
    /// The sequence of the intent that a call completes.
    pub(crate) begun: Option<u64>,
    /// The intent's bytes, which a call repeats.
    pub(crate) intent_json: &'a str,
    pub(crate) intent: Intent,
    /// None in an intent.
    pub(crate) completion: Option<Completion>,
}

impl<'a> Record<'a> {
    /// Reads an entry; `None` when it is none of this version.
    pub(crate) fn decode(entry: &'a [u8]) -> Option<Self> {
        let wire: ReadRecord<'a> = serde_json::from_slice(entry).ok()?;
        let intent_json = wire.intent.get();
        // serde takes an array of the fields for a struct.
        if !entry.starts_with(b"{") || !intent_json.starts_with('{') {
            return None;
        }
        let intent = Intent::deserialize(Objects::new(&mut Deserializer::from_str(intent_json))).ok()?;
        let ReadRecord { outcome, duration_us, reason, details, .. } = wire;
        let completion = match outcome {
            Some(outcome) => Some(Completion::from_parts(outcome, duration_us, reason, details).ok()?),
            None if duration_us.is_none() && reason.is_none() && details.is_empty() => None,
            None => return None,
        };
        let fits = match wire.kind {
            Kind::Intent => wire.begun.is_none() && completion.is_none(),
            Kind::Call => wire.begun.is_some() && completion.is_some(),
            Kind::Event => wire.begun.is_none() && completion.is_some(),
            // It has no intent, and is read elsewhere.
            Kind::Epoch => false,
        };
        (wire.v == VERSION && fits).then_some(Self {
            kind: wire.kind,
            recorded_at: wire.at,
            begun: wire.begun,
            intent_json,
            intent,
            completion,
        })
    }

    /// The entry that the record at `sequence` completes; `None` for an intent.
    pub(crate) fn into_entry(self, sequence: u64) -> Option<Entry> {
        let Self { begun, recorded_at, intent, completion, .. } = self;
        Some(Entry { sequence, begun, recorded_at, intent, completion: completion? })
    }
}

/// The entry bytes of the first half of a call.
pub(crate) fn encode_intent(at: UnixTime, intent: &Intent) -> Option<Vec<u8>> {
    encode(&WriteRecord::new(Kind::Intent, at, intent))
}

/// The entry bytes of a call that was begun at this sequence.
pub(crate) fn encode_closing(
    at: UnixTime,
    begun: u64,
    intent: &Intent,
    completion: &Completion,
) -> Option<Vec<u8>> {
    let record = WriteRecord { begun: Some(begun), ..WriteRecord::new(Kind::Call, at, intent) };
    encode(&record.completed(completion))
}

/// The entry bytes of an attempt that never had an effect.
pub(crate) fn encode_event(at: UnixTime, intent: &Intent, completion: &Completion) -> Option<Vec<u8>> {
    encode(&WriteRecord::new(Kind::Event, at, intent).completed(completion))
}

fn encode(record: &WriteRecord<'_>) -> Option<Vec<u8>> {
    // The bounds of its parts keep every entry within its own.
    serde_json::to_vec(record).ok().filter(|entry| entry.len() <= MAX_ENTRY_BYTES)
}

#[derive(Serialize)]
struct WriteRecord<'a> {
    v: u32,
    kind: Kind,
    at: UnixTime,
    #[serde(skip_serializing_if = "Option::is_none")]
    begun: Option<u64>,
    intent: &'a Intent,
    #[serde(skip_serializing_if = "Option::is_none")]
    outcome: Option<Outcome>,
    #[serde(skip_serializing_if = "Option::is_none")]
    duration_us: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    details: Option<&'a Details>,
}

impl<'a> WriteRecord<'a> {
    const fn new(kind: Kind, at: UnixTime, intent: &'a Intent) -> Self {
        let (outcome, duration_us, reason, details) = (None, None, None, None);
        Self { v: VERSION, kind, at, begun: None, intent, outcome, duration_us, reason, details }
    }

    fn completed(self, completion: &'a Completion) -> Self {
        Self {
            outcome: Some(completion.outcome()),
            duration_us: completion.duration_us(),
            reason: completion.reason(),
            details: Some(completion.details()).filter(|details| !details.is_empty()),
            ..self
        }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ReadRecord<'a> {
    v: u32,
    kind: Kind,
    at: UnixTime,
    begun: Option<u64>,
    #[serde(borrow)]
    intent: &'a RawValue,
    outcome: Option<Outcome>,
    duration_us: Option<u64>,
    reason: Option<Box<str>>,
    #[serde(default)]
    details: Details,
}

const VERSION: u32 = 1;
