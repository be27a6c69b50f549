//! One task at a time for a node, over all runs: those submitted first come first.
//!
//! A run takes a node's turn only for a task that it is about to give out, never in advance: so no two runs ever
//! wait for each other.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Mutex, MutexGuard, PoisonError};

use commonweal_core::ClientName;
use tokio::sync::mpsc::UnboundedSender;

/// A run's place in the order of submission.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Order(pub(super) u64);

/// What a run that waits for a node is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Bell {
    /// The node's turn is the run's now.
    Yours(ClientName),
    /// The node is free; nobody has it.
    Free(ClientName),
}

/// Whose turn it is at each node that works.
#[derive(Debug, Default)]
pub(super) struct Turns(Mutex<HashMap<ClientName, Turn>>);

#[derive(Debug)]
struct Turn {
    holder: Order,
    /// Runs with a task in hand.
    waiting: BTreeMap<Order, UnboundedSender<Bell>>,
    /// Runs that would like to know.
    watching: BTreeMap<Order, UnboundedSender<Bell>>,
}

impl Turns {
    /// Takes the node's turn for a run. `false`: another run has it, and the bell rings once it is this one's.
    pub(super) fn take(&self, node: &ClientName, run: Order, bell: &UnboundedSender<Bell>) -> bool {
        let mut turns = self.lock();
        match turns.get_mut(node) {
            Some(turn) if turn.holder != run => {
                turn.waiting.insert(run, bell.clone());
                false
            }
            Some(_) => true,
            None => {
                let turn = Turn {
                    holder: run,
                    waiting: BTreeMap::new(),
                    watching: BTreeMap::new(),
                };
                turns.insert(node.clone(), turn);
                true
            }
        }
    }

    /// Whether another run has the node's turn. The bell then rings once nobody has.
    pub(super) fn is_busy(
        &self,
        node: &ClientName,
        run: Order,
        bell: &UnboundedSender<Bell>,
    ) -> bool {
        match self.lock().get_mut(node) {
            Some(turn) if turn.holder != run => {
                turn.watching.insert(run, bell.clone());
                true
            }
            _ => false,
        }
    }

    /// Gives the node's turn back, or the place in the queue for it.
    pub(super) fn give_back(&self, node: &ClientName, run: Order) {
        let mut turns = self.lock();
        let Some(turn) = turns.get_mut(node) else {
            return;
        };
        if turn.holder != run {
            turn.waiting.remove(&run);
            return;
        }
        while let Some((next, bell)) = turn.waiting.pop_first() {
            // A run that ended in the meantime hears nothing and gets no turn.
            if bell.send(Bell::Yours(node.clone())).is_ok() {
                turn.holder = next;
                return;
            }
        }
        if let Some(turn) = turns.remove(node) {
            for bell in turn.watching.into_values() {
                let _ = bell.send(Bell::Free(node.clone()));
            }
        }
    }

    /// Gives back all that a run has: it is over.
    pub(super) fn leave(&self, run: Order) {
        let concerned = |(node, turn): (&ClientName, &Turn)| {
            let is_concerned = turn.holder == run || turn.waiting.contains_key(&run);
            is_concerned.then(|| node.clone())
        };
        let nodes: Vec<ClientName> = self.lock().iter().filter_map(concerned).collect();
        nodes.iter().for_each(|node| self.give_back(node, run));
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<ClientName, Turn>> {
        // No step leaves a turn half changed.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

    use super::*;

    fn node() -> ClientName {
        ClientName::try_from("hospital-a").unwrap()
    }

    fn rung(bell: &mut UnboundedReceiver<Bell>) -> Vec<Bell> {
        std::iter::from_fn(|| bell.try_recv().ok()).collect()
    }

    #[test]
    fn a_node_has_one_task_and_the_run_submitted_first_comes_next() {
        let (turns, node) = (Turns::default(), node());
        let [(a, _), (b, mut of_b), (c, mut of_c)] = [(); 3].map(|()| unbounded_channel());
        assert!(turns.take(&node, Order(1), &a));
        assert!(turns.take(&node, Order(1), &a));
        assert!(!turns.take(&node, Order(3), &c));
        assert!(!turns.take(&node, Order(2), &b));
        turns.give_back(&node, Order(1));
        assert_eq!(rung(&mut of_b), [Bell::Yours(node.clone())]);
        assert_eq!(rung(&mut of_c), []);
        turns.give_back(&node, Order(2));
        assert_eq!(rung(&mut of_c), [Bell::Yours(node)]);
    }

    #[test]
    fn whoever_only_watches_hears_when_nobody_wants_the_node() {
        let (turns, node) = (Turns::default(), node());
        let [(a, _), (b, mut of_b)] = [(); 2].map(|()| unbounded_channel());
        assert!(!turns.is_busy(&node, Order(2), &b));
        turns.take(&node, Order(1), &a);
        assert!(turns.is_busy(&node, Order(2), &b));
        assert!(!turns.is_busy(&node, Order(1), &a));
        turns.give_back(&node, Order(1));
        assert_eq!(rung(&mut of_b), [Bell::Free(node.clone())]);
        assert!(!turns.is_busy(&node, Order(2), &b));
    }

    #[test]
    fn a_run_that_is_over_holds_nothing_up() {
        let (turns, node) = (Turns::default(), node());
        let [(a, _), (b, of_b), (c, mut of_c)] = [(); 3].map(|()| unbounded_channel());
        turns.take(&node, Order(1), &a);
        turns.take(&node, Order(2), &b);
        turns.take(&node, Order(3), &c);
        drop(of_b);
        turns.leave(Order(1));
        assert_eq!(rung(&mut of_c), [Bell::Yours(node.clone())]);
        turns.leave(Order(3));
        assert!(!turns.is_busy(&node, Order(4), &a));
    }
}
