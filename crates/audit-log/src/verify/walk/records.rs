//! The records of a batch: their place in the chain, and what they say.

use std::sync::Arc;
use std::thread;

use core_types::Scope;

use super::{Known, OpenCall, Position, Source, Walk};
use crate::checkpoint::{Chain, link};
use crate::event::{Kind, Outline, OutlineReader};
use crate::format::{BatchHeader, RawRecord};
use crate::log::MAX_OPEN_CALLS;
use crate::tlog::{Epoch, Hash, Leaf};
use crate::verify::finding::{Finding, FindingKind};

impl Walk<'_> {
    pub(super) fn batch(
        &mut self,
        name: &str,
        segment: u64,
        offset: u64,
        header: &BatchHeader,
        records: &[RawRecord<'_>],
    ) {
        let next = self.position.sequence.saturating_add(1);
        let last = header.next().saturating_sub(1);
        if header.first < next {
            if !self.report.found_elsewhere(header.first, last) {
                self.report.add(Finding::new(FindingKind::Inserted, header.first, last).at(name, offset));
            }
            return;
        }
        self.missing_before(name, offset, header.first);
        self.end.last_batch = Some(offset);
        let prepared = prepare(self.position.stored, records, self.trees.is_some(), self.threads);
        for (record, Prepared { linked, contents }) in records.iter().zip(prepared) {
            let at = offset.saturating_add(record.offset);
            self.record(name, at, record, linked);
            if record.intact {
                self.contents(name, at, OpenCall { segment, offset, intent: [0; 32] }, record, contents);
            }
        }
    }

    /// Reports the records that should stand between the last one and `first`.
    pub(super) fn missing_before(&mut self, name: &str, offset: u64, first: u64) {
        let (next, before) = (self.position.sequence.saturating_add(1), first.saturating_sub(1));
        if next <= before {
            self.report.add(Finding::new(FindingKind::Missing, next, before).at(name, offset));
            self.position = Position { sequence: before, stored: None, computed: None };
        }
    }

    /// Checks a record's place in the chain; `linked` is what it should be by what is stored before it.
    fn record(&mut self, name: &str, offset: u64, record: &RawRecord<'_>, linked: Option<Chain>) {
        let Position { stored, computed, .. } = self.position;
        let sequence = record.sequence;
        let of = |previous: Chain| link(&previous, sequence, record.entry);
        let fits = linked == Some(record.chain) || computed.map(of) == Some(record.chain);
        let finding = if !record.intact {
            Some(Finding::new(FindingKind::Edited, sequence, sequence))
        } else if fits || stored.is_none() || computed.is_some() {
            // Without the record before, nothing can be said; damage to that one was reported.
            None
        } else {
            Some(Finding::new(FindingKind::BrokenChain, sequence.saturating_sub(1).max(1), sequence))
        };
        if let Some(finding) = finding {
            self.report.add(finding.at(name, offset));
        }
        let computed = if record.intact { None } else { linked.or(Some(record.chain)) };
        self.position = Position { sequence, stored: Some(record.chain), computed };
        self.report.records = self.report.records.saturating_add(1);
        self.compare_known();
    }

    /// Compares the present position with what is known of it.
    pub(super) fn compare_known(&mut self) {
        let Position { sequence, stored, computed } = self.position;
        let (Some(known), Some(chain)) = (self.known.get(&sequence), stored) else { return };
        let fits = |known: &&Known| known.chain == chain || computed == Some(known.chain);
        let is_same = known.iter().all(|known| fits(&known));
        let is_confirmed = known.iter().filter(fits).any(|known| known.source == Source::Given);
        if is_same {
            if known.iter().any(|known| known.source != Source::Head) {
                self.matched_to = sequence;
            }
            self.report.confirmed_to = if is_confirmed { Some(sequence) } else { self.report.confirmed_to };
        } else if computed.is_none() {
            let first = self.matched_to.saturating_add(1);
            self.report.add(Finding::new(FindingKind::Forked, first.min(sequence), sequence));
        }
    }

    /// Checks what an intact record says.
    fn contents(&mut self, name: &str, offset: u64, call: OpenCall, raw: &RawRecord<'_>, contents: Contents) {
        let sequence = raw.sequence;
        let record = match contents {
            Contents::Record(record) => record,
            Contents::Epoch(epoch) => {
                let trees = self.trees.as_mut();
                let is_true = trees.is_none_or(|trees| trees.epoch(sequence, raw.chain, raw.entry, &epoch));
                if epoch.through >= sequence || !is_true {
                    let finding = Finding::new(FindingKind::Inconsistent, sequence, sequence);
                    self.report.add(finding.at(name, offset));
                }
                return;
            }
            Contents::Nothing => {
                self.report.add(Finding::new(FindingKind::Malformed, sequence, sequence).at(name, offset));
                return;
            }
        };
        if let (Some(trees), Some((tenant, leaf))) = (&mut self.trees, &record.leaf) {
            trees.record(sequence, raw.chain, *leaf, tenant);
        }
        let is_consistent = match (record.kind, record.begun) {
            (Kind::Intent, _) => {
                self.end.open.insert(sequence, OpenCall { intent: record.intent, ..call });
                self.end.open.len() <= MAX_OPEN_CALLS
            }
            (Kind::Call, Some(begun)) => match self.end.open.remove(&begun) {
                Some(open) => open.intent == record.intent,
                // Begun where this pass did not look, or could not.
                None => self.is_unseen(begun) && begun < sequence,
            },
            (Kind::Event, _) => true,
            (Kind::Call, None) | (Kind::Epoch, _) => false,
        };
        if record.kind != Kind::Call {
            self.report.entries = self.report.entries.saturating_add(1);
        }
        if self.end.open.len() > MAX_OPEN_CALLS {
            self.end.open.pop_first();
        }
        if !is_consistent {
            self.report.add(Finding::new(FindingKind::Inconsistent, sequence, sequence).at(name, offset));
        }
    }

    fn is_unseen(&self, begun: u64) -> bool {
        begun < self.floor || self.report.concerns(begun)
    }
}

