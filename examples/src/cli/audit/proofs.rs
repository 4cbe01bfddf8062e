//! Receipts: giving them out of a log's published proofs, and checking them offline.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::io::Read as _;
use std::path::Path;

use audit_log::tlog::{
    EpochProof, MAX_EPOCH_PROOF_BYTES, MAX_PROOF_BYTES, NoteError, PROOFS, ProveError, ProvenEpoch,
    ProvenRecord, Prover, TlogProof, VerifierKey,
};
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

/// Prints the receipt of a record: the proof with the record in it, that the log's key has signed for. The proof that
/// an epoch binds its head goes to a file, or into the object.
pub(in super::super) fn prove(
    mut parser: lexopt::Parser,
    streams: &mut Streams<'_>,
) -> Result<Answer, CliError> {
    use lexopt::prelude::ValueExt as _;
    let mut folder = None;
    let mut sequence = None;
    let mut tenant = None;
    let mut vkey = None;
    let mut epoch_file = None;
    let mut json = false;
    while let Some(argument) = parser.next()? {
        match argument {
            lexopt::Arg::Long("json") => json = true,
            lexopt::Arg::Long("tenant") => tenant = Some(parser.value()?.parse::<Scope>()?),
            lexopt::Arg::Long("key") => vkey = Some(key(&parser.value()?)?),
            lexopt::Arg::Long("epoch") => epoch_file = Some(parser.value()?),
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
    let (proof, epoch) = match prove_record(folder, &key, tenant.as_ref(), sequence) {
        Ok((_, None)) if epoch_file.is_some() => {
            return refused("no epoch has bound this record's head yet", json, streams);
        }
        Ok(proven) => proven,
        Err(ProveError::File(error)) => {
            return Err(CliError::io(folder.display().to_string(), std::io::Error::other(error.to_string())));
        }
        Err(error) => return refused(&error.to_string(), json, streams),
    };
    if let (Some(file), Some(epoch)) = (epoch_file, &epoch) {
        let what = file.to_string_lossy().into_owned();
        fs::write(file, epoch.to_string()).map_err(|error| CliError::io(what, error))?;
    }
    match check(&proof, epoch.as_ref(), &key) {
        Ok((record, bound)) if json => {
            let mut row = row(&record, bound.as_ref());
            if let Value::Object(fields) = &mut row {
                fields.insert("receipt".into(), proof.to_string().into());
                fields.insert("epoch_proof".into(), epoch.map(|epoch| epoch.to_string()).into());
                fields.insert("verifier_key".into(), key.for_tree(&record.head().origin).to_string().into());
            }
            print_json(streams, &row)?;
        }
        Ok(_) => write!(streams.output, "{proof}").map_err(|error| CliError::io("standard output", error))?,
        Err(error) => return refused(&error.to_string(), json, streams),
    }
    Ok(Answer::Yes)
}

/// The receipt, and the epoch's proof of its head; none of an epoch itself, and of what no epoch has bound yet.
fn prove_record(
    folder: &Path,
    key: &VerifierKey,
    tenant: Option<&Scope>,
    sequence: u64,
) -> Result<(TlogProof, Option<EpochProof>), ProveError> {
    let mut prover = Prover::open(folder, key.clone())?;
    let proof = match tenant {
        Some(tenant) => prover.prove(tenant, sequence)?,
        None => prover.prove_anywhere(sequence)?,
    };
    let Some(tenant) = proof.verify(key)?.tenant().cloned() else { return Ok((proof, None)) };
    match prover.prove_bound(&tenant, sequence) {
        Ok((proof, epoch)) => Ok((proof, Some(epoch))),
        Err(ProveError::NotPublished) => Ok((proof, None)),
        Err(error) => Err(error),
    }
}

fn check(
    proof: &TlogProof,
    epoch: Option<&EpochProof>,
    key: &VerifierKey,
) -> Result<(ProvenRecord, Option<ProvenEpoch>), NoteError> {
    let record = proof.verify(key)?;
    let bound = epoch.map(|epoch| epoch.verify(key, record.head())).transpose()?;
    Ok((record, bound))
}

/// Checks a receipt with the verifier key alone, and what goes with it.
pub(super) fn verify(
    file: &OsString,
    epoch: Option<&OsString>,
    key: &VerifierKey,
    json: bool,
    streams: &mut Streams<'_>,
) -> Result<Answer, CliError> {
    let text = read(file, MAX_PROOF_BYTES, streams)?;
    let epoch = epoch.map(|file| read(file, MAX_EPOCH_PROOF_BYTES, streams)).transpose()?;
    let checked = text.parse::<TlogProof>().and_then(|proof| {
        let epoch = epoch.map(|text| text.parse::<EpochProof>()).transpose()?;
        check(&proof, epoch.as_ref(), key)
    });
    match checked {
        Ok((record, bound)) if json => print_json(streams, &row(&record, bound.as_ref()))?,
        Ok((record, bound)) => {
            let ProvenRecordText { whose, place } = ProvenRecordText::new(&record);
            print_line(streams, &format!("proven: record {} {whose}, {place}", record.sequence()))?;
            if let Some(ProvenEpoch { sequence, index, slot, tenants, .. }) = bound {
                let place = format!("place {slot} of {tenants}");
                print_line(streams, &format!("bound at {place} by epoch {index}, record {sequence}"))?;
            }
            print_line(streams, record.record())?;
        }
        Err(error) => return refused(&error.to_string(), json, streams),
    }
    Ok(Answer::Yes)
}

/// What a file or standard input holds, up to a bound past which nothing is a proof. What is no text is none either.
fn read(file: &OsString, limit: usize, streams: &mut Streams<'_>) -> Result<String, CliError> {
    let what = file.to_string_lossy().into_owned();
    let most = u64::try_from(limit).unwrap_or(u64::MAX).saturating_add(1);
    let mut bytes = Vec::new();
    let read = if what == "-" {
        (&mut *streams.input).take(most).read_to_end(&mut bytes)
    } else {
        fs::File::open(file).and_then(|open| open.take(most).read_to_end(&mut bytes))
    };
    read.map_err(|error| CliError::io(what, error))?;
    Ok(String::from_utf8(bytes).unwrap_or_default())
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

fn row(record: &ProvenRecord, bound: Option<&ProvenEpoch>) -> Value {
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
        "epoch": bound.map(|epoch| json!({
            "sequence": epoch.sequence,
            "index": epoch.index,
            "through": epoch.through,
            "slot": epoch.slot,
            "tenants": epoch.tenants,
            "size": epoch.head.size,
            "root": epoch.head.root.to_string(),
        })),
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
