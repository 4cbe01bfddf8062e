//! The join: state machines without I/O.
//!
//! Nothing here reads a clock, a file or a socket, or waits. Frames go in, and out come the next state, a frame to send,
//! and records to store *before* the next step is taken. A state is taken by value, so a step out of order does not
//! compile. See the crate's documentation for the protocol byte by byte.

mod approval;
mod channel;
mod clock;
mod cookie;
mod event;
mod initiator;
mod joiner;
mod keys;
mod limits;
mod record;
mod rules;
mod window;

pub use self::approval::{Approval, IntentId, JoinIntent, Quorum};
pub use self::channel::Channel;
pub use self::clock::Monotonic;
pub use self::event::JoinEvent;
pub use self::initiator::{
    Admission, Admitted, Admitting, AwaitApproval, AwaitInstalled, Initiator, NotApproved, Persisting,
    Receipt,
};
pub use self::joiner::{
    AwaitChallenge, AwaitDecision, AwaitDone, Challenged, Decided, Installing, JoinSecret, Joined, Joiner,
    MAX_LIFETIME,
};
pub use self::limits::Rate;
pub use self::record::{InitiatorRecord, JoinerRecord, Progress};
#[cfg(feature = "testing")]
pub use self::rules::Weakness;
pub use self::window::{
    Answer, HelloOutcome, Lookup, MAX_HALF_OPEN, ProofOutcome, ResumeOutcome, SessionId, Window, WindowConfig,
};
