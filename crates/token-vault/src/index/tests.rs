use std::collections::HashMap;

use core_types::testing::{TestRandom, arb_id};
use core_types::{TokenId, UnixTime};
use proptest::collection::vec;
use proptest::prelude::*;

use super::*;

proptest! {
    #[test]
    fn the_map_answers_as_a_plain_one(
        ids in vec(arb_id(), 1..40),
        operations in vec((any::<prop::sample::Index>(), any::<bool>(), any::<u16>()), 0..300),
    ) {
        let mut map = IdMap::new();
        let mut model = HashMap::new();
        let mut snapshots = Vec::new();
        for (at, insert, value) in operations {
            let id: TokenId = *at.get(&ids);
            if insert {
                prop_assert_eq!(map.insert(id, value), model.insert(id, value).is_none());
            } else {
                prop_assert_eq!(map.remove(id), model.remove(&id).is_some());
            }
            prop_assert_eq!(map.len(), model.len());
            snapshots.push((map.clone(), model.clone()));
        }
        for (map, model) in snapshots {
            prop_assert_eq!(map.iter().map(|(id, &value)| (id, value)).collect::<HashMap<_, _>>(), model.clone());
            for id in &ids {
                prop_assert_eq!(map.get(*id), model.get(id));
            }
        }
    }
}

#[test]
fn ids_that_differ_only_at_the_far_end_of_the_path_are_kept_apart() {
    let mut map = IdMap::new();
    let ids: Vec<TokenId> = (0..=255)
        .map(|top| TokenId::from_bytes([top, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]))
        .collect();
    for (number, id) in ids.iter().enumerate() {
        map.insert(*id, number);
    }
    for (number, id) in ids.iter().enumerate() {
        assert_eq!(map.get(*id), Some(&number));
    }
    for id in &ids {
        assert!(map.remove(*id));
    }
    assert_eq!((map.len(), map.iter().count()), (0, 0));
}

#[test]
fn a_change_leaves_older_snapshots_as_they_were() {
    let random = TestRandom::seeded(1);
    let mut map = IdMap::new();
    let ids: Vec<TokenId> =
        (0..5_000).map(|_| TokenId::generate(UnixTime::EPOCH, &random).unwrap()).collect();
    for id in &ids {
        map.insert(*id, 1);
    }
    let before = map.clone();
    for id in &ids {
        map.insert(*id, 2);
    }
    assert!(ids.iter().all(|id| before.get(*id) == Some(&1) && map.get(*id) == Some(&2)));
}

proptest! {
    #[test]
    fn a_map_that_is_built_at_once_is_as_one_that_grew(
        ids in vec(arb_id(), 1..80),
        operations in vec((any::<prop::sample::Index>(), 0..4_u8, any::<u16>()), 0..400),
        before in 0..3_usize,
    ) {
        let (mut grown, mut built) = (IdMap::new(), IdMap::new());
        for (number, id) in ids.iter().take(before).enumerate() {
            grown.insert(*id, u16::try_from(number).unwrap());
            built.insert(*id, u16::try_from(number).unwrap());
        }
        built.gather();
        for (at, kind, value) in operations {
            let id: TokenId = *at.get(&ids);
            if kind > 0 {
                grown.insert(id, value);
                built.insert(id, value);
            } else {
                grown.remove(id);
                built.remove(id);
            }
        }
        built.build();
        prop_assert_eq!(built.len(), grown.len());
        for id in &ids {
            prop_assert_eq!(built.get(*id), grown.get(*id));
        }
        let all = |map: &IdMap<u16>| map.iter().map(|(id, &value)| (id, value)).collect::<HashMap<_, _>>();
        prop_assert_eq!(all(&built), all(&grown));
        built.insert(ids[0], 7);
        prop_assert_eq!(built.get(ids[0]), Some(&7));
    }
}

#[test]
fn many_that_are_built_at_once_are_all_found_and_can_be_changed() {
    let random = TestRandom::seeded(2);
    let ids: Vec<TokenId> =
        (0..5_000).map(|_| TokenId::generate(UnixTime::EPOCH, &random).unwrap()).collect();
    let mut map = IdMap::new();
    map.gather();
    for (number, id) in ids.iter().enumerate() {
        map.insert(*id, number);
    }
    map.build();
    assert_eq!(map.len(), ids.len());
    assert!(ids.iter().enumerate().all(|(number, id)| map.get(*id) == Some(&number)));
    for id in &ids {
        assert!(map.remove(*id));
    }
    assert_eq!((map.len(), map.iter().count()), (0, 0));
}
