//! The records of a batch: their place in the chain, and what they say.

use super::{Known, OpenCall, Position, Source, Walk};
use crate::checkpoint::{Chain, link};
use crate::event::{Kind, Record};
use crate::format::{BatchHeader, RawRecord};
use crate::log::MAX_OPEN_CALLS;
use crate::tlog::Epoch;
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
        if header.first > next {
            let before = header.first.saturating_sub(1);
            self.report.add(Finding::new(FindingKind::Missing, next, before).at(name, offset));
            self.position = Position { sequence: before, stored: None, computed: None };
        }
        self.end.last_batch = Some(offset);
        for record in records {
            let at = offset.saturating_add(record.offset);
            self.record(name, at, record);
            if record.intact {
                self.contents(name, at, OpenCall { segment, offset, intent: [0; 32] }, record);
            }
        }
    }

    /// Checks a record's place in the chain.
    fn record(&mut self, name: &str, offset: u64, record: &RawRecord<'_>) {
        let Position { stored, computed, .. } = self.position;
        let sequence = record.sequence;
        let of = |previous: Chain| link(&previous, sequence, record.entry);
        let linked = stored.map(of);
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
    fn contents(&mut self, name: &str, offset: u64, call: OpenCall, raw: &RawRecord<'_>) {
        let sequence = raw.sequence;
        if Kind::guess(raw.entry) == Some(Kind::Epoch)
            && let Some(epoch) = Epoch::decode(raw.entry)
        {
            let trees = self.trees.as_mut();
            let is_true = trees.is_none_or(|trees| trees.epoch(sequence, raw.chain, raw.entry, &epoch));
            if epoch.through >= sequence || !is_true {
                self.report.add(Finding::new(FindingKind::Inconsistent, sequence, sequence).at(name, offset));
            }
            return;
        }
        let Some(record) = Record::decode(raw.entry) else {
            self.report.add(Finding::new(FindingKind::Malformed, sequence, sequence).at(name, offset));
            return;
        };
        if let Some(trees) = &mut self.trees {
            trees.record(sequence, raw.chain, raw.entry, record.intent.tenant());
        }
        // Only what goes on or ends a call is compared.
        let intent = || link(&[0; 32], 0, record.intent_json.as_bytes());
        let is_consistent = match (record.kind, record.begun) {
            (Kind::Intent, _) => {
                self.end.open.insert(sequence, OpenCall { intent: intent(), ..call });
                self.end.open.len() <= MAX_OPEN_CALLS
            }
            (Kind::Call, Some(begun)) => match self.end.open.remove(&begun) {
                Some(open) => open.intent == intent(),
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
