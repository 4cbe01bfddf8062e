use core::fmt;
use core::str::FromStr;
use core::time::Duration;
use std::fs;
use std::path::{Path, PathBuf};

use state_store::{Revision, StoreId};
use tokio_postgres::config::{Host, SslMode, TargetSessionAttrs};

use crate::error::SettingsError;
use crate::tls::Tls;

/// Where a store lies, and how patient its users are.
///
/// Written as a URL: `postgres://user@host:5432/database?schema=palisade&sslmode=verify-full`. Several hosts may
/// be named (`host1:5432,host2:5432`): the first that takes writes is used. Of the parameters,
///
/// - `schema` names the schema the store is in (`palisade` unless set), made where it is missing;
/// - `sslmode` is `verify-full`, or `disable` for a server on this machine; `disable` is the default there, and
///   refused elsewhere;
/// - `sslrootcert` names a file of PEM certificates that the server's must lead to (the system's unless set);
/// - `passfile` names a file with the password on its first line, which keeps it out of the URL.
#[derive(Clone)]
pub struct Options {
    pub(crate) database: tokio_postgres::Config,
    pub(crate) tls: Tls,
    pub(crate) schema: Box<str>,
    pub(crate) patience: Duration,
    pub(crate) poll_interval: Duration,
    pub(crate) hint_interval: Option<Duration>,
    pub(crate) max_readers: usize,
    pub(crate) history_commits: u64,
    pub(crate) history_bytes: u64,
    pub(crate) allows_not_durable: bool,
    pub(crate) known: Option<Known>,
}

/// What the embedder knows of a store it has used before, and keeps where a restored backup does not reach.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "the embedder builds it")]
pub struct Known {
    /// Which store it is.
    pub store: StoreId,
    /// The revision it has reached at least.
    pub at_least: Revision,
}

impl Options {
    /// How long an operation waits for the database: ten seconds, unless set.
    #[must_use]
    pub fn with_patience(self, patience: Duration) -> Self {
        Self { patience, ..self }
    }

    /// How often the database is asked for changes when no hint has come: every 50 ms, unless set. What
    /// another node commits is seen within this and two round trips, whatever becomes of the hints.
    #[must_use]
    pub fn with_poll_interval(self, interval: Duration) -> Self {
        Self { poll_interval: interval, ..self }
    }

    /// How often at most this node tells the others that it has committed something (`NOTIFY`): once in 5 ms,
    /// unless set; never with `None`. Hints are not part of a commit and do not hold one up.
    #[must_use]
    pub fn with_hint_interval(self, interval: Option<Duration>) -> Self {
        Self { hint_interval: interval, ..self }
    }

    /// How many connections read at once: 4, unless set. Besides them there is one that commits and one that
    /// follows.
    #[must_use]
    pub fn with_max_readers(self, connections: usize) -> Self {
        Self { max_readers: if connections == 0 { 1 } else { connections }, ..self }
    }

    /// How much of the past watchers can catch up with: the latest 65,536 commits and 256 MiB, unless set.
    /// Every node of one store should have the same bound; the smallest counts.
    #[must_use]
    pub fn with_history(self, commits: u64, bytes: u64) -> Self {
        Self { history_commits: commits, history_bytes: bytes, ..self }
    }

    /// Opens this store, at this revision or a later one, or nothing.
    #[must_use]
    pub fn with_known(self, known: Known) -> Self {
        Self { known: Some(known), ..self }
    }

    /// Takes a server with `fsync` or `full_page_writes` off, which forgets commits when its machine crashes.
    #[must_use]
    pub fn dangerous_on_a_server_that_forgets(self) -> Self {
        Self { allows_not_durable: true, ..self }
    }

    /// The same database, in this schema.
    ///
    /// # Errors
    /// [`SettingsError::Parameter`] when it is not 1 to 40 of `a-z`, `0-9` and `_`, the first not a digit.
    pub fn with_schema(self, schema: &str) -> Result<Self, SettingsError> {
        let is_plain = schema.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'_'));
        let begins_well = schema.bytes().next().is_some_and(|byte| !byte.is_ascii_digit());
        if !is_plain || !begins_well || schema.len() > 40 || schema.starts_with("pg_") {
            return Err(SettingsError::Parameter {
                parameter: "schema",
                what: "is 1 to 40 of `a-z`, `0-9` and `_`, the first not a digit, and not PostgreSQL's own",
            });
        }
        Ok(Self { schema: schema.into(), ..self })
    }
}

impl FromStr for Options {
    type Err = SettingsError;

