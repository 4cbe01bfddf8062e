#![doc = include_str!("../README.md")]

mod changes;
mod commit;
mod error;
mod fence;
mod follow;
mod options;
mod outcome;
mod pool;
mod read;
mod schema;
mod session;
mod stats;
mod store;
#[cfg(feature = "testing")]
pub mod testing;
mod tls;
mod transact;
mod watch;

pub use error::{CommitIdError, OpenError, SettingsError};
pub use options::{Known, Options};
pub use outcome::{CommitId, Outcome};
pub use stats::Stats;
pub use store::PostgresStore;
pub use watch::PostgresWatch;
