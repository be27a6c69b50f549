//! The clients of a round and how far each has come.

use alloc::vec::Vec;

use crate::ClientIndex;

/// How far a client has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum State {
    /// Told to check in.
    Invited,
    /// Waits for its task.
    Ready,
    /// Has its task.
    Working,
    /// Its report is with a worker.
    Folding,
    /// Its report is in the sum.
    Counted,
    /// Failed, refused or given up.
    Gone,
}

const STATES: usize = State::Gone as usize + 1;

/// Clients with their states, and how many are in each.
#[derive(Debug)]
pub(super) struct Members {
    /// Sorted by client.
    members: Vec<(ClientIndex, State)>,
    counts: [u32; STATES],
}

impl Members {
    /// `invited`, in any order; a repeated client counts once.
    pub(super) fn new(invited: Vec<ClientIndex>) -> Self {
        let mut members: Vec<_> = invited
            .into_iter()
            .map(|client| (client, State::Invited))
            .collect();
        members.sort_unstable_by_key(|(client, _)| *client);
        members.dedup_by_key(|(client, _)| *client);
        let mut counts = [0; STATES];
        counts[State::Invited as usize] = members.len() as u32;
        Self { members, counts }
    }

    /// Invites one more; `false` if it is here already.
    pub(super) fn invite(&mut self, client: ClientIndex) -> bool {
        match self.find(client) {
            Ok(_) => false,
            Err(at) => {
                self.members.insert(at, (client, State::Invited));
                self.counts[State::Invited as usize] += 1;
                true
            }
        }
    }

    pub(super) fn state(&self, client: ClientIndex) -> Option<State> {
        self.find(client).ok().map(|at| self.members[at].1)
    }

    pub(super) fn set(&mut self, client: ClientIndex, state: State) {
        if let Ok(at) = self.find(client) {
            let before = core::mem::replace(&mut self.members[at].1, state);
            self.counts[before as usize] -= 1;
            self.counts[state as usize] += 1;
        }
    }

    /// Moves every client from one state to another; returns them in order.
    pub(super) fn set_all(&mut self, from: State, to: State) -> Vec<ClientIndex> {
        let mut moved = Vec::with_capacity(self.count(from) as usize);
        for (client, state) in &mut self.members {
            if *state == from {
                *state = to;
                moved.push(*client);
            }
        }
        self.counts[from as usize] -= moved.len() as u32;
        self.counts[to as usize] += moved.len() as u32;
        moved
    }

    pub(super) fn count(&self, state: State) -> u32 {
        self.counts[state as usize]
    }

    /// The clients in a state, in order.
    pub(super) fn of(&self, state: State) -> Vec<ClientIndex> {
        let matching = self.members.iter().filter(|(_, found)| *found == state);
        matching.map(|(client, _)| *client).collect()
    }

    fn find(&self, client: ClientIndex) -> Result<usize, usize> {
        self.members
            .binary_search_by_key(&client, |(client, _)| *client)
    }
}
