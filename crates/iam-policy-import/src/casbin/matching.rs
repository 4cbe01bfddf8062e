//! The functions of matchers, and the links of roles.

use std::collections::{BTreeMap, BTreeSet};

use crate::network::Network;

/// Whether the key is the pattern, or begins as the pattern does up to its first `*`.
pub(super) fn key_match(key: &str, pattern: &str) -> bool {
    match pattern.split_once('*') {
        None => key == pattern,
        Some((head, _)) => key.starts_with(head),
    }
}

/// `:name` is a segment (or the rest of one), `/*` is `/` and any text.
pub(super) fn key_match_2(key: &str, pattern: &str) -> Option<bool> {
    Path::parse(pattern, Names::Colon).map(|path| path.matches(key))
}

/// `{name}` is a part of a segment, `/*` is `/` and any text.
pub(super) fn key_match_3(key: &str, pattern: &str) -> Option<bool> {
    Path::parse(pattern, Names::Braces).map(|path| path.matches(key))
}

/// As `keyMatch3`, and what has one name twice must be the same twice; such names must be whole segments here.
pub(super) fn key_match_4(key: &str, pattern: &str) -> Option<bool> {
    let matches = key_match_3(key, pattern)?;
    let name_of = |segment: &'_ str| {
        segment.strip_prefix('{').and_then(|rest| rest.strip_suffix('}')).map(str::to_owned)
    };
    let mut seen: BTreeMap<String, &str> = BTreeMap::new();
    let mut is_same = true;
    let mut segments = key.split('/');
    for segment in pattern.split('/') {
        let found = segments.next().unwrap_or_default();
        match name_of(segment) {
            Some(name) => is_same &= *seen.entry(name).or_insert(found) == found,
            None if segment.contains('{') => return None,
            // What follows is not at a place that can be told.
            None if segment.contains('*') && segments.clone().next().is_some() => break,
            None => {}
        }
    }
    let has_names_after_star = pattern.split_once('*').is_some_and(|(_, tail)| tail.contains('{'));
    (!has_names_after_star).then_some(matches && is_same)
}

/// As `keyMatch3`, of the key without what follows `?`.
pub(super) fn key_match_5(key: &str, pattern: &str) -> Option<bool> {
    key_match_3(key.split('?').next().unwrap_or_default(), pattern)
}

/// Whether the address is the other one, or in the network.
pub(super) fn ip_match(key: &str, pattern: &str) -> Option<bool> {
    Some(Network::parse(pattern)?.contains(key.parse().ok()?))
}

