//! What outlives the store's handles.

use crate::batch::Expect;
use crate::key::Prefix;
use crate::store::StateStore;
use crate::testing::case::{
    Broken, Case, Outcome, Site, all, cases, check, committed, conflict, deletes, get, given, head, holds,
    put, puts, same,
};
use crate::testing::follow::{Follower, Told};

pub(super) fn cases<S: StateStore>() -> Vec<Case<S>> {
    cases![
        an_empty_store_is_empty_when_reopened,
        what_was_committed_is_there_when_reopened,
        revisions_go_on_when_reopened,
        a_watch_from_before_reopening_tells_all_or_lags,
    ]
}

fn an_empty_store_is_empty_when_reopened<S: StateStore>(site: &mut Site<'_, S>) -> Outcome {
    let before = site.block_on_store(|store| async move { head(&store).await })?;
    site.reopen();
    let store = site.store();
    site.block_on(async {
        same("the revision", &head(&store).await?, &before)?;
        same("what is there", &all(&store, &Prefix::all(), 10).await?, &Vec::new())
    })
}

fn what_was_committed_is_there_when_reopened<S: StateStore>(site: &mut Site<'_, S>) -> Outcome {
    for round in 0..3_u32 {
        let text = round.to_string();
        let before = site.block_on_store(|store| async move {
            committed(&store, puts([("a", &text), ("b", &text), ("c", &text)])?).await?;
            put(&store, format!("d{text}"), "once").await?;
            put(&store, "a", "twice").await?;
            committed(&store, deletes(["c"])?).await?;
            all(&store, &Prefix::all(), 100).await
        })?;
        site.reopen();
        let after = site.block_on_store(|store| async move {
            check(get(&store, "c").await?.is_none(), || "a deleted key came back".into())?;
            all(&store, &Prefix::all(), 100).await
        })?;
        same("what is there", &after, &before)?;
    }
    Ok(())
}

fn revisions_go_on_when_reopened<S: StateStore>(site: &mut Site<'_, S>) -> Outcome {
    let (first, last) = site.block_on_store(|store| async move {
        let first = put(&store, "a", "1").await?;
        Ok((first, committed(&store, deletes(["b"])?).await?.max(put(&store, "b", "1").await?)))
    })?;
    site.reopen();
    site.block_on_store(|store| async move {
        same("the last revision", &head(&store).await?, &last)?;
        let next = put(&store, "c", "1").await?;
        check(next > last, || format!("revision {next} was given out after {last}"))?;
        conflict(&store, given(puts([("a", "2")])?, "a", Expect::Revision(next))?).await?;
        let batch = given(puts([("a", "2")])?, "a", Expect::Revision(first))?;
        let revision = committed(&store, batch).await?;
        holds(&store, "a", "2", revision).await
    })
}

fn a_watch_from_before_reopening_tells_all_or_lags<S: StateStore>(site: &mut Site<'_, S>) -> Outcome {
    let (start, before) = site.block_on_store(|store| async move {
        let start = head(&store).await?;
        let first = put(&store, "a", "1").await?;
        Ok((start, [first, put(&store, "a", "2").await?]))
    })?;
    site.reopen();
    let store = site.store();
    site.block_on(async {
        let [first, second] = before;
        let mut whole = Follower::start(&store, &Prefix::all(), start).await?;
        let mut part = Follower::start(&store, &Prefix::all(), first).await?;
        let mut current = Follower::start(&store, &Prefix::all(), second).await?;
        let third = put(&store, "a", "3").await?;
        let mut told = Vec::new();
        for (revision, text) in [(first, "1"), (second, "2"), (third, "3")] {
            told.push(Told::new(revision, [("a", Some(text))])?);
        }
        current.reach(third).await?;
        same("what a watch from the last revision told", &Some(current.told.as_slice()), &told.get(2..))?;
        for (follower, skipped) in [(&mut whole, 0), (&mut part, 1)] {
            follower.reach_or_lag(third).await?;
            let expected = told.get(skipped..).unwrap_or_default();
            check(expected.starts_with(&follower.told), || {
                format!("a watch from before told {:?}, expected {expected:?}", follower.told)
            })?;
            check(follower.lagged || follower.told.len() == expected.len(), || {
                "a watch from before left commits out and did not lag".into()
            })?;
        }
        Ok::<(), Broken>(())
    })
}
