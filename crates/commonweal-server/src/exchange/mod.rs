//! Where runs and nodes meet: a mailbox for each node, who is there, and the memory that uploads may take.
//!
//! Knows nothing of HTTP: the door brings polls and bytes, runs send instructions and listen to events. Nothing here
//! is stored; a restarted server has new mailboxes, and its runs say again what is still true.

mod clock;
mod event;
mod mailbox;
mod node;
mod pace;
mod partial;
mod presence;
mod staging;
mod uploads;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use commonweal_core::ClientName;
use commonweal_wire::proto::{PollAnswer, PollRequest, Statement, Working, instruction};
use tokio::sync::{mpsc, oneshot};

pub use clock::Clock;
pub(crate) use clock::unix_ms;
pub use event::NodeEvent;
use node::{Node, Wake};
pub use presence::Presence;
pub use staging::{Loss, ReportKey};
pub use uploads::{Held, Upload, UploadError, Uploads};

/// How often the exchange looks whether somebody has fallen silent.
const TICK: Duration = Duration::from_millis(500);

/// The mailboxes and the presence of all nodes. Cloning costs a reference count.
#[derive(Clone)]
pub struct Exchange(Arc<Shared>);

struct Shared {
    /// Born with the process.
    mailbox: String,
    clock: Clock,
    hold: Hold,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    nodes: HashMap<ClientName, Node>,
    subscribers: Vec<mpsc::UnboundedSender<NodeEvent>>,
    /// Parked polls have been counted up to here: each has a number.
    polls: u64,
    is_closing: bool,
}

/// How long a poll is kept waiting for an instruction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Hold {
    /// Of a node that has nothing to do.
    pub idle: Duration,
    /// Of a node at work: its polls are its signs of life, and carry its progress.
    pub working: Duration,
}

impl Default for Hold {
    fn default() -> Self {
        Self {
            idle: Duration::from_secs(20),
            working: Duration::from_secs(5),
        }
    }
}

/// Why a poll got no answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PollError {
    /// Another poll of the same key came in while this one waited.
    #[error("the same key polls elsewhere: is the node's directory in use on two machines?")]
    TakenOver,
    /// The node was revoked, or left.
    #[error("the node is enrolled no more")]
    Removed,
}

impl Exchange {
    /// An exchange without nodes, whose mailboxes are called `mailbox`: a name that no earlier process had.
    #[must_use]
    pub fn new(mailbox: String, clock: Clock, hold: Hold) -> Self {
        Self(Arc::new(Shared {
            mailbox,
            clock,
            hold,
            state: Mutex::default(),
        }))
    }

    /// Puts an instruction into `node`'s mailbox and answers its waiting poll.
    ///
    /// A node that is away finds it when it comes back. An instruction overtakes what it makes pointless: a
    /// cancelled task is not given out any more.
    pub fn send(&self, node: &ClientName, kind: instruction::Kind) {
        self.state().node(node).send(kind);
    }

    /// Whether the node is there.
    #[must_use]
    pub fn presence(&self, node: &ClientName) -> Presence {
        let state = self.state();
        state
            .nodes
            .get(node)
            .map_or(Presence::Unknown, |node| node.presence())
    }

    /// What the node says of itself, as far as is known.
    #[must_use]
    pub fn statement(&self, node: &ClientName) -> Option<Arc<Statement>> {
        self.state().nodes.get(node)?.statement.clone()
    }

    /// What the node said in its last poll that it works on.
    #[must_use]
    pub fn working(&self, node: &ClientName) -> Option<Working> {
        self.state().nodes.get(node)?.working.clone()
    }

    /// Whether the node has said that it takes no new work.
    #[must_use]
    pub fn is_leaving(&self, node: &ClientName) -> bool {
        self.state()
            .nodes
            .get(node)
            .is_some_and(|node| node.is_leaving)
    }

    /// What happens to nodes from now on. A receiver that is dropped is forgotten.
    ///
    /// Unbounded, because events are rare: one for each change of a node's presence or statement.
    #[must_use]
    pub fn events(&self) -> mpsc::UnboundedReceiver<NodeEvent> {
        let (sender, receiver) = mpsc::unbounded_channel();
        self.state().subscribers.push(sender);
        receiver
    }

    /// Milliseconds since 1970 of the clock by which presence is told.
    #[must_use]
    pub fn now_ms(&self) -> u64 {
        self.0.clock.now_ms()
    }

    /// Says what the store knows of a node that has not polled yet.
    pub fn remember(&self, node: &ClientName, last_seen_ms: Option<u64>, statement: Statement) {
        let mut state = self.state();
        let node = state.node(node);
        node.contact.last_seen(last_seen_ms);
        node.statement = Some(Arc::new(statement));
    }

