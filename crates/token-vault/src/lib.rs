#![doc = include_str!("../README.md")]

pub mod attenuated;
mod base64url;
mod challenge;
mod entry;
mod error;
mod event;
pub mod foreign;
pub mod format;
mod index;
mod info;
mod introspection;
mod json;
mod limiter;
pub mod network;
#[cfg(feature = "password")]
pub mod password;
pub mod pepper;
pub mod record;
pub mod scan;
mod secret;
pub mod service;
mod stack;
#[cfg(feature = "testing")]
pub mod testing;
mod usage;
pub mod vault;
mod verified;
mod view;

pub use challenge::Challenge;
pub use error::{
    AttenuateError, CountError, FlushError, FormatError, IssueError, PepperError, PlanError, Refusal,
    RefusalReason, RevokeError, ServiceError,
};
pub use event::TokenEvent;
pub use format::{Prefix, Redacted, TokenFormat};
pub use info::TokenInfo;
pub use introspection::Introspection;
pub use limiter::FailureLimit;
pub use network::Network;
pub use pepper::{Pepper, PepperVersion, Peppers};
pub use record::{Cause, RevocationReason, TokenState};
pub use secret::IssuedToken;
pub use vault::{IssueRequest, Issued, TokenFilter, Vault, VerifyContext};
pub use verified::VerifiedToken;
pub use view::TokenView;
