use crate::event::OutlineReader;

/// Reads the bytes of an entry as the verifier does after others, in the quick way and in the slow one; says whether each
/// took them.
///
/// # Panics
/// When the quick way took what the slow one did not, or says something else of it.
#[must_use]
#[expect(clippy::panic, reason = "for tests: this is what they look for")]
pub fn read_entry(before: &[u8], entry: &[u8]) -> (bool, bool) {
    let mut reader = OutlineReader::default();
    let slow = OutlineReader::read_slowly(entry);
    _ = reader.read_quickly(before);
    // The second time it knows the texts.
    for _ in 0..2 {
        let quick = reader.read_quickly(entry);
        if quick.is_some() && quick != slow {
            panic!("{quick:?} is not {slow:?}");
        }
    }
    (reader.read_quickly(entry).is_some(), slow.is_some())
}
