use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::PathBuf;

use audit_log_tower::TrustedProxies;
use state_store::fleet::NodeName;

/// What the operator asks the program to do.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Settings {
    /// Serve until told to stop.
    Serve {
        /// Where to listen.
        listen: SocketAddr,
        /// Where to listen for machines that join, if anywhere.
        join_listen: Option<SocketAddr>,
        /// Whose word on a client's address is believed.
        proxies: TrustedProxies,
        /// Where the pepper and the audit log lie, and the state unless it lies elsewhere.
        data_dir: PathBuf,
        /// Where the state lies, and how this node works with it.
        state: StateSettings,
    },
    /// Tell the whole story against a server of its own.
    Demo {
        /// Where to keep everything; a temporary folder when `None`.
        data_dir: Option<PathBuf>,
        /// Where the state lies, if not in the folder: two servers share it then.
        state: Option<StateUrl>,
    },
    /// Say how it is used.
    Help,
}

/// Where the state lies, and how a node works with it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[expect(clippy::exhaustive_structs, reason = "settings of a program, all of them with a default")]
pub struct StateSettings {
    /// Where, for several nodes; `None` for a file in the node's folder.
    pub url: Option<StateUrl>,
    /// What the node is called among them; `None` for what its folder says.
    pub node: Option<NodeName>,
    /// Whether requests are decided by the store itself while the state in memory is not known to be current.
    pub reads_through: bool,
}

impl StateSettings {
    /// One node on the state of this URL, or with a state of its own.
    #[must_use]
    pub const fn at(url: Option<StateUrl>) -> Self {
        Self { url, node: None, reads_through: false }
    }
}

/// The URL of a store; it may have a password in it.
#[derive(Clone, PartialEq, Eq)]
pub struct StateUrl {
    text: String,
}

impl StateUrl {
    /// The URL of this text.
    #[must_use]
    pub const fn new(text: String) -> Self {
        Self { text }
    }

    /// Its text, with the password.
    pub(crate) fn expose(&self) -> &str {
        &self.text
    }
}

/// Without the password.
impl core::fmt::Debug for StateUrl {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("StateUrl").finish_non_exhaustive()
    }
}

/// The words are off.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}\n\n{USAGE}")]
pub struct SettingsError(String);

impl From<lexopt::Error> for SettingsError {
    fn from(error: lexopt::Error) -> Self {
        Self(error.to_string())
    }
}

impl Settings {
    /// Reads the arguments (without the program's own name).
    ///
    /// # Errors
    /// [`SettingsError`], with the usage.
    pub fn parse(arguments: impl IntoIterator<Item = OsString>) -> Result<Self, SettingsError> {
        use lexopt::prelude::{Long, Short, Value, ValueExt as _};
        let mut parser = lexopt::Parser::from_args(arguments);
        let mut command = None;
        let (mut listen, mut join_listen) = (None, None);
        let mut data_dir = None;
        let mut proxies = Vec::new();
        let mut state = StateSettings::default();
        while let Some(argument) = parser.next()? {
            match argument {
                Long("listen") => listen = Some(parser.value()?.parse()?),
                Long("join-listen") => join_listen = Some(parser.value()?.parse()?),
                Long("trusted-proxy") => proxies.push(parser.value()?.string()?),
                Long("data-dir") => data_dir = Some(PathBuf::from(parser.value()?)),
                Long("state") => state.url = Some(StateUrl::new(parser.value()?.string()?)),
                Long("node") => state.node = Some(parser.value()?.parse_with(NodeName::new)?),
                Long("when-stale") => {
                    state.reads_through = parser.value()?.parse_with(|word| match word {
                        "refuse" => Ok(false),
                        "read-through" => Ok(true),
                        _ => Err("`refuse` or `read-through`"),
                    })?;
                }
                Long("help") | Short('h') => return Ok(Self::Help),
                Value(word) if command.is_none() => command = Some(word.string()?),
                other => return Err(other.unexpected().into()),
            }
        }
        let is_plain = listen.is_none()
            && join_listen.is_none()
            && proxies.is_empty()
            && state.node.is_none()
            && !state.reads_through;
        if state.url.is_none() && state.node.is_some() {
            return Err(SettingsError("--node names one of several: it needs --state".into()));
        }
        let proxies = TrustedProxies::parse(proxies.iter().map(String::as_str))
            .map_err(|error| SettingsError(format!("--trusted-proxy: {error}")))?;
        match command.as_deref() {
            None | Some("serve") => Ok(Self::Serve {
                listen: listen.unwrap_or(SocketAddr::from(([127, 0, 0, 1], 8080))),
                join_listen,
                proxies,
                data_dir: data_dir.ok_or_else(|| SettingsError("`serve` needs --data-dir".into()))?,
                state,
            }),
            Some("demo") if is_plain => Ok(Self::Demo { data_dir, state: state.url }),
            Some("demo") => Err(SettingsError("`demo` finds a port, and how to serve, by itself".into())),
            Some(other) => Err(SettingsError(format!("no such command: `{other}`"))),
        }
    }