/// Of regular expressions, words and alternatives of words, found anywhere or between `^` and `$`, and `.*`.
pub(super) fn regex_match(key: &str, pattern: &str) -> Option<bool> {
    if let ".*" | "^.*$" = pattern {
        // A dot is no line's end.
        return Some(pattern == ".*" || !key.contains('\n'));
    }
    let whole = pattern.strip_prefix('^').and_then(|rest| rest.strip_suffix('$'));
    let is_word = |text: &str| {
        !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_/-".contains(&byte))
    };
    let inner =
        |text: &str| text.strip_prefix('(').and_then(|rest| rest.strip_suffix(')')).map(str::to_owned);
    let body = match whole {
        // `^a|b$` is `^a` or `b$`.
        Some(whole) if whole.contains('|') => inner(whole).filter(|body| !body.contains(['(', ')']))?,
        Some(whole) => whole.to_owned(),
        None => pattern.to_owned(),
    };
    let is_plain = is_word(&body.replace('|', ""));
    let words = body.split('|').map(|word| if is_plain { Some(word.to_owned()) } else { inner(word) });
    let words = words.map(|word| word.filter(|word| is_word(word))).collect::<Option<Vec<_>>>()?;
    Some(words.iter().any(|word| if whole.is_some() { key == word } else { key.contains(word.as_str()) }))
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Names {
    Colon,
    Braces,
}

/// A pattern of paths, which casbin makes a regular expression of.
struct Path {
    symbols: Vec<Symbol>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Symbol {
    Literal(char),
    /// `.`, which is not escaped on the way into the expression.
    Dot,
    /// `.*`
    Any,
    /// `[^/]+`
    Segment,
}

impl Path {
    /// `None` when it has symbols that mean something else in a regular expression.
    fn parse(pattern: &str, names: Names) -> Option<Self> {
        let mut symbols = Vec::new();
        let mut rest = pattern;
        while let Some(first) = rest.chars().next() {
            let after = rest.get(first.len_utf8()..).unwrap_or_default();
            let segment_end = rest.find('/').unwrap_or(rest.len());
            let (segment, beyond) = rest.split_at_checked(segment_end).unwrap_or_default();
            rest = match (first, names) {
                (':', Names::Colon) if segment.len() > 1 => {
                    symbols.push(Symbol::Segment);
                    beyond
                }
                ('{', Names::Braces) => {
                    // From the first brace of the segment to its last.
                    let (inside, tail) = segment.rsplit_once('}')?;
                    symbols.push(Symbol::Segment);
                    let used = rest.len().saturating_sub(beyond.len()).saturating_sub(tail.len());
                    (inside.len() > 1).then(|| rest.get(used..).unwrap_or_default())?
                }
                ('/', _) => {
                    symbols.push(Symbol::Literal('/'));
                    match after.strip_prefix('*') {
                        Some(after) => {
                            symbols.push(Symbol::Any);
                            after
                        }
                        None => after,
                    }
                }
                ('.', _) => {
                    symbols.push(Symbol::Dot);
                    after
                }
                ('*' | '+' | '?' | '(' | ')' | '[' | ']' | '{' | '}' | '|' | '^' | '$' | '\\', _) => {
                    return None;
                }
                (literal, _) => {
                    symbols.push(Symbol::Literal(literal));
                    after
                }
            };
        }
        Some(Self { symbols })
    }

    /// Which beginnings of the text the symbols so far match, symbol after symbol: in time proportional to both.
    fn matches(&self, text: &str) -> bool {
        let text: Vec<char> = text.chars().collect();
        let mut ends = vec![false; text.len().saturating_add(1)];
        if let Some(first) = ends.first_mut() {
            *first = true;
        }
        for symbol in &self.symbols {
            let mut next = Vec::with_capacity(ends.len());
            // Whether a symbol that takes several characters goes on up to here.
            let mut open = false;
            next.push(*symbol == Symbol::Any && ends.first() == Some(&true));
            for (at, &found) in text.iter().enumerate() {
                let before = ends.get(at) == Some(&true);
                open |= before;
                let takes = match symbol {
                    Symbol::Literal(literal) => found == *literal,
                    Symbol::Dot | Symbol::Any => found != '\n',
                    Symbol::Segment => found != '/',
                };
                open &= takes;
                let here = ends.get(at.saturating_add(1)) == Some(&true);
                next.push(match symbol {
                    Symbol::Literal(_) | Symbol::Dot => before && takes,
                    Symbol::Segment => open,
                    Symbol::Any => open || here,
                });
            }
            ends = next;
        }
        ends.last() == Some(&true)
    }
}

/// Who has which roles, in each domain.
#[derive(Debug, Clone)]
pub(super) struct Links {
    columns: usize,
    by_domain: BTreeMap<String, BTreeMap<String, BTreeSet<String>>>,
}

impl Links {
    pub(super) const fn new(columns: usize) -> Self {
        Self { columns, by_domain: BTreeMap::new() }
    }

    /// Adds a row; the message says why it is none.
    pub(super) fn add(&mut self, values: Vec<String>) -> Result<(), String> {
        let wrong = format!("the model has {} columns", self.columns);
        if values.len() != self.columns || values.iter().any(String::is_empty) {
            return Err(wrong);
        }
        let mut values = values.into_iter();
        let (Some(name), Some(role)) = (values.next(), values.next()) else { return Err(wrong) };
        let domain = self.by_domain.entry(values.next().unwrap_or_default()).or_default();
        domain.entry(name).or_default().insert(role);
        Ok(())
    }

    /// Whether the name has the role, or is it, at most so many levels away.
    pub(super) fn has(&self, name: &str, role: &str, domain: &str, levels: Option<usize>) -> bool {
        name == role || self.roles(name, domain, levels).contains(role)
    }

    /// The roles of the name, at most so many levels away; and itself.
    pub(super) fn roles<'a>(
        &'a self,
        name: &'a str,
        domain: &str,
        levels: Option<usize>,
    ) -> BTreeSet<&'a str> {
        let mut all = BTreeSet::from([name]);
        let Some(links) = self.by_domain.get(domain) else { return all };
        let mut level = vec![name];
        let mut depth = 0_usize;
        while !level.is_empty() && levels.is_none_or(|levels| depth < levels) {
            depth = depth.saturating_add(1);
            let above = level.iter().filter_map(|name| links.get(*name)).flatten().map(String::as_str);
            let new: Vec<&str> = above.collect();
            level = new.into_iter().filter(|role| all.insert(role)).collect();
        }
        all
    }

    /// Everything there is in the first column, with its domain, and in the second.
    pub(super) fn rows(&self) -> impl Iterator<Item = (&str, &str, &str)> {
        self.by_domain.iter().flat_map(|(domain, links)| {
            links.iter().flat_map(move |(name, roles)| {
                roles.iter().map(move |role| (name.as_str(), role.as_str(), domain.as_str()))
            })
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The examples of casbin's documentation, and what its regular expressions make of the rest.
    #[test]
    fn keys_match_as_casbin_says() {
        assert!(key_match("/alice_data/resource1", "/alice_data/*") && !key_match("/alice", "/alice_data/*"));
        assert!(
            key_match("/foo", "/foo") && !key_match("/foo/bar", "/foo") && key_match("/foobar", "/foo*x")
        );
        for (key, pattern, expected) in [
            ("/foo/bar", "/foo/*", Some(true)),
            ("/foo", "/foo/*", Some(false)),
            ("/resource1", "/:resource", Some(true)),
            ("/", "/:resource", Some(false)),
            ("/alice/all", "/:id/all", Some(true)),
            ("/alice/x/all", "/:id/all", Some(false)),
            ("/proxy/a/b/c", "/proxy/:id/*", Some(true)),
            ("/a.b", "/:x.y", Some(true)),
            ("/axb", "/a.b", Some(true)),
            ("/ab", "/a+b", None),
        ] {
            assert_eq!(key_match_2(key, pattern), expected, "{key} {pattern}");
        }
        for (key, pattern, expected) in [
            ("/foo/bar", "/foo/*", Some(true)),
            ("/proxy/myid/res", "/proxy/{id}/*", Some(true)),
            ("/proxy//res", "/proxy/{id}/*", Some(false)),
            ("project/proj_web_admin/", "project/proj_{project}_admin/", Some(true)),
            ("/a-b", "/{x}-{y}", Some(true)),
            ("/a", "/{x", None),
            ("/a", "/{}", None),
        ] {
            assert_eq!(key_match_3(key, pattern), expected, "{key} {pattern}");
        }
        for (key, pattern, expected) in [
            ("/parent/123/child/123", "/parent/{id}/child/{id}", Some(true)),
            ("/parent/123/child/456", "/parent/{id}/child/{id}", Some(false)),
            ("/parent/123/child/456", "/parent/{id}/child/{another}", Some(true)),
            ("/parent/1/x", "/parent/{id}/*", Some(true)),
            ("/a/b", "/*/{id}", None),
            // From the first brace to the last it is one name.
            ("/a_b", "/{x}_{x}", Some(true)),
            ("/a_b", "/a_{x}", None),
        ] {
            assert_eq!(key_match_4(key, pattern), expected, "{key} {pattern}");
        }
        assert_eq!(key_match_5("/foo/bar?status=1", "/foo/bar"), Some(true));
        assert_eq!(key_match_5("/parent/child1?x=/y", "/parent/*"), Some(true));
    }

    #[test]
    fn of_regular_expressions_words_are_understood() {
        for (key, pattern, expected) in [
            ("GET", "(GET)|(POST)", Some(true)),
            ("PUT", "(GET)|(POST)", Some(false)),
            ("GETX", "(GET)|(POST)", Some(true)),
            ("GETX", "^(GET|POST)$", Some(false)),
            ("POST", "^(GET|POST)$", Some(true)),
            ("GET", "^GET$", Some(true)),
            ("anything", ".*", Some(true)),
            ("GET", "^GET|POST$", None),
            ("GET", "G.T", None),
            ("GET", "(G|P)ET", None),
            ("GET", "", None),
            ("GET", "GET|", None),
        ] {
            assert_eq!(regex_match(key, pattern), expected, "{key} {pattern}");
        }
    }

    #[test]
    fn addresses_match_networks() {
        assert_eq!(ip_match("192.168.2.123", "192.168.2.0/24"), Some(true));
        assert_eq!(ip_match("192.168.2.123", "192.168.2.124"), Some(false));
        assert_eq!(ip_match("alice", "192.168.2.0/24"), None);
    }
}
