use core::net::IpAddr;

use crate::ticket::TicketId;
use crate::trust::MemberId;

/// What an operator or an audit log is told. No secret is in it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum JoinEvent {
    /// A run with a code began; it counts as a guess until it confirms.
    CodeRun {
        /// From where.
        source: IpAddr,
        /// How many guesses are left.
        left: u32,
    },
    /// The code has no guesses left and is gone: show a new one, or use a ticket.
    CodeBurnt {
        /// From where the last run came.
        source: IpAddr,
    },
    /// A proof was wrong.
    ProofRefused {
        /// The ticket it was for; `None` with a code.
        ticket: Option<TicketId>,
    },
    /// A machine proved that it knows the secret and waits to be approved.
    Proven {
        /// Which machine.
        machine: MemberId,
    },
    /// A half-open session made room for another.
    Evicted,
    /// The table of half-open sessions, or a limit, turned somebody away.
    Busy,
}