    fn from_str(url: &str) -> Result<Self, SettingsError> {
        if !url.starts_with("postgres://") && !url.starts_with("postgresql://") {
            return Err(SettingsError::Url { detail: "it begins with `postgres://`".into() });
        }
        let own = Own::take(url)?;
        let mut database: tokio_postgres::Config = own
            .rest
            .parse()
            .map_err(|error: tokio_postgres::Error| SettingsError::Url { detail: cause(&error) })?;
        database.application_name("palisade-state-store");
        database.target_session_attrs(TargetSessionAttrs::ReadWrite);
        if database.get_hosts().is_empty() {
            return Err(SettingsError::Url { detail: "it names no host".into() });
        }
        if database.get_user().is_none() || database.get_dbname().is_none() {
            return Err(SettingsError::Url { detail: "it names no user or no database".into() });
        }
        let elsewhere = database.get_hosts().iter().find_map(|host| match host {
            Host::Tcp(name) if !is_loopback(name) => Some(name.as_str()),
            _ => None,
        });
        let is_encrypted = match (own.ssl_mode.as_deref(), elsewhere) {
            (Some("verify-full"), _) | (None, Some(_)) => true,
            (Some("disable"), Some(host)) => {
                return Err(SettingsError::Unencrypted { host: host.into() });
            }
            (Some("disable") | None, None) => false,
            (Some(_), _) => {
                let what = "is `verify-full`, or `disable` for a server on this machine";
                return Err(SettingsError::Parameter { parameter: "sslmode", what });
            }
        };
        let tls = if is_encrypted {
            database.ssl_mode(SslMode::Require);
            let roots = own.root_certificates.unwrap_or_else(|| PathBuf::from(SYSTEM_ROOTS));
            Tls::verified_by(&read("sslrootcert", &roots)?)?
        } else {
            database.ssl_mode(SslMode::Disable);
            Tls::off()
        };
        if let Some(file) = own.password_file {
            let text = read("passfile", &file)?;
            let line = text.split(|&byte| byte == b'\n').next().unwrap_or_default();
            database.password(line.strip_suffix(b"\r").unwrap_or(line));
        }
        let options = Self {
            database,
            tls,
            schema: DEFAULT_SCHEMA.into(),
            patience: Duration::from_secs(10),
            poll_interval: Duration::from_millis(50),
            hint_interval: Some(Duration::from_millis(5)),
            max_readers: 4,
            history_commits: 65_536,
            history_bytes: 256 << 20,
            allows_not_durable: false,
            known: None,
        };
        match own.schema {
            Some(schema) => options.with_schema(&schema),
            None => Ok(options),
        }
    }
}

/// Without the password.
impl fmt::Debug for Options {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Options")
            .field("database", &self.database.get_dbname())
            .field("schema", &self.schema)
            .finish_non_exhaustive()
    }
}

/// The parameters that are ours, and the URL without them.
struct Own {
    rest: String,
    schema: Option<String>,
    ssl_mode: Option<String>,
    root_certificates: Option<PathBuf>,
    password_file: Option<PathBuf>,
}

impl Own {
    fn take(url: &str) -> Result<Self, SettingsError> {
        let (place, parameters) = url.split_once('?').unwrap_or((url, ""));
        let mut own = Self {
            rest: String::new(),
            schema: None,
            ssl_mode: None,
            root_certificates: None,
            password_file: None,
        };
        let mut kept: Vec<&str> = Vec::new();
        for pair in parameters.split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let is_new = match name {
                "schema" => own.schema.replace(value.to_owned()).is_none(),
                "sslmode" => own.ssl_mode.replace(value.to_owned()).is_none(),
                "sslrootcert" => own.root_certificates.replace(value.into()).is_none(),
                "passfile" => own.password_file.replace(value.into()).is_none(),
                _ => {
                    kept.push(pair);
                    true
                }
            };
            if !is_new {
                return Err(SettingsError::Url { detail: "it has a parameter twice".into() });
            }
        }
        let mark = if kept.is_empty() { "" } else { "?" };
        own.rest = format!("{place}{mark}{}", kept.join("&"));
        Ok(own)
    }
}

fn is_loopback(host: &str) -> bool {
    host == "localhost" || host.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
}

fn read(parameter: &'static str, file: &Path) -> Result<Vec<u8>, SettingsError> {
    fs::read(file).map_err(|error| SettingsError::File { parameter, kind: error.kind() })
}

fn cause(error: &dyn std::error::Error) -> Box<str> {
    error.source().map_or_else(|| error.to_string(), ToString::to_string).into()
}

const DEFAULT_SCHEMA: &str = "palisade";
/// Where Debian, and what is derived from it, keeps the certificates of the authorities it trusts.
const SYSTEM_ROOTS: &str = "/etc/ssl/certs/ca-certificates.crt";
