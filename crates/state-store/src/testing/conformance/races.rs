//! Many threads at once.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Barrier, mpsc};
use std::thread;

use crate::batch::Expect;
use crate::key::{Key, Prefix};
use crate::store::{Commit, Revision, StateStore};
use crate::testing::case::{
    Broken, Case, Outcome, Site, cases, check, given, head, key, page, prefix, put, puts, same,
};
use crate::testing::exec::block_on;
use crate::testing::follow::{Follower, Told};

pub(super) fn cases<S: StateStore>() -> Vec<Case<S>> {
    cases![
        no_update_is_lost,
        one_of_many_creators_wins,
        a_precondition_on_what_another_writes_is_not_overtaken,
        a_page_shows_all_of_a_commit_or_nothing,
        nothing_appears_below_a_revision_that_was_seen,
        a_waiting_watch_is_woken,
    ]
}

/// Runs `work` in several threads and returns what they found, or the first failure.
fn in_threads<T: Send>(work: impl Fn(usize) -> Result<T, Broken> + Sync) -> Result<Vec<T>, Broken> {
    let all_there = Barrier::new(THREADS);
    thread::scope(|scope| {
        let (work, all_there) = (&work, &all_there);
        let start = move |number| {
            all_there.wait();
            work(number)
        };
        let threads: Vec<_> = (0..THREADS).map(|number| scope.spawn(move || start(number))).collect();
        threads.into_iter().map(joined).collect()
    })
}

fn joined<T>(thread: thread::ScopedJoinHandle<'_, Result<T, Broken>>) -> Result<T, Broken> {
    thread.join().unwrap_or_else(|_| Err(Broken::new("a thread panicked")))
}

fn no_update_is_lost<S: StateStore>(site: &mut Site<'_, S>) -> Outcome {
    let store = site.store();
    let patience = site.patience;
    let (start, mut followers) = site.block_on(async {
        let start = put(&store, "count", "0").await?;
        let mut followers = Vec::new();
        for _ in 0..2 {
            followers.push(Follower::start(&store, &Prefix::all(), start).await?);
        }
        Ok((start, followers))
    })?;
    let expected = THREADS.saturating_mul(UPDATES);
    let mut all_revisions = thread::scope(|scope| {
        // They listen while the commits are made.
        let watching: Vec<_> = followers
            .iter_mut()
            .map(|follower| scope.spawn(move || block_on(patience, follower.reach_count(expected))))
            .collect();
        let revisions = in_threads(|_| block_on(patience, count_up(&store)))?;
        watching.into_iter().try_for_each(joined)?;
        Ok::<_, Broken>(revisions.concat())
    })?;
    all_revisions.sort_unstable();
    check(all_revisions.is_sorted_by(|a, b| a < b), || "two commits have one revision".into())?;
    check(all_revisions.iter().all(|&revision| revision > start), || "a revision went back".into())?;
    let mut told = Vec::new();
    for (&revision, number) in all_revisions.iter().zip(1_usize..) {
        told.push(Told::new(revision, [("count", Some(number.to_string().as_str()))])?);
    }
    followers.iter().try_for_each(|follower| same("what a watch told", &follower.told, &told))?;
    let last = site.block_on(async { store.get(&key("count")?).await.map_err(Broken::from) })?;
    let last = last.map(|entry| entry.value.as_bytes().to_vec());
    same("the count", &last, &Some(expected.to_string().into_bytes()))
}

/// Adds one to the count, [`UPDATES`] times, against all others.
async fn count_up<S: StateStore>(store: &S) -> Result<Vec<Revision>, Broken> {
    let mut revisions = Vec::new();
    for _ in 0..MAX_ATTEMPTS {
        if revisions.len() >= UPDATES {
            return Ok(revisions);
        }
        let held = store.get(&key("count")?).await?.ok_or_else(|| Broken::new("the count is gone"))?;
        let count =
            core::str::from_utf8(held.value.as_bytes()).ok().and_then(|text| text.parse::<usize>().ok());
        let count = count.ok_or_else(|| Broken::new("the count is no number"))?.saturating_add(1);
        let batch = given(puts([("count", count.to_string())])?, "count", Expect::Revision(held.revision))?;
        if let Commit::Committed(revision) = store.commit(batch).await? {
            revisions.push(revision);
        }
    }
    Err(Broken::new(format!("{} of {MAX_ATTEMPTS} attempts had no conflict", revisions.len())))
}

fn one_of_many_creators_wins<S: StateStore>(site: &mut Site<'_, S>) -> Outcome {
    let store = site.store();
    let patience = site.patience;
    for round in 0..ROUNDS {
        let name = format!("thing/{round}");
        let won = in_threads(|number| {
            let batch = given(puts([(&name, number.to_string())])?, &name, Expect::Absent)?;
            block_on(patience, async { Ok(store.commit(batch).await?) })
        })?;
        let winners = won.iter().filter(|commit| matches!(commit, Commit::Committed(_))).count();
        same("how many created one thing", &winners, &1)?;
    }
    Ok(())
}

fn a_precondition_on_what_another_writes_is_not_overtaken<S: StateStore>(site: &mut Site<'_, S>) -> Outcome {
    let store = site.store();
    let patience = site.patience;
    for round in 0..ROUNDS {
        // Each thread writes its own key and expects that no other one is there: one can win, not two.
        let names: Vec<String> = (0..THREADS).map(|number| format!("skew/{round}/{number}")).collect();
        let won = in_threads(|number| {
            let mut batch = puts(names.get(number).map(|name| (name, "1")))?;
            for name in &names {
                batch = given(batch, name, Expect::Absent)?;
            }
            block_on(patience, async { Ok(store.commit(batch).await?) })
        })?;
        let winners = won.iter().filter(|commit| matches!(commit, Commit::Committed(_))).count();
        same("how many found all the others absent", &winners, &1)?;
    }
    Ok(())
}

