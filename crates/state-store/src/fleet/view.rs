use core::fmt;
use std::time::Duration;

use core_types::UnixTime;
use rpds::RedBlackTreeMapSync;
use serde::{Deserialize, Serialize};

use crate::error::{FleetError, LimitError, RecordError};
use crate::key::{Key, Value};
use crate::record::{self, Record};
use crate::replica::View;
use crate::store::Revision;

/// A node's name: 1 to 64 characters of `[a-z0-9-]`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeName {
    text: Box<str>,
}

impl NodeName {
    /// The name of this text.
    ///
    /// # Errors
    /// [`FleetError::Name`].
    pub fn new(text: &str) -> Result<Self, FleetError> {
        let allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        if !(1..=MAX_NAME_BYTES).contains(&text.len()) || !text.bytes().all(allowed) {
            return Err(FleetError::Name);
        }
        Ok(Self { text: text.into() })
    }

    /// Its text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    pub(super) fn key(&self) -> Result<Key, LimitError> {
        Key::new(format!("{NODE}{}", self.text))
    }
}

impl fmt::Display for NodeName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// What a node has applied.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct NodeRecord {
    pub(super) applied: Revision,
    pub(super) until: UnixTime,
}

impl Record for NodeRecord {
    const KIND: &'static str = "fleet/node";
    const VERSION: u32 = 1;
}

/// The highest revision that somebody waits for.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct AskedRecord {
    pub(super) revision: Revision,
}

impl Record for AskedRecord {
    const KIND: &'static str = "fleet/asked";
    const VERSION: u32 = 1;
}

/// The nodes' words in memory. One that cannot be read is of a node that may have applied nothing.
#[derive(Debug, Clone)]
pub struct FleetView {
    nodes: RedBlackTreeMapSync<Box<str>, Word>,
    asked: Revision,
}

#[derive(Debug, Clone, Copy)]
enum Word {
    Said(NodeRecord, Revision),
    Unreadable,
}

/// What a node last said.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Node {
    /// Its name.
    pub name: Box<str>,
    /// What it had applied then; nothing where its word cannot be read.
    pub applied: Revision,
    /// Whether its word holds.
    pub is_live: bool,
}

impl FleetView {
    /// Nobody.
    #[must_use]
    pub fn new() -> Self {
        Self { nodes: RedBlackTreeMapSync::new_sync(), asked: Revision::ZERO }
    }

    /// All that are known, in order of their names.
    pub fn nodes(&self, now: UnixTime) -> impl Iterator<Item = Node> {
        self.nodes.iter().map(move |(name, word)| Node {
            name: name.clone(),
            applied: word.applied(),
            is_live: word.is_live(now),
        })
    }

    /// What somebody waits for.
    pub(super) const fn asked(&self) -> Revision {
        self.asked
    }

    /// How many there are.
    pub(super) fn live(&self, now: UnixTime) -> usize {
        self.nodes.iter().filter(|(_, word)| word.is_live(now)).count()
    }

    /// The live ones that are not known to have applied the revision, in order of their names.
    pub(super) fn lagging(&self, revision: Revision, now: UnixTime) -> Vec<Box<str>> {
        let lagging = self.nodes.iter().filter(|(_, word)| word.is_live(now) && word.applied() < revision);
        lagging.map(|(name, _)| name.clone()).collect()
    }

    /// The keys of those whose words ended a lease ago, or earlier.
    pub(super) fn ended(&self, now: UnixTime, lease: Duration) -> impl Iterator<Item = (Key, Revision)> {
        self.nodes.iter().filter_map(move |(name, word)| match word {
            Word::Said(said, revision) if now >= said.until && now.saturating_since(said.until) >= lease => {
                Some((Key::new(format!("{NODE}{name}")).ok()?, *revision))
            }
            Word::Said(..) | Word::Unreadable => None,
        })
    }
}

impl Word {
    const fn applied(&self) -> Revision {
        match self {
            Self::Said(said, _) => said.applied,
            Self::Unreadable => Revision::ZERO,
        }
    }

    fn is_live(&self, now: UnixTime) -> bool {
        match self {
            Self::Said(said, _) => now < said.until,
            Self::Unreadable => true,
        }
    }
}

impl Default for FleetView {
    fn default() -> Self {
        Self::new()
    }
}

impl View for FleetView {
    fn put(&mut self, key: &Key, value: &Value, revision: Revision) -> Result<(), RecordError> {
        if let Some(name) = key.strip_text_prefix(NODE) {
            let said = record::decode(value)?;
            self.nodes.insert_mut(name.into(), Word::Said(said, revision));
        } else if key.strip_text_prefix("") == Some(ASKED) {
            self.asked = record::decode::<AskedRecord>(value)?.revision;
        } else {
            let what = "its key is of an unknown form";
            return Err(RecordError::Inconsistent { kind: NodeRecord::KIND, what });
        }
        Ok(())
    }

    fn delete(&mut self, key: &Key) {
        if let Some(name) = key.strip_text_prefix(NODE) {
            self.nodes.remove_mut(name);
        }
    }

    fn poison(&mut self, key: &Key) {
        if let Some(name) = key.strip_text_prefix(NODE) {
            self.nodes.insert_mut(name.into(), Word::Unreadable);
        }
    }
}

const NODE: &str = "fleet/node/";
pub(super) const ASKED: &str = "fleet/asked";
const MAX_NAME_BYTES: usize = 64;
