//! `palisade`, the operator's command line: a thin face of the libraries.
//!
//! Every verb takes `--json` (one object per line, stable field names); `-` reads standard input. Exit status:
//! 0 yes, 1 no, refused or damaged, 2 wrong usage.

mod audit;
mod iam;
mod iam_import;
mod input;
mod join;
mod scan;
mod ssh;
mod state;
mod token;
mod token_state;
mod wg;

use std::ffi::OsString;
use std::io::{self, Read, Write};
use std::process::ExitCode;

/// How a verb ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
#[expect(clippy::exhaustive_enums, reason = "an exit status is one of these")]
pub enum Answer {
    /// What was asked holds.
    Yes,
    /// It does not: refused, damaged, not there.
    No,
}

impl From<Answer> for ExitCode {
    fn from(answer: Answer) -> Self {
        match answer {
            Answer::Yes => Self::SUCCESS,
            Answer::No => Self::from(1),
        }
    }
}

/// Why a verb has no answer.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CliError {
    /// The words are off; exit status 2.
    #[error("{0}")]
    Usage(String),
    /// Reading or writing failed; exit status 1.
    #[error("{what}: {error}")]
    Io {
        /// What was read or written.
        what: String,
        /// The system's word.
        error: io::Error,
    },
}

impl CliError {
    fn usage(message: impl Into<String>) -> Self {
        Self::Usage(message.into())
    }

    fn io(what: impl Into<String>, error: io::Error) -> Self {
        Self::Io { what: what.into(), error }
    }
}

impl From<lexopt::Error> for CliError {
    fn from(error: lexopt::Error) -> Self {
        Self::Usage(error.to_string())
    }
}

/// What a verb reads from and writes to.
#[expect(clippy::exhaustive_structs, reason = "the caller builds it")]
pub struct Streams<'a> {
    /// Standard input, for `-`.
    pub input: &'a mut dyn Read,
    /// Standard output.
    pub output: &'a mut dyn Write,
}

/// Runs the program with these arguments (without the program's own name).
///
/// # Errors
/// [`CliError`] when the words are off or a file cannot be read.
pub fn run(arguments: Vec<OsString>, streams: &mut Streams<'_>) -> Result<Answer, CliError> {
    let mut parser = lexopt::Parser::from_args(arguments);
    let mut words = Words::default();
    // The first two words name the verb; the rest is the verb's own.
    while words.verb.is_none() {
        match parser.next()? {
            Some(lexopt::Arg::Value(word)) => words.push(word.to_string_lossy().into_owned()),
            Some(lexopt::Arg::Long("help") | lexopt::Arg::Short('h')) => return help(streams),
            Some(other) => return Err(other.unexpected().into()),
            None => break,
        }
    }
    match (words.noun.as_deref(), words.verb.as_deref()) {
        (Some("audit"), Some("verify")) => audit::verify(parser, streams),
        (Some("audit"), Some("query")) => audit::query(parser, streams),
        (Some("audit"), Some("prove")) => audit::prove(parser, streams),
        (Some("join"), Some("mac")) => join::mac(parser, streams),
        (Some("join"), Some("verify-mac")) => join::verify_mac(parser, streams),
        (Some("ssh"), Some("authorized-keys")) => ssh::bundle::authorized_keys(parser, streams),
        (Some("ssh"), Some("bundle-install")) => ssh::bundle::install(parser, streams),
        (Some("ssh"), Some("bundle-show")) => ssh::bundle::show(parser, streams),
        (Some("ssh"), Some("bundle-sign")) => ssh::bundle::sign(parser, streams),
        (Some("iam"), Some("check")) if iam_import::is_asked(&parser) => iam_import::check(parser, streams),
        (Some("iam"), Some("check")) => iam::check(parser, streams),
        (Some("iam"), Some("lint")) => iam::lint(parser, streams),
        (Some("iam"), Some("diff")) => iam::compare(parser, streams),
        (Some("iam"), Some("who-can")) => iam::who_can(parser, streams),
        (Some("iam"), Some("what-can")) => iam::what_can(parser, streams),
        (Some("iam"), Some("import")) => iam_import::import(parser, streams),
        (Some("iam"), Some("export")) => iam::export(parser, streams),
        (Some("ssh"), Some("check")) => ssh::check(parser, streams),
        (Some("ssh"), Some("signing-key")) => ssh::bundle::signing_key(parser, streams),
        (Some("state"), Some("copy")) => state::copy(parser, streams),
        (Some("token"), Some("scan")) => scan::scan(parser, streams),
        (Some("token"), Some("inspect")) => token::inspect(parser, streams),
        (Some("token"), Some("issue")) => token_state::issue(parser, streams),
        (Some("token"), Some("revoke")) => token_state::revoke(parser, streams),
        (Some("wg"), Some("apply")) => wg::apply(parser, streams),
        (Some("wg"), Some("init")) => wg::init(parser, streams),
        (Some("wg"), Some("render")) => wg::render(parser, streams),
        (Some("wg"), Some("rotate")) => wg::rotate(parser, streams),
        (Some("wg"), Some("show")) => wg::show(parser, streams),
        (Some("help"), None) => help(streams),
        (None, _) => Err(CliError::usage(USAGE)),
        (Some(noun), verb) => {
            Err(CliError::usage(format!("no such verb: `{noun} {}`\n{USAGE}", verb.unwrap_or_default())))
        }
    }
}

