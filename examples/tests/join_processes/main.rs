//! Machines that join a control plane: two processes, real TLS on loopback.

#[path = "../support/mod.rs"]
mod support;

mod attacks;
mod fleet;
mod joins;
mod kills;
mod link;
mod machine;
mod tls;
