//! The objects of git repositories.

#![expect(clippy::unwrap_used, reason = "a check that panics has found a wrong answer")]

use std::collections::BTreeMap;
use std::io::Cursor;

use token_vault::scan::git::{MAX_DELTA_OBJECT, Pack, loose};

/// Two bytes say how many bytes of index follow; the rest is the pack. With no index, the rest is a loose object.
pub(crate) fn git(input: &[u8]) -> bool {
    let Some((length, rest)) = input.split_first_chunk::<2>() else { return false };
    match usize::from(u16::from_be_bytes(*length)) {
        0 => a_loose_object(rest),
        length => rest.split_at_checked(length).is_some_and(|(index, pack)| a_pack(index, pack)),
    }
}

fn a_loose_object(bytes: &[u8]) -> bool {
    let mut contents = Vec::new();
    let outcome = loose(bytes, &mut |piece| contents.extend_from_slice(piece));
    // What is given before an error was there; what is given without one is what follows the first zero.
    let mut again = Vec::new();
    let mut one_by_one = OneByOne(bytes);
    let same = loose(&mut one_by_one, &mut |piece| again.extend_from_slice(piece));
    assert_eq!(outcome.is_ok(), same.is_ok(), "it does not matter how the bytes come");
    assert!(outcome.is_err() || contents == again);
    outcome.is_ok()
}

/// Gives a byte at a time.
struct OneByOne<'a>(&'a [u8]);

impl std::io::Read for OneByOne<'_> {
    fn read(&mut self, into: &mut [u8]) -> std::io::Result<usize> {
        let (Some((&byte, rest)), Some(first)) = (self.0.split_first(), into.first_mut()) else {
            return Ok(0);
        };
        *first = byte;
        self.0 = rest;
        Ok(1)
    }
}

fn a_pack(index: &[u8], bytes: &[u8]) -> bool {
    let Ok(mut pack) = Pack::open(Cursor::new(bytes), index) else { return false };
    let objects = pack.objects();
    assert!(objects.iter().is_sorted_by_key(|(_, at)| *at));
    assert!(objects.iter().all(|(id, _)| id.len() == 40));
    let mut read = BTreeMap::new();
    let mut any = false;
    for (_, at) in objects.iter().take(8) {
        let mut contents = Vec::new();
        let is_read = pack.read(*at, &mut |piece| contents.extend_from_slice(piece)).is_ok();
        any |= is_read;
        let kind = usize::try_from(*at).ok().and_then(|at| bytes.get(at)).map(|byte| (byte >> 4) & 7);
        let is_delta = matches!(kind, Some(6 | 7));
        assert!(!is_read || is_delta || matches!(kind, Some(1..=4)), "an entry that is none: {kind:?}");
        assert!(!is_delta || u64::try_from(contents.len()).unwrap() <= MAX_DELTA_OBJECT);
        assert!(is_read || !is_delta || contents.is_empty(), "of a damaged delta nothing is given");
        let before = read.insert(*at, (is_read, contents.clone()));
        assert!(before.is_none_or(|before| before == (is_read, contents)), "the same at the same place");
    }
    any
}
