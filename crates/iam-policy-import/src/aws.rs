//! JSON policy documents as AWS IAM has them.
//!
//! Decided is what the documents say of an action and a resource in a context: an explicit deny stands above every
//! allow, and what nothing allows is denied. All documents count together, as those of one identity do.
//!
//! - Actions are compared without regard to ASCII case, resources byte by byte. `*` is any text and `?` any one
//!   character. A `*` within one of the first five parts of an ARN that is not at the part's end may not cross a
//!   colon where it would allow, and may where it would deny.
//! - Policy variables (`${aws:username}`, `${*}`, `${key, 'default'}`) are understood in documents of version
//!   2012-10-17. What stands for a variable is compared literally: a user named `*` gains nothing. A variable that
//!   the context does not have makes the comparison *unknown*.
//! - A key that the context does not have is absent, as for AWS: false for most operators, true for negated ones and
//!   for `…IfExists`. `aws:CurrentTime` and `aws:EpochTime`, which AWS always has, are unknown where they are absent.
//! - What is *unknown* (an operator that is not supported, a value of the wrong form, several values without
//!   `ForAnyValue` or `ForAllValues`) never makes an allow apply, and never keeps a deny from it.
//! - A statement with a `Principal` other than everyone allows nothing; if it denies, it denies to everyone.

mod condition;
mod export;
mod operand;
mod pattern;
mod request;
mod statement;
mod translate;

use iam_policy::{Effect, Truth};

pub use self::export::{ExportError, Exported, export};
pub use self::request::Request;
use self::statement::Statement;
use crate::error::ImportError;
use crate::report::{Fidelity, Report};
use crate::source::SourceFile;
use crate::value::{Map, Value};
use crate::verdict::{Reason, Verdict};

/// The most statements a set of policies has.
pub const MAX_STATEMENTS: usize = 10_000;

/// Documents that count together.
#[derive(Debug, Clone)]
pub struct Policies {
    statements: Vec<Statement>,
    report: Report,
}

impl Policies {
    /// Reads documents; each file is one, or a list of them.
    ///
    /// # Errors
    /// [`ImportError`] when one of them is not understood: what it denies would be lost.
    pub fn read(files: &[SourceFile<'_>]) -> Result<Self, ImportError> {
        let mut policies = Self { statements: Vec::new(), report: Report::default() };
        for file in files {
            let value = Value::from_json(file.text()?.as_bytes())
                .map_err(|why| ImportError::malformed(file.name, why))?;
            let documents = value.one_or_many();
            for (number, document) in documents.iter().enumerate() {
                let place = match documents.len() {
                    1 => file.name.to_owned(),
                    _ => format!("{} document {}", file.name, number.saturating_add(1)),
                };
                policies.add(&place, document)?;
            }
        }
        Ok(policies)
    }

    /// What became of each statement, as far as [`decide`](Self::decide) is concerned.
    #[must_use]
    pub const fn report(&self) -> &Report {
        &self.report
    }

    /// The answer to a request.
    pub fn decide(&self, request: &Request) -> Verdict {
        let mut allowed = Vec::new();
        for statement in &self.statements {
            let place = || statement.place().to_owned();
            match (statement.effect(), statement.applies(request)) {
                (Effect::Deny, Truth::True) => return Verdict::denied(Reason::DeniedBy(place())),
                (Effect::Deny, Truth::Unknown) => return Verdict::denied(Reason::MayBeDeniedBy(place())),
                (Effect::Allow, Truth::True) => allowed.push(Reason::AllowedBy(place())),
                (Effect::Allow, Truth::Unknown) | (_, Truth::False) => {}
            }
        }
        if allowed.is_empty() { Verdict::denied(Reason::NothingAllows) } else { Verdict::Allow(allowed) }
    }

    fn add(&mut self, place: &str, document: &Value) -> Result<(), ImportError> {
        let malformed = |why: String| ImportError::malformed(place, why);
        let Some(document) = document.as_map() else {
            return Err(malformed("a policy document is an object".to_owned()));
        };
        if let Some(key) = document.keys().find(|key| !["Version", "Id", "Statement"].contains(&key.as_str()))
        {
            return Err(malformed(format!("no element of a document: {}", crate::source::shown(key))));
        }
        // Without a version, and in the former one, `${…}` is literal.
        let has_variables = match document.get("Version").map(Value::as_text) {
            None | Some(Some("2008-10-17")) => false,
            Some(Some("2012-10-17")) => true,
            Some(_) => return Err(malformed("`Version` is 2012-10-17 or 2008-10-17".to_owned())),
        };
        let Some(statements) = document.get("Statement") else {
            return Err(malformed("no `Statement`".to_owned()));
        };
        for (number, statement) in statements.one_or_many().iter().enumerate() {
            let Some(statement) = statement.as_map() else {
                return Err(malformed(format!("statement {} is no object", number.saturating_add(1))));
            };
            let place = name(place, number, statement);
            if self.statements.len() >= MAX_STATEMENTS {
                return Err(ImportError::TooMany { place, what: "statements", limit: MAX_STATEMENTS });
            }
            let statement = Statement::read(&place, statement, has_variables)?;
            let reasons = statement.doubts();
            let fidelity = match statement.effect() {
                _ if reasons.is_empty() => Fidelity::Exact,
                Effect::Allow if statement.is_lifeless() => Fidelity::Refused,
                Effect::Allow | Effect::Deny => Fidelity::Narrowed,
            };
            self.report.push(place, fidelity, reasons);
            self.statements.push(statement);
        }
        Ok(())
    }
}

/// `file statement 2 (Sid)`.
fn name(file: &str, number: usize, statement: &Map) -> String {
    let number = number.saturating_add(1);
    match statement.get("Sid").and_then(Value::as_text) {
        Some(sid) if !sid.is_empty() => format!("{file} statement {number} {}", crate::source::shown(sid)),
        _ => format!("{file} statement {number}"),
    }
}
