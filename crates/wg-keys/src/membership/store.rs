//! Records in the store.

use core_types::{MachineId, UnixTime};
use state_store::{Batch, BatchError, Commit, Entry, Key, ReadError, StateStore};

use super::{Found, SignedRecord};
use crate::error::{PublishError, Refusal};

/// What the keys of records begin with.
pub const RECORDS: &str = "wg-keys/records/";

/// Records that one call of [`prune`] looks at.
const PRUNED_AT_ONCE: usize = 64;

/// Where a machine's record of an epoch lies.
///
/// # Errors
/// None that a machine's id could cause: [`BatchError::Limit`] is passed on from the store's own type.
pub fn record_key(machine: MachineId, epoch: u64) -> Result<Key, BatchError> {
    Ok(Key::new(format!("{RECORDS}{machine}/{epoch:016x}"))?)
}

/// What writes a record where none is; [append](Batch::append) it to others that shall be written with it.
///
/// # Errors
/// [`PublishError::Store`], [`PublishError::Batch`].
pub fn publication(record: &SignedRecord) -> Result<Batch, PublishError> {
    let mut batch = Batch::new();
    let key = record_key(record.record().machine, record.record().epoch)?;
    batch.create(key, state_store::record::encode(record)?)?;
    Ok(batch)
}

/// Writes a record where none is.
///
/// # Errors
/// [`PublishError`]. When the outcome is not known: read, and see whether it is there.
pub async fn publish<S: StateStore>(store: &S, record: &SignedRecord) -> Result<(), PublishError> {
    match store.commit(publication(record)?).await? {
        Commit::Committed(_) => Ok(()),
        Commit::Conflict(_) => Err(PublishError::Taken),
    }
}

/// Removes the machine's records that had a successor before `since`, but for the two newest; returns how many went. A
/// directory that has not looked since then cannot follow the chain any more: it says [`Refusal::Chain`], until the machine
/// is [forgotten](super::Directory::forget). Who begins anew begins with the oldest record that is left.
///
/// # Errors
/// [`PublishError::Commit`]; [`PublishError::Read`].
pub async fn prune<S: StateStore>(
    store: &S,
    machine: MachineId,
    since: UnixTime,
) -> Result<usize, PublishError> {
    let prefix = state_store::Prefix::new(format!("{RECORDS}{machine}/")).map_err(BatchError::from)?;
    let page = store.scan(&prefix, None, PRUNED_AT_ONCE).await?;
    let mut batch = Batch::new();
    let mut count: usize = 0;
    // In the order of epochs, so what is left is one chain whatever happens.
    for three in page.entries.windows(3) {
        let [old, next, _] = three else { break };
        let next = state_store::record::decode::<SignedRecord>(&next.value);
        if !next.is_ok_and(|next| next.record().not_before < since) {
            break;
        }
        batch.remove(old.key.clone(), old.revision)?;
        count = count.saturating_add(1);
    }
    if count == 0 {
        return Ok(0);
    }
    match store.commit(batch).await? {
        Commit::Committed(_) => Ok(count),
        // Somebody else did it.
        Commit::Conflict(_) => Ok(0),
    }
}

/// What an entry under [`RECORDS`] holds.
#[must_use]
pub fn stored(entry: &Entry) -> Found {
    let place = entry.key.strip_text_prefix(RECORDS).and_then(|place| place.split_once('/'));
    let place = place.and_then(|(machine, epoch)| Some((machine.parse().ok()?, of_hex(epoch)?)));
    let record = state_store::record::decode::<SignedRecord>(&entry.value).map_err(|_| Refusal::Damaged);
    Found { place, revision: entry.revision, record }
}

/// Every record in the store, for a [`Directory`](super::Directory) to observe.
///
/// # Errors
/// [`ReadError`].
pub async fn load<S: StateStore>(store: &S) -> Result<Vec<Found>, ReadError> {
    let damaged = |_| ReadError::Damaged { detail: "the prefix of records".into() };
    let prefix = state_store::Prefix::new(RECORDS).map_err(damaged)?;
    let (mut found, mut after) = (Vec::new(), None);
    loop {
        let page = store.scan(&prefix, after.as_ref(), state_store::MAX_PAGE_ENTRIES).await?;
        found.extend(page.entries.iter().map(stored));
        after = page.entries.last().map(|entry| entry.key.clone());
        if !page.more || after.is_none() {
            return Ok(found);
        }
    }
}

fn of_hex(text: &str) -> Option<u64> {
    let epoch = u64::from_str_radix(text, 16).ok()?;
    (format!("{epoch:016x}") == text).then_some(epoch)
}
