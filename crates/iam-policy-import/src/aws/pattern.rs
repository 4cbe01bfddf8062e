//! What `Action`, `Resource` and the values of conditions are compared with.

use iam_policy::Truth;

use super::request::Request;
use crate::glob::{Glob, Symbol};

/// A pattern with `*`, `?` and, in documents that have them, variables.
#[derive(Debug, Clone)]
pub(super) struct Pattern {
    text: String,
    form: Form,
    doubt: Option<String>,
}

#[derive(Debug, Clone)]
enum Form {
    Fixed(Glob),
    /// What it is made of; a glob when the variables are known.
    Variable(Vec<Part>),
    /// Text with wildcards where none should be: where it matches, nobody knows.
    Doubtful(Glob),
    /// An ARN with `*` in the midst of an inner part: whole, and part by part.
    Arn(Glob, Vec<Glob>),
    /// Not a pattern.
    Unknown,
}

#[derive(Debug, Clone)]
enum Part {
    Symbol(Symbol),
    Variable { key: String, default: Option<String> },
}

impl Pattern {
    /// A pattern for actions; `None` when it is none.
    pub(super) fn action(text: &str) -> Option<Self> {
        let folded = text.to_ascii_lowercase();
        let glob = Glob::parse(&folded);
        let is_plain = |side: &str| !side.is_empty() && !side.contains(['*', '?']);
        let (form, doubt) = match folded.split_once(':') {
            None if folded == "*" => (Form::Fixed(glob), None),
            None => return None,
            Some((_, "")) => return None,
            Some((_, name)) if name.contains([':', '$']) => return None,
            Some((service, _)) if is_plain(service) || folded == "*:*" => (Form::Fixed(glob), None),
            Some(_) => {
                let doubt = format!("{} has a wildcard in the service's name", crate::source::shown(text));
                (Form::Doubtful(glob), Some(doubt))
            }
        };
        Some(Self { text: folded, form, doubt })
    }

    /// A pattern for resources.
    pub(super) fn resource(text: &str, has_variables: bool) -> Self {
        let pattern = Self::value(text, has_variables);
        let parts: Vec<&str> = text.splitn(ARN_PARTS, ':').collect();
        let is_inner_star = |part: &&str| part.trim_end_matches('*').contains('*');
        match (pattern.form, parts.as_slice()) {
            (Form::Fixed(whole), [inner @ .., _])
                if parts.len() == ARN_PARTS && inner.iter().any(is_inner_star) =>
            {
                let doubt =
                    format!("in {} a `*` is not let cross a colon to allow", crate::source::shown(text));
                let parts = parts.iter().map(|part| Glob::parse(part)).collect();
                Self { text: pattern.text, form: Form::Arn(whole, parts), doubt: Some(doubt) }
            }
            (form, _) => Self { form, ..pattern },
        }
    }

    /// A pattern for the values of conditions.
    pub(super) fn value(text: &str, has_variables: bool) -> Self {
        let own = text.to_owned();
        if !has_variables || !text.contains("${") {
            return Self { text: own, form: Form::Fixed(Glob::parse(text)), doubt: None };
        }
        match parts(text) {
            Some(parts) => {
                let fixed: Option<Vec<Symbol>> = parts
                    .iter()
                    .map(|part| match part {
                        Part::Symbol(symbol) => Some(symbol.clone()),
                        Part::Variable { .. } => None,
                    })
                    .collect();
                match fixed {
                    None => Self { text: own, form: Form::Variable(parts), doubt: None },
                    Some(symbols) => {
                        let text = symbols.iter().map(Symbol::written).collect();
                        Self { text, form: Form::Fixed(Glob::of(symbols)), doubt: None }
                    }
                }
            }
            None => {
                let doubt = Some(format!("{} has no well-formed variable", crate::source::shown(text)));
                Self { text: own, form: Form::Unknown, doubt }
            }
        }
    }

    /// As it was written, but for escapes (`${*}`); an action in lower case.
    pub(super) fn text(&self) -> &str {
        &self.text
    }

    /// Whether it has no variables, and is a pattern.
    pub(super) const fn is_fixed(&self) -> bool {
        matches!(self.form, Form::Fixed(_))
    }

