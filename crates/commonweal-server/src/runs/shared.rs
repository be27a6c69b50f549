//! What the tasks of all runs share, and what each makes known of itself.

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use commonweal_core::ClientName;
use commonweal_wire::proto::Statement;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;

use super::RunsConfig;
use super::history::Progress;
use super::message::Message;
use super::pace::Patience;
use super::turns::{Order, Turns};
use crate::config::Retention;
use crate::exchange::{Exchange, Presence};
use crate::store::Store;

/// What the tasks of all runs share.
pub(super) struct Shared {
    pub(super) store: Store,
    pub(super) exchange: Exchange,
    pub(super) turns: Turns,
    pub(super) patience: Patience,
    /// Threads that fold the reports of one round at the same time.
    pub(super) workers: usize,
    pub(super) retention: Retention,
    /// When this process began to watch nodes, in milliseconds since 1970: who was away before is not known.
    pub(super) began_ms: u64,
    live: Mutex<BTreeMap<String, Live>>,
    /// What is known of runs that are over.
    over: Mutex<HashMap<String, Progress>>,
    next: AtomicU64,
    /// Whether the server ends.
    pub(super) closing: watch::Sender<bool>,
}

/// A run that has a task.
#[derive(Clone)]
pub(super) struct Live {
    pub(super) inbox: mpsc::UnboundedSender<Message>,
    pub(super) page: Arc<Page>,
    task: Arc<Mutex<Option<JoinHandle<()>>>>,
}

/// What a run makes known while it goes on.
pub(super) struct Page {
    /// None until the run's task has looked into the store.
    pub(super) progress: Mutex<Option<Progress>>,
    /// Counts up whenever something happened.
    pub(super) moved: watch::Sender<u64>,
    /// Who wants the run to end: for a task that waits for the store, and reads no messages meanwhile.
    pub(super) cancelled: watch::Sender<Option<String>>,
    /// Why the run's end, after which it does nothing more, is not stored yet.
    unstored: Mutex<Option<String>>,
}

impl Page {
    pub(super) fn new() -> Self {
        Self {
            progress: Mutex::default(),
            moved: watch::Sender::new(0),
            cancelled: watch::Sender::new(None),
            unstored: Mutex::default(),
        }
    }

    /// The run's end cannot be stored for now.
    pub(super) fn is_unstored(&self, why: String) {
        *self.unstored.lock().unwrap_or_else(PoisonError::into_inner) = Some(why);
        self.move_on();
    }

    pub(super) fn unstored(&self) -> Option<String> {
        let unstored = self.unstored.lock().unwrap_or_else(PoisonError::into_inner);
        unstored.clone()
    }

    /// Something happened: those who wait look again.
    pub(super) fn move_on(&self) {
        self.moved.send_modify(|count| *count += 1);
    }

    pub(super) fn progress(&self) -> MutexGuard<'_, Option<Progress>> {
        self.progress.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Shared {
    pub(super) fn new(store: Store, exchange: Exchange, config: RunsConfig) -> Self {
        let began_ms = exchange.now_ms();
        Self {
            store,
            exchange,
            turns: Turns::default(),
            patience: config.patience,
            workers: config.workers,
            retention: config.retention,
            began_ms,
            live: Mutex::default(),
            over: Mutex::default(),
            next: AtomicU64::new(0),
            closing: watch::Sender::new(false),
        }
    }

    /// What a node said last that it has, and whether it is there: then it is what it has now.
    pub(super) fn stated(&self, node: &ClientName) -> (Option<Arc<Statement>>, bool) {
        let presence = self.exchange.presence(node);
        let is_online = matches!(presence, Presence::Online { .. });
        (self.exchange.statement(node), is_online)
    }

    /// A new run's place behind all others.
    pub(super) fn order(&self) -> Order {
        Order(self.next.fetch_add(1, Ordering::Relaxed))
    }

    /// The run of an id, if it is not over.
    pub(super) fn live(&self, id: &str) -> Option<Live> {
        self.lives().get(id).cloned()
    }

    /// Notes a run's task.
    pub(super) fn begin(
        &self,
        id: &str,
        inbox: mpsc::UnboundedSender<Message>,
        page: Arc<Page>,
    ) -> Live {
        let live = Live {
            inbox,
            page,
            task: Arc::default(),
        };
        self.over().remove(id);
        self.lives().insert(id.to_owned(), live.clone());
        live
    }

    /// The run's task has nothing more to do.
    pub(super) fn end(&self, id: &str) {
        if let Some(live) = self.lives().remove(id) {
            live.page.move_on();
        }
    }

    /// What is known of runs that are over.
    pub(super) fn over(&self) -> MutexGuard<'_, HashMap<String, Progress>> {
        self.over.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// All runs that are not over.
    pub(super) fn all(&self) -> Vec<Live> {
        self.lives().values().cloned().collect()
    }

    fn lives(&self) -> MutexGuard<'_, BTreeMap<String, Live>> {
        self.live.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Live {
    pub(super) fn runs_as(&self, task: JoinHandle<()>) {
        *self.task.lock().unwrap_or_else(PoisonError::into_inner) = Some(task);
    }

    /// Tells the task to stop, and waits until it has.
    pub(super) async fn stop(&self) {
        // A task that has ended hears nothing.
        let _ = self.inbox.send(Message::Stop);
        let task = self
            .task
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        if let Some(task) = task {
            let _ = task.await;
        }
    }
}
