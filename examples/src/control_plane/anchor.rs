//! The state and the audit log vouch for each other.
//!
//! Every recorded outcome says which revision the state had reached, and the state keeps a checkpoint of the log. So
//! neither can be put back to an older copy by itself without the next start noticing: a forgotten revocation
//! or a shortened log is an error, and never a quiet beginning.

use std::path::Path;

use audit_log::{Checkpoint, Cursor, Filter, QueryError, Reader};
use core_types::Scope;
use serde::{Deserialize, Serialize};
use state_store::{Batch, Commit, Key, Record, Revision, StateStore, Write, record};

use super::startup::StartError;

/// The name of the detail that says which revision the state had reached.
pub(crate) const REVISION: &str = "revision";

/// Where the log stood when this was written.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Anchor {
    checkpoint: String,
}

impl Record for Anchor {
    const KIND: &'static str = "control-plane/audit-anchor";
    const VERSION: u32 = 1;
}

/// The newest revision that the log in `folder` knows of; zero where there is no log, or one that knows of none.
pub(crate) fn known_revision(folder: &Path) -> Result<Revision, StartError> {
    let part = "audit log";
    let reader = match Reader::open(folder, Scope::root()) {
        Ok(reader) => reader,
        Err(QueryError::NoLog) => return Ok(Revision::ZERO),
        Err(error) => return Err(StartError::part(part)(error)),
    };
    let mut cursor = Cursor::newest_first();
    for _ in 0..MAX_PAGES {
        let page = match reader.query(&Filter::new(), cursor, PAGE_ENTRIES) {
            Ok(page) => page,
            Err(QueryError::NoLog) => return Ok(Revision::ZERO),
            Err(error) => return Err(StartError::part(part)(error)),
        };
        let revisions = page.entries.iter().filter_map(|entry| {
            entry.completion().details().value(REVISION).and_then(audit_log::Public::as_number)
        });
        // Calls overlap, so the newest entry need not name the highest revision.
        if let Some(highest) = revisions.max() {
            return Ok(Revision::new(highest));
        }
        if page.is_end {
            break;
        }
        cursor = page.next;
    }
    Ok(Revision::ZERO)
}

/// The checkpoint that the state keeps of the log.
pub(crate) async fn known_checkpoint<S: StateStore>(
    store: &S,
    key: &Key,
) -> Result<Option<Checkpoint>, StartError> {
    let part = "the state's checkpoint of the audit log";
    match store.get(key).await.map_err(StartError::part(part))? {
        None => Ok(None),
        Some(entry) => {
            let anchor: Anchor = record::decode(&entry.value).map_err(StartError::part(part))?;
            anchor.checkpoint.parse().map(Some).map_err(StartError::part::<core_types::ParseError>(part))
        }
    }
}

/// Keeps a checkpoint of the log in the state.
pub(crate) async fn keep<S: StateStore>(
    store: &S,
    key: Key,
    checkpoint: Checkpoint,
) -> Result<Revision, StartError> {
    let part = "the state's checkpoint of the audit log";
    let anchor =
        record::encode(&Anchor { checkpoint: checkpoint.to_string() }).map_err(StartError::part(part))?;
    let mut batch = Batch::new();
    batch.write(key, Write::Put(anchor)).map_err(StartError::part(part))?;
    match store.commit(batch).await.map_err(StartError::part(part))? {
        Commit::Committed(revision) => Ok(revision),
        Commit::Conflict(_) => Err(StartError::part(part)("a write without an expectation met a conflict")),
    }
}

/// Where the state keeps the checkpoint: of the only node, or of the node of this id.
pub(crate) fn key(node: Option<&str>) -> Result<Key, StartError> {
    let part = "the state's checkpoint of the audit log";
    node.map_or_else(|| Key::new(KEY), |node| Key::new(format!("{KEY}/{node}")))
        .map_err(StartError::part(part))
}

const KEY: &str = "control-plane/audit-anchor";
const PAGE_ENTRIES: usize = 256;
const MAX_PAGES: usize = 64;
