//! Circumstances: the contexts and instants that given conditions can tell apart.
//!
//! A condition looks at one part of a context, and through few values. For each part there is a short list of
//! values of which every other one is like one of the list; all combinations are all circumstances there are.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use core_types::{Limit, UnixTime};

use crate::condition::{Condition, Test};
use crate::context::{AttributeName, AttributeValue, Context, MAX_TEXT_BYTES, Text, TextSet};

/// Every combination, each like those it stands for; `None` past `limit`.
pub(crate) fn all<'c>(
    conditions: impl IntoIterator<Item = &'c Condition>,
    limit: usize,
) -> Option<Vec<(Context, UnixTime)>> {
    let mut parts = Parts::default();
    conditions.into_iter().for_each(|condition| parts.add(condition.test()));
    let mut all: Vec<(Context, UnixTime)> = Vec::new();
    all.extend(parts.instants.iter().chain([&UnixTime::EPOCH]).map(|at| (Context::new(), *at)));
    all.dedup_by_key(|(_, at)| *at);
    if parts.mfa {
        all = vary(&all, limit, &[true, false], |context, mfa| Some(context.with_mfa(*mfa)))?;
    }
    if parts.tls {
        all = vary(&all, limit, &[true, false], |context, tls| Some(context.with_tls(*tls)))?;
    }
    let addresses: Vec<IpAddr> = parts.addresses.iter().copied().collect();
    all = vary(&all, limit, &addresses, |context, address| Some(context.with_client_ip(*address)))?;
    for (name, seen) in &parts.attributes {
        let values = seen.values(limit)?;
        all = vary(&all, limit, &values, |context, value| {
            context.with_attribute((*name).clone(), value.clone()).ok()
        })?;
    }
    Some(all)
}

/// Each as it is, and with each of the values.
fn vary<V>(
    all: &[(Context, UnixTime)],
    limit: usize,
    values: &[V],
    with: impl Fn(Context, &V) -> Option<Context>,
) -> Option<Vec<(Context, UnixTime)>> {
    if all.len().checked_mul(values.len().checked_add(1)?)? > limit {
        return None;
    }
    let mut varied = all.to_vec();
    for (context, at) in all {
        for value in values {
            varied.push((with(context.clone(), value)?, *at));
        }
    }
    Some(varied)
}

/// What the conditions look at.
#[derive(Default)]
struct Parts<'c> {
    instants: BTreeSet<UnixTime>,
    mfa: bool,
    tls: bool,
    addresses: BTreeSet<IpAddr>,
    attributes: BTreeMap<&'c AttributeName, Seen<'c>>,
}

/// Through which values they look at an attribute.
#[derive(Default)]
struct Seen<'c> {
    is_flag: bool,
    numbers: BTreeSet<i64>,
    is_text: bool,
    texts: BTreeSet<&'c Text>,
    prefixes: BTreeSet<&'c Text>,
    sets: Vec<&'c TextSet>,
}

impl<'c> Parts<'c> {
    fn add(&mut self, test: &'c Test) {
        match test {
            Test::ClientIp(networks) => {
                let [v4, v6] = [[0; 4].into(), [0; 16].into()];
                self.addresses.extend([v4, v6].into_iter().chain(networks.borders()));
            }
            Test::Time { from, until } => {
                let borders = [from, until].into_iter().filter_map(|border| match border {
                    Limit::Unlimited => None,
                    Limit::Only(at) => Some(*at),
                });
                self.instants.extend(borders.filter(|at| *at != UnixTime::EPOCH));
            }
            Test::Mfa => self.mfa = true,
            Test::Tls => self.tls = true,
            Test::Flag(name) => self.seen(name).is_flag = true,
            Test::Number { attribute, at_least, at_most } => {
                let seen = self.seen(attribute);
                seen.numbers.insert(i64::MIN);
                if let Limit::Only(least) = at_least {
                    seen.numbers.insert(*least);
                }
                if let Limit::Only(most) = at_most {
                    seen.numbers.extend(most.checked_add(1));
                }
            }
            Test::Text { attribute, one_of } => {
                let seen = self.seen(attribute);
                seen.is_text = true;
                seen.texts.extend(one_of.iter());
            }
            Test::Prefix { attribute, starts_with } => {
                let seen = self.seen(attribute);
                seen.is_text = true;
                seen.prefixes.insert(starts_with);
            }
            Test::Any { attribute, one_of } | Test::All { attribute, one_of } => {
                self.seen(attribute).sets.push(one_of);
            }
        }
    }

    fn seen(&mut self, name: &'c AttributeName) -> &mut Seen<'c> {
        self.attributes.entry(name).or_default()
    }
}

impl Seen<'_> {
    fn values(&self, limit: usize) -> Option<Vec<AttributeValue>> {
        let flags = [true, false].into_iter().filter(|_| self.is_flag).map(AttributeValue::Flag);
        let numbers = self.numbers.iter().copied().map(AttributeValue::Number);
        let texts = self.all_texts().into_iter().map(AttributeValue::Text);
        let sets = self.all_sets(limit)?.into_iter().map(AttributeValue::Texts);
        Some(flags.chain(numbers).chain(texts).chain(sets).collect())
    }

    /// The texts that are compared with; for each beginning, and for none, another text that begins so.
    fn all_texts(&self) -> BTreeSet<Text> {
        if !self.is_text {
            return BTreeSet::new();
        }
        let known: BTreeSet<&str> =
            self.texts.iter().chain(&self.prefixes).map(|text| text.as_str()).collect();
        let another = self.prefixes.iter().map(|text| text.as_str()).chain([""]);
        let another = another.filter_map(|prefix| another_text(prefix, &known));
        let exact = self.texts.iter().chain(&self.prefixes).map(|text| (*text).clone());
        exact.chain(another).collect()
    }

    /// Texts of which the same sets have one are alike: every choice of one of each kind, and of another one.
    fn all_sets(&self, limit: usize) -> Option<Vec<TextSet>> {
        if self.sets.is_empty() {
            return Some(Vec::new());
        }
        let mut kinds: BTreeMap<Vec<bool>, Text> = BTreeMap::new();
        for text in self.sets.iter().flat_map(|set| set.iter()) {
            let kind = self.sets.iter().map(|set| set.contains(text)).collect();
            kinds.entry(kind).or_insert_with(|| text.clone());
        }
        let known = self.sets.iter().flat_map(|set| set.iter()).map(Text::as_str).collect();
        let kinds: Vec<Text> = kinds.into_values().chain(another_text("", &known)).collect();
        let mut choices: Vec<Vec<Text>> = vec![Vec::new()];
        for text in kinds {
            if choices.len().saturating_mul(2) > limit {
                return None;
            }
            let with = choices.iter().map(|choice| choice.iter().cloned().chain([text.clone()]).collect());
            choices = choices.iter().cloned().chain(with).collect();
        }
        choices.into_iter().map(|choice| choice.try_into().ok()).collect()
    }
}

/// A text that begins so and is none of the known, nor begins as a longer one of them; `None` where nothing fits.
fn another_text(prefix: &str, known: &BTreeSet<&str>) -> Option<Text> {
    if prefix.len() >= MAX_TEXT_BYTES {
        return None;
    }
    // A character that comes after the prefix in none of them.
    let used: BTreeSet<char> =
        known.iter().filter_map(|text| text.strip_prefix(prefix)?.chars().next()).collect();
    let free = ('!'..='~').chain('\u{a1}'..='\u{ffff}').find(|letter| !used.contains(letter))?;
    Text::new(&format!("{prefix}{free}")).ok()
}
