//! Watches, with commits and events one after another.

use crate::batch::{Batch, Expect};
use crate::key::Prefix;
use crate::store::{Revision, StateStore};
use crate::testing::case::{
    Broken, Case, Outcome, Site, cases, check, committed, conflict, deletes, given, head, prefix, put, puts,
    same,
};
use crate::testing::follow::{Follower, Told};

pub(super) fn cases<S: StateStore>() -> Vec<Case<S>> {
    cases![
        a_watch_tells_every_change_once_and_in_order,
        a_watch_begins_after_its_revision,
        a_watch_from_the_past_tells_all_or_lags,
        a_watch_from_the_future_lags,
        a_watch_tells_its_prefix_alone,
        a_watch_makes_progress_past_commits_elsewhere,
        what_changes_nothing_is_not_told,
        a_wait_given_up_loses_nothing,
        watches_do_not_disturb_each_other,
    ]
}

fn a_watch_tells_every_change_once_and_in_order<S: StateStore>(site: &mut Site<'_, S>) -> Outcome {
    let store = site.store();
    site.block_on(async {
        put(&store, "old", "1").await?;
        let start = head(&store).await?;
        let mut follower = Follower::start(&store, &Prefix::all(), start).await?;
        let mut expected = Vec::new();
        for round in 0..10_u32 {
            let text = round.to_string();
            let revision = committed(&store, puts([("b", &text), ("a", &text), ("c", &text)])?).await?;
            expected.push(Told::new(revision, ["a", "b", "c"].map(|name| (name, Some(text.as_str()))))?);
            let mut batch = deletes(["b"])?;
            batch.append(puts([("d", &text)])?)?;
            let revision = committed(&store, batch).await?;
            expected.push(Told::new(revision, [("b", None), ("d", Some(text.as_str()))])?);
            // Now and then the watch falls behind a little.
            if round % 3 == 0 {
                follower.reach(revision).await?;
            }
        }
        let end = put(&store, "end", "1").await?;
        expected.push(Told::new(end, [("end", Some("1"))])?);
        follower.reach(end).await?;
        same("what a watch told", &follower.told, &expected)
    })
}

fn a_watch_begins_after_its_revision<S: StateStore>(site: &mut Site<'_, S>) -> Outcome {
    let store = site.store();
    site.block_on(async {
        let first = put(&store, "a", "1").await?;
        let mut from_first = Follower::start(&store, &Prefix::all(), first).await?;
        let second = put(&store, "a", "2").await?;
        let mut from_second = Follower::start(&store, &Prefix::all(), second).await?;
        let third = put(&store, "a", "3").await?;
        from_first.reach(third).await?;
        from_second.reach(third).await?;
        let second = Told::new(second, [("a", Some("2"))])?;
        let third = Told::new(third, [("a", Some("3"))])?;
        same("what a watch told", &from_first.told, &vec![second, third.clone()])?;
        same("what a later watch told", &from_second.told, &vec![third])
    })
}

fn a_watch_from_the_past_tells_all_or_lags<S: StateStore>(site: &mut Site<'_, S>) -> Outcome {
    let store = site.store();
    site.block_on(async {
        let start = head(&store).await?;
        let mut expected = Vec::new();
        for round in 0..PAST_COMMITS {
            let text = round.to_string();
            let revision = put(&store, "a", &text).await?;
            expected.push(Told::new(revision, [("a", Some(text.as_str()))])?);
        }
        for skipped in [0, 1, 7] {
            let after = expected.get(..skipped).and_then(<[Told]>::last).map_or(start, |told| told.revision);
            let expected = expected.get(skipped..).unwrap_or_default();
            let mut follower = Follower::start(&store, &Prefix::all(), after).await?;
            let last = expected.last().map_or(after, |told| told.revision);
            follower.reach_or_lag(last).await?;
            let told = expected.get(..follower.told.len()).unwrap_or_default();
            same("what a watch told before it lagged", &follower.told.as_slice(), &told)?;
            check(follower.lagged || told.len() == expected.len(), || {
                format!("a watch told {} of {} commits and did not lag", told.len(), expected.len())
            })?;
        }
        Ok(())
    })
}

fn a_watch_from_the_future_lags<S: StateStore>(site: &mut Site<'_, S>) -> Outcome {
    let store = site.store();
    site.block_on(async {
        let last = put(&store, "a", "1").await?;
        let next = last.next().ok_or_else(|| Broken::new("the revisions are used up"))?;
        let later = Revision::new(last.get().saturating_add(1000));
        for future in [next, later, Revision::new(u64::MAX)] {
            let mut follower = Follower::start(&store, &Prefix::all(), future).await?;
            follower.step().await?;
            check(follower.lagged, || {
                format!("a watch after revision {future} of a store at {last} did not lag")
            })?;
        }
        Ok(())
    })
}

