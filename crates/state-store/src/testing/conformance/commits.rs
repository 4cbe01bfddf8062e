//! Commits and their preconditions, one at a time.

use crate::batch::{Batch, Expect, Write};
use crate::key::Prefix;
use crate::store::{Commit, Revision, StateStore};
use crate::testing::case::{
    Broken, Case, Outcome, Site, all, cases, check, committed, conflict, deletes, get, given, head, holds,
    key, put, puts, same,
};

pub(super) fn cases<S: StateStore>() -> Vec<Case<S>> {
    cases![
        a_new_store_is_empty,
        a_commit_is_seen_by_the_next_read,
        a_batch_is_written_whole_or_not_at_all,
        absent_holds_only_where_nothing_is,
        a_revision_holds_only_where_exactly_it_is,
        preconditions_are_decided_on_what_was_there_before,
        the_first_conflict_in_key_order_is_told,
        a_conflict_uses_up_no_revision,
        a_batch_without_writes_only_checks,
        deleting_what_is_not_there_is_no_error,
        revisions_strictly_increase,
        the_same_value_written_again_is_a_new_commit,
        a_key_written_again_after_its_end_is_another_one,
        keys_are_bytes,
    ]
}

fn a_new_store_is_empty<S: StateStore>(site: &mut Site<'_, S>) -> Outcome {
    let store = site.store();
    site.block_on(async {
        check(get(&store, "a").await?.is_none(), || "a key of a new store holds something".into())?;
        let page = store.scan(&Prefix::all(), None, 10).await?;
        check(page.entries.is_empty() && !page.more, || "a scan of a new store shows something".into())
    })
}

fn a_commit_is_seen_by_the_next_read<S: StateStore>(site: &mut Site<'_, S>) -> Outcome {
    let store = site.store();
    let other = site.store();
    site.block_on(async {
        for round in 0..20_u8 {
            let revision = committed(&store, puts([("a", [round]), ("b", [round])])?).await?;
            holds(&store, "a", [round], revision).await?;
            holds(&other, "b", [round], revision).await?;
            let page = other.scan(&Prefix::all(), None, 10).await?;
            same("the revision of a page", &page.revision, &revision)?;
            same("how many entries", &page.entries.len(), &2)?;
            check(page.entries.iter().all(|entry| entry.revision == revision), || {
                "the writes of one commit have different revisions".into()
            })?;
        }
        Ok(())
    })
}

fn a_batch_is_written_whole_or_not_at_all<S: StateStore>(site: &mut Site<'_, S>) -> Outcome {
    let store = site.store();
    site.block_on(async {
        let first = committed(&store, puts([("a", "1"), ("m", "1"), ("z", "1")])?).await?;
        let before = all(&store, &Prefix::all(), 100).await?;
        // The failing precondition before, between and after the keys that are written.
        for failing in ["A", "k", "zz"] {
            let mut batch = puts([("a", "2"), ("n", "2")])?;
            batch.append(deletes(["m", "z"])?)?;
            let batch = given(batch, failing, Expect::Revision(first))?;
            same("the conflict", &conflict(&store, batch).await?, &key(failing)?)?;
            let after = all(&store, &Prefix::all(), 100).await?;
            same("what is there after a conflict", &after, &before)?;
        }
        let mut batch = puts([("a", "2"), ("n", "2")])?;
        batch.append(deletes(["m", "z"])?)?;
        let second = committed(&store, batch).await?;
        holds(&store, "a", "2", second).await?;
        holds(&store, "n", "2", second).await?;
        let after = all(&store, &Prefix::all(), 100).await?;
        same("how many keys are left", &after.len(), &2)
    })
}

fn absent_holds_only_where_nothing_is<S: StateStore>(site: &mut Site<'_, S>) -> Outcome {
    let store = site.store();
    site.block_on(async {
        let create = |bytes: &str| given(puts([("a", bytes)])?, "a", Expect::Absent);
        let first = committed(&store, create("1")?).await?;
        same("the conflict", &conflict(&store, create("2")?).await?, &key("a")?)?;
        holds(&store, "a", "1", first).await?;
        committed(&store, deletes(["a"])?).await?;
        let second = committed(&store, create("3")?).await?;
        holds(&store, "a", "3", second).await?;
        // An empty value is something.
        put(&store, "a", "").await?;
        conflict(&store, create("4")?).await.map(drop)
    })
}

