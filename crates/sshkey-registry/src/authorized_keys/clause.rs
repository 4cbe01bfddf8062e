use core::fmt;

use super::value::{
    Environment, ExpiryTime, ForwardTarget, ListenAddress, OptionText, Patterns, TunnelDevice, quoted,
};
use crate::error::OptionsError;

/// One option of a line.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Clause {
    /// `restrict`: nothing is allowed that is not named afterwards.
    Restrict,
    /// `cert-authority`: the key signs certificates, and is itself no login.
    CertAuthority,
    /// The feature's own name: allowed (or asked for, see [`Feature`]).
    On(Feature),
    /// `no-` and the feature's name.
    Off(Feature),
    /// `command="…"`: this is run, whatever is asked for.
    Command(OptionText),
    /// `environment="NAME=value"`.
    Environment(Environment),
    /// `expiry-time="…"`: not accepted after it.
    ExpiryTime(ExpiryTime),
    /// `from="…"`: addresses and names that one may come from.
    From(Patterns),
    /// `permitlisten="[host:]port"`: where remote forwarding may listen.
    PermitListen(ListenAddress),
    /// `permitopen="host:port"`: where local forwarding may connect to.
    PermitOpen(ForwardTarget),
    /// `principals="…"`: the names of a certificate that may log in.
    Principals(OptionText),
    /// `tunnel="n"`: which device a tunnel uses.
    Tunnel(TunnelDevice),
}

/// What a line can allow or forbid by one word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Feature {
    /// Forwarding of the authentication agent.
    AgentForwarding,
    /// Forwarding of ports.
    PortForwarding,
    /// A terminal.
    Pty,
    /// `~/.ssh/rc`.
    UserRc,
    /// Forwarding of X11.
    X11Forwarding,
    /// A touch of the security key, asked for unless it is off.
    TouchRequired,
    /// A PIN or a finger on the security key, asked for if it is on.
    VerifyRequired,
}

impl Feature {
    /// Every feature there is.
    pub const ALL: [Self; 7] = [
        Self::AgentForwarding,
        Self::PortForwarding,
        Self::Pty,
        Self::UserRc,
        Self::X11Forwarding,
        Self::TouchRequired,
        Self::VerifyRequired,
    ];

    /// Its name in a line.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::AgentForwarding => "agent-forwarding",
            Self::PortForwarding => "port-forwarding",
            Self::Pty => "pty",
            Self::UserRc => "user-rc",
            Self::X11Forwarding => "X11-forwarding",
            Self::TouchRequired => "touch-required",
            Self::VerifyRequired => "verify-required",
        }
    }

    fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|known| known.as_str().eq_ignore_ascii_case(name))
    }
}

impl Clause {
    /// The option of a name and the value in its quotes, if it has one.
    pub(super) fn of(name: &str, value: Option<String>) -> Result<Self, OptionsError> {
        let Some(value) = value else { return Self::flag(name) };
        let text = OptionText::parse(&value);
        Ok(match &*name.to_ascii_lowercase() {
            "command" => Self::Command(text?),
            "environment" => Self::Environment(Environment::parse(text?.as_str())?),
            "expiry-time" => Self::ExpiryTime(ExpiryTime::parse(&value)?),
            "from" => Self::From(Patterns::parse(&value)?),
            "permitlisten" => Self::PermitListen(ListenAddress::parse(&value)?),
            "permitopen" => Self::PermitOpen(ForwardTarget::parse(&value)?),
            "principals" => Self::Principals(text?),
            "tunnel" => Self::Tunnel(TunnelDevice::parse(&value)?),
            _ if Self::flag(name).is_ok() => return Err(OptionsError::ValueNotTaken),
            _ => return Err(OptionsError::Unknown),
        })
    }

    fn flag(name: &str) -> Result<Self, OptionsError> {
        if name.eq_ignore_ascii_case("restrict") {
            return Ok(Self::Restrict);
        }
        if name.eq_ignore_ascii_case("cert-authority") {
            return Ok(Self::CertAuthority);
        }
        if let Some(feature) = Feature::from_name(name) {
            return Ok(Self::On(feature));
        }
        let negated = name.get(..3).filter(|no| no.eq_ignore_ascii_case("no-")).and(name.get(3..));
        if let Some(feature) = negated.and_then(Feature::from_name) {
            return Ok(Self::Off(feature));
        }
        let takes_value = VALUED.iter().any(|valued| valued.eq_ignore_ascii_case(name));
        Err(if takes_value { OptionsError::ValueMissing } else { OptionsError::Unknown })
    }

    /// Whether this word, up to its first `=` or `,`, is the name of an option.
    pub(super) fn is_name(name: &str) -> bool {
        !matches!(Self::flag(name), Err(OptionsError::Unknown))
    }

    /// Whether sshd refuses, or silently drops, a second one.
    pub(super) fn at_most_once(&self, other: &Self) -> bool {
        matches!(
            (self, other),
            (Self::Command(_), Self::Command(_))
                | (Self::From(_), Self::From(_))
                | (Self::Principals(_), Self::Principals(_))
                | (Self::ExpiryTime(_), Self::ExpiryTime(_))
                | (Self::Tunnel(_), Self::Tunnel(_))
        )
    }
}

impl fmt::Display for Clause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Restrict => f.write_str("restrict"),
            Self::CertAuthority => f.write_str("cert-authority"),
            Self::On(feature) => f.write_str(feature.as_str()),
            Self::Off(feature) => write!(f, "no-{}", feature.as_str()),
            Self::Command(text) => write!(f, "command={}", quoted(text.as_str())),
            Self::Environment(pair) => write!(f, "environment={}", quoted(pair.as_str())),
            Self::ExpiryTime(time) => write!(f, "expiry-time={}", quoted(time.as_str())),
            Self::From(patterns) => write!(f, "from={}", quoted(&patterns.to_string())),
            Self::PermitListen(address) => write!(f, "permitlisten={}", quoted(address.as_str())),
            Self::PermitOpen(target) => write!(f, "permitopen={}", quoted(target.as_str())),
            Self::Principals(names) => write!(f, "principals={}", quoted(names.as_str())),
            Self::Tunnel(device) => write!(f, "tunnel={}", quoted(&device.to_string())),
        }
    }
}

const VALUED: [&str; 8] =
    ["command", "environment", "expiry-time", "from", "permitlisten", "permitopen", "principals", "tunnel"];
