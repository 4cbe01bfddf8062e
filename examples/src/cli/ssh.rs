//! `palisade ssh check`: would each line be admitted? And the verbs for key bundles.

pub(super) mod bundle;

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use serde_json::json;
use sshkey_registry::admission::BlockListFile;
use sshkey_registry::key::MAX_LINE_BYTES;
use sshkey_registry::{AdmissionPolicy, KeyLine};

use super::input::{Line, each_line};
use super::{Answer, CliError, Streams};

/// Prints one JSON object per line of input, with or without `--json`: `accepted`, and either the key's type,
/// bits and fingerprints or the reason. The lines are never repeated: one may be a private key.
pub(super) fn check(mut parser: lexopt::Parser, streams: &mut Streams<'_>) -> Result<Answer, CliError> {
    let mut file = None;
    let mut policy = AdmissionPolicy::new();
    while let Some(argument) = parser.next()? {
        match argument {
            lexopt::Arg::Long("json") => {}
            lexopt::Arg::Long("block-list") => {
                let path = PathBuf::from(parser.value()?);
                let list = BlockListFile::open(&path)
                    .map_err(|error| CliError::io(path.display().to_string(), io::Error::other(error)))?;
                policy = policy.with_known_keys(Arc::new(list));
            }
            lexopt::Arg::Value(word) if file.is_none() => file = Some(word.to_string_lossy().into_owned()),
            other => return Err(other.unexpected().into()),
        }
    }
    let file = file.ok_or_else(|| CliError::usage("ssh check needs a FILE or `-`"))?;
    let mut answer = Answer::Yes;
    each_line(&file, MAX_LINE_BYTES, streams, |number, line, output| {
        let row = match judge(&policy, &line) {
            Ok(key) => json!({
                "line": number,
                "accepted": true,
                "type": key.key_type().as_str(),
                "bits": key.bits(),
                "sha256": key.fingerprint(),
                "md5": key.md5_fingerprint().to_string(),
            }),
            Err(reason) => {
                answer = Answer::No;
                json!({"line": number, "accepted": false, "reason": reason})
            }
        };
        writeln!(output, "{row}").map_err(|error| CliError::io("standard output", error))
    })?;
    Ok(answer)
}

fn judge(policy: &AdmissionPolicy, line: &Line) -> Result<sshkey_registry::PublicKey, String> {
    let parsed = match line {
        Line::Whole(bytes) => KeyLine::parse(bytes),
        Line::TooLong => Err(sshkey_registry::KeyError::LineTooLong { limit: MAX_LINE_BYTES }),
    };
    let (key, _) = parsed.map_err(|error| error.to_string())?.into_parts();
    policy.admit(key).map(sshkey_registry::AdmittedKey::into_key).map_err(|error| error.to_string())
}
