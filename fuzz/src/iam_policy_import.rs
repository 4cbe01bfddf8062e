//! Policies of other systems, and requests in their terms: what is accepted is never translated into more.
//!
//! An input is a source, a line `===` and a request.

use core_types::testing::TestRandom;
use core_types::{Permission, Scope};
use iam_policy::{Context, Effect, PolicyDocument, Statement, Truth};
use iam_policy_import::aws::{self, Policies};
use iam_policy_import::casbin::{self, Casbin};
use iam_policy_import::kubernetes::{self, Rbac};
use iam_policy_import::{SourceFile, Verdict};

use crate::follow::NOW;

const PREFIX: &str = "arn:aws:palisade:::";

/// Documents of AWS.
#[expect(clippy::unwrap_used, reason = "constants")]
pub(crate) fn aws(input: &[u8]) -> bool {
    let (source, asked) = parts(input);
    let file = |bytes| SourceFile { name: "policy", bytes };
    let Ok(policies) = Policies::read(&[file(source)]) else { return false };
    let Ok(request) = aws::Request::parse(asked) else { return false };
    let verdict = allows(&policies.decide(&request));
    // The order and repetition of documents decide nothing, and a denial of everything denies.
    let twice = Policies::read(&[file(source), file(source)]).unwrap();
    assert_eq!(allows(&twice.decide(&request)), verdict);
    let denial = br#"{"Statement": {"Effect": "Deny", "Action": "*", "Resource": "*"}}"#;
    let denied = Policies::read(&[file(source), file(denial)]).unwrap();
    assert!(!allows(&denied.decide(&request)));
    // In our own terms, knowing nothing of the circumstances, nothing more is allowed.
    let scope = request.resource().strip_prefix(PREFIX).and_then(|path| path.parse::<Scope>().ok());
    let permission = request.action().parse::<Permission>().ok();
    if let (Ok((documents, _)), Some(scope), Some(permission)) =
        (policies.documents(PREFIX), scope, permission)
    {
        assert!(verdict || !own(&documents, &permission, &scope), "wider");
    }
    true
}

/// Objects of Kubernetes.
pub(crate) fn kubernetes(input: &[u8]) -> bool {
    let (source, asked) = parts(input);
    let Ok(rbac) = Rbac::read(&[SourceFile { name: "rbac", bytes: source }]) else { return false };
    let Ok(request) = kubernetes::Request::parse(asked) else { return false };
    let verdict = rbac.decide(&request);
    assert!(!verdict.reasons().is_empty());
    // There is no rule without a role, and no answer without a binding.
    assert!(!allows(&verdict) || rbac.report().entries().len() >= 2);
    if let Ok(translation) = rbac.translate(&Scope::root(), NOW, &TestRandom::seeded(1)) {
        let records = translation.document.records();
        assert!(records.policies.is_empty());
        let pattern_is_ours = |role: &iam_policy::record::RoleRecord| {
            role.permissions
                .iter()
                .all(|pattern| pattern.service().is_some_and(|name| name.starts_with("k8s-")))
        };
        assert!(records.roles.iter().all(pattern_is_ours), "only Kubernetes' own permissions");
    }
    true
}

/// Models and rows of casbin; the model is what comes before a line `---`.
pub(crate) fn casbin(input: &[u8]) -> bool {
    let (source, asked) = parts(input);
    let (model, rows) = split(source, b"\n---\n").unwrap_or((b"", source));
    let file = |bytes| SourceFile { name: "policy", bytes };
    let Ok(casbin) = Casbin::read(&[file(model), file(rows)]) else { return false };
    let Ok(request) = casbin::Request::parse(asked) else { return false };
    let verdict = allows(&casbin.decide(&request));
    // Rows that are there twice say nothing new.
    if let Ok(twice) = Casbin::read(&[file(model), file(rows), file(rows)]) {
        assert_eq!(allows(&twice.decide(&request)), verdict);
    }
    if let Ok(translation) = casbin.translate(&Scope::root(), NOW, &TestRandom::seeded(1)) {
        let gives_iam = |role: &iam_policy::record::RoleRecord| {
            role.permissions.iter().any(|pattern| pattern.service().is_none_or(|name| name == "iam"))
        };
        assert!(!translation.document.records().roles.iter().any(gives_iam));
    }
    true
}

const fn allows(verdict: &Verdict) -> bool {
    matches!(verdict, Verdict::Allow(_))
}

/// Whether documents that are bound at the root together allow it.
fn own(documents: &[PolicyDocument], permission: &Permission, scope: &Scope) -> bool {
    let nothing = Context::new();
    let statements = || documents.iter().flat_map(PolicyDocument::statements);
    let concerning = || statements().filter(|statement| statement.concerns(permission, scope));
    let truth = |statement: &Statement| statement.holds(&nothing, NOW);
    let allowed = concerning().any(|own| own.effect() == Effect::Allow && truth(own) == Truth::True);
    allowed && !concerning().any(|own| own.effect() == Effect::Deny && truth(own) != Truth::False)
}

fn parts(input: &[u8]) -> (&[u8], &[u8]) {
    split(input, b"\n===\n").unwrap_or((input, b""))
}

fn split<'a>(input: &'a [u8], separator: &[u8]) -> Option<(&'a [u8], &'a [u8])> {
    let at = input.windows(separator.len()).position(|window| window == separator)?;
    let (before, rest) = input.split_at_checked(at)?;
    Some((before, rest.get(separator.len()..)?))
}
