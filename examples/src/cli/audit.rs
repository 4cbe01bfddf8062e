//! `palisade audit`: is a log whole, and what does it say?

mod proofs;

use std::path::Path;

use audit_log::verify::Verification;
use audit_log::{Checkpoint, Cursor, Filter, QueryError, Reader, VerifyError};
use core_types::Scope;
use serde_json::Value;

use super::{Answer, CliError, Streams, print_json, print_line};
use crate::entry;

pub(super) use proofs::prove;

/// Verifies the log in a folder, against what was kept elsewhere where it is given: checkpoints, the verifier key.
/// Or a receipt, which needs the verifier key and nothing else.
pub(super) fn verify(mut parser: lexopt::Parser, streams: &mut Streams<'_>) -> Result<Answer, CliError> {
    use lexopt::prelude::ValueExt as _;
    let mut folder = None;
    let mut json = false;
    let mut known = Vec::new();
    let mut key = None;
    let mut receipt = None;
    let mut epoch = None;
    while let Some(argument) = parser.next()? {
        match argument {
            lexopt::Arg::Long("json") => json = true,
            lexopt::Arg::Long("known") => known.push(parser.value()?.parse::<Checkpoint>()?),
            lexopt::Arg::Long("key") => key = Some(proofs::key(&parser.value()?)?),
            lexopt::Arg::Long("receipt") => receipt = Some(parser.value()?),
            lexopt::Arg::Long("epoch") => epoch = Some(parser.value()?),
            lexopt::Arg::Value(word) if folder.is_none() => folder = Some(word),
            other => return Err(other.unexpected().into()),
        }
    }
    if receipt.is_none() && epoch.is_some() {
        return Err(CliError::usage("audit verify --epoch FILE goes with --receipt FILE"));
    }
    if let Some(receipt) = receipt {
        return match (folder, key) {
            (None, Some(key)) if known.is_empty() => {
                proofs::verify(&receipt, epoch.as_ref(), &key, json, streams)
            }
            _ => Err(CliError::usage("audit verify --receipt FILE needs --key VKEY, and no folder")),
        };
    }
    let folder = folder.ok_or_else(|| CliError::usage("audit verify needs the log's folder"))?;
    let verification = Verification::new().with_known(&known);
    let verification = match key {
        Some(key) => verification.with_key(key),
        None => verification,
    };
    let report = match verification.run(Path::new(&folder)) {
        Ok(report) => report,
        Err(error) => return no_verdict(&error, json, streams),
    };
    if json {
        let mut row = serde_json::to_value(&report).unwrap_or_default();
        if let Value::Object(fields) = &mut row {
            fields.insert("ok".into(), report.is_intact().into());
            fields.insert("log_ok".into(), report.is_log_intact().into());
        }
        print_json(streams, &row)?;
    } else {
        print_line(streams, &report.to_string())?;
    }
    Ok(if report.is_intact() { Answer::Yes } else { Answer::No })
}

/// Prints the entries of the log in a folder, oldest first.
pub(super) fn query(mut parser: lexopt::Parser, streams: &mut Streams<'_>) -> Result<Answer, CliError> {
    use lexopt::prelude::ValueExt as _;
    let mut folder = None;
    let mut json = false;
    let mut limit = usize::MAX;
    let mut filter = Filter::new();
    while let Some(argument) = parser.next()? {
        match argument {
            lexopt::Arg::Long("json") => json = true,
            lexopt::Arg::Long("limit") => limit = parser.value()?.parse()?,
            lexopt::Arg::Long("actor") => {
                filter = filter.with_actor(parser.value()?.parse::<audit_log::Actor>()?)
            }
            lexopt::Arg::Long("action") => filter = filter.with_action(parser.value()?.parse()?),
            lexopt::Arg::Long("scope") => filter = filter.with_scope(parser.value()?.parse()?),
            lexopt::Arg::Long("request") => filter = filter.with_request(parser.value()?.parse()?),
            lexopt::Arg::Long("outcome") => filter = filter.with_outcome(parser.value()?.parse()?),
            lexopt::Arg::Value(word) if folder.is_none() => folder = Some(word),
            other => return Err(other.unexpected().into()),
        }
    }
    let folder = folder.ok_or_else(|| CliError::usage("audit query needs the log's folder"))?;
    let failed =
        |error: &QueryError| CliError::io(folder.to_string_lossy(), std::io::Error::other(error.to_string()));
    let reader = Reader::open(Path::new(&folder), Scope::root()).map_err(|error| failed(&error))?;
    let mut cursor = Cursor::oldest_first();
    while limit > 0 {
        let page = reader.query(&filter, cursor, limit.min(audit_log::query::MAX_PAGE_ENTRIES));
        let page = page.map_err(|error| failed(&error))?;
        for found in &page.entries {
            if json {
                print_json(streams, &entry::to_json(found))?
            } else {
                print_line(streams, &found.to_string())?
            }
        }
        limit = limit.saturating_sub(page.entries.len());
        if page.is_end {
            break;
        }
        cursor = page.next;
    }
    Ok(Answer::Yes)
}

fn no_verdict(error: &VerifyError, json: bool, streams: &mut Streams<'_>) -> Result<Answer, CliError> {
    if json {
        print_json(streams, &serde_json::json!({"ok": false, "error": error.to_string()}))?;
    } else {
        print_line(streams, &format!("not verified: {error}"))?;
    }
    Ok(Answer::No)
}
