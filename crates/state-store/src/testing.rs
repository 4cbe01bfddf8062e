//! What tests of backends share: [`conformance`], the suite that every backend passes, and [`model`], random
//! schedules compared with a slow and obvious store; [`history`], concurrent clients under faults, whose answers must
//! have one order; [`proxy`], a network that misbehaves; [`keeper`], servers that end with the test.
//!
//! Nothing here names an async runtime: each future is awaited on the thread that asked for it, and one that is
//! not woken for as long as the suite's patience is a failure, not a hang.

#[cfg(feature = "certificates")]
pub mod authority;
mod case;
pub mod conformance;
mod exec;
mod follow;
pub mod history;
pub mod keeper;
pub mod model;
pub mod proxy;
