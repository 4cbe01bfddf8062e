//! Receipts: giving them out of a log's published proofs, and checking them offline.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::io::Read as _;
use std::path::Path;

use audit_log::tlog::{MAX_PROOF_BYTES, PROOFS, ProveError, ProvenRecord, Prover, TlogProof, VerifierKey};
use core_types::Scope;
use serde_json::{Value, json};

use super::super::{Answer, CliError, Streams, print_json, print_line};

/// A verifier key: its text, or the file that holds it.
pub(super) fn key(value: &OsStr) -> Result<VerifierKey, CliError> {
    let text = value.to_str().ok_or_else(|| CliError::usage("a verifier key is text"))?;
    if text.contains('+') {
        return text.parse().map_err(|error| CliError::usage(format!("--key: {error}")));
    }
    read_key(Path::new(text))
}

fn read_key(file: &Path) -> Result<VerifierKey, CliError> {
    let what = file.display().to_string();
    let text = fs::read_to_string(file).map_err(|error| CliError::io(&*what, error))?;
    let key = text.strip_suffix('\n').unwrap_or(&text).parse();
    key.map_err(|error| CliError::usage(format!("{what}: {error}")))
}

/// Prints the receipt of a record: the proof with the record in it, that the log's key has signed for.
pub(in super::super) fn prove(
    mut parser: lexopt::Parser,
    streams: &mut Streams<'_>,
) -> Result<Answer, CliError> {
    use lexopt::prelude::ValueExt as _;
    let mut folder = None;
    let mut sequence = None;
    let mut tenant = None;
    let mut vkey = None;
    let mut json = false;
    while let Some(argument) = parser.next()? {
        match argument {
            lexopt::Arg::Long("json") => json = true,
            lexopt::Arg::Long("tenant") => tenant = Some(parser.value()?.parse::<Scope>()?),
            lexopt::Arg::Long("key") => vkey = Some(key(&parser.value()?)?),
            lexopt::Arg::Value(word) if folder.is_none() => folder = Some(word),
            lexopt::Arg::Value(word) if sequence.is_none() => sequence = Some(word.parse::<u64>()?),
            other => return Err(other.unexpected().into()),
        }
    }
    let (Some(folder), Some(sequence)) = (folder, sequence) else {
        return Err(CliError::usage("audit prove needs the log's folder and a record's sequence"));
    };
    let folder = Path::new(&folder);
    let key = match vkey {
        Some(key) => key,
        // Whoever is given the receipt has the key from elsewhere.
        None => {
            let file = folder.join(PROOFS).join("key");
            if !file.exists() {
                return refused("nothing was published of this log", json, streams);
            }
            read_key(&file)?
        }
    };
    let proof = Prover::open(folder, key.clone()).and_then(|mut prover| match &tenant {
        Some(tenant) => prover.prove(tenant, sequence),
        None => prover.prove_anywhere(sequence),
    });
    let proof = match proof {
        Ok(proof) => proof,
        Err(ProveError::File(error)) => {
            return Err(CliError::io(folder.display().to_string(), std::io::Error::other(error.to_string())));
        }
        Err(error) => return refused(&error.to_string(), json, streams),
    };
    match proof.verify(&key) {
        Ok(record) if json => {
            let mut row = row(&record);
            if let Value::Object(fields) = &mut row {
                fields.insert("receipt".into(), proof.to_string().into());
            }
            print_json(streams, &row)?;
        }
        Ok(_) => write!(streams.output, "{proof}").map_err(|error| CliError::io("standard output", error))?,
        Err(error) => return refused(&error.to_string(), json, streams),
    }
    Ok(Answer::Yes)
}

/// Checks a receipt with the verifier key alone.
pub(super) fn verify(
    file: &OsString,
    key: &VerifierKey,
    json: bool,
    streams: &mut Streams<'_>,
) -> Result<Answer, CliError> {
    let what = file.to_string_lossy().into_owned();
    let most = u64::try_from(MAX_PROOF_BYTES).unwrap_or(u64::MAX).saturating_add(1);
    let mut bytes = Vec::new();
    let read = if what == "-" {
        (&mut *streams.input).take(most).read_to_end(&mut bytes)
    } else {
        fs::File::open(file).and_then(|open| open.take(most).read_to_end(&mut bytes))
    };
    read.map_err(|error| CliError::io(what, error))?;
    let Ok(text) = String::from_utf8(bytes) else { return refused("not text", json, streams) };
    let proof: TlogProof = match text.parse() {
        Ok(proof) => proof,
        Err(error) => return refused(&format!("{error}"), json, streams),
    };
    match proof.verify(key) {
        Ok(record) if json => print_json(streams, &row(&record))?,
        Ok(record) => {
            let ProvenRecordText { whose, place } = ProvenRecordText::new(&record);
            print_line(streams, &format!("proven: record {} {whose}, {place}", record.sequence()))?;
            print_line(streams, record.record())?;
        }
        Err(error) => return refused(&error.to_string(), json, streams),
    }
    Ok(Answer::Yes)
}

struct ProvenRecordText {
    whose: String,
    place: String,
}

impl ProvenRecordText {
    fn new(record: &ProvenRecord) -> Self {
        let whose = record.tenant().map_or("of the log's own".into(), |tenant| format!("of {tenant}"));
        let head = record.head();
        let place = format!("leaf {} of {} in {}", record.index(), head.size, head.origin);
        Self { whose, place }
    }
}

fn row(record: &ProvenRecord) -> Value {
    let head = record.head();
    json!({
        "ok": true,
        "sequence": record.sequence(),
        "tenant": record.tenant().map(ToString::to_string),
        "index": record.index(),
        "size": head.size,
        "origin": head.origin.to_string(),
        "log": head.origin.log().to_string(),
        "root": head.root.to_string(),
        "record": serde_json::from_str::<Value>(record.record()).unwrap_or(Value::Null),
    })
}

fn refused(reason: &str, json: bool, streams: &mut Streams<'_>) -> Result<Answer, CliError> {
    if json {
        print_json(streams, &json!({"ok": false, "error": reason}))?;
    } else {
        print_line(streams, &format!("not proven: {reason}"))?;
    }
    Ok(Answer::No)
}