    /// The node is enrolled no more: its poll is refused, its mailbox emptied.
    pub fn remove(&self, node: &ClientName) {
        let mut state = self.state();
        if state.nodes.remove(node).is_some() {
            state.tell(NodeEvent::Gone(node.clone()));
        }
    }

    /// Polls that wait for an instruction.
    #[must_use]
    pub fn parked_polls(&self) -> usize {
        let state = self.state();
        state.nodes.values().filter(|node| node.is_parked()).count()
    }

    /// Who polled in this process, and when last, in milliseconds since 1970.
    #[must_use]
    pub fn heard(&self) -> Vec<(ClientName, u64)> {
        let now_ms = self.now_ms();
        let state = self.state();
        let nodes = state.nodes.iter();
        let heard =
            nodes.filter_map(|(name, node)| Some((name.clone(), node.contact.heard(now_ms)?)));
        heard.collect()
    }

    /// Answers every poll at once from now on, so that the server can end.
    pub fn close(&self) {
        let mut state = self.state();
        state.is_closing = true;
        for node in state.nodes.values_mut() {
            node.wake(Wake::Answer);
        }
    }

    /// Answers a poll: at once if there is an instruction, else when one comes or the poll has been held long enough.
    ///
    /// A caller whose connection breaks drops the future; that is how a vanished node is seen.
    ///
    /// # Errors
    /// See [`PollError`].
    pub async fn poll(
        &self,
        name: &ClientName,
        request: PollRequest,
    ) -> Result<PollAnswer, PollError> {
        let hold = match request.working {
            Some(_) => self.0.hold.working,
            None => self.0.hold.idle,
        };
        if let Some((parked, receiver)) = self.park(name, request) {
            match tokio::time::timeout(hold, receiver).await {
                Ok(Ok(Wake::TakenOver)) => return Err(PollError::TakenOver),
                // Only a node that was removed drops its sender.
                Ok(Err(_)) => return Err(PollError::Removed),
                Ok(Ok(Wake::Answer)) | Err(_) => drop(parked),
            }
        }
        let server_time_ms = self.now_ms();
        let state = self.state();
        let node = state.nodes.get(name).ok_or(PollError::Removed)?;
        Ok(PollAnswer {
            mailbox: self.0.mailbox.clone(),
            instructions: node.mailbox.pending().cloned().collect(),
            server_time_ms,
        })
    }

    /// Takes in what the poll says; gives a place to wait in unless the answer is ready.
    fn park(
        &self,
        name: &ClientName,
        request: PollRequest,
    ) -> Option<(Parked, oneshot::Receiver<Wake>)> {
        let now_ms = self.now_ms();
        let mut state = self.state();
        state.polls += 1;
        let poll = state.polls;
        let is_ours = request.mailbox == self.0.mailbox;
        let node = state.node(name);
        let events = node.polled(name, request, is_ours, now_ms);
        node.wake(Wake::TakenOver);
        let is_ready = node.mailbox.pending().next().is_some();
        for event in events {
            state.tell(event);
        }
        if is_ready || state.is_closing {
            return None;
        }
        let receiver = state.node(name).park(poll);
        let parked = Parked {
            exchange: self.clone(),
            name: name.clone(),
            poll,
        };
        Some((parked, receiver))
    }

    /// Looks once in a while who has fallen silent. Ends never: the server's task.
    pub async fn watch(&self) {
        let mut ticks = tokio::time::interval(TICK);
        loop {
            ticks.tick().await;
            self.tick(self.now_ms());
        }
    }

    fn tick(&self, now_ms: u64) {
        let mut state = self.state();
        let changed = |(name, node): (&ClientName, &mut Node)| node.tick(name, now_ms);
        let events: Vec<_> = state.nodes.iter_mut().filter_map(changed).collect();
        for event in events {
            state.tell(event);
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // A panic elsewhere leaves the state whole: nothing is changed in two steps.
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn node(&mut self, name: &ClientName) -> &mut Node {
        self.nodes.entry(name.clone()).or_default()
    }

    fn tell(&mut self, event: NodeEvent) {
        self.subscribers
            .retain(|subscriber| subscriber.send(event.clone()).is_ok());
    }
}

/// A waiting poll's place. Dropped when it is answered, or when its connection breaks.
struct Parked {
    exchange: Exchange,
    name: ClientName,
    poll: u64,
}

impl Drop for Parked {
    fn drop(&mut self) {
        let now_ms = self.exchange.now_ms();
        if let Some(node) = self.exchange.state().nodes.get_mut(&self.name) {
            node.unpark(self.poll, now_ms);
        }
    }
}

#[cfg(test)]
mod tests;
