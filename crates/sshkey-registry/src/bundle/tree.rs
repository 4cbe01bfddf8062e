use core_types::{Fingerprint, UnixTime};

use super::header::{Fields, Header, Node};
use super::{Entry, MAX_ENTRIES, ReadAt};
use crate::authorized_keys::{AuthorizedLine, Options};
use crate::error::BundleError;
use crate::key::PublicKey;
use crate::name::{AccountName, LineComment};

/// What an entry is found by: a hash of the account and the key's fingerprint.
pub(super) type Name = [u8; 32];

/// An entry as it is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Leaf {
    name: Name,
    body: Vec<u8>,
}

/// All nodes of a bundle, leaves first, each level after the one below it.
#[derive(Debug)]
pub(super) struct Built {
    pub(super) bytes: Vec<u8>,
    pub(super) entries: u32,
    pub(super) levels: u8,
    pub(super) root: Node,
    pub(super) end: u64,
}

pub(super) fn entry_name(account: &AccountName, fingerprint: &Fingerprint) -> Name {
    let account = account.as_str().as_bytes();
    let len = [u8::try_from(account.len()).unwrap_or(u8::MAX)];
    *Fingerprint::of(&[ENTRY_DOMAIN, &len, account, fingerprint.as_bytes()].concat()).as_bytes()
}

impl Leaf {
    pub(super) fn of(entry: &Entry) -> Result<Self, BundleError> {
        let name = entry_name(&entry.account, &entry.line.key().fingerprint());
        let options = entry.line.options().to_string();
        let mut body = entry.expires_at.map_or(NEVER, UnixTime::as_millis).to_be_bytes().to_vec();
        for field in [
            entry.account.as_str().as_bytes(),
            options.as_bytes(),
            entry.line.key().as_blob(),
            entry.line.comment().as_str().as_bytes(),
        ] {
            let len = u16::try_from(field.len()).map_err(|_| BundleError::TooLarge)?;
            body.extend_from_slice(&len.to_be_bytes());
            body.extend_from_slice(field);
        }
        if body.len() > MAX_BODY_BYTES { Err(BundleError::TooLarge) } else { Ok(Self { name, body }) }
    }

    pub(super) fn entry(&self) -> Result<Entry, BundleError> {
        let mut fields = Fields { rest: &self.body };
        let expires_at = u64::from_be_bytes(fields.array()?);
        let mut field = || {
            let len = u16::from_be_bytes(fields.array()?);
            fields.take(len.into())
        };
        let [account, options, blob, comment] = [field()?, field()?, field()?, field()?];
        if !fields.rest.is_empty() {
            return Err(BundleError::Malformed);
        }
        let text = |bytes| core::str::from_utf8(bytes).map_err(|_| BundleError::Malformed);
        let account = AccountName::parse(text(account)?).map_err(|_| BundleError::Malformed)?;
        let parsed = Options::parse(text(options)?).map_err(|_| BundleError::Malformed)?;
        let key = PublicKey::from_blob(blob).map_err(|_| BundleError::Malformed)?;
        let comment = LineComment::parse(text(comment)?).map_err(|_| BundleError::Malformed)?;
        let is_own = entry_name(&account, &key.fingerprint()) == self.name;
        if !is_own || parsed.to_string().as_bytes() != options {
            return Err(BundleError::Malformed);
        }
        let expires_at = Some(expires_at).filter(|&at| at != NEVER).map(UnixTime::from_millis);
        Ok(Entry { account, line: AuthorizedLine::new(parsed, key, comment), expires_at })
    }

    fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.name);
        out.extend_from_slice(&u16::try_from(self.body.len()).unwrap_or(u16::MAX).to_be_bytes());
        out.extend_from_slice(&self.body);
    }

    fn encoded_len(&self) -> usize {
        self.body.len().saturating_add(34)
    }

    fn read(fields: &mut Fields<'_>) -> Result<Self, BundleError> {
        let name = fields.array()?;
        let len = u16::from_be_bytes(fields.array()?);
        Ok(Self { name, body: fields.take(len.into())?.to_vec() })
    }
}

/// Lays out the entries, in order of their names, from `start` on.
pub(super) fn build(mut leaves: Vec<Leaf>, start: usize) -> Result<Built, BundleError> {
    if leaves.len() > MAX_ENTRIES {
        return Err(BundleError::TooLarge);
    }
    leaves.sort_unstable_by_key(|leaf| leaf.name);
    if leaves.windows(2).any(|pair| matches!(pair, [one, two] if one.name == two.name)) {
        return Err(BundleError::Repeated);
    }
    let mut writer = Writer { bytes: Vec::new(), start };
    let mut level: Vec<(Name, Node)> = Vec::new();
    let mut group: &[Leaf] = &leaves;
    while let Some(first) = group.first() {
        let mut len = 0_usize;
        let fits = group.iter().take_while(|leaf| {
            let is_first = len == 0;
            len = len.saturating_add(leaf.encoded_len());
            is_first || len <= NODE_BYTES
        });
        let (node, rest) = group.split_at_checked(fits.count()).unwrap_or((group, &[]));
        level.push((first.name, writer.node(|out| node.iter().for_each(|leaf| leaf.write(out)))?));
        group = rest;
    }
    let mut levels = u8::from(!level.is_empty());
    while level.len() > 1 {
        levels = levels.saturating_add(1);
        let mut above = Vec::new();
        for group in level.chunks(FAN_OUT) {
            let first = group.first().map(|(name, _)| *name).unwrap_or_default();
            above.push((first, writer.node(|out| group.iter().for_each(|child| write_child(child, out)))?));
        }
        level = above;
    }
    let empty = Node { offset: 0, len: 0, sha256: [0; 32] };
    Ok(Built {
        entries: u32::try_from(leaves.len()).map_err(|_| BundleError::TooLarge)?,
        levels,
        root: level.first().map_or(empty, |(_, node)| *node),
        end: writer.position()?,
        bytes: writer.bytes,
    })
}

