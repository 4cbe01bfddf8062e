//! What became of commits whose answers were lost.

use std::collections::HashMap;

use state_store::Revision;

use crate::error::Failure;
use crate::outcome::{CommitId, Outcome};
use crate::schema::{Sql, number};
use crate::session::Session;

/// Sees to it that none of these commits takes effect from now on, and says which of them have.
///
/// The ids that are not in the history are written down as those of commits that were given up. Either a commit was
/// before, and its id is found; or it comes later, wherever its messages still are, and finds its id here: both lock
/// the head first, and a commit that was begun before this is over finds the head changed.
///
/// A session whose answer is an error may be in the midst of a transaction, and is of no more use.
pub(crate) async fn settle(session: &Session, sql: &Sql, ids: &[CommitId]) -> Result<Vec<Outcome>, Failure> {
    let Some(first_seen) = ids.iter().map(CommitId::seen).min() else { return Ok(Vec::new()) };
    let first_seen = i64::try_from(first_seen).unwrap_or(i64::MAX);
    let wanted: Vec<&[u8]> = ids.iter().map(|id| id.as_bytes().as_slice()).collect();
    let client = &session.client;
    client.batch_execute(&sql.begin_fence).await?;
    client.execute(&sql.fence, &[&wanted, &first_seen]).await?;
    client.batch_execute("COMMIT").await?;

    let mut found = HashMap::new();
    let mut floor = 0;
    for row in client.query(&sql.outcomes, &[&wanted, &first_seen]).await? {
        floor = number(row.try_get(0)?)?;
        if let (Some(id), Some(revision)) = (row.try_get::<_, Option<Vec<u8>>>(1)?, row.try_get(2)?) {
            found.insert(id, Revision::new(number(revision)?));
        }
    }
    let outcome = |id: &CommitId| match found.get(id.as_bytes().as_slice()) {
        Some(&revision) => Outcome::Committed(revision),
        // The history may have lost it, and the fences, too.
        None if id.seen() < floor => Outcome::Forgotten,
        None => Outcome::NothingWritten,
    };
    Ok(ids.iter().map(outcome).collect())
}
