//! What the joining machine knows.

use crate::code::{CODE_RUNS, PairingCode};
use crate::ticket::Ticket;

/// What the joining machine knows.
#[derive(Debug)]
pub struct JoinSecret {
    pub(super) kind: Kind,
}

#[derive(Debug)]
pub(super) enum Kind {
    Ticket(Ticket),
    Code { code: PairingCode, runs: u32 },
}

impl JoinSecret {
    /// A ticket.
    #[must_use]
    pub const fn ticket(ticket: Ticket) -> Self {
        Self { kind: Kind::Ticket(ticket) }
    }

    /// A code. It begins [`CODE_RUNS`] runs and no more: each shows whoever answers whether one guess was right.
    #[must_use]
    pub const fn code(code: PairingCode) -> Self {
        Self { kind: Kind::Code { code, runs: CODE_RUNS } }
    }

    /// How many runs are left; `None` where there is nothing to count.
    #[must_use]
    pub const fn runs_left(&self) -> Option<u32> {
        match &self.kind {
            Kind::Ticket(_) => None,
            Kind::Code { runs, .. } => Some(*runs),
        }
    }
}
