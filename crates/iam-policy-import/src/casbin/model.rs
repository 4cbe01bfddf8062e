use std::collections::BTreeMap;

use super::expression::{Expression, Names};
use super::rows::Row;
use crate::error::ImportError;
use crate::source::shown;

/// What a request and a policy are made of, and when they meet.
#[derive(Debug, Clone)]
pub(super) struct Model {
    pub(super) request: Vec<String>,
    pub(super) policy: Vec<String>,
    /// How many columns the rows of `g`, `g2`, … have.
    pub(super) groupings: BTreeMap<String, usize>,
    /// Whether one row that denies stands above all that allow.
    pub(super) has_denials: bool,
    pub(super) matcher: Expression,
    /// Whether it is one that rows suggest, of which the translation knows what it means.
    pub(super) is_inferred: bool,
}

impl Model {
    /// Whether the text is a model and no rows.
    pub(super) fn is_one(text: &str) -> bool {
        text.lines()
            .any(|line| matches!(line.trim(), "[request_definition]" | "[policy_definition]" | "[matchers]"))
    }

    /// Where a row of `p` says whether it allows.
    pub(super) fn effect_column(&self) -> Option<usize> {
        self.policy.iter().position(|name| name == "eft")
    }

    /// Reads a model.
    pub(super) fn read(file: &str, text: &str) -> Result<Self, ImportError> {
        let mut entries = entries(file, text)?;
        let mut take = |section: &str, name: &str| {
            entries
                .remove(&(section.to_owned(), name.to_owned()))
                .ok_or_else(|| ImportError::malformed(file, format!("no `{name}` in [{section}]")))
        };
        let request = names(file, &take("request_definition", "r")?)?;
        let policy = names(file, &take("policy_definition", "p")?)?;
        let effect: String = take("policy_effect", "e")?.split_whitespace().collect();
        let matcher = take("matchers", "m")?;
        let has_denials = match effect.as_str() {
            "some(where(p.eft==allow))" => false,
            "some(where(p.eft==allow))&&!some(where(p.eft==deny))"
            | "!some(where(p.eft==deny))&&some(where(p.eft==allow))" => true,
            _ => return Err(ImportError::unsupported(file, format!("the effect {}", shown(&effect)))),
        };
        let mut groupings = BTreeMap::new();
        for ((section, name), value) in entries {
            let columns = value.split(',').map(str::trim).filter(|column| *column == "_").count();
            let is_grouping = section == "role_definition"
                && name.strip_prefix('g').is_some_and(|rest| rest.bytes().all(|byte| byte.is_ascii_digit()))
                && columns == value.split(',').count()
                && (2..=3).contains(&columns);
            if !is_grouping {
                return Err(ImportError::unsupported(file, format!("{} in [{section}]", shown(&name))));
            }
            groupings.insert(name, columns);
        }
        let known = Names { request: &request, policy: &policy, groupings: &groupings };
        let matcher =
            Expression::parse(&matcher, &known).map_err(|why| ImportError::unsupported(file, why))?;
        Ok(Self { request, policy, groupings, has_denials, matcher, is_inferred: false })
    }

