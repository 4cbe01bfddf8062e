//! `palisade token inspect`: is each line a well-formed token? Offline, by its form and checksum alone.

use serde_json::json;
use token_vault::format::MAX_TOKEN_LEN;

use super::input::{Line, each_line};
use super::{Answer, CliError, Streams};
use crate::control_plane::token_format;

/// Says of each line whether it is a token, and which; never its secret.
pub(super) fn inspect(mut parser: lexopt::Parser, streams: &mut Streams<'_>) -> Result<Answer, CliError> {
    let mut file = None;
    let mut json = false;
    while let Some(argument) = parser.next()? {
        match argument {
            lexopt::Arg::Long("json") => json = true,
            lexopt::Arg::Value(word) if file.is_none() => file = Some(word.to_string_lossy().into_owned()),
            other => return Err(other.unexpected().into()),
        }
    }
    let file =
        file.ok_or_else(|| CliError::usage("token inspect needs a FILE or `-` (a token is no argument)"))?;
    let format = token_format().map_err(|error| CliError::usage(error.to_string()))?;
    let mut answer = Answer::Yes;
    each_line(&file, MAX_TOKEN_LEN, streams, |number, line, output| {
        let parts = match &line {
            Line::Whole(bytes) => std::str::from_utf8(bytes).ok().and_then(|text| format.inspect(text).ok()),
            Line::TooLong => None,
        };
        let written = match parts {
            Some(parts) if json => {
                writeln!(
                    output,
                    "{}",
                    json!({"line": number, "valid": true, "kind": parts.kind.as_str(), "id": parts.id})
                )
            }
            Some(parts) => writeln!(output, "{number}: a {} token, id {}", parts.kind.as_str(), parts.id),
            None => {
                answer = Answer::No;
                if json {
                    writeln!(output, "{}", json!({"line": number, "valid": false}))
                } else {
                    writeln!(output, "{number}: not a token")
                }
            }
        };
        written.map_err(|error| CliError::io("standard output", error))
    })?;
    Ok(answer)
}
