//! Words that people read, say and type.
//!
//! The list is the EFF's *short wordlist for passphrases 2.0* (Joseph Bonneau, Electronic Frontier Foundation, 2016,
//! <https://www.eff.org/dice>), licensed under Creative Commons Attribution 3.0 United States
//! (<https://creativecommons.org/licenses/by/3.0/us/>); the dice numbers were removed, the words are unchanged. It
//! has 1,296 words of 3 to 10 letters, of which no two begin with the same three.

use std::sync::LazyLock;

use core_types::{RandomError, SecureRandom};
use zeroize::Zeroizing;

/// How many words there are: 10.34 bits each.
pub const WORD_COUNT: u16 = 1296;

/// The most letters of a word.
pub const MAX_WORD_LEN: usize = 10;

/// The words in alphabetical order.
#[must_use]
pub fn list() -> &'static [&'static str] {
    &LIST
}

/// The word of this number, if there is one.
#[must_use]
pub fn word(number: u16) -> Option<&'static str> {
    LIST.get(usize::from(number)).copied()
}

/// The number of exactly this word. Not constant-time.
#[must_use]
pub fn number(word: &str) -> Option<u16> {
    LIST.binary_search(&word).ok().and_then(|at| u16::try_from(at).ok())
}

/// The word that was probably meant, where one is near: it begins with the same three letters, or differs by one or
/// two letters and no other word differs by as few.
#[must_use]
pub fn nearest(typed: &str) -> Option<&'static str> {
    if !(PREFIX_LEN..=MAX_TYPED_LEN).contains(&typed.len()) {
        return None;
    }
    let typed = typed.to_lowercase();
    let mut best: Option<(usize, &'static str)> = None;
    let mut tied = false;
    for known in LIST.iter().copied() {
        let distance = distance(typed.as_bytes(), known.as_bytes());
        match best {
            Some((least, _)) if distance > least => {}
            Some((least, _)) if distance == least => tied = true,
            _ => {
                best = Some((distance, known));
                tied = false;
            }
        }
    }
    match best {
        Some((1 | 2, known)) if !tied => Some(known),
        _ => {
            let start = typed.get(..PREFIX_LEN)?;
            LIST.iter().copied().find(|known| known.starts_with(start))
        }
    }
}

/// The word that begins with these three letters or more.
#[must_use]
pub fn completed(start: &str) -> Option<&'static str> {
    let found = LIST.iter().copied().find(|word| word.starts_with(start));
    found.filter(|_| start.len() >= PREFIX_LEN)
}

/// A word's number, each as likely as any other to within one part in 2^117.
pub(crate) fn random(rng: &dyn SecureRandom) -> Result<u16, RandomError> {
    let mut bytes = Zeroizing::new([0; 16]);
    rng.fill(bytes.as_mut_slice())?;
    let drawn = u128::from_le_bytes(*bytes).checked_rem(u128::from(WORD_COUNT)).unwrap_or_default();
    Ok(u16::try_from(drawn).unwrap_or_default())
}

/// The number of letters to change, add, remove or swap with their neighbour (optimal string alignment).
fn distance(left: &[u8], right: &[u8]) -> usize {
    let mut before: Vec<usize> = Vec::new();
    let mut previous: Vec<usize> = (0..=right.len()).collect();
    let mut last_letter = None;
    for (row, &letter) in left.iter().enumerate() {
        let mut current = vec![row.saturating_add(1)];
        for (column, &other) in right.iter().enumerate() {
            let at = |line: &[usize], index: usize| line.get(index).copied().unwrap_or(usize::MAX);
            let mut least = at(&previous, column.saturating_add(1))
                .min(at(&current, column))
                .saturating_add(1)
                .min(at(&previous, column).saturating_add(usize::from(letter != other)));
            let swapped = last_letter == Some(other)
                && column.checked_sub(1).and_then(|earlier| right.get(earlier)) == Some(&letter);
            if let (true, Some(earlier)) = (swapped, column.checked_sub(1)) {
                least = least.min(at(&before, earlier).saturating_add(1));
            }
            current.push(least);
        }
        before = core::mem::replace(&mut previous, current);
        last_letter = Some(letter);
    }
    previous.last().copied().unwrap_or(usize::MAX)
}

static LIST: LazyLock<Vec<&'static str>> =
    LazyLock::new(|| include_str!("words/eff_short_2_0.txt").lines().collect());

const PREFIX_LEN: usize = 3;
const MAX_TYPED_LEN: usize = 32;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_is_what_its_publisher_says() {
        assert_eq!(LIST.len(), usize::from(WORD_COUNT));
        assert!(LIST.is_sorted());
        assert!(LIST.iter().all(|word| (3..=MAX_WORD_LEN).contains(&word.len())));
        let starts: std::collections::BTreeSet<_> =
            LIST.iter().filter_map(|word| word.get(..PREFIX_LEN)).collect();
        assert_eq!(starts.len(), LIST.len(), "no two begin alike");
        let hyphens: Vec<_> = LIST.iter().filter(|word| word.contains('-')).collect();
        assert_eq!(hyphens, [&"yo-yo"]);
        // SHA-256 of the file, lines ended by a line feed.
        let text = include_bytes!("words/eff_short_2_0.txt");
        assert_eq!(
            core_types::Fingerprint::of(text).as_bytes()[..8],
            [0x7a, 0xa5, 0x7a, 0x4d, 0x3e, 0xcf, 0x65, 0x81]
        );
    }

    #[test]
    fn a_typing_mistake_finds_its_word() {
        for (typed, meant) in [
            ("saxofone", "saxophone"),
            ("buzard", "buzzard"),
            ("ruputre", "rupture"),
            ("Oftentimse", "oftentimes"),
            ("yoyo", "yo-yo"),
            ("sax", "saxophone"),
            ("abando", "abandoned"),
        ] {
            assert_eq!(nearest(typed), Some(meant), "{typed}");
        }
        for typed in ["", "x", "qqqqqq", "žluť", "a word that is far too long to be one of them"] {
            assert_eq!(nearest(typed), None, "{typed}");
        }
    }

    #[test]
    fn the_distance_counts_letters() {
        for (left, right, expected) in
            [("", "", 0), ("a", "", 1), ("kitten", "sitting", 3), ("ab", "ba", 1), ("abc", "abc", 0)]
        {
            assert_eq!(distance(left.as_bytes(), right.as_bytes()), expected, "{left} {right}");
        }
    }

    #[test]
    fn every_word_is_drawn_about_as_often_as_any_other() {
        let rng = core_types::SystemRandom::new();
        let mut counts = vec![0_u32; usize::from(WORD_COUNT)];
        for _ in 0..129_600 {
            counts[usize::from(random(&rng).unwrap())] += 1;
        }
        // Chi-squared with 1295 degrees of freedom: mean 1295, deviation 51.
        let chi: f64 = counts.iter().map(|&count| (f64::from(count) - 100.0).powi(2) / 100.0).sum();
        assert!((950.0..1650.0).contains(&chi), "{chi}");
    }
}
