//! Who is known: the store's nodes and keys, at hand for every request, and looked up again when another process
//! has written.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard};

use commonweal_core::{ClientName, Digest};
use commonweal_wire::{KeyId, PublicKey};
use subtle::ConstantTimeEq as _;

use crate::store::{ApiKey, Node, NodeState, Store, StoreError};

/// All nodes and keys.
#[derive(Default)]
pub(super) struct Register(RwLock<Pages>);

#[derive(Default)]
struct Pages {
    nodes: HashMap<KeyId, Arc<Member>>,
    keys: Vec<ApiKey>,
    /// How often this process has noted what it wrote itself.
    notes: u64,
}

/// A node that joined once.
#[derive(Debug, Clone)]
pub(super) struct Member {
    pub(super) name: ClientName,
    pub(super) key: PublicKey,
    pub(super) state: NodeState,
}

impl From<&Node> for Member {
    fn from(node: &Node) -> Self {
        Self {
            name: node.name.clone(),
            key: node.key,
            state: node.state,
        }
    }
}

impl Register {
    /// Reads the store; gives the names of nodes that were enrolled before and are no more.
    ///
    /// # Errors
    /// [`StoreError`]; what was known stays.
    pub(super) async fn load(&self, store: &Store) -> Result<Vec<ClientName>, StoreError> {
        loop {
            let notes = self.pages().notes;
            let nodes = store.nodes().list().await?;
            let keys = store.keys().list().await?;
            let nodes = nodes.iter().map(Member::from);
            let nodes = nodes.map(|member| (member.key.id(), Arc::new(member)));
            let pages = Pages {
                nodes: nodes.collect(),
                keys,
                notes,
            };
            let mut known = self.0.write().unwrap_or_else(PoisonError::into_inner);
            // A node that joined while the store was read is not on these pages perhaps.
            if known.notes == notes {
                return Ok(std::mem::replace(&mut *known, pages).gone(&known));
            }
        }
    }

    /// The node of a key.
    pub(super) fn member(&self, id: &KeyId) -> Option<Arc<Member>> {
        let pages = self.pages();
        pages.nodes.get(id).cloned()
    }

    /// The enrolled nodes' keys by name.
    pub(super) fn keys(&self) -> HashMap<ClientName, KeyId> {
        let pages = self.pages();
        let enrolled = pages
            .nodes
            .iter()
            .filter(|(_, member)| member.state == NodeState::Enrolled);
        enrolled
            .map(|(id, member)| (member.name.clone(), *id))
            .collect()
    }

    /// Notes what this process itself has written.
    pub(super) fn note(&self, member: Member) {
        let mut pages = self.0.write().unwrap_or_else(PoisonError::into_inner);
        pages.nodes.insert(member.key.id(), Arc::new(member));
        pages.notes += 1;
    }

    /// The holder of an API key. All keys are compared, each in constant time.
    pub(super) fn holder(&self, secret: &str) -> Option<ApiKey> {
        let digest = Digest::of(secret.as_bytes());
        let pages = self.pages();
        let mut holder = None;
        for key in &pages.keys {
            let is_it: bool = key.digest.as_bytes().ct_eq(digest.as_bytes()).into();
            if is_it && key.revoked_at_ms.is_none() {
                holder = Some(key.clone());
            }
        }
        holder
    }

    fn pages(&self) -> RwLockReadGuard<'_, Pages> {
        self.0.read().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Pages {
    /// Names that an enrolled node has here and none has in `later`.
    fn gone(&self, later: &Self) -> Vec<ClientName> {
        let names = |pages: &Self| -> BTreeSet<ClientName> {
            let nodes = pages.nodes.values();
            let enrolled = nodes.filter(|member| member.state == NodeState::Enrolled);
            enrolled.map(|member| member.name.clone()).collect()
        };
        names(self).difference(&names(later)).cloned().collect()
    }
}
