use core::fmt;
use core::str::FromStr;
use core::time::Duration;
use std::fs;

use crate::error::SettingsError;

/// Where a store lies, and how patient its users are.
///
/// Written as a URL that names the members and the namespace, which is one path segment of `a-z`, `0-9`, `-` and `_`:
/// `etcd://node1:2379,node2:2379,node3:2379/palisade?tls=verify-full&cacert=FILE&user=NAME&passfile=FILE`.
///
/// - `tls` is `verify-full`, or `disable` for a cluster on this machine, which is the default there and refused
///   elsewhere; `cacert` names a file of PEM certificates that the members' must lead to (the system's unless set);
/// - `user` and `passfile`, whose first line is the password, are for a cluster with authentication.
#[derive(Clone)]
pub struct Options {
    pub(crate) members: Vec<String>,
    pub(crate) namespace: String,
    pub(crate) roots: Option<Vec<u8>>,
    pub(crate) user: Option<(String, String)>,
    pub(crate) patience: Duration,
    pub(crate) attempt: Duration,
}

impl Options {
    /// How long an operation waits for the cluster: ten seconds, unless set; a member, a fifth of it.
    #[must_use]
    pub fn with_patience(self, patience: Duration) -> Self {
        Self { patience, attempt: patience.mul_f32(0.2), ..self }
    }
}

impl FromStr for Options {
    type Err = SettingsError;

    fn from_str(url: &str) -> Result<Self, SettingsError> {
        let bad = |what| SettingsError::Url { what };
        let rest = url.strip_prefix("etcd://").ok_or_else(|| bad("it begins with `etcd://`"))?;
        let (place, parameters) = rest.split_once('?').unwrap_or((rest, ""));
        let (hosts, namespace) = place.split_once('/').ok_or_else(|| bad("it names no namespace"))?;
        let is_plain = |byte: u8| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_');
        if namespace.is_empty() || namespace.len() > 64 || !namespace.bytes().all(is_plain) {
            return Err(bad("a namespace is 1 to 64 of `a-z`, `0-9`, `-` and `_`"));
        }
        let members: Vec<&str> = hosts.split(',').filter(|host| !host.is_empty()).collect();
        if members.is_empty() || members.iter().any(|host| host.contains('@') || !host.contains(':')) {
            return Err(bad("members are HOST:PORT, separated by commas"));
        }
        let (mut tls, mut roots, mut user, mut password) = (None, None, None, None);
        for pair in parameters.split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let slot = match name {
                "tls" => &mut tls,
                "cacert" => &mut roots,
                "user" => &mut user,
                "passfile" => &mut password,
                _ => return Err(bad("its parameters are tls, cacert, user and passfile")),
            };
            if slot.replace(value).is_some() {
                return Err(bad("it has a parameter twice"));
            }
        }
        let elsewhere = members.iter().find(|host| !is_loopback(host));
        let is_encrypted = match (tls, elsewhere) {
            (Some("verify-full"), _) | (None, Some(_)) => true,
            (Some("disable"), Some(host)) => {
                return Err(SettingsError::Unencrypted { host: (*host).into() });
            }
            (Some("disable") | None, None) => false,
            (Some(_), _) => return Err(bad("tls is `verify-full` or `disable`")),
        };
        let read = |parameter, file: &str| {
            fs::read(file).map_err(|error| SettingsError::File { parameter, kind: error.kind() })
        };
        let roots = if is_encrypted { Some(read("cacert", roots.unwrap_or(SYSTEM_ROOTS))?) } else { None };
        let user = match (user, password) {
            (Some(user), Some(file)) => {
                let text =
                    String::from_utf8(read("passfile", file)?).map_err(|_| bad("the password is no text"))?;
                Some((user.to_owned(), text.lines().next().unwrap_or_default().to_owned()))
            }
            (None, None) => None,
            _ => return Err(bad("user and passfile go together")),
        };
        let scheme = if is_encrypted { "https" } else { "http" };
        Ok(Self {
            members: members.iter().map(|host| format!("{scheme}://{host}")).collect(),
            namespace: namespace.to_owned(),
            roots,
            user,
            patience: Duration::from_secs(10),
            attempt: Duration::from_secs(2),
        })
    }
}

/// Without the password.
impl fmt::Debug for Options {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Options")
            .field("members", &self.members)
            .field("namespace", &self.namespace)
            .finish_non_exhaustive()
    }
}

fn is_loopback(host: &str) -> bool {
    let name = host.rsplit_once(':').map_or(host, |(name, _)| name);
    let name = name.trim_start_matches('[').trim_end_matches(']');
    name == "localhost" || name.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
}

/// Where Debian, and what is derived from it, keeps the certificates of the authorities it trusts.
const SYSTEM_ROOTS: &str = "/etc/ssl/certs/ca-certificates.crt";
