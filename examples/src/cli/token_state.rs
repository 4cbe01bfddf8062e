//! `palisade token issue|revoke`: on the data folder of a control plane that is stopped, or on the state of a fleet.

use std::path::PathBuf;

use core_types::{Limit, Subject, TokenId};
use lexopt::prelude::ValueExt as _;
use serde_json::json;
use token_vault::RevocationReason;
use token_vault::scan::scan;
use token_vault::vault::Many;

use super::{Answer, CliError, Streams, print_json, print_line};
use crate::control_plane::operator::{Operator, OperatorError, Which, project_scope};
use crate::control_plane::token_wish::TokenWish;
use crate::control_plane::{StateUrl, parse_time, token_format};
use crate::entry::rfc3339;

/// Issues a token; its plaintext is printed once, and is nowhere else.
pub(super) fn issue(mut parser: lexopt::Parser, streams: &mut Streams<'_>) -> Result<Answer, CliError> {
    let mut data_dir = None;
    let mut state = None;
    let mut project = "default".to_owned();
    let mut json = false;
    let mut wish = TokenWish::default();
    let mut permissions = Vec::new();
    let mut networks = Vec::new();
    while let Some(argument) = parser.next()? {
        match argument {
            lexopt::Arg::Long("json") => json = true,
            lexopt::Arg::Long("data-dir") => data_dir = Some(PathBuf::from(parser.value()?)),
            lexopt::Arg::Long("state") => state = Some(state_url(parser.value()?.string()?)?),
            lexopt::Arg::Long("project") => project = parser.value()?.string()?,
            lexopt::Arg::Long("name") => wish.name = parser.value()?.string()?,
            lexopt::Arg::Long("owner") => wish.owner = Some(parser.value()?.string()?),
            lexopt::Arg::Long("permission") => permissions.push(parser.value()?.string()?),
            lexopt::Arg::Long("scope") => wish.scope = Some(parser.value()?.string()?),
            lexopt::Arg::Long("inherit") => wish.inherit = true,
            lexopt::Arg::Long("expires-at") => wish.expires_at = Some(parser.value()?.string()?),
            lexopt::Arg::Long("network") => networks.push(parser.value()?.string()?),
            lexopt::Arg::Long("max-uses") => wish.max_uses = Some(parser.value()?.parse()?),
            other => return Err(other.unexpected().into()),
        }
    }
    let data_dir = data_dir.ok_or_else(|| CliError::usage("token issue needs --data-dir DIR"))?;
    let place = Place { data_dir, state };
    if wish.name.is_empty() || wish.owner.is_none() {
        return Err(CliError::usage("token issue needs --name TEXT and --owner SUBJECT (an id or a name)"));
    }
    wish.scopes = (!permissions.is_empty()).then_some(permissions);
    wish.networks = (!networks.is_empty()).then_some(networks);
    let issued = at_place(place, async |operator| operator.issue(&wish, &project).await)?;
    let (token, info) = match issued {
        Ok(issued) => issued,
        Err(error) => return refused(&error, json, streams),
    };
    token.expose_once(|text| {
        if json {
            let expires_at = match info.restriction.expires_at() {
                Limit::Unlimited => None,
                Limit::Only(at) => Some(rfc3339(at)),
            };
            let row = json!({"ok": true, "id": info.id, "owner": info.owner, "expires_at": expires_at, "token": text});
            print_json(streams, &row)
        } else {
            print_line(streams, text)
        }
    })?;
    Ok(Answer::Yes)
}

