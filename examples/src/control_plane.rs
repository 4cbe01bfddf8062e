//! The example control plane: the crates composed into one service.
//!
//! A request goes the same way whatever it asks for (see `call.rs`): the token is verified, the caller is
//! authorised for the call's own permission at the scope it acts on, the intent is made durable in the audit
//! log, the effect is one commit of the state store, the outcome is recorded, the answer is sent.

mod anchor;
mod api_error;
mod call;
mod endpoint;
mod facts;
mod figures;
mod fleet;
mod following;
mod gate;
mod joins;
pub(crate) mod operator;
mod page;
mod project;
mod proofs;
mod record;
mod routes;
mod settings;
mod startup;
mod state;
pub(crate) mod token_wish;

pub(crate) use self::routes::parse_time;
pub use self::settings::{Settings, SettingsError, StateSettings, StateUrl};
pub(crate) use self::startup::token_format;
pub use self::startup::{FirstStart, Server, StartError};

/// The most bytes a request's body may have.
pub const MAX_BODY_BYTES: usize = 64 << 10;

/// How long the server takes for one request at most.
pub const REQUEST_TIMEOUT: std::time::Duration = std::time::Duration::from_secs(15);
