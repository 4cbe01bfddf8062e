//! The errors of the crate, one enum per family of operations.

mod cluster;
mod join;
#[cfg(feature = "microcloud")]
mod mac;
mod secret;
mod trust;

pub use self::cluster::ClusterError;
pub use self::join::{ApprovalError, JoinError, RecordError, WindowError};
#[cfg(feature = "microcloud")]
pub use self::mac::{HeaderError, MacError, MacRefusal, PassphraseError};
pub use self::secret::{CodeError, FingerprintWordsError, TicketError};
pub use self::trust::{MemberError, TrustError, WireError};
