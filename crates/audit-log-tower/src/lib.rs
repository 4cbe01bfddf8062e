#![doc = include_str!("../README.md")]

mod arrival;
mod audit;
mod error;
mod gate;
mod inventory;
mod layer;
mod notes;
mod proxies;

pub use arrival::Arrival;
pub use audit::{Audit, Mirrored};
pub use error::{InventoryError, ProxyError};
pub use gate::{Admission, Caller, Gate, Refusal, Unrecorded};
pub use inventory::{Inventory, InventoryBuilder, Route, RouteName, Treatment};
pub use layer::{AuditLayer, AuditService, X_REQUEST_ID};
pub use notes::AuditNotes;
pub use proxies::{MAX_FORWARDED_BYTES, MAX_HOPS, TrustedProxies, X_FORWARDED_FOR};
