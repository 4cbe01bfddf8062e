//! `palisade iam`: questions to a directory in a file. Its form is that of [`iam_policy::document`].

mod arguments;
mod show;

use core_types::{Permission, Principal, Restriction, Scope};
use iam_policy::diff::{Direction, diff};
use iam_policy::document::{AnswerDocument, MAX_REQUEST_BYTES, Outcome, RequestDocument};
use iam_policy::{AccessRequest, Context, Decision, PolicyId};
use serde_json::json;
use state_store::Revision;

use self::arguments::Arguments;
use self::show::{Row, described};
use super::input::{Line, each_line};
use super::{Answer, CliError, Streams, print_json};

/// Decides each line of requests, and prints one answer a line, in order.
pub(super) fn check(parser: lexopt::Parser, streams: &mut Streams<'_>) -> Result<Answer, CliError> {
    let arguments = Arguments::read(parser, &["policies", "requests"])?;
    let (policies, requests) = (arguments.required("policies")?, arguments.required("requests")?);
    if policies == "-" && requests == "-" {
        return Err(CliError::usage("`-` is either the policies or the requests"));
    }
    let directory = arguments::read_document(policies, streams)?.directory();
    let authorizer = directory.at(Revision::ZERO);
    let now = arguments.now()?;
    let mut all = Answer::Yes;
    each_line(requests, MAX_REQUEST_BYTES, streams, |_, line, output| {
        let request = match &line {
            Line::Whole(bytes) => RequestDocument::parse(bytes).map_err(|error| error.to_string()),
            Line::TooLong => Err(format!("longer than {MAX_REQUEST_BYTES} bytes")),
        };
        let answer = match request {
            Ok(request) => AnswerDocument::of(&authorizer.explain(&request.as_request(now))),
            Err(message) => AnswerDocument::refused(message),
        };
        if answer.decision == Outcome::Deny {
            all = Answer::No;
        }
        writeln!(output, "{}", answer.to_json()).map_err(|error| CliError::io("standard output", error))
    })?;
    Ok(all)
}

/// Prints what looks wrong; no when anything does.
pub(super) fn lint(parser: lexopt::Parser, streams: &mut Streams<'_>) -> Result<Answer, CliError> {
    let arguments = Arguments::read(parser, &["policies"])?;
    let document = arguments::read_document(arguments.file()?, streams)?;
    let findings = document.directory().lint(arguments.now()?, document.registry());
    for finding in &findings {
        let (about, kind) = show::fact(&finding.about);
        let mut row = Row::new(json!({"code": finding.lint.code(), "about": about, "kind": kind}));
        row.add("statement", finding.statement);
        row.add("pattern", finding.pattern.as_ref().map(ToString::to_string));
        row.add("is_without_effect", Some(finding.lint.is_without_effect()));
        let place = finding.statement.map(|index| format!("#{index}")).unwrap_or_default();
        let pattern = finding.pattern.as_ref().map(|pattern| format!(" {pattern}")).unwrap_or_default();
        let code = finding.lint.code();
        let words = format!("{code} {kind} {about}{place}{pattern}: {}", described(finding.lint));
        row.print(arguments.json, &words, streams)?;
    }
    Ok(if findings.is_empty() { Answer::Yes } else { Answer::No })
}

/// Prints who gains or loses what where; no when anything changes.
pub(super) fn compare(parser: lexopt::Parser, streams: &mut Streams<'_>) -> Result<Answer, CliError> {
    let arguments = Arguments::read(parser, &[])?;
    let [old, new] = arguments.words("iam diff OLD NEW")?;
    if old == "-" && new == "-" {
        return Err(CliError::usage("`-` is either the old or the new one"));
    }
    let [old, new] = [arguments::read_document(old, streams)?, arguments::read_document(new, streams)?];
    let changes = diff(&old.directory(), &new.directory(), arguments.now()?, &Context::new());
    let changes = changes.map_err(|error| arguments::refused("the comparison", &error))?;
    for change in &changes {
        let direction = match change.direction {
            Direction::Gains => "gains",
            Direction::Loses => "loses",
        };
        let (subject, permissions, scope) = (change.subject, &change.permissions, &change.scope);
        let row = Row::new(json!({
            "subject": subject.to_string(), "change": direction, "permissions": permissions.to_string(),
            "scope": scope.to_string(), "is_whole": change.is_whole, "witness": change.witness.to_string(),
            "before": show::why(&change.before), "after": show::why(&change.after),
        }));
        let part = if change.is_whole { "" } else { ", in part" };
        let words = format!("{subject} {direction} {permissions} at {scope}{part} ({})", change.witness);
        row.print(arguments.json, &words, streams)?;
    }
    Ok(if changes.is_empty() { Answer::Yes } else { Answer::No })
}

