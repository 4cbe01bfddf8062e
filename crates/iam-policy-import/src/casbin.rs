//! Models and policies as casbin has them: `model.conf` and rows of CSV.
//!
//! Understood are the models that compare texts: access lists, roles (`g`, also of resources: `g2`), domains, an
//! `eft` of `allow` or `deny`, the effects `some(where (p.eft == allow))` and the same with
//! `&& !some(where (p.eft == deny))`, and in matchers `&&`, `||`, `!`, `==`, `!=`, `g`, `keyMatch`, `keyMatch2`,
//! `keyMatch3`, `keyMatch4`, `keyMatch5`, `ipMatch` and, of a policy's value, the simplest of `regexMatch`
//! (`(GET)|(POST)`, `.*`). Everything else is refused, the effects that allow what nothing denies too.
//!
//! Where no model is given, it is inferred from the rows. Three columns of `p` are `sub, obj, act`, four end with
//! `eft` when all fourth ones are `allow` or `deny` and begin with `sub, dom` otherwise, five are both. Texts are
//! compared for equality, subjects through `g` where there are such rows, in the domain where these have three
//! columns, objects through `g2`.
//!
//! casbin follows roles ten levels deep. So does what is allowed here; what is denied is followed to the end. Without
//! policies, and without a text in a field of the request, everything is denied.

mod expression;
mod matching;
mod model;
mod request;
mod rows;
mod translate;

use std::collections::BTreeMap;

use self::matching::Links;
use self::model::Model;
pub use self::request::Request;
use self::rows::Row;
use crate::error::ImportError;
use crate::report::{Fidelity, Report};
use crate::source::SourceFile;
use crate::verdict::{Reason, Verdict};

/// The most rows a source has.
pub const MAX_ROWS: usize = 1_000_000;

/// A model and its policy.
#[derive(Debug, Clone)]
pub struct Casbin {
    model: Model,
    rules: Vec<Rule>,
    /// By the name of the definition (`g`, `g2`).
    links: BTreeMap<String, Links>,
    report: Report,
}

/// A row of `p`.
#[derive(Debug, Clone)]
struct Rule {
    place: String,
    values: Vec<String>,
    is_deny: bool,
}

impl Casbin {
    /// Reads a policy by its model, or by the one that its rows suggest. Files with sections (`[matchers]`) are
    /// models, others are rows.
    ///
    /// # Errors
    /// [`ImportError`] when a row does not fit the model, or the model is not supported.
    pub fn read(files: &[SourceFile<'_>]) -> Result<Self, ImportError> {
        let mut model = None;
        let mut rows = Vec::new();
        for file in files {
            let text = file.text()?;
            if !Model::is_one(text) {
                rows::read(file.name, text, &mut rows)?;
            } else if model.replace(Model::read(file.name, text)?).is_some() {
                return Err(ImportError::malformed(file.name, "a second model"));
            }
        }
        let model = model.map_or_else(|| Model::inferred(&rows), Ok)?;
        Self::of(model, rows)
    }

    /// What became of each row, as far as [`decide`](Self::decide) is concerned.
    #[must_use]
    pub const fn report(&self) -> &Report {
        &self.report
    }

    /// The answer to a request.
    pub fn decide(&self, request: &Request) -> Verdict {
        let values = match request.values(&self.model) {
            Ok(values) => values,
            Err(error) => return Verdict::denied(Reason::BadRequest(error.to_string())),
        };
        let mut allowed = Vec::new();
        for rule in &self.rules {
            let world = expression::World { request: &values, rule: &rule.values, links: &self.links };
            let place = || rule.place.clone();
            if rule.is_deny {
                if self.model.matcher.may_hold(&world) {
                    return Verdict::denied(Reason::DeniedBy(place()));
                }
            } else if self.model.matcher.holds(&world) {
                allowed.push(Reason::AllowedBy(place()));
            }
        }
        if allowed.is_empty() { Verdict::denied(Reason::NothingAllows) } else { Verdict::Allow(allowed) }
    }

    fn of(model: Model, rows: Vec<Row>) -> Result<Self, ImportError> {
        let mut links: BTreeMap<String, Links> =
            model.groupings.iter().map(|(name, columns)| (name.clone(), Links::new(*columns))).collect();
        let (mut rules, mut report) = (Vec::new(), Report::default());
        for row in rows {
            let place = row.to_string();
            let Row { kind, values, .. } = row;
            let mut notes = Vec::new();
            if kind == "p" {
                if values.len() != model.policy.len() {
                    let why = format!("the model has {} columns", model.policy.len());
                    return Err(ImportError::malformed(place, why));
                }
                let is_deny = match model.effect_column().and_then(|at| values.get(at)).map(String::as_str) {
                    None | Some("allow") => false,
                    Some("deny") if model.has_denials => true,
                    // By the other effect a row that denies says nothing.
                    Some("deny") => {
                        report.push(place, Fidelity::Exact, vec!["the model ignores it".to_owned()]);
                        continue;
                    }
                    Some(_) => return Err(ImportError::malformed(place, "the effect is `allow` or `deny`")),
                };
                notes.extend(model.matcher.doubts(&values));
                let fidelity = if notes.is_empty() { Fidelity::Exact } else { Fidelity::Narrowed };
                report.push(place.clone(), fidelity, notes);
                rules.push(Rule { place, values, is_deny });
            } else if let Some(known) = links.get_mut(&kind) {
                known.add(values).map_err(|why| ImportError::malformed(place.clone(), why))?;
                report.push(place, Fidelity::Exact, notes);
            } else {
                return Err(ImportError::malformed(place, "the model has no rows of this kind"));
            }
        }
        Ok(Self { model, rules, links, report })
    }
}
