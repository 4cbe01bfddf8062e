//! `palisade ssh …` for key bundles: the command that sshd runs, and what makes and carries the bundles.

use std::fs::OpenOptions;
use std::io::{Read as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use core_types::{Clock as _, Fingerprint, Objects, Scope, SecretBytes, SystemClock, SystemRandom, UnixTime};
use serde::Deserialize;
use serde_json::json;
use sshkey_registry::bundle::file::{self, BundleFile, Installed};
use sshkey_registry::bundle::{
    Authorization, Bundle, BundleKey, Contents, Entry, Staleness, TrustedSigners, WhenStale,
};
use sshkey_registry::key::MAX_LINE_BYTES;
use sshkey_registry::{AccountName, AdmissionPolicy, AuthorizedKey, AuthorizedLine, LineComment, PublicKey};

use crate::cli::input::{Line, each_line};
use crate::cli::{Answer, CliError, Streams, print_json, print_line};

/// Which bundle, and whose is believed.
#[derive(Default)]
struct Place {
    bundle: Option<PathBuf>,
    signers: Option<PathBuf>,
    machine: Option<Scope>,
    owner: u32,
    json: bool,
}

impl Place {
    /// Takes an option that is one of these; says whether it was.
    fn take(&mut self, name: &str, parser: &mut lexopt::Parser) -> Result<bool, CliError> {
        match name {
            "json" => self.json = true,
            "bundle" => self.bundle = Some(parser.value()?.into()),
            "signers" => self.signers = Some(parser.value()?.into()),
            "machine" => self.machine = Some(parse(parser, "machine")?),
            "owner" => self.owner = parse(parser, "owner")?,
            _ => return Ok(false),
        }
        Ok(true)
    }

    fn bundle(&self) -> Result<&Path, CliError> {
        self.bundle.as_deref().ok_or_else(|| CliError::usage("--bundle FILE is needed"))
    }

    fn machine(&self) -> Result<&Scope, CliError> {
        self.machine.as_ref().ok_or_else(|| CliError::usage("--machine SCOPE is needed"))
    }

    fn trusted(&self) -> Result<TrustedSigners, CliError> {
        let path = self.signers.as_deref().ok_or_else(|| CliError::usage("--signers FILE is needed"))?;
        let text = file::read_trusted(path, self.owner).map_err(refused(path))?;
        TrustedSigners::parse(&text).map_err(refused(path))
    }

    fn open(&self) -> Result<Bundle<BundleFile>, CliError> {
        let (path, machine, trusted) = (self.bundle()?, self.machine()?, self.trusted()?);
        let file = BundleFile::open(path, self.owner).map_err(refused(path))?;
        Bundle::open(file, &trusted, machine).map_err(refused(path))
    }
}

/// The command that sshd runs at each login, with `%u %f %t %k`: prints the one line that answers.
///
/// sshd reads what is printed only if the status is 0, so a key that is not there is an empty answer and no
/// failure; a bundle that is stale or damaged is one.
pub(crate) fn authorized_keys(
    mut parser: lexopt::Parser,
    streams: &mut Streams<'_>,
) -> Result<Answer, CliError> {
    let mut place = Place::default();
    let mut staleness = Staleness { max_age: DEFAULT_MAX_AGE, when_stale: WhenStale::Refuse };
    let mut words = Vec::new();
    while let Some(argument) = parser.next()? {
        match argument {
            lexopt::Arg::Long("max-age") => {
                staleness.max_age = Duration::from_secs(parse(&mut parser, "max-age")?);
            }
            lexopt::Arg::Long("when-stale") => {
                staleness.when_stale = match &*parser.value()?.to_string_lossy() {
                    "refuse" => WhenStale::Refuse,
                    "keep" => WhenStale::KeepLast,
                    _ => return Err(CliError::usage("--when-stale is `refuse` or `keep`")),
                }
            }
            lexopt::Arg::Long(name) => {
                let name = name.to_owned();
                if !place.take(&name, &mut parser)? {
                    return Err(CliError::usage(format!("no such option: `--{name}`")));
                }
            }
            lexopt::Arg::Value(word) if words.len() < 4 => words.push(word.to_string_lossy().into_owned()),
            other => return Err(other.unexpected().into()),
        }
    }
    let [account, fingerprint, rest @ ..] = &*words else {
        return Err(CliError::usage("ssh authorized-keys needs the account and the fingerprint: `%u %f`"));
    };
    let fingerprint: Fingerprint =
        fingerprint.parse().map_err(|_| CliError::usage("not a fingerprint: `%f`"))?;
    let bundle = place.open()?;
    // An account of a form that no bundle has is one without keys.
    let answer = match AccountName::parse(account) {
        Ok(account) => bundle.authorize(&account, &fingerprint, SystemClock::new().now(), staleness),
        Err(_) => Ok(Authorization::Unknown),
    };
    let (word, line) = match answer.map_err(refused(place.bundle()?))? {
        // What was asked for must be what is there, in every form in which sshd gives it.
        Authorization::Authorized(entry) if is_asked_for(entry.line.key(), rest) => {
            ("authorized", Some(entry.line.to_string()))
        }
        Authorization::Authorized(_) | Authorization::Unknown => ("unknown", None),
        Authorization::Expired => ("expired", None),
        Authorization::Stale => {
            if place.json {
                print_json(streams, &json!({"answer": "stale"}))?;
            }
            return Ok(Answer::No);
        }
    };
    if place.json {
        print_json(streams, &json!({"answer": word, "line": line}))?;
    } else if let Some(line) = line {
        print_line(streams, &line)?;
    }
    Ok(Answer::Yes)
}

/// Whether the type and the base64, where they are given, are this key's.
fn is_asked_for(key: &PublicKey, rest: &[String]) -> bool {
    let text = key.to_string();
    let known = text.split(' ');
    rest.iter().zip(known).all(|(given, known)| given == known)
}

/// Makes a key for signing bundles: the private half into a new file that only its owner reads, the public half is
/// printed.
pub(crate) fn signing_key(mut parser: lexopt::Parser, streams: &mut Streams<'_>) -> Result<Answer, CliError> {
    let (mut path, mut as_json) = (None, false);
    while let Some(argument) = parser.next()? {
        match argument {
            lexopt::Arg::Long("json") => as_json = true,
            lexopt::Arg::Value(word) if path.is_none() => path = Some(PathBuf::from(word)),
            other => return Err(other.unexpected().into()),
        }
    }
    let path = path.ok_or_else(|| CliError::usage("ssh signing-key needs a FILE"))?;
    let key = BundleKey::generate(&SystemRandom::new()).map_err(refused(&path))?;
    let public = key.public_key().ok_or_else(|| refused(&path)("no key could be made"))?;
    let mut options = OpenOptions::new();
    let file = options.write(true).create_new(true).mode(0o600).open(&path);
    file.and_then(|mut file| {
        file.write_all(key.seed().expose_secret())?;
        file.sync_all()
    })
    .map_err(|error| CliError::io(path.display().to_string(), error))?;
    if as_json {
        print_json(streams, &json!({"public_key": public.to_string()}))?;
    } else {
        print_line(streams, &public.to_string())?;
    }
    Ok(Answer::Yes)
}

/// One key of a bundle to sign.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Row {
    account: String,
    line: String,
    comment: String,
    /// Milliseconds since 1970.
    expires_at: Option<u64>,
}