/// Prints a policy in AWS's form, or what became of each statement; no when not all of it can be said.
pub(super) fn export(parser: lexopt::Parser, streams: &mut Streams<'_>) -> Result<Answer, CliError> {
    let (is_report, parser) = arguments::flag(parser, "--report")?;
    let arguments = Arguments::read(parser, &["policies", "arn-prefix"])?;
    let [policy] = arguments.words("iam export --policies FILE POLICY [--arn-prefix P] [--report]")?;
    let policy: PolicyId = arguments::parse(policy)?;
    let directory = arguments::read_document(arguments.required("policies")?, streams)?.directory();
    let arn_prefix = arguments.optional("arn-prefix").unwrap_or("arn:aws:palisade:::");
    let record =
        directory.policy(policy).ok_or_else(|| CliError::usage(format!("there is no policy {policy}")))?;
    let exported = match iam_policy_import::aws::export(&record.document, arn_prefix) {
        Ok(exported) => exported,
        Err(error) => {
            print_json(streams, &json!({"fidelity": "refused", "reasons": [error.to_string()]}))?;
            return Ok(Answer::No);
        }
    };
    if is_report {
        for entry in exported.report.entries() {
            let fidelity = entry.fidelity.to_string();
            print_json(
                streams,
                &json!({"place": entry.place, "fidelity": fidelity, "reasons": entry.reasons}),
            )?;
        }
    } else {
        print_json(streams, &exported.json)?;
    }
    Ok(if exported.report.is_exact() { Answer::Yes } else { Answer::No })
}

/// Prints who can do something somewhere; no when nobody can.
pub(super) fn who_can(parser: lexopt::Parser, streams: &mut Streams<'_>) -> Result<Answer, CliError> {
    let arguments = Arguments::read(parser, &["policies"])?;
    let [permission, scope] = arguments.words("iam who-can --policies FILE PERMISSION SCOPE")?;
    let permission: Permission = arguments::parse(permission)?;
    let scope: Scope = arguments::parse(scope)?;
    let directory = arguments::read_document(arguments.required("policies")?, streams)?.directory();
    let (now, mut from, mut answer) = (arguments.now()?, None, Answer::No);
    loop {
        let limit = iam_policy::who::MAX_PAGE;
        let authorizer = directory.at(Revision::ZERO);
        let page = authorizer.who_can(&permission, &scope, now, &Context::new(), (from, limit));
        let page = page.map_err(|error| arguments::refused("the list", &error))?;
        for (subject, allow) in &page.subjects {
            answer = Answer::Yes;
            let name = directory.subject(*subject).map(|record| record.name.to_string());
            let mut row = Row::new(json!({"subject": subject.to_string()}));
            row.add("binding", Some(allow.binding().to_string()));
            row.add("role", Some(allow.role().to_string()));
            row.add("via", allow.via().map(|group| group.to_string()));
            let way = allow.via().map(|group| authorizer.way_to(*subject, group)).unwrap_or_default();
            let way: Vec<String> = way.iter().map(ToString::to_string).collect();
            row.add("groups", Some(way).filter(|way| way.len() > 1));
            let words = format!("{subject} {} by {}", name.as_deref().unwrap_or_default(), allow.binding());
            row.add("name", name);
            row.print(arguments.json, &words, streams)?;
        }
        from = page.next;
        if from.is_none() {
            return Ok(answer);
        }
    }
}

/// Prints what a principal can do somewhere: the permissions of the document's registry, or else patterns; no when
/// it can do nothing.
pub(super) fn what_can(parser: lexopt::Parser, streams: &mut Streams<'_>) -> Result<Answer, CliError> {
    let arguments = Arguments::read(parser, &["policies"])?;
    let [principal, scope] = arguments.words("iam what-can --policies FILE PRINCIPAL SCOPE")?;
    let principal: Principal = arguments::parse(principal)?;
    let scope: Scope = arguments::parse(scope)?;
    let document = arguments::read_document(arguments.required("policies")?, streams)?;
    let (directory, now) = (document.directory(), arguments.now()?);
    let (whole, any) = (Restriction::unrestricted(), arguments::parse::<Permission>("any:any")?);
    let request = AccessRequest::new(&principal, &whole, &any, &scope, now);
    let authorizer = directory.at(Revision::ZERO);
    let mut answer = Answer::No;
    if let Some(registry) = document.registry() {
        let known: Vec<Permission> = registry.iter().map(iam_policy::registry::Known::permission).collect();
        for permission in authorizer.what_can(&request, &known) {
            answer = Answer::Yes;
            let row = Row::new(json!({"permission": permission.to_string()}));
            row.print(arguments.json, &permission.to_string(), streams)?;
        }
        return Ok(answer);
    }
    let mut from = None;
    loop {
        let page = authorizer.what_can_exactly(&request, (from, iam_policy::what::MAX_PAGE));
        let page = page.map_err(|error| arguments::refused("the list", &error))?;
        for piece in &page.pieces {
            let may = matches!(piece.decision, Decision::Allow(_));
            if may {
                answer = Answer::Yes;
            }
            let row = Row::new(json!({
                "permissions": piece.of.to_string(), "may": may, "because": show::why(&piece.decision)
            }));
            let words = if may { piece.of.to_string() } else { format!("not {}", piece.of) };
            row.print(arguments.json, &words, streams)?;
        }
        from = page.next;
        if from.is_none() {
            return Ok(answer);
        }
    }
}
