//! Reads: all linearizable, each page of one instant.

use state_store::{Entry, Key, MAX_PAGE_BYTES, MAX_PAGE_ENTRIES, Page, Prefix, Revision, Value};

use crate::client::{Client, RANGE, TXN, number};
use crate::error::Failure;
use crate::proto::{
    KeyValue, Operation, RangeRequest, RangeResponse, Request, Response, TxnRequest, TxnResponse,
};

/// The last commit's revision, and the cluster's.
pub(crate) async fn head(client: &Client) -> Result<(u64, u64), Failure> {
    let before = client.seen();
    let question = RangeRequest { key: client.layout.head(), ..RangeRequest::default() };
    let found: RangeResponse = client.ask(RANGE, question).await?;
    let cluster = client.check(found.header.as_ref())?;
    Ok((note_head(client, &found, before)?, cluster))
}

pub(crate) async fn get(client: &Client, key: Key) -> Result<Option<Entry>, Failure> {
    let question = RangeRequest { key: client.layout.entry(&key), ..RangeRequest::default() };
    let found: RangeResponse = client.ask(RANGE, question).await?;
    client.check(found.header.as_ref())?;
    found.kvs.into_iter().next().map(|kv| entry(key, kv)).transpose()
}

pub(crate) async fn page(
    client: &Client,
    prefix: &Prefix,
    after: Option<&Key>,
    limit: usize,
) -> Result<Page, Failure> {
    // What is read at an instant may be compacted before the page is whole.
    for _ in 0..MAX_ATTEMPTS {
        match try_page(client, prefix, after, limit.min(MAX_PAGE_ENTRIES)).await {
            Err(Failure::Compacted) => {}
            page => return page,
        }
    }
    Err(Failure::Lost("compactions come faster than a page can be read".into()))
}

async fn try_page(
    client: &Client,
    prefix: &Prefix,
    after: Option<&Key>,
    limit: usize,
) -> Result<Page, Failure> {
    let before = client.seen();
    let (first, end) = client.layout.range(prefix, after);
    if first >= end {
        let (head, _) = head(client).await?;
        return Ok(Page { entries: Vec::new(), revision: Revision::new(head), more: false });
    }
    let mut range = RangeRequest {
        key: first,
        range_end: end,
        limit: i64::try_from(limit.clamp(1, FIRST_CHUNK)).unwrap_or(1),
        keys_only: limit == 0,
        ..RangeRequest::default()
    };
    let head = RangeRequest { key: client.layout.head(), ..RangeRequest::default() };
    let both = [Request::Range(head), Request::Range(range.clone())];
    let question =
        TxnRequest { success: both.into_iter().map(Operation::from).collect(), ..TxnRequest::default() };
    let answer: TxnResponse = client.ask(TXN, question).await?;
    let instant = client.check(answer.header.as_ref())?;
    let mut parts = answer.responses.into_iter().map(|part| part.response);
    let (Some(Some(Response::Range(head))), Some(Some(Response::Range(mut found)))) =
        (parts.next(), parts.next())
    else {
        return Err(Failure::Damaged("two questions have not two answers".into()));
    };
    let revision = Revision::new(note_head(client, &head, before)?);
    if limit == 0 {
        return Ok(Page { entries: Vec::new(), revision, more: !found.kvs.is_empty() });
    }
    let mut entries = Vec::new();
    let mut bytes = 0_usize;
    loop {
        let more = found.more;
        let mut last = None;
        for kv in found.kvs {
            if entries.len() >= limit || bytes >= MAX_PAGE_BYTES {
                return Ok(Page { entries, revision, more: true });
            }
            bytes = bytes.saturating_add(kv.value.len());
            let key = client.layout.key(&kv.key)?;
            let key = key.ok_or_else(|| Failure::Damaged("something else lies among the entries".into()))?;
            last = Some(kv.key.clone());
            entries.push(entry(key, kv)?);
        }
        let Some(last) = last.filter(|_| more && entries.len() < limit && bytes < MAX_PAGE_BYTES) else {
            return Ok(Page { entries, revision, more });
        };
        // As many as are likely to fill the page.
        let average = bytes.checked_div(entries.len()).unwrap_or(1).max(1);
        let wanted = MAX_PAGE_BYTES.saturating_sub(bytes).checked_div(average).unwrap_or(1);
        let wanted = wanted.clamp(1, limit.saturating_sub(entries.len()));
        range.key = [last.as_slice(), &[0]].concat();
        range.limit = i64::try_from(wanted).unwrap_or(1);
        range.revision = i64::try_from(instant).unwrap_or(0);
        found = client.ask(RANGE, range.clone()).await?;
    }
}

/// `before` is what was seen before the question was asked.
fn note_head(client: &Client, found: &RangeResponse, before: u64) -> Result<u64, Failure> {
    let head = found.kvs.first().map_or(Ok(0), |head| number(head.mod_revision))?;
    if head < before {
        return Err(Failure::Damaged(format!("the store went back from revision {before} to {head}").into()));
    }
    client.saw(head);
    Ok(head)
}

fn entry(key: Key, kv: KeyValue) -> Result<Entry, Failure> {
    let revision = Revision::new(number(kv.mod_revision)?);
    Ok(Entry { key, value: value(kv.value)?, revision })
}

pub(crate) fn value(bytes: Vec<u8>) -> Result<Value, Failure> {
    Value::new(bytes).map_err(|error| Failure::Damaged(format!("a stored value: {error}").into()))
}

/// A page of the largest values is no larger than that of a few of them, and one of small ones takes two questions.
const FIRST_CHUNK: usize = 64;
const MAX_ATTEMPTS: u32 = 8;