/// What can be said of a record without those before it.
struct Prepared {
    /// Its chain hash, by the one that is stored before it.
    linked: Option<Chain>,
    contents: Contents,
}

enum Contents {
    Record(Summary),
    Epoch(Box<Epoch>),
    /// Nothing that can be read.
    Nothing,
}

struct Summary {
    kind: Kind,
    begun: Option<u64>,
    // SHA-256 of the intent's bytes, of what begins or ends a call.
    intent: Chain,
    // Whose it is, and the hash of its leaf; where there are trees.
    leaf: Option<(Arc<Scope>, Option<Hash>)>,
}

/// Prepares a batch, with several threads where it has many records.
fn prepare(
    previous: Option<Chain>,
    records: &[RawRecord<'_>],
    has_trees: bool,
    threads: usize,
) -> Vec<Prepared> {
    let before = std::iter::once(previous).chain(records.iter().map(|record| Some(record.chain)));
    let pairs: Vec<_> = before.zip(records).collect();
    let prepare_all = |pairs: &[(Option<Chain>, &RawRecord<'_>)]| -> Vec<Prepared> {
        let mut reader = OutlineReader::default();
        pairs
            .iter()
            .map(|(previous, record)| Prepared::of(*previous, record, has_trees, &mut reader))
            .collect()
    };
    if threads <= 1 || pairs.len() < WORTH_A_THREAD {
        return prepare_all(&pairs);
    }
    let mut parts = pairs.chunks(pairs.len().div_ceil(threads));
    let first = parts.next().unwrap_or_default();
    thread::scope(|scope| {
        let others: Vec<_> = parts
            .map(|part| (part, thread::Builder::new().spawn_scoped(scope, move || prepare_all(part)).ok()))
            .collect();
        let mut prepared = prepare_all(first);
        for (part, other) in others {
            prepared.extend(match other {
                Some(other) => other.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)),
                None => prepare_all(part),
            });
        }
        prepared
    })
}

impl Prepared {
    fn of(previous: Option<Chain>, raw: &RawRecord<'_>, has_trees: bool, reader: &mut OutlineReader) -> Self {
        let linked = previous.map(|previous| link(&previous, raw.sequence, raw.entry));
        let contents = if raw.intact { Contents::of(raw, has_trees, reader) } else { Contents::Nothing };
        Self { linked, contents }
    }
}

impl Contents {
    fn of(raw: &RawRecord<'_>, has_trees: bool, reader: &mut OutlineReader) -> Self {
        if Kind::guess(raw.entry) == Some(Kind::Epoch)
            && let Some(epoch) = Epoch::decode(raw.entry)
        {
            return Self::Epoch(Box::new(epoch));
        }
        let Some(Outline { kind, begun, intent_json, tenant }) = reader.read(raw.entry) else {
            return Self::Nothing;
        };
        let leaf = has_trees.then(|| (tenant, Leaf::hash(raw.sequence, raw.entry)));
        // Only what begins or ends a call is compared.
        let hash = if kind == Kind::Event { [0; 32] } else { link(&[0; 32], 0, intent_json.as_bytes()) };
        Self::Record(Summary { kind, begun, intent: hash, leaf })
    }
}

const WORTH_A_THREAD: usize = 64;
