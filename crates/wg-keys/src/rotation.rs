//! Rotations that lose no packet: planned, decided step by step, resumed after a crash.
//!
//! Nothing here does anything. [`next`](View::next) looks at what is known (the machine's keys, the records, the
//! [round](Round), what others report, what the device has) and says what to do next, as [`Action`]s. Each of them may be
//! done twice. Who was killed looks again and goes on from there: all that lasts is in the machine's state file, in the
//! store and in the device, and nothing is remembered but when something was first seen, for the drain.
//!
//! # Blue/green
//! 1. The rotating machine makes a key, durably ([`Prepare`](Action::Prepare)), brings up another interface with it, with
//!    all its peers ([`OpenLane`](Action::OpenLane), [`AddPeer`](Action::AddPeer)), and announces it.
//! 2. The one [initiator](Round::initiator) of each pair waits until the other end has it ready, adds the peer on another
//!    interface and begins the handshake. Responder first: a handshake that nobody answers is tried again after 5 s only.
//! 3. Each end that sees the handshake moves its route. Both ends take packets from both pairs, so the order is of no
//!    matter.
//! 4. When all have moved, the round is committed, in the store, once. The old pairs drain and go; then the old key is
//!    erased.
//!
//! All machines at once do the same, each pair between two new keys.
//!
//! # Gates
//! With one interface. The peer adds the new key without prefixes ([`AddGated`](Action::AddGated)) and reports; the round
//! is committed; the rotating machine changes the key of its interface ([`SwapKey`](Action::SwapKey)); the peer, on the
//! first packet from it, makes the peer anew with the right preshared key, moves the prefixes and begins the handshake
//! ([`Lift`](Action::Lift)). After that there is no way back, only another
//! rotation forward.
//!
//! # Abort
//! Until it is committed, a round can be [aborted](abort) by anybody: each end moves its routes back to the old pair, which
//! is still there, the machine announces its old key again, and the new one is forgotten. Sessions live for 180 s, so
//! a round should not last longer.

mod decide;
mod event;
mod plan;
mod round;
mod schedule;
mod turn;
mod view;

pub use event::{Event, PeerTimes, Step, Timeline};
pub use plan::{KEY_CHANGE_PER_PEER, PairPlan, Path, Plan, Procedure, STAGED_PACKETS};
pub use round::{Laggards, PROGRESS, Phase, Progress, ROUND_KEY, Round, abort, begin, current, decide_phase};
pub use schedule::RotationSchedule;
pub use view::{Action, Announced, Keys, Lane, LaneView, MAX_LANES, Memory, PeerView, View};
