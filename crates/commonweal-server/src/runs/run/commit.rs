//! The end of a round: blobs first, then one transaction, then everybody hears of it.

use std::sync::Arc;

use bytes::Bytes;
use commonweal_core::{
    Abandoned, ClientIndex, ClientName, Committed, Digest, RoundOutcome, Run, SnapshotParts, Stage,
    TaskId, Time,
};
use commonweal_disk::history::{Outcome, RoundRow};
use commonweal_disk::observer::Event;
use commonweal_wire::control::RunState;
use commonweal_wire::proto::{Settled, instruction};
use commonweal_wire::task_id;
use tokio::task::spawn_blocking;

use super::drive::Driven;
use super::rounds::{Track, bytes_down};
use super::{Actor, Stop, json};
use crate::exchange::NodeEvent;
use crate::runs::history::Entry;
use crate::runs::model_parts::ModelParts;
use crate::runs::rounds::RoundEnd;
use crate::store::{Along, Commit, Level, StoreError};

/// Nodes that were refused in one round and are named in the run's log.
const NAMED: usize = 20;

impl Actor {
    /// Commits or abandons a round of training.
    pub(super) async fn commit_round(
        &mut self,
        mut track: Track,
        driven: Driven,
        opened: Time,
    ) -> Result<Track, Stop> {
        let cohort = driven.tally.cohort.len() as u64;
        let mut row = RoundRow {
            round: driven.task.round,
            outcome: Outcome::Abandoned,
            reason: String::new(),
            cohort,
            reported: 0,
            refused: driven.tally.refused.len() as u64,
            train_loss: None,
            metrics: Default::default(),
            bytes_down: cohort * bytes_down(&track.run),
            bytes_up: driven.tally.bytes_up,
            seconds_train: 0.0,
            seconds_evaluate: 0.0,
        };
        match &driven.end {
            RoundEnd::Committed(committed) => {
                let (run, outcome) = self.step(track.run, &driven, committed.clone()).await?;
                track.run = run;
                row.outcome = Outcome::Committed;
                row.reported = u64::from(outcome.clients);
                row.train_loss = outcome.train_loss;
            }
            RoundEnd::Abandoned(abandoned) => {
                self.abandon(&mut track.run, abandoned)?;
                row.reason = abandoned.reason().to_string();
                track.totals.abandoned = Some(row.reason.clone());
            }
        }
        row.seconds_train = seconds(opened, self.now());
        track.totals.seconds_train += row.seconds_train;
        let mut events = self.refusals(&driven);
        events.push(self.told(&row));
        self.store_commit(track, driven, row, &events).await
    }

    /// Commits or abandons an evaluation.
    pub(super) async fn commit_evaluation(
        &mut self,
        mut track: Track,
        driven: Driven,
        opened: Time,
    ) -> Result<Track, Stop> {
        match &driven.end {
            RoundEnd::Abandoned(abandoned) => {
                self.abandon(&mut track.run, abandoned)?;
                track.totals.metrics.clear();
            }
            RoundEnd::Committed(committed) => {
                let now = self.now();
                let sums = driven.folding.take();
                let run = sole(&mut track.run)?;
                let outcome = run.commit_evaluation(committed, &sums, now);
                let outcome = outcome.map_err(fault)?;
                let values = run.spec().metrics.values(&outcome.sums);
                track.totals.metrics = values
                    .filter_map(|(kind, value)| Some((kind.name().to_owned(), value?)))
                    .collect();
            }
        }
        let seconds = seconds(opened, self.now());
        track.totals.seconds_evaluate += seconds;
        let mut events = self.refusals(&driven);
        events.push(Event::Evaluated {
            round: driven.task.round,
            metrics: track.totals.metrics.clone(),
            seconds,
        });
        let Some(row) = track.row.clone() else {
            // Rounds come before evaluations.
            return Err(Stop::Failed("the run's history has no round".to_owned()));
        };
        let row = RoundRow {
            metrics: track.totals.metrics.clone(),
            seconds_evaluate: seconds,
            ..row
        };
        self.store_commit(track, driven, row, &events).await
    }

