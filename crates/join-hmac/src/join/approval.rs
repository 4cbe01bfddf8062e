//! Who says that a machine may join, and to what.

use core::fmt;
use std::collections::BTreeSet;

use crate::error::ApprovalError;
use crate::mac::{Digest, Parts};
use crate::trust::MemberEntry;

/// Which intent: a digest of the session and of all that would be committed. Choose by it, never by a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct IntentId(Digest);

impl IntentId {
    /// Its bytes.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

/// The first eight bytes in hexadecimal.
impl fmt::Display for IntentId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().take(8).try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// What an operator is shown: the very entry that is committed when it is approved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JoinIntent {
    entry: MemberEntry,
    id: IntentId,
    words: String,
}

impl JoinIntent {
    pub(super) fn new(entry: MemberEntry, session: &Digest, words: String) -> Self {
        let id = Parts::new("palisade-join/1 intent").with(session).with(&entry.to_bytes()).value();
        Self { entry, id: IntentId(id), words }
    }

    /// Which intent.
    #[must_use]
    pub const fn id(&self) -> IntentId {
        self.id
    }

    /// What would be committed.
    #[must_use]
    pub const fn entry(&self) -> &MemberEntry {
        &self.entry
    }

    /// Two words that the joining machine shows too.
    #[must_use]
    pub fn words(&self) -> &str {
        &self.words
    }
}

/// Somebody's word that an intent may be committed.
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use]
pub struct Approval {
    pub(super) intent: IntentId,
    pub(super) by: Vec<Box<str>>,
}

impl Approval {
    /// An operator's, or a policy's by its name.
    ///
    /// # Errors
    /// [`ApprovalError::Name`] when the name is empty or longer than 256 bytes.
    pub fn by(who: &str, intent: IntentId) -> Result<Self, ApprovalError> {
        check(who)?;
        Ok(Self { intent, by: vec![who.into()] })
    }

    /// Who gave it.
    pub fn approvers(&self) -> impl Iterator<Item = &str> {
        self.by.iter().map(|who| &**who)
    }
}

/// Collects approvals until there are enough different ones.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Quorum {
    intent: IntentId,
    eligible: BTreeSet<Box<str>>,
    needed: usize,
    given: BTreeSet<Box<str>>,
}

impl Quorum {
    /// `needed` of those who are eligible must approve.
    ///
    /// # Errors
    /// [`ApprovalError::Quorum`] when that is none, or more than there are.
    pub fn new<'a>(
        intent: IntentId,
        needed: usize,
        eligible: impl IntoIterator<Item = &'a str>,
    ) -> Result<Self, ApprovalError> {
        let eligible: BTreeSet<Box<str>> = eligible.into_iter().map(Into::into).collect();
        if needed == 0 || needed > eligible.len() || eligible.len() > MAX_ELIGIBLE {
            return Err(ApprovalError::Quorum);
        }
        Ok(Self { intent, eligible, needed, given: BTreeSet::new() })
    }

    /// Takes an approval; the same one twice counts once. The caller has authenticated who gives it.
    ///
    /// # Errors
    /// [`ApprovalError::Eligible`], [`ApprovalError::Intent`] for an approval of something else.
    pub fn approve(&mut self, who: &str, intent: IntentId) -> Result<Option<Approval>, ApprovalError> {
        if intent != self.intent {
            return Err(ApprovalError::Intent);
        }
        let who = self.eligible.get(who).ok_or(ApprovalError::Eligible)?;
        self.given.insert(who.clone());
        let enough = self.given.len() >= self.needed;
        Ok(enough.then(|| Approval { intent, by: self.given.iter().cloned().collect() }))
    }
}

fn check(who: &str) -> Result<(), ApprovalError> {
    if (1..=256).contains(&who.len()) { Ok(()) } else { Err(ApprovalError::Name) }
}

const MAX_ELIGIBLE: usize = 64;