/// Signs the keys on standard input, one JSON object per line, each of them admitted first.
pub(crate) fn sign(mut parser: lexopt::Parser, streams: &mut Streams<'_>) -> Result<Answer, CliError> {
    let mut place = Place::default();
    let (mut key, mut revision, mut out, mut input) = (None, None, None, None);
    let mut issued_at = SystemClock::new().now();
    while let Some(argument) = parser.next()? {
        match argument {
            lexopt::Arg::Long("key") => key = Some(PathBuf::from(parser.value()?)),
            lexopt::Arg::Long("revision") => revision = Some(parse(&mut parser, "revision")?),
            lexopt::Arg::Long("issued-at") => {
                issued_at = UnixTime::from_millis(parse(&mut parser, "issued-at")?);
            }
            lexopt::Arg::Long("out") => out = Some(PathBuf::from(parser.value()?)),
            lexopt::Arg::Long(name @ ("machine" | "json")) => {
                let name = name.to_owned();
                place.take(&name, &mut parser)?;
            }
            lexopt::Arg::Value(word) if input.is_none() => input = Some(word.to_string_lossy().into_owned()),
            other => return Err(other.unexpected().into()),
        }
    }
    let key = key.ok_or_else(|| CliError::usage("--key FILE is needed"))?;
    let out = out.ok_or_else(|| CliError::usage("--out FILE is needed"))?;
    let revision = revision.ok_or_else(|| CliError::usage("--revision N is needed"))?;
    let input = input.ok_or_else(|| CliError::usage("ssh bundle-sign needs a FILE or `-`"))?;
    let machine = place.machine()?.clone();
    let policy = AdmissionPolicy::new();
    let mut entries = Vec::new();
    each_line(&input, MAX_ROW_BYTES, streams, |number, line, _| {
        entries.push(
            entry(&policy, &line)
                .map_err(|error| refused(Path::new(&input))(format!("line {number}: {error}")))?,
        );
        Ok(())
    })?;
    let count = entries.len();
    let key = read_seed(&key)?;
    let contents = Contents { machine, revision, issued_at, entries };
    let bytes = contents.sign(&key).map_err(refused(&out))?;
    std::fs::write(&out, bytes).map_err(|error| CliError::io(out.display().to_string(), error))?;
    if place.json {
        print_json(streams, &json!({"revision": revision, "keys": count}))?;
    }
    Ok(Answer::Yes)
}

