//! How far a publisher has come: a signed note, so that nobody else decides where it goes on.

use core_types::Scope;

use super::hash::Hash;
use super::note::{SignedNote, VerifierKey};
use super::source::Place;
use crate::checkpoint::LogId;
use crate::hex;

/// The text of the file `state`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct State {
    pub(crate) key_name: Box<str>,
    pub(crate) log: LogId,
    pub(crate) place: Place,
    /// The size and the root of the log of epochs.
    pub(crate) epochs: (u64, Hash),
    /// The sequence of the last record in it.
    pub(crate) last_epoch: u64,
    /// Whether all heads are those of the last epoch.
    pub(crate) is_bound: bool,
    /// How many tenants there are, and the root of the tree of their heads.
    pub(crate) tenants: u64,
    pub(crate) heads: Hash,
    /// Counts the states.
    pub(crate) version: u64,
    /// In which version each file of heads was written last.
    pub(crate) blocks: Vec<u64>,
}

impl State {
    pub(crate) fn encode(&self) -> String {
        let Self { key_name, log, place, epochs: (size, root), last_epoch, .. } = self;
        let Self { is_bound, tenants, heads, version, blocks, .. } = self;
        let Place { sequence, chain, segment, offset } = place;
        let chain: String = chain.iter().map(|byte| format!("{byte:02x}")).collect();
        let mut text =
            format!("{key_name}/{log}/state\n{TITLE}\nplace {sequence} {segment} {offset} {chain}\n");
        text.push_str(&format!("epochs {size} {last_epoch} {root}\nbound {}\n", u8::from(*is_bound)));
        text.push_str(&format!("tenants {tenants} {heads}\nversion {version}\nblocks"));
        blocks.iter().for_each(|block| text.push_str(&format!(" {block}")));
        text.push('\n');
        text
    }

    /// The state in a note that a log's key has signed, in the name that is the first line.
    pub(crate) fn verify(note: &SignedNote, key: &VerifierKey) -> Option<Self> {
        let name = note.dangerous_unverified_text().lines().next()?;
        let state = Self::decode(note.verify(&key.renamed(name)).ok()?)?;
        (*state.key_name == *key.name()).then_some(state)
    }

    fn decode(text: &str) -> Option<Self> {
        let mut lines = text.lines();
        let (name, log) = lines.next()?.strip_suffix("/state")?.rsplit_once('/')?;
        lines.next().filter(|line| *line == TITLE)?;
        let mut fields = |name: &str| {
            let rest = lines.next()?.strip_prefix(name)?;
            Some(rest.split(' ').skip(1).map(str::to_owned).collect::<Vec<_>>())
        };
        let number = |text: &String| hex::parse_decimal(text);
        let place = fields("place")?;
        let [sequence, segment, offset, chain] = place.as_slice() else { return None };
        let place = Place {
            sequence: number(sequence)?,
            chain: hex::parse(chain)?,
            segment: number(segment)?,
            offset: number(offset)?,
        };
        let epochs = fields("epochs")?;
        let [size, last_epoch, root] = epochs.as_slice() else { return None };
        let (epochs, last_epoch) = ((number(size)?, root.parse().ok()?), number(last_epoch)?);
        let bound = fields("bound")?;
        let [bound] = bound.as_slice() else { return None };
        let tenants = fields("tenants")?;
        let [tenants, heads] = tenants.as_slice() else { return None };
        let version = fields("version")?;
        let [version] = version.as_slice() else { return None };
        let blocks = fields("blocks")?.iter().map(number).collect::<Option<Vec<u64>>>()?;
        let state = Self {
            key_name: name.into(),
            log: log.parse().ok()?,
            place,
            epochs,
            last_epoch,
            is_bound: number(bound)? == 1,
            tenants: number(tenants)?,
            heads: heads.parse().ok()?,
            version: number(version)?,
            blocks,
        };
        // One spelling.
        (state.encode() == text).then_some(state)
    }
}

/// A tenant's line in a file of heads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct HeadLine {
    pub(crate) size: u64,
    pub(crate) root: Hash,
    pub(crate) tenant: Scope,
}

impl HeadLine {
    pub(crate) fn encode(&self) -> String {
        format!("{} {} {}\n", self.size, self.root, self.tenant)
    }

    pub(crate) fn decode(line: &str) -> Option<Self> {
        let mut parts = line.split(' ');
        let (Some(size), Some(root), Some(tenant), None) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return None;
        };
        Some(Self { size: hex::parse_decimal(size)?, root: root.parse().ok()?, tenant: tenant.parse().ok()? })
    }
}

const TITLE: &str = "palisade audit-log proofs 1";
