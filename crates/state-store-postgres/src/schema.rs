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
    pub(crate) together: String,
    pub(crate) batch: String,
    pub(crate) begin_fence: String,
    pub(crate) fence: String,
    pub(crate) outcomes: String,
    pub(crate) raise_floor: String,
    pub(crate) forget: String,
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
                   (SELECT revision, bytes FROM {s}.changes WHERE revision > $1 AND bytes IS NOT NULL \
                    ORDER BY revision LIMIT $2) c), \
                 upto AS (SELECT max(revision) AS r FROM recent WHERE bytes <= first + $3) \
                 SELECT h.revision, h.floor, u.r, c.revision, c.key, c.value FROM {s}.head h CROSS JOIN upto u \
                 LEFT JOIN {s}.changes c ON c.revision > $1 AND c.revision <= u.r AND c.key IS NOT NULL \
                 ORDER BY c.revision, c.key"
            ),
            together: together(s),
            batch: batch(s),
            // Every commit that has read `head` before finds it changed.
            begin_fence: format!(
                "BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE; UPDATE {s}.head SET fences = fences + 1 WHERE one"
            ),
            // $1: ids; $2: what all of them had seen.
            fence: format!(
                "INSERT INTO {s}.fences (id, seen) SELECT i.id, h.revision FROM {s}.head h, unnest($1::bytea[]) i(id) \
                 WHERE i.id NOT IN (SELECT id FROM {s}.changes WHERE revision > $2 AND id = ANY ($1)) \
                 ON CONFLICT (id) DO NOTHING"
            ),
            outcomes: format!(
                "SELECT h.floor, c.id, c.revision FROM {s}.head h \
                 LEFT JOIN {s}.changes c ON c.revision > $2 AND c.id = ANY ($1::bytea[])"
            ),
            raise_floor: format!(
                "WITH bound AS (SELECT greatest(h.revision - $1, CASE \
                     WHEN h.bytes - (SELECT bytes FROM {s}.changes WHERE bytes IS NOT NULL ORDER BY revision LIMIT 1) > $2 \
                     THEN (SELECT c.revision FROM {s}.changes c WHERE c.bytes <= h.bytes - $2 \
                       ORDER BY c.revision DESC LIMIT 1) END) AS r FROM {s}.head h) \
                 UPDATE {s}.head SET floor = bound.r FROM bound WHERE one AND floor < bound.r"
            ),
            forget: format!(
                "WITH fences AS (DELETE FROM {s}.fences f USING {s}.head h WHERE f.seen < h.floor) \
                 DELETE FROM {s}.changes c USING {s}.head h WHERE c.revision <= h.floor"
            ),
        }
    }

    /// Makes what is missing, and renews what an earlier version made. Nodes that start together take turns.
    pub(crate) async fn migrate(&self, client: &Client, new: StoreId) -> Result<(), Failure> {
        let s = &self.schema;
        let table = format!("{s}.head");
        let found = client.query_one("SELECT to_regclass($1::text) IS NOT NULL", &[&table]).await?;
        if found.try_get::<_, bool>(0)? {
            let format = client.query_one(&format!("SELECT format FROM {s}.head"), &[]).await?;
            if format.try_get::<_, i64>(0)? != FIRST_FORMAT {
                return Ok(());
            }
            return Ok(client.batch_execute(&format!("BEGIN; {} {}; COMMIT", turn(s), renewal(s))).await?);
        }
        let store = new.to_string();
        let tables = tables(s);
        client
            .batch_execute(&format!(
                "BEGIN; {} CREATE SCHEMA IF NOT EXISTS {s}; \
                 CREATE TABLE IF NOT EXISTS {s}.head (one boolean PRIMARY KEY CHECK (one), \
                   format bigint NOT NULL, store bytea NOT NULL, revision bigint NOT NULL, \
                   bytes bigint NOT NULL, floor bigint NOT NULL, fences bigint NOT NULL) WITH (fillfactor = 10); \
                 CREATE TABLE IF NOT EXISTS {s}.entries (key bytea PRIMARY KEY, value bytea NOT NULL, \
                   revision bigint NOT NULL); \
                 ALTER TABLE {s}.entries ALTER value SET STORAGE EXTERNAL; {tables}; \
                 INSERT INTO {s}.head VALUES (true, {FORMAT}, '\\x{store}', 0, 0, 0, 0) ON CONFLICT DO NOTHING; \
                 COMMIT",
                turn(s)
            ))
            .await?;
        Ok(())
    }
}

