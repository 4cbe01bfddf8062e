//! Patterns with `*` (any text) and `?` (any one character), matched without backtracking over stars.

/// What a pattern is made of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Symbol {
    One,
    Any,
    Literal(char),
}

impl Symbol {
    /// The character that stands for it.
    pub(crate) const fn written(&self) -> char {
        match self {
            Self::One => '?',
            Self::Any => '*',
            Self::Literal(symbol) => *symbol,
        }
    }
}

/// A pattern: pieces with `*` between them. The first stands at the start of the text, the last at its end, and
/// each of the others is where it is first found, since nothing is lost by taking the first place.
///
/// A piece without `?` is found in time linear in the text, whatever its length; one with `?` in time
/// proportional to its length besides.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Glob {
    // INVARIANT: at least one.
    pieces: Vec<Piece>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Piece {
    Plain(String),
    /// `None` is `?`.
    Holed(Vec<Option<char>>),
}

impl Glob {
    /// The pattern as it is written.
    pub(crate) fn parse(text: &str) -> Self {
        Self::of(text.chars().map(|symbol| match symbol {
            '*' => Symbol::Any,
            '?' => Symbol::One,
            symbol => Symbol::Literal(symbol),
        }))
    }

    pub(crate) fn of(symbols: impl IntoIterator<Item = Symbol>) -> Self {
        let mut pieces = vec![Piece::Plain(String::new())];
        for symbol in symbols {
            match symbol {
                Symbol::Any => pieces.push(Piece::Plain(String::new())),
                Symbol::One => push(&mut pieces, None),
                Symbol::Literal(symbol) => push(&mut pieces, Some(symbol)),
            }
        }
        Self { pieces }
    }

    pub(crate) fn matches(&self, text: &str) -> bool {
        match self.pieces.as_slice() {
            [] => false,
            [only] => only.after_start(text).is_some_and(str::is_empty),
            [first, middle @ .., last] => {
                let mut rest = first.after_start(text);
                for piece in middle {
                    rest = rest.and_then(|text| piece.after_first(text));
                }
                rest.is_some_and(|text| last.is_end(text))
            }
        }
    }
}

fn push(pieces: &mut [Piece], symbol: Option<char>) {
    let Some(piece) = pieces.last_mut() else { return };
    match (&mut *piece, symbol) {
        (Piece::Plain(text), Some(symbol)) => text.push(symbol),
        (Piece::Plain(text), None) => *piece = Piece::Holed(text.chars().map(Some).chain([None]).collect()),
        (Piece::Holed(symbols), symbol) => symbols.push(symbol),
    }
}

impl Piece {
    /// What follows the piece, where the text begins with it.
    fn after_start<'t>(&self, text: &'t str) -> Option<&'t str> {
        match self {
            Self::Plain(plain) => text.strip_prefix(plain.as_str()),
            Self::Holed(symbols) => {
                let mut rest = text.chars();
                for symbol in symbols {
                    #[cfg(test)]
                    tests::count_step();
                    let found = rest.next()?;
                    if symbol.is_some_and(|symbol| symbol != found) {
                        return None;
                    }
                }
                Some(rest.as_str())
            }
        }
    }

    /// What follows the first place where the piece is.
    fn after_first<'t>(&self, text: &'t str) -> Option<&'t str> {
        match self {
            Self::Plain(plain) => text.split_once(plain.as_str()).map(|(_, rest)| rest),
            Self::Holed(_) => {
                let starts = text.char_indices().map(|(at, _)| at);
                starts.filter_map(|at| text.get(at..)).find_map(|text| self.after_start(text))
            }
        }
    }

    /// Whether the text ends with the piece.
    fn is_end(&self, text: &str) -> bool {
        match self {
            Self::Plain(plain) => text.ends_with(plain.as_str()),
            Self::Holed(symbols) => {
                let mut before = text.chars();
                symbols.iter().rev().all(|symbol| {
                    before.next_back().is_some_and(|found| symbol.is_none_or(|symbol| symbol == found))
                })
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use proptest::prelude::*;

    use super::*;

    thread_local! {
        static STEPS: Cell<usize> = const { Cell::new(0) };
    }

    pub(super) fn count_step() {
        STEPS.set(STEPS.get().saturating_add(1));
    }

    /// How many characters are compared one by one.
    fn steps(pattern: &str, text: &str) -> usize {
        STEPS.set(0);
        assert!(!Glob::parse(pattern).matches(text));
        STEPS.get()
    }

    /// One row of the table at a time: which prefixes of the text the pattern so far matches.
    #[expect(clippy::arithmetic_side_effects, reason = "lengths of short texts")]
    fn slowly(pattern: &str, text: &str) -> bool {
        let text: Vec<char> = text.chars().collect();
        let mut row = vec![false; text.len() + 1];
        row[0] = true;
        for symbol in pattern.chars() {
            let mut next = vec![false; text.len() + 1];
            for at in 0..=text.len() {
                next[at] = match symbol {
                    '*' => row[at] || (at > 0 && next[at - 1]),
                    '?' => at > 0 && row[at - 1],
                    symbol => at > 0 && row[at - 1] && text[at - 1] == symbol,
                };
            }
            row = next;
        }
        row[text.len()]
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(4000))]
        #[test]
        fn a_pattern_matches_what_the_table_says(pattern in "[ab*?ü]{0,10}", text in "[abü]{0,12}") {
            prop_assert_eq!(Glob::parse(&pattern).matches(&text), slowly(&pattern, &text), "{} {}", pattern, text);
        }
    }

    #[test]
    fn a_hostile_pattern_takes_no_longer_than_another() {
        // With backtracking over stars this takes longer than anyone can wait.
        let glob = Glob::parse(&format!("{}b", "a*".repeat(1000)));
        assert!(!glob.matches(&"a".repeat(1_000_000)));
        assert!(glob.matches(&format!("{}b", "a".repeat(1_000_000))));
        let holed = Glob::parse(&format!("{}b", "a*?".repeat(200)));
        assert!(!holed.matches(&"a".repeat(100_000)));
    }

    #[test]
    fn a_hostile_pattern_takes_no_more_steps_than_the_product_of_the_lengths() {
        for pattern in
            [format!("{}b", "a*?".repeat(40)), format!("*{}?b*", "a".repeat(40)), "a*?a*?b".to_owned()]
        {
            let mut before = 0_usize;
            for length in [1_000, 2_000, 4_000, 8_000] {
                let taken = steps(&pattern, &"a".repeat(length));
                assert!(taken <= pattern.len().saturating_mul(length), "{pattern} {length} {taken}");
                // Of twice the text, no more than about twice as many.
                assert!(
                    before == 0 || taken <= before.saturating_mul(2).saturating_add(8_000),
                    "{pattern} {taken} {before}"
                );
                before = taken;
            }
        }
    }
}
