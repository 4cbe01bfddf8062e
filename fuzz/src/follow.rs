//! Stores with anything in them, and the views of replicas that follow them.

use std::collections::BTreeMap;
use std::time::Duration;

use core_types::UnixTime;
use core_types::testing::TestClock;
use pollster::block_on;
use state_store::{Batch, Key, MemoryStore, Prefix, Replica, StateStore, Value, View, Write};

/// The instant at which everything here happens.
pub(crate) const NOW: UnixTime = UnixTime::from_secs(1_700_000_000);

/// Two replicas of one store, and what the store holds in the end.
pub(crate) struct Followed<V> {
    /// Was there from the beginning, and followed every commit.
    pub(crate) followed: Replica<V>,
    /// Was opened in the end.
    pub(crate) rebuilt: Replica<V>,
    /// What the keys under the prefix hold.
    pub(crate) entries: BTreeMap<String, String>,
}

/// Commits what `input` says to an empty store and follows it.
///
/// A line is a commit: `key value` puts, `key` deletes; what is neither is passed over. Of both replicas the same
/// records must be unreadable. Lines past the sixty-fourth are passed over, so that an input takes no time.
#[expect(clippy::unwrap_used, reason = "a store in memory does not fail")]
pub(crate) fn follow<V: View + Default>(input: &[u8], prefix: &str) -> Option<Followed<V>> {
    let text = str::from_utf8(input).ok()?;
    let store = MemoryStore::new();
    let mut following = Following::open(&store, prefix);
    let mut entries = BTreeMap::new();
    for line in text.lines().take(64) {
        let (key, value) = match line.split_once(' ') {
            Some((key, value)) => (key, Some(value)),
            None => (line, None),
        };
        let Ok(name) = Key::new(key) else { continue };
        let write = match value.map(Value::new) {
            Some(Err(_)) => continue,
            Some(Ok(value)) => Write::Put(value),
            None => Write::Delete,
        };
        match value {
            Some(value) => entries.insert(key.to_owned(), value.to_owned()),
            None => entries.remove(key),
        };
        let mut batch = Batch::new();
        batch.write(name, write).unwrap();
        let _ = block_on(store.commit(batch)).unwrap();
        following.catch_up(&store);
    }
    entries.retain(|key, _| key.starts_with(prefix));
    let rebuilt = Following::open(&store, prefix).replica;
    let unreadable = |replica: &Replica<V>| -> Vec<_> {
        replica.snapshot().poisoned().map(|(key, poisoned)| (key.clone(), poisoned.clone())).collect()
    };
    assert_eq!(unreadable(&following.replica), unreadable(&rebuilt));
    Some(Followed { followed: following.replica, rebuilt, entries })
}

struct Following<V> {
    replica: Replica<V>,
    driver: state_store::replica::Driver<MemoryStore, V>,
}

impl<V: View + Default> Following<V> {
    #[expect(clippy::unwrap_used, reason = "a store in memory does not fail")]
    fn open(store: &MemoryStore, prefix: &str) -> Self {
        let clock = TestClock::at(NOW);
        let prefix = Prefix::new(prefix).unwrap();
        let opened = Replica::open(store.clone(), prefix, V::default(), Duration::from_secs(60), &clock);
        let (replica, driver) = block_on(opened).unwrap();
        Self { replica, driver }
    }

    #[expect(clippy::unwrap_used, reason = "a store in memory does not fail")]
    fn catch_up(&mut self, store: &MemoryStore) {
        let head = block_on(store.scan(&Prefix::all(), None, 0)).unwrap().revision;
        while self.replica.snapshot().revision() < head {
            block_on(self.driver.step()).unwrap();
        }
    }
}
