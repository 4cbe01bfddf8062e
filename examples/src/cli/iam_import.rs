//! `palisade iam check --from …` and `palisade iam import`: policies of other systems.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io::Read;
use std::path::Path;

use core_types::{Clock, Scope, SystemClock, SystemRandom};
use iam_policy_import::aws::Policies;
use iam_policy_import::casbin::Casbin;
use iam_policy_import::kubernetes::Rbac;
use iam_policy_import::{
    ImportError, MAX_SOURCE_BYTES, Reason, Report, SourceFile, Translation, Verdict, aws, casbin, kubernetes,
};
use serde_json::{Value, json};

use super::input::{Line, each_line};
use super::{Answer, CliError, Streams, print_json, print_line};

/// The most bytes a request has.
const MAX_REQUEST_BYTES: usize = 64 << 10;

/// Whose policies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum From {
    Aws,
    Kubernetes,
    Casbin,
}

impl From {
    fn parse(word: &str) -> Result<Self, CliError> {
        match word {
            "aws" => Ok(Self::Aws),
            "kubernetes" => Ok(Self::Kubernetes),
            "casbin" => Ok(Self::Casbin),
            _ => Err(CliError::usage(format!("--from takes aws, kubernetes or casbin, not `{word}`"))),
        }
    }
}

/// Whether the words ask for another system's policies.
pub(super) fn is_asked(parser: &lexopt::Parser) -> bool {
    let mut words = parser.clone();
    let is_from = |word: OsString| word == "--from" || word.to_string_lossy().starts_with("--from=");
    words.raw_args().is_ok_and(|mut words| words.any(is_from))
}

/// Decides each request (`-`: standard input) as the other system does, one object a line, in order. Policies that are
/// refused deny everything.
pub(super) fn check(mut parser: lexopt::Parser, streams: &mut Streams<'_>) -> Result<Answer, CliError> {
    let (mut from, mut policies, mut requests) = (None, Vec::new(), None);
    while let Some(argument) = parser.next()? {
        match argument {
            lexopt::Arg::Long("json") => {}
            lexopt::Arg::Long("from") => from = Some(From::parse(&text(&mut parser)?)?),
            // Several files may follow.
            lexopt::Arg::Long("policies" | "model") => {
                policies.extend(parser.values()?.map(|file| file.to_string_lossy().into_owned()));
            }
            lexopt::Arg::Long("requests") if requests.is_none() => requests = Some(text(&mut parser)?),
            other => return Err(other.unexpected().into()),
        }
    }
    let from = from.ok_or_else(|| CliError::usage("--from is missing"))?;
    let requests = requests.ok_or_else(|| CliError::usage("iam check needs --requests FILE or `-`"))?;
    if policies.is_empty() {
        return Err(CliError::usage("iam check needs --policies FILE"));
    }
    if requests == "-" && policies.iter().any(|file| file == "-") {
        return Err(CliError::usage("`-` is either the policies or the requests"));
    }
    let source = Source::read(from, &read_all(&policies, streams)?);
    let mut answer = Answer::Yes;
    each_line(&requests, MAX_REQUEST_BYTES, streams, |_, line, output| {
        let verdict = match (&source, &line) {
            (Err(error), _) => Verdict::denied(Reason::BadSource(error.to_string())),
            (Ok(_), Line::TooLong) => {
                Verdict::denied(Reason::BadRequest(format!("longer than {MAX_REQUEST_BYTES} bytes")))
            }
            (Ok(source), Line::Whole(bytes)) => source.decide(bytes),
        };
        if matches!(verdict, Verdict::Deny(_)) {
            answer = Answer::No;
        }
        let row = written(&verdict);
        writeln!(output, "{row}").map_err(|error| CliError::io("standard output", error))
    })?;
    // Without requests too, refused policies are no yes.
    Ok(if source.is_err() { Answer::No } else { answer })
}

/// Translates policies into a directory, or says what would become of each statement.
pub(super) fn import(mut parser: lexopt::Parser, streams: &mut Streams<'_>) -> Result<Answer, CliError> {
    let (mut from, mut files, mut is_report) = (None, Vec::new(), false);
    let (mut home, mut arn_prefix) = (Scope::root(), "arn:aws:palisade:::".to_owned());
    while let Some(argument) = parser.next()? {
        match argument {
            lexopt::Arg::Long("json") => {}
            lexopt::Arg::Long("report") => is_report = true,
            lexopt::Arg::Long("from") => from = Some(From::parse(&text(&mut parser)?)?),
            lexopt::Arg::Long("model") => files.push(text(&mut parser)?),
            lexopt::Arg::Long("arn-prefix") => arn_prefix = text(&mut parser)?,
            lexopt::Arg::Long("scope") => {
                home = text(&mut parser)?
                    .parse()
                    .map_err(|error| CliError::usage(format!("--scope: {error}")))?;
            }
            lexopt::Arg::Value(word) => files.push(word.to_string_lossy().into_owned()),
            other => return Err(other.unexpected().into()),
        }
    }
    let from = from.ok_or_else(|| CliError::usage("iam import needs --from aws|kubernetes|casbin"))?;
    if files.is_empty() {
        return Err(CliError::usage("iam import needs a FILE or `-`"));
    }
    let translated = Source::read(from, &read_all(&files, streams)?)
        .and_then(|source| source.translate(&home, &arn_prefix));
    let translation = match translated {
        Ok(translation) => translation,
        Err(error) => {
            print_json(streams, &json!({"fidelity": "refused", "reasons": [error.to_string()]}))?;
            return Ok(Answer::No);
        }
    };
    if is_report {
        print_report(&translation, streams)?;
    } else {
        print_line(streams, translation.document.to_json().trim_end())?;
    }
    Ok(if translation.report.is_exact() { Answer::Yes } else { Answer::No })
}

