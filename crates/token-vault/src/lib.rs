#![doc = include_str!("../README.md")]

mod entry;
mod error;
mod event;
pub mod format;
mod index;
mod info;
pub mod network;
pub mod pepper;
pub mod record;
mod secret;
#[cfg(feature = "testing")]
pub mod testing;
pub mod vault;
mod verified;
mod view;

pub use error::{FormatError, IssueError, PepperError, PlanError, Refusal, RefusalReason};
pub use event::TokenEvent;
pub use format::{Prefix, Redacted, TokenFormat};
pub use info::TokenInfo;
pub use network::Network;
pub use pepper::{Pepper, PepperVersion, Peppers};
pub use record::{Cause, RevocationReason, TokenState};
pub use secret::IssuedToken;
pub use vault::{IssueRequest, Issued, TokenFilter, Vault, VerifyContext};
pub use verified::VerifiedToken;
pub use view::TokenView;
