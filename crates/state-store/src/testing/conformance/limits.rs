//! What the port's types let through, a backend takes.

use crate::batch::{Batch, Expect, MAX_BATCH_WRITES, Write};
use crate::key::{MAX_KEY_BYTES, MAX_VALUE_BYTES};
use crate::store::StateStore;
use crate::testing::case::{
    Case, Outcome, Site, all, cases, check, committed, conflict, deletes, get, holds, key, page, prefix, put,
    same, value,
};

pub(super) fn cases<S: StateStore>() -> Vec<Case<S>> {
    cases![
        the_longest_keys_are_taken,
        the_largest_and_the_smallest_value_are_taken,
        the_largest_batch_is_taken
    ]
}

fn the_longest_keys_are_taken<S: StateStore>(site: &mut Site<'_, S>) -> Outcome {
    let store = site.store();
    site.block_on(async {
        // They differ in their last byte only, and one is the other's beginning.
        let (mut one, mut other) = (vec![b'k'; MAX_KEY_BYTES], vec![b'k'; MAX_KEY_BYTES]);
        if let (Some(one), Some(other)) = (one.last_mut(), other.last_mut()) {
            (*one, *other) = (0, 0xff);
        }
        let short = one.get(1..).unwrap_or_default().to_vec();
        for (name, bytes) in [(&one, "one"), (&other, "other"), (&short, "short")] {
            let revision = put(&store, name, bytes).await?;
            holds(&store, name, bytes, revision).await?;
        }
        same("how many keys there are", &all(&store, &prefix("")?, 1).await?.len(), &3)?;
        let page_of_one = page(&store, &prefix(&other)?, None, 10).await?;
        same("how many keys begin with the longest", &page_of_one.entries.len(), &1)?;
        let after = page(&store, &prefix("k")?, Some(&key(&other)?), 10).await?;
        same("how many keys come after the longest", &after.entries.len(), &0)?;
        committed(&store, deletes([&one])?).await?;
        check(get(&store, &one).await?.is_none(), || "a deleted key holds something".into())?;
        check(get(&store, &other).await?.is_some(), || "another key went with the deleted one".into())
    })
}

fn the_largest_and_the_smallest_value_are_taken<S: StateStore>(site: &mut Site<'_, S>) -> Outcome {
    let store = site.store();
    site.block_on(async {
        let largest: Vec<u8> = (0..=u8::MAX).cycle().take(MAX_VALUE_BYTES).collect();
        let revision = put(&store, "large", &largest).await?;
        let found = get(&store, "large").await?;
        // Not compared with `same`, which would print a megabyte.
        check(
            found.is_some_and(|entry| entry.value.as_bytes() == largest && entry.revision == revision),
            || "the largest value does not come back".into(),
        )?;
        let revision = put(&store, "large", "").await?;
        holds(&store, "large", "", revision).await
    })
}

fn the_largest_batch_is_taken<S: StateStore>(site: &mut Site<'_, S>) -> Outcome {
    let store = site.store();
    site.block_on(async {
        let mut batch = Batch::new();
        for number in 0..MAX_BATCH_WRITES {
            batch.write(key(format!("w{number:04}"))?, Write::Put(value(number.to_be_bytes())?))?;
            batch.require(key(format!("e{number:04}"))?, Expect::Absent)?;
        }
        let revision = committed(&store, batch.clone()).await?;
        let entries = all(&store, &prefix("w")?, 100).await?;
        same("how many keys were written", &entries.len(), &MAX_BATCH_WRITES)?;
        check(entries.iter().all(|entry| entry.revision == revision), || {
            "the writes of one commit have different revisions".into()
        })?;
        // The last precondition of so many still counts, and so does the last write.
        let last = format!("e{:04}", MAX_BATCH_WRITES.saturating_sub(1));
        put(&store, &last, "1").await?;
        same("the conflict", &conflict(&store, batch).await?, &key(&last)?)?;
        let names: Vec<String> = (0..MAX_BATCH_WRITES).map(|number| format!("w{number:04}")).collect();
        committed(&store, deletes(&names)?).await?;
        same("how many keys are left", &all(&store, &prefix("w")?, 100).await?.len(), &0)
    })
}
