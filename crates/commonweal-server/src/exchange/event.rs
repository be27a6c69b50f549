//! What happens to a node, told to the runs.

use commonweal_core::ClientName;

/// A change in a node's presence, or in what it says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NodeEvent {
    /// It polls, after it was silent, offline or never there; or it has begun anew, and knows of no instruction.
    Online(ClientName),
    /// Its connection broke, or it has not come back, for a moment: see [`Presence::Silent`](super::Presence::Silent).
    Silent(ClientName),
    /// It has not polled for so long that its work is given up.
    Offline(ClientName),
    /// It says something new of itself: [`Exchange::statement`](super::Exchange::statement) has it.
    Stated(ClientName),
    /// It finishes what it has and takes no new work.
    Leaving(ClientName),
    /// It was revoked, or left for good.
    Gone(ClientName),
}
