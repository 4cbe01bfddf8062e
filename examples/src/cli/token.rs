//! `palisade token inspect`: is each line a well-formed token, as it was issued, narrowed, or signed? Offline, by its form
//! alone.

use std::io::Write;

use core_types::TokenId;
use serde_json::json;
use token_vault::TokenFormat;
use token_vault::scan::{Finding, Leaked, scan};
use token_vault::service::MAX_SERVICE_TOKEN_LEN;

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
    each_line(&file, MAX_SERVICE_TOKEN_LEN, streams, |number, line, output| {
        let found = match &line {
            Line::Whole(bytes) => whole(&format, bytes).map(|finding| finding.leaked),
            Line::TooLong => None,
        };
        let written = match &found {
            Some(Leaked::Token { kind, id }) => told(output, json, number, "token", kind.as_str(), id),
            Some(Leaked::Narrowed { kind, id }) => told(output, json, number, "narrowed", kind.as_str(), id),
            Some(Leaked::Signed { jti, kid }) if json => {
                let row = json!({"line": number, "valid": true, "form": "signed", "jti": jti, "kid": kid});
                writeln!(output, "{row}")
            }
            Some(Leaked::Signed { jti, kid }) => writeln!(output, "{number}: signed, jti {jti}, kid {kid}"),
            _ => {
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

/// The token that is all of a line.
fn whole(format: &TokenFormat, line: &[u8]) -> Option<Finding> {
    let found =
        scan(format, line).into_iter().find(|found| (found.offset, found.length) == (0, line.len()))?;
    // Of a token as it was issued the digits of the secret are looked at too.
    let is_issued = matches!(found.leaked, Leaked::Token { .. });
    let text = std::str::from_utf8(line).ok()?;
    (!is_issued || format.inspect(text).is_ok()).then_some(found)
}

fn told(
    output: &mut dyn Write,
    json: bool,
    line: usize,
    form: &str,
    kind: &str,
    id: &TokenId,
) -> std::io::Result<()> {
    if json {
        writeln!(output, "{}", json!({"line": line, "valid": true, "form": form, "kind": kind, "id": id}))
    } else if form == "token" {
        writeln!(output, "{line}: a {kind} token, id {id}")
    } else {
        writeln!(output, "{line}: a {form} {kind} token, of id {id}")
    }
}