fn entry(policy: &AdmissionPolicy, line: &Line) -> Result<Entry, String> {
    let Line::Whole(line) = line else { return Err("too long".into()) };
    let mut json = serde_json::Deserializer::from_slice(line);
    let row = Row::deserialize(Objects::new(&mut json)).and_then(|row| json.end().map(|()| row));
    let row = row.map_err(|error| error.to_string())?;
    let parsed = AuthorizedKey::parse(&row.line).map_err(|error| error.to_string())?;
    let (options, key) = parsed.into_parts();
    let key = policy.admit(key).map_err(|error| error.to_string())?.into_key();
    let options = policy.options_for(&key, options).map_err(|error| error.to_string())?;
    let comment = LineComment::parse(&row.comment).map_err(|error| error.to_string())?;
    Ok(Entry {
        account: AccountName::parse(&row.account).map_err(|error| error.to_string())?,
        line: AuthorizedLine::new(options, key, comment),
        expires_at: row.expires_at.map(UnixTime::from_millis),
    })
}

/// Puts a bundle in place of the one that is there, if it is whole, of this machine, and not older.
pub(crate) fn install(mut parser: lexopt::Parser, streams: &mut Streams<'_>) -> Result<Answer, CliError> {
    let mut place = Place::default();
    let mut new = None;
    while let Some(argument) = parser.next()? {
        match argument {
            lexopt::Arg::Long(name) => {
                let name = name.to_owned();
                if !place.take(&name, &mut parser)? {
                    return Err(CliError::usage(format!("no such option: `--{name}`")));
                }
            }
            lexopt::Arg::Value(word) if new.is_none() => new = Some(word.to_string_lossy().into_owned()),
            other => return Err(other.unexpected().into()),
        }
    }
    let new = new.ok_or_else(|| CliError::usage("ssh bundle-install needs a FILE or `-`"))?;
    let mut bytes = Vec::new();
    let read = match &*new {
        "-" => streams.input.take(MAX_BUNDLE_BYTES).read_to_end(&mut bytes),
        path => {
            std::fs::File::open(path).and_then(|file| file.take(MAX_BUNDLE_BYTES).read_to_end(&mut bytes))
        }
    };
    read.map_err(|error| CliError::io(&*new, error))?;
    let (path, machine, trusted) = (place.bundle()?, place.machine()?, place.trusted()?);
    let installed = file::install(path, &bytes, &trusted, machine, place.owner).map_err(refused(path))?;
    if place.json {
        let replaced = match installed {
            Installed::First => None,
            Installed::Replaced(revision) => Some(revision),
        };
        print_json(streams, &json!({"installed": true, "replaced_revision": replaced}))?;
    }
    Ok(Answer::Yes)
}

/// Shows a bundle, every byte of it verified.
pub(crate) fn show(mut parser: lexopt::Parser, streams: &mut Streams<'_>) -> Result<Answer, CliError> {
    let mut place = Place::default();
    while let Some(argument) = parser.next()? {
        match argument {
            lexopt::Arg::Long(name) => {
                let name = name.to_owned();
                if !place.take(&name, &mut parser)? {
                    return Err(CliError::usage(format!("no such option: `--{name}`")));
                }
            }
            other => return Err(other.unexpected().into()),
        }
    }
    let bundle = place.open()?;
    let contents = bundle.contents().map_err(refused(place.bundle()?))?;
    print_json(
        streams,
        &json!({
            "machine": contents.machine.to_string(),
            "revision": contents.revision,
            "issued_at": contents.issued_at.as_millis(),
            "keys": contents.entries.len(),
        }),
    )?;
    for entry in &contents.entries {
        print_json(
            streams,
            &json!({
                "account": entry.account.as_str(),
                "line": entry.line.to_string(),
                "expires_at": entry.expires_at.map(UnixTime::as_millis),
            }),
        )?;
    }
    Ok(Answer::Yes)
}

fn read_seed(path: &Path) -> Result<BundleKey, CliError> {
    let io = |error| CliError::io(path.display().to_string(), error);
    let mut file = std::fs::File::open(path).map_err(io)?;
    let seed = SecretBytes::<32>::filled_by(|bytes| file.read_exact(bytes)).map_err(io)?;
    if file.read(&mut [0]).map_err(io)? > 0 {
        return Err(refused(path)("not a signing key"));
    }
    Ok(BundleKey::from_seed(seed))
}

fn parse<T: std::str::FromStr>(parser: &mut lexopt::Parser, what: &str) -> Result<T, CliError> {
    let text = parser.value()?.to_string_lossy().into_owned();
    text.parse().map_err(|_| CliError::usage(format!("--{what}: not one: `{text}`")))
}

/// What a library refused: the answer is no.
fn refused<E: std::fmt::Display>(path: &Path) -> impl FnOnce(E) -> CliError {
    let what = path.display().to_string();
    move |error| CliError::io(what, std::io::Error::other(error.to_string()))
}

const DEFAULT_MAX_AGE: Duration = Duration::from_hours(24);
/// A line and its options, in JSON.
const MAX_ROW_BYTES: usize = 2 * MAX_LINE_BYTES;
const MAX_BUNDLE_BYTES: u64 = 1 << 30;
