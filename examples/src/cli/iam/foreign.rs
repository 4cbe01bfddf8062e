//! Policies and requests in the terms of other systems.

use super::super::{Answer, CliError, Streams};

/// Decides requests in the terms of the system `source`, by its policies.
pub(super) fn check(
    source: &str,
    _policies: &str,
    _requests: &str,
    _streams: &mut Streams<'_>,
) -> Result<Answer, CliError> {
    Err(unknown(source))
}

/// Prints the policies of the system `source` as a document.
pub(super) fn import(
    source: &str,
    _file: &str,
    _json: bool,
    _streams: &mut Streams<'_>,
) -> Result<Answer, CliError> {
    Err(unknown(source))
}

fn unknown(source: &str) -> CliError {
    CliError::usage(format!("`{source}` is no system whose policies are read"))
}