    /// Whether it can never be said to match.
    pub(super) const fn is_lifeless(&self) -> bool {
        matches!(self.form, Form::Unknown | Form::Doubtful(_))
    }

    /// Why it is not taken as it is.
    pub(super) fn doubt(&self) -> Option<&str> {
        self.doubt.as_deref()
    }

    pub(super) fn matches(&self, text: &str, request: &Request) -> Truth {
        let known = |matches: bool| if matches { Truth::True } else { Truth::False };
        match &self.form {
            Form::Fixed(glob) => known(glob.matches(text)),
            Form::Doubtful(glob) => {
                if glob.matches(text) {
                    Truth::Unknown
                } else {
                    Truth::False
                }
            }
            Form::Arn(whole, parts) => {
                let by_parts = || {
                    let found: Vec<&str> = text.splitn(ARN_PARTS, ':').collect();
                    found.len() == parts.len()
                        && parts.iter().zip(found).all(|(part, text)| part.matches(text))
                };
                match whole.matches(text) {
                    false => Truth::False,
                    true if by_parts() => Truth::True,
                    true => Truth::Unknown,
                }
            }
            Form::Variable(parts) => match resolved(parts, request) {
                Some(glob) => known(glob.matches(text)),
                None => Truth::Unknown,
            },
            Form::Unknown => Truth::Unknown,
        }
    }

    /// The text with variables replaced, for comparisons without wildcards; `None` where one is not known.
    pub(super) fn literal(&self, request: &Request) -> Option<String> {
        let Form::Variable(parts) = &self.form else {
            return (!matches!(self.form, Form::Unknown)).then(|| self.text.clone());
        };
        let mut text = String::new();
        for part in parts {
            match part {
                Part::Symbol(symbol) => text.push(symbol.written()),
                Part::Variable { key, default } => text.push_str(variable(key, default.as_deref(), request)?),
            }
        }
        Some(text)
    }
}

/// The glob with the values of variables in it, each character for itself.
fn resolved(parts: &[Part], request: &Request) -> Option<Glob> {
    let mut symbols = Vec::new();
    for part in parts {
        match part {
            Part::Symbol(symbol) => symbols.push(symbol.clone()),
            Part::Variable { key, default } => {
                symbols.extend(variable(key, default.as_deref(), request)?.chars().map(Symbol::Literal));
            }
        }
    }
    Some(Glob::of(symbols))
}

/// One value, or the default where the key is absent.
fn variable<'a>(key: &str, default: Option<&'a str>, request: &'a Request) -> Option<&'a str> {
    match request.values(key) {
        None | Some([]) => default,
        Some([value]) => Some(value),
        Some(_) => None,
    }
}

/// `None` when a `${` is not closed, or holds no key.
fn parts(text: &str) -> Option<Vec<Part>> {
    let mut parts = Vec::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("${") {
        parts.extend(before.chars().map(wild).map(Part::Symbol));
        let (inside, after) = after.split_once('}')?;
        rest = after;
        if let "*" | "?" | "$" = inside {
            parts.extend(inside.chars().map(Symbol::Literal).map(Part::Symbol));
            continue;
        }
        let (key, default) = match inside.split_once(',') {
            None => (inside, None),
            Some((key, default)) => {
                let quoted = default.trim().strip_prefix('\'').and_then(|text| text.strip_suffix('\''))?;
                (key, Some(quoted.to_owned()))
            }
        };
        let is_key = !key.is_empty()
            && key.chars().all(|symbol| symbol.is_ascii_alphanumeric() || ":/_.-@=+ ".contains(symbol));
        if !is_key {
            return None;
        }
        parts.push(Part::Variable { key: key.trim().to_ascii_lowercase(), default });
    }
    parts.extend(rest.chars().map(wild).map(Part::Symbol));
    Some(parts)
}

const fn wild(symbol: char) -> Symbol {
    match symbol {
        '*' => Symbol::Any,
        '?' => Symbol::One,
        symbol => Symbol::Literal(symbol),
    }
}

/// `arn:partition:service:region:account:resource`.
pub(super) const ARN_PARTS: usize = 6;