/// The commits of a group, whole or not at all, in one statement, which is a transaction of its own.
///
/// `h` is the newest version of the head, locked; the subquery reads the version that this statement sees. Where they
/// are the same, nothing was committed in between, and so whatever else the statement sees is the newest, too.
///
/// $1: ids; $2: how many commits; $3: their size; $4: what all of their ids had seen; $5, $6: what is expected; $7 to
/// $9: commit, key and value of each put; $10, $11: at the first of each commit, its id and the size up to it.
fn together(s: &str) -> String {
    format!(
        "WITH bumped AS (UPDATE {s}.head h SET revision = h.revision + $2, bytes = h.bytes + $3 \
           WHERE h.one AND (h.revision, h.fences) = (SELECT revision, fences FROM {s}.head) AND h.floor <= $4 \
             AND NOT EXISTS (SELECT FROM (SELECT unnest($5::bytea[]) AS k, unnest($6::int8[]) AS r) w \
               WHERE w.r <> coalesce((SELECT e.revision FROM {s}.entries e WHERE e.key = w.k), -1)) \
             AND (h.fences = 0 OR NOT EXISTS (SELECT FROM {s}.fences WHERE id = ANY ($1::bytea[]))) \
           RETURNING h.revision - $2 AS revision, h.bytes - $3 AS bytes), \
         put AS (INSERT INTO {s}.entries (revision, key, value) \
           SELECT revision + unnest($7::int8[]), unnest($8::bytea[]), unnest($9::bytea[]) FROM bumped \
           ON CONFLICT (key) DO UPDATE SET value = excluded.value, revision = excluded.revision), \
         told AS (INSERT INTO {s}.changes (revision, key, value, id, bytes) \
           SELECT revision + unnest($7), unnest($8), unnest($9), unnest($10::bytea[]), bytes + unnest($11::int8[]) \
           FROM bumped) \
         SELECT revision FROM bumped"
    )
}

/// One batch, in a transaction that has the lock on the head, and so sees what is newest (without the lock it writes
/// nothing where that is not so, as above).
///
/// $1, $2: what is expected; $3, $4: what is put; $5: what is deleted; $6: the commit's id; $7: its size; $8:
/// whether it writes; $9: what its id had seen; $10: whether somebody else may have used the id.
fn batch(s: &str) -> String {
    format!(
        "WITH bad AS (SELECT w.k FROM unnest($1::bytea[], $2::int8[]) AS w(k, r) \
           LEFT JOIN {s}.entries e ON e.key = w.k \
           WHERE coalesce(e.revision, -1) <> w.r ORDER BY w.k LIMIT 1), \
         bumped AS (UPDATE {s}.head h SET revision = h.revision + 1, bytes = h.bytes + $7 \
           WHERE h.one AND $8 AND (h.revision, h.fences) = (SELECT revision, fences FROM {s}.head) \
             AND h.floor <= $9 AND NOT EXISTS (SELECT FROM bad) \
             AND NOT EXISTS (SELECT FROM {s}.fences WHERE id = $6) \
             AND NOT ($10 AND EXISTS (SELECT FROM {s}.changes WHERE revision > $9 AND id = $6)) \
           RETURNING h.revision, h.bytes), \
         put AS (INSERT INTO {s}.entries (key, value, revision) \
           SELECT w.k, w.v, b.revision FROM bumped b, unnest($3::bytea[], $4::bytea[]) AS w(k, v) \
           ON CONFLICT (key) DO UPDATE SET value = excluded.value, revision = excluded.revision), \
         gone AS (DELETE FROM {s}.entries e USING bumped WHERE e.key = ANY ($5::bytea[]) RETURNING e.key), \
         told AS (INSERT INTO {s}.changes (revision, key, value, id, bytes) \
           SELECT b.revision, NULL::bytea, NULL::bytea, $6, b.bytes FROM bumped b \
           UNION ALL SELECT b.revision, w.k, w.v, NULL, NULL \
             FROM bumped b, unnest($3::bytea[], $4::bytea[]) AS w(k, v) \
           UNION ALL SELECT b.revision, gone.key, NULL, NULL, NULL FROM bumped b, gone) \
         SELECT (SELECT revision FROM bumped), (SELECT k FROM bad), h.revision FROM {s}.head h"
    )
}

/// Waits until no other node makes tables.
fn turn(s: &str) -> String {
    format!("SELECT pg_advisory_xact_lock(hashtextextended('palisade-state-store {s}', 0));")
}

/// The history, each commit's rows with its revision: of a put, its key and value; of a deletion, its key; and in one
/// of them, or in one without a key, its id, and the size of all history up to it. And the ids of commits that were
/// given up, each with the revision at that time.
fn tables(s: &str) -> String {
    format!(
        "CREATE TABLE IF NOT EXISTS {s}.changes (revision bigint NOT NULL, key bytea, value bytea, id bytea, \
           bytes bigint); \
         CREATE INDEX IF NOT EXISTS changes_by_revision ON {s}.changes (revision); \
         CREATE TABLE IF NOT EXISTS {s}.fences (id bytea PRIMARY KEY, seen bigint NOT NULL); \
         ALTER TABLE {s}.changes ALTER value SET STORAGE EXTERNAL"
    )
}

/// From format 1, which had its history in other tables: it begins anew, and watchers are told that they lagged.
fn renewal(s: &str) -> String {
    let tables = tables(s);
    format!(
        "LOCK TABLE {s}.head; \
         DO $$ BEGIN IF (SELECT format FROM {s}.head) = {FIRST_FORMAT} THEN \
           DROP TABLE {s}.history, {s}.changes, {s}.commits, {s}.outcomes; \
           ALTER TABLE {s}.head ADD floor bigint NOT NULL DEFAULT 0, ADD fences bigint NOT NULL DEFAULT 0; \
           {tables}; \
           UPDATE {s}.head SET floor = revision, format = {FORMAT}; \
         END IF; END $$"
    )
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

const FORMAT: i64 = 2;
const FIRST_FORMAT: i64 = 1;
