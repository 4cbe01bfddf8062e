//! The history of commits, read by revision.

use std::sync::Arc;

use state_store::{Change, Revision, Write};

use crate::error::Failure;
use crate::read::{key, value};
use crate::schema::number;
use crate::session::Session;

/// The commits after a revision: all, or the first of them.
#[derive(Debug)]
pub(crate) struct Stretch {
    /// In order; those without changes are left out.
    pub(crate) commits: Vec<(Revision, Vec<Change>)>,
    /// The last commit that was looked at.
    pub(crate) upto: u64,
    /// The store's last commit at that instant.
    pub(crate) head: u64,
    /// The history begins after this.
    pub(crate) floor: u64,
}

/// The stretch after `after`. Everything in it is of one instant, and of whole commits.
pub(crate) async fn read(session: Arc<Session>, after: u64) -> Result<Stretch, Failure> {
    // Revisions past the end of the numbers are nobody's.
    let position = i64::try_from(after).unwrap_or(i64::MAX);
    let rows = session.client.query(&session.changes, &[&position, &MAX_COMMITS, &MAX_STRETCH_BYTES]).await?;
    let Some(first) = rows.first() else { return Err(Failure::damaged("the store's head is gone")) };
    let head = number(first.try_get(0)?)?;
    let floor = number(first.try_get(1)?)?;
    let upto = first.try_get::<_, Option<i64>>(2)?.map_or(Ok(after), number)?;
    let mut commits: Vec<(Revision, Vec<Change>)> = Vec::new();
    for row in &rows {
        let Some(revision) = row.try_get::<_, Option<i64>>(3)? else { continue };
        let revision = Revision::new(number(revision)?);
        let write = match row.try_get::<_, Option<&[u8]>>(5)? {
            Some(bytes) => Write::Put(value(bytes)?),
            None => Write::Delete,
        };
        let change = Change { key: key(row.try_get(4)?)?, write };
        match commits.last_mut() {
            Some((last, changes)) if *last == revision => changes.push(change),
            _ => commits.push((revision, vec![change])),
        }
    }
    Ok(Stretch { commits, upto, head, floor })
}

/// How many commits, and how many bytes of them, are read at a time; one commit may have more.
const MAX_COMMITS: i64 = 512;
const MAX_STRETCH_BYTES: i64 = 8 << 20;