fn a_revision_holds_only_where_exactly_it_is<S: StateStore>(site: &mut Site<'_, S>) -> Outcome {
    let store = site.store();
    site.block_on(async {
        let empty = head(&store).await?;
        let first = put(&store, "a", "1").await?;
        let second = put(&store, "a", "2").await?;
        let later = put(&store, "b", "1").await?;
        let future = later.next().ok_or_else(|| Broken::new("the revisions are used up"))?;
        for wrong in [Revision::ZERO, empty, first, later, future, Revision::new(u64::MAX)] {
            let batch = given(puts([("a", "3")])?, "a", Expect::Revision(wrong))?;
            same("the conflict", &conflict(&store, batch).await?, &key("a")?)?;
        }
        holds(&store, "a", "2", second).await?;
        for any in [Revision::ZERO, empty, first, second, later] {
            let batch = given(puts([("c", "1")])?, "c", Expect::Revision(any))?;
            conflict(&store, batch).await?;
        }
        let batch = given(puts([("a", "3")])?, "a", Expect::Revision(second))?;
        let third = committed(&store, batch).await?;
        holds(&store, "a", "3", third).await?;
        let batch = given(deletes(["a"])?, "a", Expect::Revision(second))?;
        conflict(&store, batch).await?;
        let batch = given(deletes(["a"])?, "a", Expect::Revision(third))?;
        committed(&store, batch).await?;
        check(get(&store, "a").await?.is_none(), || "a deleted key holds something".into())
    })
}

fn preconditions_are_decided_on_what_was_there_before<S: StateStore>(site: &mut Site<'_, S>) -> Outcome {
    let store = site.store();
    site.block_on(async {
        let first = put(&store, "a", "1").await?;
        // What the batch itself is about to write does not count, neither as something nor by its revision.
        let next = first.next().ok_or_else(|| Broken::new("the revisions are used up"))?;
        let batch = given(puts([("b", "1")])?, "b", Expect::Revision(next))?;
        conflict(&store, batch).await?;
        let batch = given(deletes(["a"])?, "a", Expect::Absent)?;
        conflict(&store, batch).await?;
        // A precondition on a key that is only looked at.
        let batch = given(puts([("b", "1")])?, "a", Expect::Revision(first))?;
        let second = committed(&store, batch).await?;
        let batch = given(puts([("b", "2")])?, "c", Expect::Absent)?;
        let batch = given(batch, "b", Expect::Revision(second))?;
        let third = committed(&store, batch).await?;
        holds(&store, "b", "2", third).await?;
        check(get(&store, "c").await?.is_none(), || "a key that was only looked at holds something".into())?;
        holds(&store, "a", "1", first).await
    })
}

fn the_first_conflict_in_key_order_is_told<S: StateStore>(site: &mut Site<'_, S>) -> Outcome {
    let store = site.store();
    site.block_on(async {
        let revision = committed(&store, puts([("b", "1"), ("d", "1"), ("e", "1")])?).await?;
        let mut batch = puts([("x", "1")])?;
        for name in ["e", "d"] {
            batch.require(key(name)?, Expect::Absent)?;
        }
        for name in ["c", "f"] {
            batch.require(key(name)?, Expect::Revision(revision))?;
        }
        batch.require(key("b")?, Expect::Revision(revision))?;
        batch.require(key("a")?, Expect::Absent)?;
        same("the conflict", &conflict(&store, batch).await?, &key("c")?)?;
        let mut batch = Batch::new();
        for name in ["\u{e9}", "e", "z"] {
            batch.require(key(name)?, Expect::Revision(Revision::ZERO))?;
        }
        same("the conflict", &conflict(&store, batch).await?, &key("e")?)
    })
}

fn a_conflict_uses_up_no_revision<S: StateStore>(site: &mut Site<'_, S>) -> Outcome {
    let store = site.store();
    site.block_on(async {
        let first = put(&store, "a", "1").await?;
        for _ in 0..3 {
            conflict(&store, given(puts([("a", "2")])?, "a", Expect::Absent)?).await?;
            same("the revision after a conflict", &head(&store).await?, &first)?;
        }
        let second = put(&store, "a", "2").await?;
        check(second > first, || format!("revision {second} was given out after {first}"))
    })
}

fn a_batch_without_writes_only_checks<S: StateStore>(site: &mut Site<'_, S>) -> Outcome {
    let store = site.store();
    site.block_on(async {
        let empty = head(&store).await?;
        same("what an empty batch says", &store.commit(Batch::new()).await?, &Commit::Committed(empty))?;
        let first = put(&store, "a", "1").await?;
        let last = put(&store, "b", "1").await?;
        let good = given(given(Batch::new(), "a", Expect::Revision(first))?, "c", Expect::Absent)?;
        let bad = given(good.clone(), "b", Expect::Revision(first))?;
        same("what a check that holds says", &store.commit(good).await?, &Commit::Committed(last))?;
        same("what a check that fails says", &store.commit(bad).await?, &Commit::Conflict(key("b")?))?;
        same("the revision after two checks", &head(&store).await?, &last)
    })
}