fn a_page_shows_all_of_a_commit_or_nothing<S: StateStore>(site: &mut Site<'_, S>) -> Outcome {
    let store = site.store();
    let patience = site.patience;
    let (running, reads) = (AtomicUsize::new(WRITERS), AtomicUsize::new(0));
    in_threads(|number| {
        if number < WRITERS {
            let _running = Running(&running);
            return block_on(patience, async {
                for round in 0..RACES {
                    keep_pace(round, &reads);
                    let text = format!("{number}-{round}");
                    let pair = puts([("pair/a", &text), ("pair/z", &text)])?;
                    check(matches!(store.commit(pair).await?, Commit::Committed(_)), || {
                        "a batch without preconditions had a conflict".into()
                    })?;
                }
                Ok(())
            });
        }
        let mut seen = Revision::ZERO;
        loop {
            let is_last = running.load(Ordering::SeqCst) == 0;
            let page = block_on(patience, page(&store, &Prefix::all(), None, 10))?;
            check(page.revision >= seen, || {
                format!("a read of {seen} was followed by one of {}", page.revision)
            })?;
            seen = page.revision;
            let newest = page.entries.iter().map(|entry| entry.revision).max().unwrap_or(seen);
            same("a page's revision, and that of its newest entry", &newest, &page.revision)?;
            check(page.entries.is_sorted_by(|a, b| a.value == b.value && a.revision == b.revision), || {
                format!("a page shows a part of a commit: {:?}", page.entries)
            })?;
            reads.fetch_add(1, Ordering::SeqCst);
            if is_last {
                return Ok(());
            }
        }
    })
    .map(drop)
}

/// Lets the readers catch up with the writers' rounds, for a while, so that neither side is done before the
/// other began.
fn keep_pace(round: usize, reads: &AtomicUsize) {
    for _ in 0..MAX_YIELDS {
        if reads.load(Ordering::SeqCst) >= round {
            return;
        }
        thread::yield_now();
    }
}

fn nothing_appears_below_a_revision_that_was_seen<S: StateStore>(site: &mut Site<'_, S>) -> Outcome {
    let store = site.store();
    let patience = site.patience;
    let (running, reads) = (AtomicUsize::new(WRITERS), AtomicUsize::new(0));
    let pages = in_threads(|number| {
        if number < WRITERS {
            let _running = Running(&running);
            return block_on(patience, async {
                for round in 0..RACES {
                    keep_pace(round, &reads);
                    put(&store, format!("log/{number}/{round}"), "").await?;
                }
                Ok(Vec::new())
            });
        }
        let mut pages = Vec::new();
        while running.load(Ordering::SeqCst) > 0 {
            pages.push(block_on(patience, page(&store, &prefix("log/")?, None, usize::MAX))?);
            reads.fetch_add(1, Ordering::SeqCst);
        }
        Ok(pages)
    })?;
    let last = site.block_on(page(&store, &prefix("log/")?, None, usize::MAX))?;
    let written: BTreeMap<Key, Revision> =
        last.entries.into_iter().map(|entry| (entry.key, entry.revision)).collect();
    for page in pages.iter().flatten() {
        let up_to = written.values().filter(|&&revision| revision <= page.revision).count();
        same("how many keys a page shows of all written up to its revision", &page.entries.len(), &up_to)?;
    }
    Ok(())
}

fn a_waiting_watch_is_woken<S: StateStore>(site: &mut Site<'_, S>) -> Outcome {
    let store = site.store();
    let patience = site.patience;
    let start = site.block_on(head(&store))?;
    let (told, heard) = mpsc::channel();
    thread::scope(|scope| {
        let watching = scope.spawn(|| {
            block_on(patience, async {
                let mut follower = Follower::start(&store, &prefix("ping")?, start).await?;
                told.send(start).map_err(|_| Broken::new("nobody listens"))?;
                while follower.told.len() < PINGS {
                    follower.step().await?;
                    follower.kept_up()?;
                    // The other side may be done already.
                    let _ = told.send(follower.position);
                }
                Ok(())
            })
        });
        let committing = || {
            let mut position = hear(&heard, patience)?;
            for _ in 0..PINGS {
                for name in ["elsewhere", "ping"] {
                    // By now the watch most likely waits.
                    let revision = block_on(patience, put(&store, name, ""))?;
                    while position < revision {
                        position = hear(&heard, patience)?;
                    }
                }
            }
            Ok(())
        };
        let outcome = committing();
        outcome.and(joined(watching))
    })
}

fn hear(heard: &mpsc::Receiver<Revision>, patience: core::time::Duration) -> Result<Revision, Broken> {
    heard
        .recv_timeout(patience)
        .map_err(|_| Broken::new("a commit did not wake the watch that waited for it"))
}

/// Counts down when it is done, or panics.
struct Running<'a>(&'a AtomicUsize);

impl Drop for Running<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

const THREADS: usize = 6;
const WRITERS: usize = 3;
const UPDATES: usize = 25;
const ROUNDS: u32 = 12;
const RACES: usize = 100;
const MAX_YIELDS: u32 = 200;
const PINGS: usize = 30;
const MAX_ATTEMPTS: u32 = 50_000;