/// Revokes a token, many tokens, or those that are found in a text.
pub(super) fn revoke(mut parser: lexopt::Parser, streams: &mut Streams<'_>) -> Result<Answer, CliError> {
    let mut data_dir = None;
    let mut state = None;
    let mut json = false;
    let mut targets = Vec::new();
    let mut issued_before = Limit::Unlimited;
    while let Some(argument) = parser.next()? {
        match argument {
            lexopt::Arg::Long("json") => json = true,
            lexopt::Arg::Long("data-dir") => data_dir = Some(PathBuf::from(parser.value()?)),
            lexopt::Arg::Long("state") => state = Some(state_url(parser.value()?.string()?)?),
            lexopt::Arg::Long("owner") => targets.push(Target::Owner(parser.value()?.string()?)),
            lexopt::Arg::Long("project") => targets.push(Target::Project(parser.value()?.string()?)),
            lexopt::Arg::Long("all") => targets.push(Target::All),
            lexopt::Arg::Long("leaked") => targets.push(Target::Leaked(parser.value()?.string()?)),
            lexopt::Arg::Long("issued-before") => {
                let text = parser.value()?.string()?;
                let time = parse_time("issued-before", &text);
                issued_before = Limit::Only(time.map_err(|error| CliError::usage(error.message()))?);
            }
            lexopt::Arg::Value(word) => targets.push(Target::One(word.parse()?)),
            other => return Err(other.unexpected().into()),
        }
    }
    let data_dir = data_dir.ok_or_else(|| CliError::usage("token revoke needs --data-dir DIR"))?;
    let place = Place { data_dir, state };
    let [target] = <[Target; 1]>::try_from(targets).map_err(|_| {
        CliError::usage("token revoke needs one of ID, --owner, --project, --all, --leaked FILE|-")
    })?;
    let is_dated = issued_before != Limit::Unlimited;
    if is_dated && matches!(target, Target::One(_) | Target::Leaked(_)) {
        return Err(CliError::usage("--issued-before goes with --owner, --project or --all"));
    }
    if let Target::Leaked(file) = &target {
        let found = tokens_in(file, streams)?;
        return revoke_leaked(place, &found, json, streams);
    }
    let done = at_place(place, async |operator| {
        let (which, reason) = match target {
            Target::One(id) => (Which::One(id), RevocationReason::Administrative),
            Target::Owner(text) => {
                let owner: Subject = operator.owner(&text)?;
                (Which::Many(Many::OwnedBy(owner), issued_before), RevocationReason::Administrative)
            }
            Target::Project(name) => {
                let scope = project_scope(&name)?;
                (Which::Many(Many::AtHomeIn(scope), issued_before), RevocationReason::ScopeClosed)
            }
            Target::All | Target::Leaked(_) => {
                (Which::Many(Many::All, issued_before), RevocationReason::Administrative)
            }
        };
        operator.revoke(&which, reason).await
    })?;
    match done {
        Ok(()) if json => print_json(streams, &json!({"ok": true}))?,
        Ok(()) => print_line(streams, "revoked")?,
        Err(error) => return refused(&error, json, streams),
    }
    Ok(Answer::Yes)
}

/// What is to be revoked.
enum Target {
    One(TokenId),
    Owner(String),
    Project(String),
    All,
    Leaked(String),
}

/// Revokes the tokens of these texts; a text that is the secret of no token changes nothing.
fn revoke_leaked(
    place: Place,
    found: &[String],
    json: bool,
    streams: &mut Streams<'_>,
) -> Result<Answer, CliError> {
    let outcomes = at_place(place, async |operator| {
        let mut outcomes = Vec::new();
        for text in found {
            outcomes.push(operator.revoke_leaked(text).await?);
        }
        Ok(outcomes)
    })?;
    let outcomes = match outcomes {
        Ok(outcomes) => outcomes,
        Err(error) => return refused(&error, json, streams),
    };
    for info in outcomes.iter().flatten() {
        if json {
            print_json(streams, &json!({"ok": true, "id": info.id, "owner": info.owner, "name": info.name}))?;
        } else {
            print_line(streams, &format!("revoked {}, of {}", info.id, info.owner))?;
        }
    }
    Ok(if outcomes.iter().any(Option::is_some) { Answer::Yes } else { Answer::No })
}

/// The whole tokens in a file or standard input.
fn tokens_in(file: &str, streams: &mut Streams<'_>) -> Result<Vec<String>, CliError> {
    let format = token_format().map_err(|error| CliError::usage(error.to_string()))?;
    let mut found = Vec::new();
    super::input::each_line(file, MAX_SCANNED_LINE, streams, |_, line, _| {
        let super::input::Line::Whole(bytes) = line else { return Ok(()) };
        for finding in scan(&format, &bytes) {
            let start = usize::try_from(finding.offset).unwrap_or(usize::MAX);
            let text = bytes.get(start..).unwrap_or_default();
            let text = text.get(..finding.length).unwrap_or_default();
            found.extend(str::from_utf8(text).map(str::to_owned));
        }
        Ok(())
    })?;
    Ok(found)
}

/// What is worked on.
struct Place {
    data_dir: PathBuf,
    /// Where the state lies, if not in the folder.
    state: Option<StateUrl>,
}

/// The URL of a store, which is looked at before anything is opened.
fn state_url(text: String) -> Result<StateUrl, CliError> {
    let known: Result<crate::backend::Place, _> = text.parse();
    known.map(|_| StateUrl::new(text)).map_err(|error| CliError::usage(format!("--state: {error}")))
}

/// Opens the folder, does the work, and lets the folder go whatever came of it.
fn at_place<T>(
    place: Place,
    work: impl AsyncFnOnce(&Operator) -> Result<T, OperatorError>,
) -> Result<Result<T, OperatorError>, CliError> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    let runtime = runtime.map_err(|error| CliError::io("the runtime", error))?;
    Ok(runtime.block_on(async {
        let operator = Operator::open(&place.data_dir, place.state).await?;
        let outcome = work(&operator).await;
        operator.close().await?;
        outcome
    }))
}

fn refused(error: &OperatorError, json: bool, streams: &mut Streams<'_>) -> Result<Answer, CliError> {
    if error.is_invalid() {
        return Err(CliError::usage(error.to_string()));
    }
    if json {
        print_json(streams, &json!({"ok": false, "error": error.to_string()}))?;
    } else {
        print_line(streams, &format!("refused: {error}"))?;
    }
    Ok(Answer::No)
}

/// The longest line that is looked at for tokens.
const MAX_SCANNED_LINE: usize = 1 << 20;
