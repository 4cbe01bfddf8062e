//! Reads, each one statement and so of one instant.

use std::sync::Arc;

use state_store::{Entry, Key, MAX_PAGE_BYTES, MAX_PAGE_ENTRIES, Page, Prefix, Revision, Value};
use tokio_postgres::Row;

use crate::error::Failure;
use crate::schema::number;
use crate::session::Session;

/// What `key` holds.
pub(crate) async fn get(session: Arc<Session>, key: Key) -> Result<Option<Entry>, Failure> {
    let Some(row) = session.client.query_opt(&session.get, &[&key.as_bytes()]).await? else {
        return Ok(None);
    };
    let revision = Revision::new(number(row.try_get(1)?)?);
    Ok(Some(Entry { key, value: value(row.try_get(0)?)?, revision }))
}

/// The entries from `first` on and before `end`, in the bounds of a page.
pub(crate) async fn scan(
    session: Arc<Session>,
    first: Vec<u8>,
    end: Vec<u8>,
    limit: usize,
) -> Result<Page, Failure> {
    if limit == 0 {
        let row = session.client.query_one(&session.head, &[&first, &end]).await?;
        let revision = Revision::new(number(row.try_get(0)?)?);
        return Ok(Page { entries: Vec::new(), revision, more: row.try_get(1)? });
    }
    // One more than asked for tells whether there are more.
    let limit = limit.min(MAX_PAGE_ENTRIES).saturating_add(1);
    let limit = i64::try_from(limit).map_err(|_| Failure::damaged("a page's bound is no number"))?;
    let bytes = i64::try_from(MAX_PAGE_BYTES).map_err(|_| Failure::damaged("a page's bound is no number"))?;
    let rows = session.client.query(&session.scan, &[&first, &end, &limit, &bytes]).await?;
    let Some(head) = rows.first() else { return Err(Failure::damaged("the store's head is gone")) };
    let revision = Revision::new(number(head.try_get(0)?)?);
    let total: u64 = head.try_get::<_, Option<i64>>(4)?.map_or(Ok(0), number)?;
    let mut entries = Vec::with_capacity(rows.len());
    for row in &rows {
        entries.extend(entry(row)?);
    }
    let more = u64::try_from(entries.len()).is_ok_and(|count| count < total);
    Ok(Page { entries, revision, more })
}

fn entry(row: &Row) -> Result<Option<Entry>, Failure> {
    // Without entries there is one row, of the head alone.
    let Some(bytes) = row.try_get::<_, Option<&[u8]>>(1)? else { return Ok(None) };
    let revision = Revision::new(number(row.try_get(3)?)?);
    Ok(Some(Entry { key: key(bytes)?, value: value(row.try_get(2)?)?, revision }))
}

pub(crate) fn key(bytes: &[u8]) -> Result<Key, Failure> {
    Key::new(bytes).map_err(|error| Failure::damaged(format!("a stored key is none: {error}")))
}

pub(crate) fn value(bytes: &[u8]) -> Result<Value, Failure> {
    Value::new(bytes).map_err(|error| Failure::damaged(format!("a stored value is none: {error}")))
}

/// The first key of a scan, and the first after its last.
pub(crate) fn range(prefix: &Prefix, after: Option<&Key>) -> (Vec<u8>, Vec<u8>) {
    let first = match after {
        Some(after) if after.as_bytes() >= prefix.as_bytes() => [after.as_bytes(), &[0]].concat(),
        _ => prefix.as_bytes().to_vec(),
    };
    let mut end = prefix.as_bytes().to_vec();
    while let Some(last) = end.pop() {
        if let Some(next) = last.checked_add(1) {
            end.push(next);
            return (first, end);
        }
    }
    // No key is as long, so all are before it.
    (first, vec![0xff; state_store::MAX_KEY_BYTES.saturating_add(1)])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_ends_where_the_prefix_does() {
        let range_of = |prefix: &[u8], after: Option<&str>| {
            range(&Prefix::new(prefix).unwrap(), after.map(|key| Key::new(key).unwrap()).as_ref())
        };
        assert_eq!(range_of(b"a/", None), (b"a/".to_vec(), b"a0".to_vec()));
        assert_eq!(range_of(b"a\xff", None).1, b"b".to_vec());
        assert_eq!(range_of(b"\xff\xff", None).1.len(), state_store::MAX_KEY_BYTES + 1);
        assert_eq!(range_of(b"b", Some("a")).0, b"b".to_vec());
        assert_eq!(range_of(b"b", Some("ba")).0, b"ba\0".to_vec());
    }
}
