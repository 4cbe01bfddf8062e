//! A mesh in small: machines that come by their WireGuard configuration, and rotate their keys, from a shared store.
//!
//! [`hub`] serves a store over a Unix socket, for the processes of one host; [`agent`] is what runs on a machine;
//! [`stream`] measures what gets lost, [`delay`] makes ways longer. The binary `mesh_agent` is their face.

pub mod agent;
pub mod delay;
mod device;
pub mod hub;
pub mod stream;

/// Why something did not work.
pub type Failure = Box<dyn std::error::Error + Send + Sync>;
