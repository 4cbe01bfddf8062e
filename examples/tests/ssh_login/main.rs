//! Keys that are delivered by bundle, and a real sshd that asks for them at each login.
//!
//! Needs root, sshd (openssh-server), ssh and ssh-keygen (openssh-client), and cloud-init.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::arithmetic_side_effects,
    reason = "a helper that fails is a test that fails"
)]

mod agent;
mod degenerate;
mod logins;
mod sshd;
mod user_data;