fn print_report(translation: &Translation, streams: &mut Streams<'_>) -> Result<(), CliError> {
    for entry in Report::entries(&translation.report) {
        let fidelity = entry.fidelity.to_string();
        print_json(streams, &json!({"place": entry.place, "fidelity": fidelity, "reasons": entry.reasons}))?;
    }
    for (name, id) in &translation.ids {
        print_json(streams, &json!({"name": name, "id": id}))?;
    }
    Ok(())
}

enum Source {
    Aws(Policies),
    Kubernetes(Rbac),
    Casbin(Casbin),
}

impl Source {
    fn read(from: From, files: &[(String, Vec<u8>)]) -> Result<Self, ImportError> {
        let files: Vec<SourceFile<'_>> =
            files.iter().map(|(name, bytes)| SourceFile { name, bytes }).collect();
        match from {
            From::Aws => Policies::read(&files).map(Self::Aws),
            From::Kubernetes => Rbac::read(&files).map(Self::Kubernetes),
            From::Casbin => Casbin::read(&files).map(Self::Casbin),
        }
    }

    fn decide(&self, json: &[u8]) -> Verdict {
        let decided = match self {
            Self::Aws(policies) => aws::Request::parse(json).map(|request| policies.decide(&request)),
            Self::Kubernetes(rbac) => kubernetes::Request::parse(json).map(|request| rbac.decide(&request)),
            Self::Casbin(casbin) => casbin::Request::parse(json).map(|request| casbin.decide(&request)),
        };
        decided.unwrap_or_else(|error| Verdict::denied(Reason::BadRequest(error.to_string())))
    }

    fn translate(&self, home: &Scope, arn_prefix: &str) -> Result<Translation, ImportError> {
        let (now, random) = (SystemClock::new().now(), SystemRandom::new());
        match self {
            Self::Aws(policies) => policies.translate(arn_prefix, home, now, &random),
            Self::Kubernetes(rbac) => rbac.translate(home, now, &random),
            Self::Casbin(casbin) => casbin.translate(home, now, &random),
        }
    }
}

fn written(verdict: &Verdict) -> Value {
    let decision = match verdict {
        Verdict::Allow(_) => "allow",
        Verdict::Deny(_) => "deny",
    };
    let reasons: Vec<Value> = verdict
        .reasons()
        .iter()
        .map(|reason| json!({"code": reason.code(), "message": reason.to_string()}))
        .collect();
    json!({"decision": decision, "reasons": reasons})
}

fn text(parser: &mut lexopt::Parser) -> Result<String, CliError> {
    Ok(parser.value()?.to_string_lossy().into_owned())
}

/// The files, those of a folder in the order of their names.
fn read_all(files: &[String], streams: &mut Streams<'_>) -> Result<Vec<(String, Vec<u8>)>, CliError> {
    let mut all = Vec::new();
    for file in files {
        if file == "-" {
            all.push((file.clone(), read(file, streams.input)?));
            continue;
        }
        let mut paths = vec![Path::new(file).to_owned()];
        if Path::new(file).is_dir() {
            let entries = fs::read_dir(file).and_then(Iterator::collect::<Result<Vec<_>, _>>);
            let entries = entries.map_err(|error| CliError::io(file, error))?;
            paths = entries.into_iter().map(|entry| entry.path()).filter(|path| path.is_file()).collect();
            paths.sort();
        }
        for path in paths {
            let name = path.to_string_lossy().into_owned();
            let mut source = File::open(&path).map_err(|error| CliError::io(&name, error))?;
            let bytes = read(&name, &mut source)?;
            all.push((name, bytes));
        }
    }
    Ok(all)
}

/// What there is, up to one byte more than is accepted.
fn read(name: &str, source: &mut dyn Read) -> Result<Vec<u8>, CliError> {
    let mut bytes = Vec::new();
    let limit = u64::try_from(MAX_SOURCE_BYTES).unwrap_or(u64::MAX).saturating_add(1);
    source.take(limit).read_to_end(&mut bytes).map_err(|error| CliError::io(name, error))?;
    Ok(bytes)
}
