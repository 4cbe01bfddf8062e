//! `Condition` blocks: every test of them must hold.

use core::cmp::Ordering;

use iam_policy::Truth;

use super::operand::{decimal, instant};
use super::pattern::{ARN_PARTS, Pattern};
use super::request::Request;
use crate::glob::Glob;
use crate::network::Network;
use crate::value::{Map, Value};

/// One key of one operator.
#[derive(Debug, Clone)]
pub(super) struct Test {
    pub(super) operator: Operator,
    pub(super) quantifier: Quantifier,
    pub(super) if_exists: bool,
    /// In lower case.
    pub(super) key: String,
    pub(super) values: Vec<Pattern>,
    /// Why nobody knows whether it holds.
    doubt: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Quantifier {
    One,
    Any,
    All,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Operator {
    pub(super) kind: Kind,
    pub(super) is_negated: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Text,
    TextFolded,
    Like,
    Number(Comparison),
    Date(Comparison),
    Flag,
    Ip,
    Arn,
    Null,
    Unsupported,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Comparison {
    Equal,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

impl Test {
    /// All tests of a block; `None` when it is no block.
    pub(super) fn read_all(block: &Map, has_variables: bool) -> Option<Vec<Self>> {
        let mut tests = Vec::new();
        for (operator, keys) in block {
            for (key, values) in keys.as_map()? {
                let values = values.one_or_many().iter().map(Value::scalar).collect::<Option<Vec<_>>>()?;
                tests.push(Self::read(operator, key, &values, has_variables));
            }
        }
        Some(tests)
    }

    fn read(text: &str, key: &str, values: &[String], has_variables: bool) -> Self {
        let (quantifier, rest) = match text.split_once(':') {
            Some(("ForAnyValue", rest)) => (Quantifier::Any, rest),
            Some(("ForAllValues", rest)) => (Quantifier::All, rest),
            _ => (Quantifier::One, text),
        };
        let (if_exists, name) = rest.strip_suffix("IfExists").map_or((false, rest), |name| (true, name));
        let operator = Operator::of(name);
        let mut test = Self {
            operator,
            quantifier,
            if_exists,
            key: key.to_ascii_lowercase(),
            values: values.iter().map(|text| Pattern::value(text, has_variables)).collect(),
            doubt: None,
        };
        let doubt = if operator.kind == Kind::Unsupported
            || (operator.kind == Kind::Null && (if_exists || quantifier != Quantifier::One))
        {
            Some("is not supported".to_owned())
        } else if values.is_empty() {
            Some("has no values".to_owned())
        } else if let Some(value) = test.values.iter().find(|value| !operator.kind.takes(value)) {
            Some(format!("does not take the value {}", crate::source::shown(value.text())))
        } else {
            test.values.iter().find_map(Pattern::doubt).map(str::to_owned)
        };
        test.doubt = doubt.map(|why| {
            format!("the condition {} on {} {why}", crate::source::shown(text), crate::source::shown(key))
        });
        test
    }

    pub(super) fn doubt(&self) -> Option<&str> {
        self.doubt.as_deref()
    }

    pub(super) fn holds(&self, request: &Request) -> Truth {
        if self.doubt.is_some() {
            return Truth::Unknown;
        }
        let present = request.values(&self.key).filter(|values| !values.is_empty());
        if self.operator.kind == Kind::Null {
            let is_absent = if present.is_some() { "false" } else { "true" };
            return known(self.values.iter().any(|value| value.text().eq_ignore_ascii_case(is_absent)));
        }
        let Some(found) = present else {
            return match self.quantifier {
                // AWS always says what time it is.
                _ if ALWAYS_THERE.contains(&self.key.as_str()) => Truth::Unknown,
                Quantifier::All => Truth::True,
                Quantifier::Any => known(self.if_exists),
                Quantifier::One => known(self.if_exists || self.operator.is_negated),
            };
        };
        match (self.quantifier, found) {
            (Quantifier::One, [one]) => self.holds_of(one, request),
            // AWS says not to ask so of several values, and not what comes of it.
            (Quantifier::One, _) => Truth::Unknown,
            (Quantifier::Any, all) => any(all.iter().map(|one| self.holds_of(one, request))),
            (Quantifier::All, all) => Truth::all(all.iter().map(|one| self.holds_of(one, request))),
        }
    }

    fn holds_of(&self, found: &str, request: &Request) -> Truth {
        let equal = any(self.values.iter().map(|value| self.operator.kind.compare(found, value, request)));
        if self.operator.is_negated { opposite(equal) } else { equal }
    }
}

impl Operator {
    fn of(name: &str) -> Self {
        use Comparison::{Equal, Greater, GreaterOrEqual, Less, LessOrEqual};
        let (kind, is_negated) = match name {
            "StringEquals" => (Kind::Text, false),
            "StringNotEquals" => (Kind::Text, true),
            "StringEqualsIgnoreCase" => (Kind::TextFolded, false),
            "StringNotEqualsIgnoreCase" => (Kind::TextFolded, true),
            "StringLike" => (Kind::Like, false),
            "StringNotLike" => (Kind::Like, true),
            "NumericEquals" => (Kind::Number(Equal), false),
            "NumericNotEquals" => (Kind::Number(Equal), true),
            "NumericLessThan" => (Kind::Number(Less), false),
            "NumericLessThanEquals" => (Kind::Number(LessOrEqual), false),
            "NumericGreaterThan" => (Kind::Number(Greater), false),
            "NumericGreaterThanEquals" => (Kind::Number(GreaterOrEqual), false),
            "DateEquals" => (Kind::Date(Equal), false),
            "DateNotEquals" => (Kind::Date(Equal), true),
            "DateLessThan" => (Kind::Date(Less), false),
            "DateLessThanEquals" => (Kind::Date(LessOrEqual), false),
            "DateGreaterThan" => (Kind::Date(Greater), false),
            "DateGreaterThanEquals" => (Kind::Date(GreaterOrEqual), false),
            "Bool" => (Kind::Flag, false),
            "IpAddress" => (Kind::Ip, false),
            "NotIpAddress" => (Kind::Ip, true),
            "ArnEquals" | "ArnLike" => (Kind::Arn, false),
            "ArnNotEquals" | "ArnNotLike" => (Kind::Arn, true),
            "Null" => (Kind::Null, false),
            _ => (Kind::Unsupported, false),
        };
        Self { kind, is_negated }
    }
}

impl Kind {
    /// Whether the value of a policy is of the form this compares with.
    fn takes(self, value: &Pattern) -> bool {
        let text = value.text();
        match self {
            Self::Text | Self::TextFolded | Self::Like => true,
            // A variable can stand for anything; what it stands for is looked at when it is known.
            Self::Number(_) => !value.is_fixed() || decimal(text).is_some(),
            Self::Date(_) => !value.is_fixed() || instant(text).is_some(),
            Self::Flag | Self::Null => flag(text).is_some(),
            Self::Ip => !value.is_fixed() || Network::parse(text).is_some(),
            Self::Arn => value.is_fixed() && text.splitn(ARN_PARTS, ':').count() == ARN_PARTS,
            Self::Unsupported => false,
        }
    }

    /// Whether what was found is what the policy says; unknown where one of them is not of the form.
    fn compare(self, found: &str, value: &Pattern, request: &Request) -> Truth {
        if self == Self::Like {
            return value.matches(found, request);
        }
        let Some(text) = value.literal(request) else { return Truth::Unknown };
        let answer = match self {
            Self::Text => Some(found == text),
            Self::TextFolded => Some(found.to_lowercase() == text.to_lowercase()),
            Self::Number(comparison) => comparison.of(decimal(found), decimal(&text)),
            Self::Date(comparison) => comparison.of(instant(found), instant(&text)),
            Self::Flag => flag(found).zip(flag(&text)).map(|(found, flag)| found == flag),
            Self::Ip => {
                let address = found.parse().ok();
                address.zip(Network::parse(&text)).map(|(address, network)| network.contains(address))
            }
            Self::Arn => {
                let parts: Vec<&str> = text.splitn(ARN_PARTS, ':').collect();
                let found: Vec<&str> = found.splitn(ARN_PARTS, ':').collect();
                let mut pairs = parts.iter().zip(&found);
                Some(found.len() == parts.len() && pairs.all(|(part, text)| Glob::parse(part).matches(text)))
            }
            Self::Like | Self::Null | Self::Unsupported => None,
        };
        answer.map_or(Truth::Unknown, known)
    }
}

impl Comparison {
    fn of(self, found: Option<i128>, value: Option<i128>) -> Option<bool> {
        let order = found?.cmp(&value?);
        Some(match self {
            Self::Equal => order == Ordering::Equal,
            Self::Less => order == Ordering::Less,
            Self::LessOrEqual => order != Ordering::Greater,
            Self::Greater => order == Ordering::Greater,
            Self::GreaterOrEqual => order != Ordering::Less,
        })
    }
}

/// Whether one holds: true where one is true, unknown where one is unknown, false of none at all.
pub(super) fn any(truths: impl IntoIterator<Item = Truth>) -> Truth {
    truths.into_iter().max().unwrap_or(Truth::False)
}

pub(super) const fn opposite(truth: Truth) -> Truth {
    match truth {
        Truth::True => Truth::False,
        Truth::Unknown => Truth::Unknown,
        Truth::False => Truth::True,
    }
}

const fn known(answer: bool) -> Truth {
    if answer { Truth::True } else { Truth::False }
}

/// `true` or `false`, in any case.
pub(super) fn flag(text: &str) -> Option<bool> {
    match text.to_ascii_lowercase().as_str() {
        "true" => Some(true),
        "false" => Some(false),
        _ => None,
    }
}

const ALWAYS_THERE: [&str; 2] = ["aws:currenttime", "aws:epochtime"];