    /// How the program is used.
    #[must_use]
    pub const fn usage() -> &'static str {
        USAGE
    }
}

const USAGE: &str = "usage: control_plane [serve] --data-dir DIR [--listen ADDR] [--join-listen ADDR]
                               [--trusted-proxy CIDR]…
                               [--state URL [--node NAME]] [--when-stale refuse|read-through]
       control_plane demo [--data-dir DIR] [--state URL]

serve   serves the API on ADDR (127.0.0.1:8080); the first start prints the administrator's token once;
        with --join-listen, machines join there over TLS; of requests from a --trusted-proxy, the right-most
        address in X-Forwarded-For that is none is recorded as the client's, beside the proxy's own
demo    starts a server on a free loopback port, tells the whole story against it, and checks every step
--state the state lies in a database, postgres://USER@HOST/DATABASE or etcd://HOST:PORT,…/NAMESPACE, and several nodes
        share it; each has a DIR of its own, with the same `pepper` and `ssh-bundle-key`. The demo starts two, and alternates between them
--node  what this one is called where it is said which node lags behind
--when-stale  while the state in memory is not known to be current: refuse requests (the default), or decide them by the
        store itself, if it answers in time; changes are refused either way";

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(words: &[&str]) -> Result<Settings, SettingsError> {
        Settings::parse(words.iter().map(OsString::from))
    }

    #[test]
    fn serve_is_meant_when_nothing_is_said() {
        let settings = Settings::Serve {
            listen: "127.0.0.1:8080".parse().unwrap(),
            join_listen: None,
            proxies: TrustedProxies::none(),
            data_dir: "/d".into(),
            state: StateSettings::default(),
        };
        assert_eq!(parse(&["--data-dir", "/d"]), Ok(settings.clone()));
        assert_eq!(parse(&["serve", "--data-dir=/d", "--listen", "127.0.0.1:8080"]), Ok(settings));
    }

    #[test]
    fn a_server_needs_a_folder_of_its_own() {
        assert!(parse(&["serve"]).is_err());
    }

    #[test]
    fn proxies_are_networks() {
        let parsed =
            parse(&["--data-dir", "/d", "--trusted-proxy", "10.0.0.0/8", "--trusted-proxy", "fd00::1"]);
        let Ok(Settings::Serve { proxies, .. }) = parsed else { panic!("{parsed:?}") };
        assert!(
            proxies.contains("10.2.3.4".parse().unwrap()) && proxies.contains("fd00::1".parse().unwrap())
        );
        for bad in ["10.0.0.1/8", "10.0.0.0/33", "all", ""] {
            assert!(parse(&["--data-dir", "/d", "--trusted-proxy", bad]).is_err(), "{bad}");
        }
        assert!(parse(&["demo", "--trusted-proxy", "10.0.0.0/8"]).is_err());
    }

    #[test]
    fn a_node_has_a_name_among_several_and_a_way_with_an_old_state() {
        let state = ["--data-dir", "/d", "--state", "etcd://h:1/n", "--node", "one", "--when-stale"];
        let Ok(Settings::Serve { state: parsed, .. }) = parse(&[&state[..], &["read-through"]].concat())
        else {
            panic!()
        };
        assert!(parsed.reads_through);
        assert_eq!(parsed.node.unwrap().as_str(), "one");
        assert!(parse(&[&state[..], &["refuse"]].concat()).is_ok());
        assert!(parse(&[&state[..], &["guess"]].concat()).is_err());
        assert!(parse(&["--data-dir", "/d", "--node", "one"]).is_err());
        assert!(parse(&["--data-dir", "/d", "--state", "etcd://h:1/n", "--node", "One"]).is_err());
        assert!(parse(&["demo", "--when-stale", "read-through"]).is_err());
    }

    #[test]
    fn unknown_words_are_refused() {
        assert!(parse(&["serve", "--data-dir", "/d", "extra"]).is_err());
        assert!(parse(&["fly"]).is_err());
        assert!(parse(&["demo", "--listen", "127.0.0.1:1"]).is_err());
    }
}
