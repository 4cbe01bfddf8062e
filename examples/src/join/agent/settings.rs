use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use super::Wish;

/// What the operator asks the agent to do.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum AgentSettings {
    /// Join, or go on with it.
    Join {
        /// Where the machine's keys and the join lie.
        state_dir: PathBuf,
        /// As what, and where.
        wish: Wish,
        /// The file with the ticket or the code, `-` for standard input; none to go on alone.
        secret: Option<SecretFile>,
        /// Whether programs read what is said.
        json: bool,
    },
    /// Say how far it is.
    Status {
        /// Where the machine's keys and the join lie.
        state_dir: PathBuf,
        /// Whether programs read what is said.
        json: bool,
    },
    /// Say how it is used.
    Help,
}

/// Where the secret is.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "there are two kinds of secret")]
pub enum SecretFile {
    /// A ticket.
    Ticket(PathBuf),
    /// A code, as a person typed it.
    Code(PathBuf),
}

/// The words are off.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}\n\n{USAGE}")]
pub struct AgentSettingsError(String);

impl From<lexopt::Error> for AgentSettingsError {
    fn from(error: lexopt::Error) -> Self {
        Self(error.to_string())
    }
}

impl AgentSettings {
    /// Reads the arguments (without the program's own name).
    ///
    /// # Errors
    /// [`AgentSettingsError`], with the usage.
    pub fn parse(arguments: impl IntoIterator<Item = OsString>) -> Result<Self, AgentSettingsError> {
        use lexopt::prelude::{Long, Short, Value, ValueExt as _};
        let mut parser = lexopt::Parser::from_args(arguments);
        let (mut command, mut state_dir, mut to, mut name) = (None, None, None, None);
        let (mut secret, mut json) = (None, false);
        let (mut role, mut addresses) = ("worker".to_owned(), Vec::new());
        let mut patience = Duration::from_secs(60);
        while let Some(argument) = parser.next()? {
            match argument {
                Long("state-dir") => state_dir = Some(PathBuf::from(parser.value()?)),
                Long("to") => to = Some(parser.value()?.parse()?),
                Long("name") => name = Some(parser.value()?.string()?),
                Long("role") => role = parser.value()?.string()?,
                Long("address") => addresses.push(parser.value()?.string()?),
                Long("ticket-file") if secret.is_none() => {
                    secret = Some(SecretFile::Ticket(parser.value()?.into()));
                }
                Long("code-file") if secret.is_none() => {
                    secret = Some(SecretFile::Code(parser.value()?.into()));
                }
                Long("patience") => patience = Duration::from_secs(parser.value()?.parse()?),
                Long("json") => json = true,
                Long("help") | Short('h') => return Ok(Self::Help),
                Value(word) if command.is_none() => command = Some(word.string()?),
                other => return Err(other.unexpected().into()),
            }
        }
        let needs = |what: &str| AgentSettingsError(format!("{what} is needed"));
        let state_dir = state_dir.ok_or_else(|| needs("--state-dir"));
        match command.as_deref() {
            Some("join") => {
                let to = to.ok_or_else(|| needs("--to"))?;
                let name = name.ok_or_else(|| needs("--name"))?;
                let wish = Wish { to, name, role, addresses, patience };
                Ok(Self::Join { state_dir: state_dir?, wish, secret, json })
            }
            Some("status") if to.is_none() && name.is_none() && secret.is_none() => {
                Ok(Self::Status { state_dir: state_dir?, json })
            }
            Some(other) => Err(AgentSettingsError(format!("not so: `{other}`"))),
            None => Err(AgentSettingsError("a command is needed".into())),
        }
    }

    /// How the program is used.
    #[must_use]
    pub const fn usage() -> &'static str {
        USAGE
    }
}

const USAGE: &str = "usage: join_agent join --state-dir DIR --to ADDR --name NAME [--role ROLE] [--address ADDR]...
                       [--ticket-file FILE | --code-file FILE] [--patience SECONDS] [--json]
       join_agent status --state-dir DIR [--json]

join     joins the cluster of the member at ADDR, or goes on where it was stopped; a ticket or a code is read from FILE,
         or from standard input when that is `-`; without one, only what was begun is gone on with
status   says how far the join is, and who the members are

exit status: 0 joined (or said), 1 not joined, 2 wrong usage";

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(words: &[&str]) -> Result<AgentSettings, AgentSettingsError> {
        AgentSettings::parse(words.iter().map(OsString::from))
    }

    #[test]
    fn a_join_needs_a_folder_a_member_and_a_name() {
        let all = ["join", "--state-dir", "/d", "--to", "127.0.0.1:1", "--name", "n"];
        assert!(parse(&all).is_ok());
        for at in [1, 3, 5] {
            let mut fewer = all.to_vec();
            fewer.drain(at..at + 2);
            assert!(parse(&fewer).is_err(), "{fewer:?}");
        }
    }

    #[test]
    fn there_is_one_secret_at_most_and_none_among_the_arguments() {
        let all = ["join", "--state-dir", "/d", "--to", "127.0.0.1:1", "--name", "n"];
        let with = |more: &[&str]| parse(&[&all, more].concat());
        assert!(with(&["--ticket-file", "-"]).is_ok());
        assert!(with(&["--ticket-file", "-", "--code-file", "c"]).is_err());
        assert!(with(&["--ticket", "jht1_"]).is_err());
        assert!(with(&["extra"]).is_err());
    }

    #[test]
    fn status_takes_a_folder_and_nothing_of_a_join() {
        assert!(parse(&["status", "--state-dir", "/d"]).is_ok());
        assert!(parse(&["status"]).is_err());
        assert!(parse(&["status", "--state-dir", "/d", "--name", "n"]).is_err());
        assert!(parse(&["fly", "--state-dir", "/d"]).is_err());
    }
}
