//! Epochs: records of the log's own that bind the heads of all tenants.

use std::fmt;

use core_types::UnixTime;
use serde::Deserialize;

use super::hash::Hash;
use crate::checkpoint::Chain;
use crate::hex;

/// All tenants' heads at one point of the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Epoch {
    /// When it was recorded, by the log's clock.
    pub(crate) at: UnixTime,
    /// The record up to which the heads are.
    pub(crate) through: u64,
    /// That record's chain hash.
    pub(crate) chain: Chain,
    /// How many tenants there are.
    pub(crate) tenants: u64,
    /// The root of the tree of their heads, in the order of the tenants' first records.
    pub(crate) heads: Hash,
}

impl Epoch {
    /// The entry's bytes.
    pub(crate) fn encode(&self) -> Vec<u8> {
        let Self { at, through, chain, tenants, heads } = self;
        let chain = Lower(chain);
        format!(
            r#"{{"v":1,"kind":"epoch","at":{},"through":{through},"chain":"{chain}","tenants":{tenants},"heads":"{heads}"}}"#,
            at.as_millis(),
        )
        .into_bytes()
    }

    /// Reads an entry; `None` when it is no epoch, or not in its one spelling.
    pub(crate) fn decode(entry: &[u8]) -> Option<Self> {
        let wire: Wire<'_> = serde_json::from_slice(entry).ok()?;
        let Wire { v: 1, kind: "epoch", at, through, chain, tenants, heads } = wire else { return None };
        let epoch = Self { at, through, chain: hex::parse(chain)?, tenants, heads: heads.parse().ok()? };
        (epoch.encode() == entry).then_some(epoch)
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Wire<'a> {
    v: u32,
    kind: &'a str,
    at: UnixTime,
    through: u64,
    chain: &'a str,
    tenants: u64,
    heads: &'a str,
}

struct Lower<'a>(&'a Chain);

impl fmt::Display for Lower<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        hex::write(f, self.0)
    }
}