fn deleting_what_is_not_there_is_no_error<S: StateStore>(site: &mut Site<'_, S>) -> Outcome {
    let store = site.store();
    site.block_on(async {
        let first = put(&store, "b", "1").await?;
        let second = committed(&store, deletes(["a", "c"])?).await?;
        check(second >= first, || format!("revision {second} was given out after {first}"))?;
        same("the revision after deleting nothing", &head(&store).await?, &second)?;
        holds(&store, "b", "1", first).await?;
        let mut batch = deletes(["a", "b"])?;
        batch.append(puts([("c", "1")])?)?;
        let third = committed(&store, batch).await?;
        check(third > second, || format!("revision {third} was given out after {second}"))?;
        check(get(&store, "b").await?.is_none(), || "a deleted key holds something".into())?;
        holds(&store, "c", "1", third).await
    })
}

fn revisions_strictly_increase<S: StateStore>(site: &mut Site<'_, S>) -> Outcome {
    let handles = [site.store(), site.store()];
    site.block_on(async {
        let [one, other] = &handles;
        let mut last = head(one).await?;
        for round in 0..40_u32 {
            let store = if round % 3 == 0 { one } else { other };
            let name = if round % 2 == 0 { "a" } else { "b" };
            let batch = if round % 5 == 4 { deletes([name])? } else { puts([(name, round.to_be_bytes())])? };
            let revision = committed(store, batch).await?;
            check(revision > last, || format!("revision {revision} was given out after {last}"))?;
            same("the last revision, after a commit", &head(one).await?, &revision)?;
            last = revision;
        }
        Ok(())
    })
}

fn the_same_value_written_again_is_a_new_commit<S: StateStore>(site: &mut Site<'_, S>) -> Outcome {
    let store = site.store();
    site.block_on(async {
        let first = put(&store, "a", "1").await?;
        let second = put(&store, "a", "1").await?;
        check(second > first, || format!("revision {second} was given out after {first}"))?;
        holds(&store, "a", "1", second).await?;
        conflict(&store, given(deletes(["a"])?, "a", Expect::Revision(first))?).await.map(drop)
    })
}

fn a_key_written_again_after_its_end_is_another_one<S: StateStore>(site: &mut Site<'_, S>) -> Outcome {
    let store = site.store();
    site.block_on(async {
        let first = put(&store, "a", "1").await?;
        committed(&store, deletes(["a"])?).await?;
        conflict(&store, given(puts([("a", "2")])?, "a", Expect::Revision(first))?).await?;
        let second = put(&store, "a", "1").await?;
        conflict(&store, given(puts([("a", "2")])?, "a", Expect::Revision(first))?).await?;
        holds(&store, "a", "1", second).await
    })
}

fn keys_are_bytes<S: StateStore>(site: &mut Site<'_, S>) -> Outcome {
    let store = site.store();
    site.block_on(async {
        let mut names: Vec<&[u8]> = vec![
            b"\0",
            b"\0\0",
            b"\x01",
            b"A",
            b"a",
            b"a\0",
            b"a ",
            b"a%",
            b"a/",
            b"a_",
            b"aa",
            b"\\",
            b"'",
            b"*",
            "\u{e9}".as_bytes(),
            "e\u{301}".as_bytes(),
            b"\x7f",
            b"\x80",
            b"\xc3",
            b"\xff",
            b"\xff\xff",
        ];
        for (number, name) in names.iter().enumerate() {
            let mut batch = Batch::new();
            batch.require(key(name)?, Expect::Absent)?;
            batch.write(key(name)?, Write::Put(crate::key::Value::new(number.to_be_bytes())?))?;
            committed(&store, batch).await?;
        }
        for (number, name) in names.iter().enumerate() {
            let found = get(&store, name).await?.map(|entry| entry.value.as_bytes().to_vec());
            same("what a key holds", &found, &Some(number.to_be_bytes().to_vec()))?;
        }
        committed(&store, deletes([b"a"])?).await?;
        names.retain(|name| *name != b"a");
        names.sort_unstable();
        let found = all(&store, &Prefix::all(), 4).await?;
        let found: Vec<&[u8]> = found.iter().map(|entry| entry.key.as_bytes()).collect();
        same("the keys, in order", &found, &names)
    })
}