/// Runs the program on the process's own arguments and streams.
#[must_use]
pub fn main() -> ExitCode {
    on_process("palisade", run)
}

/// `ssh authorized-keys` alone: a program of its own is a tenth as long, and sshd starts one twice for each login.
#[must_use]
pub fn main_of_authorized_keys() -> ExitCode {
    on_process("palisade_authorized_keys", |arguments, streams| {
        ssh::bundle::authorized_keys(lexopt::Parser::from_args(arguments), streams)
    })
}

fn on_process(
    name: &str,
    run: impl FnOnce(Vec<OsString>, &mut Streams<'_>) -> Result<Answer, CliError>,
) -> ExitCode {
    let mut input = io::stdin().lock();
    let mut output = io::BufWriter::new(io::stdout().lock());
    let result =
        run(std::env::args_os().skip(1).collect(), &mut Streams { input: &mut input, output: &mut output });
    let result = result.and_then(|answer| {
        output.flush().map_err(|error| CliError::io("standard output", error))?;
        Ok(answer)
    });
    match result {
        Ok(answer) => answer.into(),
        Err(error) => {
            let _ = writeln!(io::stderr(), "{name}: {error}");
            ExitCode::from(if matches!(error, CliError::Usage(_)) { 2 } else { 1 })
        }
    }
}

#[derive(Default)]
struct Words {
    noun: Option<String>,
    verb: Option<String>,
}

impl Words {
    fn push(&mut self, word: String) {
        if self.noun.is_none() {
            self.noun = Some(word);
        } else {
            self.verb = Some(word);
        }
    }
}

fn help(streams: &mut Streams<'_>) -> Result<Answer, CliError> {
    print_line(streams, USAGE)?;
    Ok(Answer::Yes)
}

fn print_line(streams: &mut Streams<'_>, line: &str) -> Result<(), CliError> {
    writeln!(streams.output, "{line}").map_err(|error| CliError::io("standard output", error))
}

fn print_json(streams: &mut Streams<'_>, value: &serde_json::Value) -> Result<(), CliError> {
    print_line(streams, &value.to_string())
}

const USAGE: &str = "usage: palisade NOUN VERB …

  audit verify DIR [--known CHECKPOINT] [--key VKEY]
                                          is the log whole? says where it is damaged
  audit verify --receipt FILE|- --key VKEY [--epoch FILE]
                                          does this receipt prove its record? needs no log
  audit prove DIR SEQUENCE [--tenant SCOPE] [--key VKEY] [--epoch FILE]
                                          the receipt of a record, as c2sp.org/tlog-proof;
                                          writes the proof that an epoch binds its head to FILE
  audit query DIR [--limit N]             the entries, oldest first
  join mac --key-file F|--passphrase-file F [--version V] [--kind argon2|plain] [--salt HEX]
                                          MicroCloud's MAC of standard input, as an Authorization value
  join verify-mac … --authorization H [--lenient]
                                          is it right for standard input?
  ssh authorized-keys PLACE [--max-age SECS] [--when-stale refuse|keep] %u %f [%t %k]
                                          sshd's AuthorizedKeysCommand: the line of this key, if it may log in
  ssh bundle-install PLACE FILE|-         puts a newer bundle in place of the one that is there
  ssh bundle-show PLACE                   what a bundle has, every byte verified
  ssh bundle-sign --key FILE --machine SCOPE --revision N --out FILE FILE|-
                                          signs keys: JSON objects with account, line, comment, expires_at
  iam check --policies FILE --requests FILE|-    decides each line of requests
  iam check --from aws|kubernetes|casbin --policies FILE… --requests FILE|-
                                          the same in the terms of that system; casbin's model is one of the files
  iam lint FILE|-                         what looks wrong in a directory, by stable codes
  iam diff OLD NEW                        who gains or loses what where; yes when nothing changes
  iam who-can --policies FILE PERMISSION SCOPE
  iam what-can --policies FILE PRINCIPAL SCOPE
  iam import --from aws|kubernetes|casbin FILE|-… [--scope S] [--arn-prefix P] [--report]
                                          that system's policies as a directory; or what became of each statement
  iam export --policies FILE POLICY [--arn-prefix P] [--report]
                                          a policy (its id) as a document in AWS's form; or what became of each statement
                                          (iam verbs take --now MILLISECONDS; else it is now)
  ssh check FILE|- [--block-list FILE]…   would each line be admitted as a public key? lists as badkeys' blocklist.dat
  ssh signing-key FILE                    makes a key for signing bundles, prints its public half
  state copy FROM TO                      everything of one stopped store into an empty one, then compared; a store is
                                          redb:PATH, postgres://USER@HOST/DATABASE?schema=… or
                                          etcd://HOST:PORT,…/NAMESPACE
  token scan FILE|FOLDER|-… [--prefix P]… where are tokens? in texts, folders, git objects and packs; exit
                                          status 1 when there are any, or something could not be read
  token inspect FILE|-                    is each line a well-formed token? says its id, never its secret
  token issue --data-dir DIR [--state URL] --name TEXT --owner SUBJECT (--permission P… [--scope S] | --inherit)
              [--project NAME] [--expires-at TIME] [--network CIDR…] [--max-uses N]
                                          issues a token of a stopped server and prints it, once
  token revoke --data-dir DIR [--state URL] (ID | --owner SUBJECT | --project NAME | --all | --leaked FILE|-)
              [--issued-before TIME]      ends tokens of a stopped server
  wg init --state FILE [--machine-id ID] [--listen-port N]
                                          makes a machine's WireGuard keys; never overwrites
  wg show --state FILE                    public key, epoch, address; never a secret
  wg rotate --state FILE [--activate|--finish|--abort]
                                          prepares a new key; puts it in use; erases the old one; drops the new one
  wg render --state FILE --peers FILE|- --format wg|wg-quick|uapi
                                          the configuration, private key included
  wg apply --state FILE --peers FILE|- --interface IF [--through socket|wg] [--allow-shrinking] [--dry-run]
                                          changes a user-space device by what differs, in a safe order
                                          (wg verbs take --passphrase-file FILE: the state is sealed)

PLACE is --bundle FILE --signers FILE --machine SCOPE [--owner UID]: the bundle, whose are believed, which machine
it is for, who else than root the files may belong to.

Every verb takes --json: one object per line. `-` is standard input.
Exit status: 0 yes; 1 no, refused or damaged; 2 wrong usage.";