/// The entry of this name: one node per level is read, and checked against the hash in the one above.
pub(super) fn find<R: ReadAt>(
    source: &R,
    header: &Header,
    name: &Name,
) -> Result<Option<Entry>, BundleError> {
    let mut node = header.root;
    for _ in 1..header.levels {
        let bytes = read(source, &node)?;
        let children = children(&bytes)?;
        // The last child that begins at or before the name.
        match children.iter().rev().find(|(first, _)| first <= name) {
            Some((_, child)) => node = *child,
            None => return Ok(None),
        }
    }
    if header.levels == 0 {
        return Ok(None);
    }
    let bytes = read(source, &node)?;
    let mut fields = Fields { rest: &bytes };
    while !fields.rest.is_empty() {
        let leaf = Leaf::read(&mut fields)?;
        if leaf.name == *name {
            return leaf.entry().map(Some);
        }
    }
    Ok(None)
}

/// Every entry, in order.
pub(super) fn collect<R: ReadAt>(source: &R, header: &Header) -> Result<Vec<Leaf>, BundleError> {
    let mut nodes = if header.levels == 0 { Vec::new() } else { vec![header.root] };
    // No level has more nodes than there are entries: a tree that names nodes twice is found out here.
    let limit = usize::try_from(header.entries).map_err(|_| BundleError::TooLarge)?;
    for _ in 1..header.levels {
        let mut below = Vec::new();
        for node in &nodes {
            below.extend(children(&read(source, node)?)?.into_iter().map(|(_, child)| child));
            if below.len() > limit {
                return Err(BundleError::Malformed);
            }
        }
        nodes = below;
    }
    let mut leaves = Vec::new();
    for node in &nodes {
        let bytes = read(source, node)?;
        let mut fields = Fields { rest: &bytes };
        while !fields.rest.is_empty() {
            leaves.push(Leaf::read(&mut fields)?);
        }
        if leaves.len() > limit {
            return Err(BundleError::Malformed);
        }
    }
    Ok(leaves)
}

fn read<R: ReadAt>(source: &R, node: &Node) -> Result<Vec<u8>, BundleError> {
    let len = usize::try_from(node.len).map_err(|_| BundleError::Malformed)?;
    if len > MAX_NODE_BYTES {
        return Err(BundleError::Malformed);
    }
    let mut bytes = vec![0; len];
    source.read_exact_at(node.offset, &mut bytes).map_err(BundleError::read)?;
    if Fingerprint::of(&bytes).as_bytes() == &node.sha256 { Ok(bytes) } else { Err(BundleError::Hash) }
}

fn children(bytes: &[u8]) -> Result<Vec<(Name, Node)>, BundleError> {
    let mut fields = Fields { rest: bytes };
    let mut children = Vec::with_capacity(FAN_OUT);
    while !fields.rest.is_empty() {
        let name = fields.array()?;
        let offset = u64::from_be_bytes(fields.array()?);
        let len = u32::from_be_bytes(fields.array()?);
        children.push((name, Node { offset, len, sha256: fields.array()? }));
    }
    Ok(children)
}

fn write_child((name, node): &(Name, Node), out: &mut Vec<u8>) {
    out.extend_from_slice(name);
    out.extend_from_slice(&node.offset.to_be_bytes());
    out.extend_from_slice(&node.len.to_be_bytes());
    out.extend_from_slice(&node.sha256);
}

#[derive(Debug)]
struct Writer {
    bytes: Vec<u8>,
    start: usize,
}

impl Writer {
    fn position(&self) -> Result<u64, BundleError> {
        let position = self.start.checked_add(self.bytes.len()).and_then(|at| u64::try_from(at).ok());
        position.ok_or(BundleError::TooLarge)
    }

    fn node(&mut self, write: impl FnOnce(&mut Vec<u8>)) -> Result<Node, BundleError> {
        let offset = self.position()?;
        let begin = self.bytes.len();
        write(&mut self.bytes);
        let node = self.bytes.get(begin..).unwrap_or_default();
        let len = u32::try_from(node.len()).map_err(|_| BundleError::TooLarge)?;
        Ok(Node { offset, len, sha256: *Fingerprint::of(node).as_bytes() })
    }
}

const ENTRY_DOMAIN: &[u8] = b"palisade-keys-1 entry\n";
/// No expiry.
const NEVER: u64 = u64::MAX;
/// A node has as many entries as fit, and at least one.
const NODE_BYTES: usize = 4096;
/// 76 bytes each.
const FAN_OUT: usize = 53;
/// Account, options, key and comment at their longest.
const MAX_BODY_BYTES: usize = 20_000;
const MAX_NODE_BYTES: usize = MAX_BODY_BYTES + 34;