    /// Changes the model by the round's sum, off this thread.
    async fn step(
        &mut self,
        mut run: Arc<Run>,
        driven: &Driven,
        committed: Committed,
    ) -> Result<(Arc<Run>, RoundOutcome), Stop> {
        let (now, entropy) = (self.now(), self.draw());
        let folding = Arc::clone(&driven.folding);
        let stepped = spawn_blocking(move || {
            let outcome = sole(&mut run)?.commit(&committed, folding.take(), entropy, now);
            Ok((run, outcome.map_err(fault)?))
        });
        let crashed = |_| Stop::Failed("the thread that changed the model crashed".to_owned());
        stepped.await.map_err(crashed)?
    }

    fn abandon(&self, run: &mut Arc<Run>, abandoned: &Abandoned) -> Result<(), Stop> {
        let now = self.now();
        sole(run)?.abandon(abandoned, now).map_err(fault)
    }

    /// Writes the blobs, then all rows in one transaction; then tells everybody.
    async fn store_commit(
        &mut self,
        mut track: Track,
        driven: Driven,
        row: RoundRow,
        events: &[Event],
    ) -> Result<Track, Stop> {
        let snapshot = match driven.task.stage {
            Stage::Train => {
                let model = self.put_model(&track.run);
                let (model, snapshot) = tokio::try_join!(model, self.put_snapshot(&track.run))?;
                (track.model, track.digest) = model;
                snapshot
            }
            // An evaluation leaves the model as it was.
            Stage::Prepare | Stage::Evaluate => self.put_snapshot(&track.run).await?,
        };
        let counted: Vec<ClientName> = match &driven.end {
            RoundEnd::Committed(committed) => self.names(committed.counted()),
            RoundEnd::Abandoned(_) => Vec::new(),
        };
        let commit = Commit {
            task: driven.task,
            version: track.run.version().0,
            snapshot: Some(snapshot),
            model: Some(track.model),
            counted,
            at_ms: self.shared.exchange.now_ms(),
        };
        let entry = Entry::of(&self.job, &row, track.digest.clone()).map_err(fault)?;
        let entry = serde_json::to_value(&entry).map_err(fault)?;
        let events = json(events);
        let along = Along {
            state: RunState::Running,
            prepared: None,
            history: Some(&entry),
            files: &[],
            events: &events,
        };
        self.add_commit(&commit, along).await?;
        self.published(&track, &row);
        self.settled(&driven, &commit.counted).await;
        self.let_go(&track, row.round);
        track.row = Some(row);
        Ok(track)
    }

    /// Lets go of models that are not to be kept, while the run goes on. What stays by a mishap goes after a later round.
    fn let_go(&self, track: &Track, round: u64) {
        let (store, retention) = (self.shared.store.clone(), self.shared.retention);
        let best = track.run.best().map(|best| best.round);
        let id = self.record.id.clone();
        tokio::spawn(async move {
            let is_kept = move |other| retention.is_kept(other, round, best);
            if let Err(error) = store.commits().release(&id, is_kept).await {
                tracing::warn!(run = %id, round, %error, "old models stay");
            }
        });
    }

    /// Writes a commit; one that is there already was written by the attempt before.
    pub(super) async fn add_commit(&self, commit: &Commit, along: Along<'_>) -> Result<(), Stop> {
        let id = &self.record.id;
        self.insist(|| async {
            match self.shared.store.commits().add(id, commit, along).await {
                Err(StoreError::Committed { .. }) => Ok(()),
                added => added,
            }
        })
        .await
    }

    /// The blob and the digest of a run's model.
    pub(super) async fn put_model(&self, run: &Arc<Run>) -> Result<(Digest, String), Stop> {
        let blob = self
            .insist(|| async {
                let run = Arc::clone(run);
                let parts = move || ModelParts::of(Arc::clone(&run));
                self.shared.store.blobs().put_chunks(parts).await
            })
            .await?;
        let run = Arc::clone(run);
        let digest = spawn_blocking(move || run.model().digest().to_string()).await;
        Ok((blob, digest.map_err(|_| Stop::Stopping)?))
    }

    async fn put_snapshot(&self, run: &Arc<Run>) -> Result<Digest, Stop> {
        self.insist(|| async {
            let run = Arc::clone(run);
            let parts = move || SnapshotParts::of(Arc::clone(&run)).map(Bytes::from);
            self.shared.store.blobs().put_chunks(parts).await
        })
        .await
    }

    fn published(&mut self, track: &Track, row: &RoundRow) {
        let mut page = self.page.progress();
        let progress = page.get_or_insert_default();
        progress.round = row.round;
        progress.model = Some(track.digest.clone());
        let judged = self.job.evaluation.metric.name();
        if let Some(value) = row.metrics.get(judged) {
            progress.metric = Some(*value);
        }
    }

