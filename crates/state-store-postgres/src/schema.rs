//! The tables, and every statement that reads or writes them.

use state_store::StoreId;
use tokio_postgres::Client;

use crate::error::{Failure, OpenError};

/// The statements, for one schema.
#[derive(Debug)]
pub(crate) struct Sql {
    schema: Box<str>,
    pub(crate) channel: String,
    pub(crate) begin: String,
    pub(crate) identity: String,
    pub(crate) get: String,
    pub(crate) head: String,
    pub(crate) scan: String,
    pub(crate) changes: String,
    pub(crate) batch: String,
    pub(crate) fence: String,
    pub(crate) outcomes: String,
    pub(crate) compact: String,
}

impl Sql {
    pub(crate) fn new(schema: &str) -> Self {
        let s = schema;
        Self {
            schema: s.into(),
            channel: format!("palisade_{s}"),
            // The row's lock is held until the transaction has ended: this is what orders all commits.
            begin: format!(
                "BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE; SELECT FROM {s}.head WHERE one FOR UPDATE"
            ),
            identity: format!("SELECT format, store, revision FROM {s}.head"),
            get: format!("SELECT value, revision FROM {s}.entries WHERE key = $1"),
            head: format!(
                "SELECT h.revision, EXISTS (SELECT FROM {s}.entries WHERE key >= $1 AND key < $2) \
                 FROM {s}.head h"
            ),
            scan: format!(
                "SELECT h.revision, e.key, e.value, e.revision, e.total FROM {s}.head h LEFT JOIN LATERAL ( \
                   SELECT key, value, revision, total FROM ( \
                     SELECT key, value, revision, row_number() OVER w AS n, count(*) OVER () AS total, \
                       coalesce(sum(octet_length(value)) OVER ( \
                         w ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING), 0) AS before \
                     FROM (SELECT key, value, revision FROM {s}.entries WHERE key >= $1 AND key < $2 \
                           ORDER BY key LIMIT $3) p WINDOW w AS (ORDER BY key) \
                   ) q WHERE n < $3 AND before < $4 ORDER BY key \
                 ) e ON true ORDER BY e.key"
            ),
            changes: format!(
                "WITH recent AS (SELECT revision, bytes, min(bytes) OVER () AS first FROM \
                   (SELECT revision, bytes FROM {s}.commits WHERE revision > $1 ORDER BY revision LIMIT $2) c), \
                 upto AS (SELECT max(revision) AS r FROM recent WHERE bytes <= first + $3) \
                 SELECT h.revision, f.floor, u.r, c.revision, c.key, c.value \
                 FROM {s}.head h CROSS JOIN {s}.history f CROSS JOIN upto u \
                 LEFT JOIN {s}.changes c ON c.revision > $1 AND c.revision <= u.r ORDER BY c.revision, c.key"
            ),
            // $1, $2: what is expected; $3, $4: what is put; $5: what is deleted; $6: the commit's id; $7: its
            // size; $8: whether it writes; $9: what its node had seen when it gave the id.
            batch: format!(
                "WITH bad AS (SELECT w.k FROM unnest($1::bytea[], $2::int8[]) AS w(k, r) \
                   LEFT JOIN {s}.entries e ON e.key = w.k \
                   WHERE coalesce(e.revision, -1) <> w.r ORDER BY w.k LIMIT 1), \
                 bumped AS (UPDATE {s}.head SET revision = revision + 1, bytes = bytes + $7 \
                   WHERE one AND $8 AND NOT EXISTS (SELECT FROM bad) \
                     AND (SELECT floor FROM {s}.history) <= $9 RETURNING revision, bytes), \
                 put AS (INSERT INTO {s}.entries (key, value, revision) \
                   SELECT w.k, w.v, b.revision FROM bumped b, unnest($3::bytea[], $4::bytea[]) AS w(k, v) \
                   ON CONFLICT (key) DO UPDATE SET value = excluded.value, revision = excluded.revision), \
                 gone AS (DELETE FROM {s}.entries e USING bumped WHERE e.key = ANY ($5::bytea[]) \
                   RETURNING e.key), \
                 told AS (INSERT INTO {s}.changes (revision, key, value) \
                   SELECT b.revision, w.k, w.v FROM bumped b, unnest($3::bytea[], $4::bytea[]) AS w(k, v) \
                   UNION ALL SELECT b.revision, gone.key, NULL FROM bumped b, gone), \
                 counted AS (INSERT INTO {s}.commits (revision, bytes) SELECT revision, bytes FROM bumped), \
                 noted AS (INSERT INTO {s}.outcomes (id, revision, seen) \
                   SELECT $6, coalesce((SELECT revision FROM bumped), 0), h.revision \
                   FROM {s}.head h WHERE $8) \
                 SELECT (SELECT revision FROM bumped), (SELECT k FROM bad), h.revision FROM {s}.head h"
            ),
            fence: format!(
                "INSERT INTO {s}.outcomes (id, revision, seen) SELECT $1, 0, h.revision FROM {s}.head h \
                 ON CONFLICT (id) DO NOTHING"
            ),
            outcomes: format!(
                "SELECT o.id, o.revision, f.floor FROM {s}.outcomes o CROSS JOIN {s}.history f \
                 WHERE o.id = ANY ($1::bytea[])"
            ),
            compact: format!(
                "WITH bound AS (SELECT greatest(h.revision - $1, coalesce((SELECT c.revision \
                   FROM {s}.commits c WHERE c.bytes <= h.bytes - $2 ORDER BY c.revision DESC LIMIT 1), 0)) AS r \
                   FROM {s}.head h), \
                 raised AS (UPDATE {s}.history SET floor = bound.r FROM bound WHERE one AND floor < bound.r \
                   RETURNING floor), \
                 old_changes AS (DELETE FROM {s}.changes c USING raised WHERE c.revision <= raised.floor), \
                 old_commits AS (DELETE FROM {s}.commits c USING raised WHERE c.revision <= raised.floor) \
                 DELETE FROM {s}.outcomes o USING raised WHERE o.seen < raised.floor"
            ),
        }
    }

