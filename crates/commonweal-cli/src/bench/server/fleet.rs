//! The scripted nodes of a measurement, in this process.

use std::sync::Arc;

use tokio::task::JoinSet;

use super::connection::Dialer;
use super::journal::Journal;
use super::node::Node;
use super::script::Script;

/// Running nodes; they end when it is dropped.
pub(super) struct Fleet {
    /// What they see.
    pub(super) journal: Journal,
    _nodes: JoinSet<()>,
}

impl Fleet {
    /// Starts the nodes numbered below `nodes`.
    pub(super) fn start(nodes: usize, dialer: &Arc<Dialer>, script: &Arc<Script>) -> Self {
        let (pen, journal) = Journal::new();
        let mut running = JoinSet::new();
        for number in 0..nodes {
            let node = Node::new(number, Arc::clone(dialer), Arc::clone(script), pen.clone());
            running.spawn(Arc::new(node).run());
        }
        Self {
            journal,
            _nodes: running,
        }
    }
}