    /// The model that the rows suggest.
    pub(super) fn inferred(rows: &[Row]) -> Result<Self, ImportError> {
        let of = |kind: &'static str| rows.iter().filter(move |row| row.kind == kind);
        let width = |kind: &'static str| -> Result<Option<usize>, ImportError> {
            let mut widths = of(kind).map(|row| (row, row.values.len()));
            let Some((_, first)) = widths.next() else { return Ok(None) };
            match widths.find(|(_, width)| *width != first) {
                None => Ok(Some(first)),
                Some((row, _)) => Err(ImportError::malformed(
                    row.to_string(),
                    "more or fewer columns than the rows before it",
                )),
            }
        };
        let ends_with_effect =
            || of("p").all(|row| matches!(row.values.last().map(String::as_str), Some("allow" | "deny")));
        let (has_domain, has_effect) = match width("p")? {
            None => (width("g")? == Some(3), false),
            Some(3) => (false, false),
            Some(4) if ends_with_effect() => (false, true),
            Some(4) => (true, false),
            Some(5) if ends_with_effect() => (true, true),
            Some(columns) => {
                let why = format!("no model of {columns} columns is known; give one");
                return Err(ImportError::unsupported("the policy", why));
            }
        };
        let names = |is_policy: bool| -> Vec<String> {
            let dom = has_domain.then_some("dom");
            let eft = (is_policy && has_effect).then_some("eft");
            ["sub"].into_iter().chain(dom).chain(["obj", "act"]).chain(eft).map(str::to_owned).collect()
        };
        let (request, policy) = (names(false), names(true));
        let mut groupings = BTreeMap::new();
        let subject = match width("g")? {
            None => "r.sub == p.sub",
            Some(2) => "g(r.sub, p.sub)",
            Some(3) if has_domain => "g(r.sub, p.sub, r.dom)",
            Some(_) => {
                let why = "no model with these columns of `g` is known; give one";
                return Err(ImportError::unsupported("the policy", why));
            }
        };
        if let Some(columns) = width("g")? {
            groupings.insert("g".to_owned(), columns);
        }
        let object = match width("g2")? {
            None => "r.obj == p.obj",
            Some(2) => "g2(r.obj, p.obj)",
            Some(_) => return Err(ImportError::unsupported("the policy", "`g2` with domains; give a model")),
        };
        if let Some(columns) = width("g2")? {
            groupings.insert("g2".to_owned(), columns);
        }
        let domain = if has_domain { "r.dom == p.dom && " } else { "" };
        let matcher = format!("{subject} && {domain}{object} && r.act == p.act");
        let known = Names { request: &request, policy: &policy, groupings: &groupings };
        let matcher =
            Expression::parse(&matcher, &known).map_err(|why| ImportError::unsupported("the policy", why))?;
        Ok(Self { request, policy, groupings, has_denials: has_effect, matcher, is_inferred: true })
    }
}

/// Section and name of each entry. A line that ends with `\` goes on in the next.
fn entries(file: &str, text: &str) -> Result<BTreeMap<(String, String), String>, ImportError> {
    let mut entries = BTreeMap::new();
    let mut section = String::new();
    let mut begun = String::new();
    for line in text.lines() {
        let line = line.trim();
        if begun.is_empty() && (line.is_empty() || line.starts_with('#') || line.starts_with(';')) {
            continue;
        }
        if let Some(head) = line.strip_suffix('\\') {
            begun.push_str(head);
            continue;
        }
        begun.push_str(line);
        let whole = core::mem::take(&mut begun);
        if let Some(name) = whole.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
            name.trim().clone_into(&mut section);
            continue;
        }
        let Some((name, value)) = whole.split_once('=') else {
            return Err(ImportError::malformed(file, format!("no `name = value`: {}", shown(&whole))));
        };
        // A comment may follow.
        let value = value.split('#').next().unwrap_or_default().trim().to_owned();
        let key = (section.clone(), name.trim().to_owned());
        if entries.insert(key, value).is_some() {
            return Err(ImportError::malformed(file, format!("{} stands twice", shown(name.trim()))));
        }
    }
    Ok(entries)
}

fn names(file: &str, text: &str) -> Result<Vec<String>, ImportError> {
    let names: Vec<String> = text.split(',').map(|name| name.trim().to_owned()).collect();
    let is_name = |name: &String| {
        name.starts_with(|first: char| first.is_ascii_alphabetic())
            && name.chars().all(|symbol| symbol.is_ascii_alphanumeric() || symbol == '_')
            && names.iter().filter(|other| *other == name).count() == 1
    };
    if names.len() <= 16 && names.iter().all(is_name) {
        Ok(names)
    } else {
        Err(ImportError::malformed(file, format!("no names: {}", shown(text))))
    }
}