fn a_watch_tells_its_prefix_alone<S: StateStore>(site: &mut Site<'_, S>) -> Outcome {
    let store = site.store();
    site.block_on(async {
        let names: [&[u8]; 10] =
            [b"o/x", b"p", b"p.", b"p/", b"p/a", b"p/b/c", b"p/\xff", b"p0", b"P/a", b"q/p/a"];
        let start = head(&store).await?;
        let starts: [&[u8]; 6] = [b"p/", b"p/b/c", b"p/\xff", b"p", b"nothing", b""];
        let mut followers = Vec::new();
        for start_of_keys in starts {
            followers.push(Follower::start(&store, &prefix(start_of_keys)?, start).await?);
        }
        let alone = put(&store, "p/a", "0").await?;
        let together = committed(&store, puts(names.iter().map(|name| (name, "1")))?).await?;
        let mut sorted = names.to_vec();
        sorted.sort_unstable();
        for (mut follower, start_of_keys) in followers.into_iter().zip(starts) {
            follower.reach(together).await?;
            let mut expected = Vec::new();
            if b"p/a".starts_with(start_of_keys) {
                expected.push(Told::new(alone, [("p/a", Some("0"))])?);
            }
            let changes = sorted.iter().filter(|name| name.starts_with(start_of_keys));
            let changes = Told::new(together, changes.map(|name| (name, Some("1"))))?;
            if !changes.changes.is_empty() {
                expected.push(changes);
            }
            same("what a watch of a prefix told", &follower.told, &expected)?;
        }
        Ok(())
    })
}

fn a_watch_makes_progress_past_commits_elsewhere<S: StateStore>(site: &mut Site<'_, S>) -> Outcome {
    let store = site.store();
    site.block_on(async {
        let start = head(&store).await?;
        let mut follower = Follower::start(&store, &prefix("mine/")?, start).await?;
        for round in 0..10_u32 {
            let elsewhere = put(&store, "other/a", round.to_string()).await?;
            follower.reach(elsewhere).await?;
        }
        same("what a watch told of other prefixes", &follower.told, &Vec::new())?;
        let mine = put(&store, "mine/a", "1").await?;
        let elsewhere = committed(&store, deletes(["other/a"])?).await?;
        follower.reach(elsewhere).await?;
        let expected = vec![Told::new(mine, [("mine/a", Some("1"))])?];
        same("what a watch told", &follower.told, &expected)
    })
}

fn what_changes_nothing_is_not_told<S: StateStore>(site: &mut Site<'_, S>) -> Outcome {
    let store = site.store();
    site.block_on(async {
        let start = put(&store, "a", "1").await?;
        let mut follower = Follower::start(&store, &Prefix::all(), start).await?;
        conflict(&store, given(puts([("b", "1")])?, "a", Expect::Absent)?).await?;
        committed(&store, given(Batch::new(), "b", Expect::Absent)?).await?;
        committed(&store, deletes(["b", "c"])?).await?;
        let mut batch = deletes(["b"])?;
        batch.append(puts([("c", "1")])?)?;
        let revision = committed(&store, batch).await?;
        follower.reach(revision).await?;
        let expected = vec![Told::new(revision, [("c", Some("1"))])?];
        same("what a watch told", &follower.told, &expected)
    })
}

fn a_wait_given_up_loses_nothing<S: StateStore>(site: &mut Site<'_, S>) -> Outcome {
    let store = site.store();
    site.block_on(async {
        let start = head(&store).await?;
        let mut follower = Follower::start(&store, &prefix("a")?, start).await?;
        let mut expected = Vec::new();
        let mut last = start;
        for round in 0..20_u32 {
            follower.begin_and_give_up().await?;
            let text = round.to_string();
            last = put(&store, "a", &text).await?;
            expected.push(Told::new(last, [("a", Some(text.as_str()))])?);
            if round % 4 == 3 {
                last = put(&store, "b", &text).await?;
            }
            if round % 2 == 1 {
                follower.begin_and_give_up().await?;
                follower.reach(last).await?;
            }
        }
        follower.reach(last).await?;
        same("what a watch told", &follower.told, &expected)
    })
}

fn watches_do_not_disturb_each_other<S: StateStore>(site: &mut Site<'_, S>) -> Outcome {
    let store = site.store();
    site.block_on(async {
        let start = head(&store).await?;
        let mut eager = Follower::start(&store, &Prefix::all(), start).await?;
        let mut idle = Follower::start(&store, &Prefix::all(), start).await?;
        drop(Follower::start(&store, &Prefix::all(), start).await?);
        let mut last = start;
        for round in 0..30_u32 {
            last = put(&store, "a", round.to_string()).await?;
            eager.reach(last).await?;
            if round == 15 {
                drop(Follower::start(&store, &Prefix::all(), last).await?);
            }
        }
        idle.reach(last).await?;
        same("how many commits an eager watch told", &eager.told.len(), &30)?;
        same("what an idle watch told", &idle.told, &eager.told)
    })
}

/// A history any backend can be asked to look back on; it may still have forgotten it.
const PAST_COMMITS: u32 = 300;