    /// Tells the round's nodes what became of their reports, and learns how fast and how reliable they are.
    pub(super) async fn settled(&mut self, driven: &Driven, counted: &[ClientName]) {
        self.closed = Some(driven.task);
        let now = self.now();
        for &client in &driven.tally.cohort {
            let Some(node) = self.name(client) else {
                continue;
            };
            let is_counted = counted.binary_search(&node).is_ok();
            self.settle(&node, driven.task, is_counted);
            // Measuring is easier than training: it makes up for no failure.
            if is_counted && driven.task.stage != Stage::Evaluate {
                self.rests.counted(client);
            }
        }
        let settled = (driven.task, counted.to_vec());
        self.settlements.insert(driven.task.stage, settled);
        for &(client, _) in &driven.tally.refused {
            let rest_ms = self.rests.failed(client, now);
            if let (Some(rest_ms), Some(node)) = (rest_ms, self.name(client)) {
                let text = format!(
                    "{node} failed again and again: it rests for {} s",
                    rest_ms / 1000
                );
                self.log(Level::Warn, &text).await;
            }
        }
        self.pace
            .round_over(driven.task.stage, driven.tally.worked_ms.clone());
        self.report_refused(driven).await;
        self.page.move_on();
    }

    fn settle(&self, node: &ClientName, task: TaskId, counted: bool) {
        let settled = Settled {
            run: self.record.id.clone(),
            task: Some(task_id(task)),
            counted,
        };
        self.shared
            .exchange
            .send(node, instruction::Kind::Settled(settled));
    }

    /// A node is back. What it may have missed is said again.
    pub(super) fn welcome(&self, node: &ClientName) {
        for (task, counted) in self.settlements.values() {
            self.settle(node, *task, counted.binary_search(node).is_ok());
        }
    }

    /// Takes in what happened to a node between two rounds.
    pub(super) fn seen(&mut self, event: &NodeEvent) {
        match event {
            NodeEvent::Gone(node) => self.candidates.gone(node),
            NodeEvent::Online(node) if self.client(node).is_some() => self.welcome(node),
            _ => {}
        }
    }

    /// The events of nodes that were refused.
    pub(super) fn refusals(&self, driven: &Driven) -> Vec<Event> {
        let mut refused = driven.tally.refused.clone();
        refused.sort_by_key(|(client, _)| *client);
        let event = |(client, reason)| {
            Some(Event::Refused {
                round: driven.task.round,
                client: self.name(client)?.to_string(),
                reason,
            })
        };
        refused.into_iter().filter_map(event).collect()
    }

    async fn report_refused(&self, driven: &Driven) {
        for (client, reason) in driven.tally.refused.iter().take(NAMED) {
            if let Some(node) = self.name(*client) {
                let text = format!("{}: {node}: {reason}", driven.task);
                self.log(Level::Warn, &text).await;
            }
        }
        let others = driven.tally.refused.len().saturating_sub(NAMED);
        if others > 0 {
            let text = format!(
                "{}: {others} other nodes were refused, late or lost",
                driven.task
            );
            self.log(Level::Warn, &text).await;
        }
    }

    fn names(&self, clients: &[ClientIndex]) -> Vec<ClientName> {
        clients
            .iter()
            .filter_map(|&client| self.name(client))
            .collect()
    }

    fn told(&self, row: &RoundRow) -> Event {
        match row.outcome {
            Outcome::Abandoned => Event::Abandoned {
                round: row.round,
                reason: row.reason.clone(),
            },
            Outcome::Committed => Event::Round {
                round: row.round,
                rounds: self.job.rounds.into(),
                loss: row.train_loss,
                cohort: row.cohort,
                reported: row.reported,
                refused: row.refused,
                clients_per_second: row.reported as f64 / row.seconds_train.max(1e-9),
                seconds: row.seconds_train,
            },
        }
    }
}

/// The run, to be changed: nobody else holds it between two writes.
fn sole(run: &mut Arc<Run>) -> Result<&mut Run, Stop> {
    let in_use = || Stop::Failed("the model is in use elsewhere; please report this".to_owned());
    Arc::get_mut(run).ok_or_else(in_use)
}

fn seconds(from: Time, to: Time) -> f64 {
    to.ms.saturating_sub(from.ms) as f64 / 1000.0
}

fn fault(error: impl std::fmt::Display) -> Stop {
    Stop::Failed(error.to_string())
}