    /// Makes what is missing. Nodes that start together take turns.
    pub(crate) async fn migrate(&self, client: &Client, new: StoreId) -> Result<(), Failure> {
        let s = &self.schema;
        let table = format!("{s}.head");
        let found = client.query_one("SELECT to_regclass($1::text) IS NOT NULL", &[&table]).await?;
        if found.try_get::<_, bool>(0)? {
            return Ok(());
        }
        let store = new.to_string();
        client
            .batch_execute(&format!(
                "BEGIN; SELECT pg_advisory_xact_lock(hashtextextended('palisade-state-store {s}', 0)); \
                 CREATE SCHEMA IF NOT EXISTS {s}; \
                 CREATE TABLE IF NOT EXISTS {s}.head (one boolean PRIMARY KEY CHECK (one), \
                   format bigint NOT NULL, store bytea NOT NULL, revision bigint NOT NULL, \
                   bytes bigint NOT NULL) WITH (fillfactor = 10); \
                 CREATE TABLE IF NOT EXISTS {s}.history (one boolean PRIMARY KEY CHECK (one), \
                   floor bigint NOT NULL); \
                 CREATE TABLE IF NOT EXISTS {s}.entries (key bytea PRIMARY KEY, value bytea NOT NULL, \
                   revision bigint NOT NULL); \
                 CREATE TABLE IF NOT EXISTS {s}.changes (revision bigint, key bytea, value bytea, \
                   PRIMARY KEY (revision, key)); \
                 CREATE TABLE IF NOT EXISTS {s}.commits (revision bigint PRIMARY KEY, bytes bigint NOT NULL); \
                 CREATE TABLE IF NOT EXISTS {s}.outcomes (id bytea PRIMARY KEY, revision bigint NOT NULL, \
                   seen bigint NOT NULL); \
                 ALTER TABLE {s}.entries ALTER value SET STORAGE EXTERNAL; \
                 ALTER TABLE {s}.changes ALTER value SET STORAGE EXTERNAL; \
                 INSERT INTO {s}.history VALUES (true, 0) ON CONFLICT DO NOTHING; \
                 INSERT INTO {s}.head VALUES (true, {FORMAT}, '\\x{store}', 0, 0) ON CONFLICT DO NOTHING; \
                 COMMIT"
            ))
            .await?;
        Ok(())
    }
}

/// Which store lies there, and how far it has come.
pub(crate) async fn identity(client: &Client, sql: &Sql) -> Result<(StoreId, u64), Failure> {
    let row = client.query_one(&sql.identity, &[]).await?;
    let found: i64 = row.try_get(0)?;
    if found != FORMAT {
        return Err(Failure::Foreign(OpenError::Version { found, known: FORMAT }));
    }
    let store: Vec<u8> = row.try_get(1)?;
    let store = store.try_into().map_err(|_| Failure::damaged("the store's id has another length"))?;
    Ok((StoreId::from_bytes(store), number(row.try_get(2)?)?))
}

/// A number that is never negative.
pub(crate) fn number(stored: i64) -> Result<u64, Failure> {
    u64::try_from(stored).map_err(|_| Failure::damaged("a revision is negative"))
}

const FORMAT: i64 = 1;
