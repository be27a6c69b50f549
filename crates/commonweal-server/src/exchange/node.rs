//! What the exchange holds of one node.

use std::sync::Arc;

use commonweal_core::ClientName;
use commonweal_wire::proto::{PollRequest, Statement, Working, instruction};
use tokio::sync::oneshot;

use super::event::NodeEvent;
use super::mailbox::Mailbox;
use super::presence::{Contact, Presence};

/// One node. Born empty when it is first spoken of.
#[derive(Debug, Default)]
pub(super) struct Node {
    pub(super) mailbox: Mailbox,
    pub(super) contact: Contact,
    pub(super) statement: Option<Arc<Statement>>,
    pub(super) working: Option<Working>,
    pub(super) is_leaving: bool,
    /// The number of the poll that waits, and what answers it.
    parked: Option<(u64, oneshot::Sender<Wake>)>,
}

/// What a waiting poll is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wake {
    /// Answer with what is in the mailbox.
    Answer,
    /// Another poll of the node takes its place.
    TakenOver,
}

impl Node {
    pub(super) fn presence(&self) -> Presence {
        self.contact.presence()
    }

    pub(super) fn is_parked(&self) -> bool {
        self.parked.is_some()
    }

    pub(super) fn send(&mut self, kind: instruction::Kind) {
        self.mailbox.put(kind);
        self.wake(Wake::Answer);
    }

    /// Wakes the waiting poll, if there is one.
    pub(super) fn wake(&mut self, wake: Wake) {
        if let Some((_, sender)) = self.parked.take() {
            // A receiver that is gone is a connection that broke: its node polls again.
            let _ = sender.send(wake);
        }
    }

    /// Takes in what a poll says. `is_ours` tells whether its count is of this process's mailbox.
    pub(super) fn polled(
        &mut self,
        name: &ClientName,
        request: PollRequest,
        is_ours: bool,
        now_ms: u64,
    ) -> Vec<NodeEvent> {
        let mut events = Vec::new();
        if is_ours {
            self.mailbox.take(request.taken);
        }
        let is_new = self.contact.begin(now_ms);
        if let Some(statement) = request.statement
            && self.statement.as_deref() != Some(&statement)
        {
            self.statement = Some(Arc::new(statement));
            events.push(NodeEvent::Stated(name.clone()));
        }
        // A node that was started again within a moment was never away, and knows nothing of what it was told.
        if is_new || !is_ours {
            events.push(NodeEvent::Online(name.clone()));
        }
        if request.is_leaving && !self.is_leaving {
            events.push(NodeEvent::Leaving(name.clone()));
        }
        self.is_leaving = request.is_leaving;
        self.working = request.working;
        events
    }

    /// The poll of that number waits.
    pub(super) fn park(&mut self, poll: u64) -> oneshot::Receiver<Wake> {
        let (sender, receiver) = oneshot::channel();
        self.parked = Some((poll, sender));
        self.contact.wait();
        receiver
    }

    /// The poll of that number waits no more. One that was taken over says nothing of the node.
    pub(super) fn unpark(&mut self, poll: u64, now_ms: u64) {
        match &self.parked {
            Some((waiting, _)) if *waiting != poll => {}
            _ => {
                self.parked = None;
                self.contact.end(now_ms);
            }
        }
    }

    /// Looks at the time.
    pub(super) fn tick(&mut self, name: &ClientName, now_ms: u64) -> Option<NodeEvent> {
        match self.contact.tick(now_ms)? {
            Presence::Silent { .. } => Some(NodeEvent::Silent(name.clone())),
            Presence::Offline { .. } => {
                self.working = None;
                Some(NodeEvent::Offline(name.clone()))
            }
            Presence::Online { .. } | Presence::Unknown => None,
        }
    }
}
