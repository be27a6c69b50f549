//! Rounds and evaluations in the order that the core's [`Run`] says.

use std::collections::BTreeMap;
use std::sync::Arc;

use commonweal_core::{Digest, End, Next, Run, Scope, Snapshot, Tensor};
use commonweal_disk::history::RoundRow;
use commonweal_disk::observer::Event;
use commonweal_train::instruction_set;
use tokio::task::spawn_blocking;

use super::drive::Terms;
use super::prepare::Found;
use super::{Actor, Input, Stop, json};
use crate::runs::history::{self, Entry, Progress};
use crate::store::{Level, Note};

/// A run between two rounds.
pub(super) struct Track {
    /// Shared with whoever writes it to a blob, and with nobody between.
    pub(super) run: Arc<Run>,
    /// The blob of the model's values.
    pub(super) model: Digest,
    /// The model's digest, as a simulation tells it.
    pub(super) digest: String,
    /// The last round.
    pub(super) row: Option<RoundRow>,
    pub(super) totals: Totals,
}

/// How far a run has come, besides what [`Run`] knows.
#[derive(Debug, Default)]
pub(super) struct Totals {
    pub(super) seconds_train: f64,
    pub(super) seconds_evaluate: f64,
    /// Metrics of the last evaluation, by name.
    pub(super) metrics: BTreeMap<String, f64>,
    /// Why the last abandoned round was.
    pub(super) abandoned: Option<String>,
}

impl Actor {
    /// Trains until the end.
    pub(super) async fn rounds(&mut self, found: Found) -> Result<(), Stop> {
        let mut track = self.track(&found).await?;
        // The model that was submitted is in the run now.
        drop(found);
        // A run that was resumed has its rounds again that may be abandoned.
        let forgiven = track.run.abandoned();
        let may_fail = |run: &Run| {
            let abandoned = run.abandoned() - forgiven;
            abandoned < u64::from(Run::MAX_ABANDONED) && run.round() < run.spec().rounds
        };
        loop {
            match track.run.next() {
                Next::Train => track = self.train(track).await?,
                Next::End(End::Abandoned) if may_fail(&track.run) => {
                    track = self.train(track).await?;
                }
                Next::Evaluate => track = self.evaluate(track).await?,
                Next::End(End::Abandoned) => {
                    let reason = track.totals.abandoned.as_deref();
                    let reason = reason.unwrap_or("too few clients reported");
                    let rounds = Run::MAX_ABANDONED;
                    return Err(Stop::Failed(format!(
                        "{rounds} rounds in a row were abandoned, the last since {reason}"
                    )));
                }
                Next::End(end) => return self.finish(&track, end).await,
            }
        }
    }

    /// The run where the store left it, or before its first round.
    async fn track(&mut self, found: &Found) -> Result<Track, Stop> {
        let id = self.record.id.clone();
        let last = self
            .insist(|| async { self.shared.store.commits().last(&id).await })
            .await?;
        let run = match last.and_then(|commit| commit.snapshot) {
            Some(snapshot) => self.restore(found, snapshot).await?,
            None => {
                let spec = found.foundation.run_spec(&self.job);
                let initial = found
                    .foundation
                    .initial(&self.job, found.initial.as_deref());
                let fault = |error: crate::runs::foundation::FoundationError| {
                    Stop::Failed(error.to_string())
                };
                Run::new(spec.map_err(fault)?, initial.map_err(fault)?)
            }
        };
        let entries = self
            .insist(|| async { self.shared.store.commits().history(&id).await })
            .await?;
        let entries = Entry::read(entries);
        let rows = history::rows(&self.job, &entries).unwrap_or_default();
        let measured = rows.iter().rev().find(|row| !row.metrics.is_empty());
        let totals = Totals {
            seconds_train: rows.iter().map(|row| row.seconds_train).sum(),
            seconds_evaluate: rows.iter().map(|row| row.seconds_evaluate).sum(),
            metrics: measured.map(|row| row.metrics.clone()).unwrap_or_default(),
            abandoned: rows.last().map(|row| row.reason.clone()),
        };
        self.set_time(run.time());
        let run = Arc::new(run);
        let (model, digest) = self.put_model(&run).await?;
        let members = self.population.as_ref().map_or(0, |all| all.clients());
        let progress = Progress {
            round: run.round(),
            model: Some(digest.clone()),
            ..Progress::of(&self.job, &entries, members as usize)
        };
        *self.page.progress() = Some(progress);
        self.page.move_on();
        Ok(Track {
            run,
            model,
            digest,
            row: rows.into_iter().next_back(),
            totals,
        })
    }

    async fn restore(&mut self, found: &Found, snapshot: Digest) -> Result<Run, Stop> {
        let bytes = self
            .insist(|| async { self.shared.store.blobs().fetch(&snapshot).await })
            .await?;
        let parsed = spawn_blocking(move || Snapshot::parse(&bytes)).await;
        let parsed = parsed.map_err(|_| Stop::Stopping)?;
        let mut snapshot = parsed.map_err(|error| Stop::Failed(error.to_string()))?;
        let here = instruction_set().to_string();
        if snapshot.instruction_set() != here {
            let message = format!(
                "the run began with {}, this machine uses {here}: it goes on, but its model will not be the same \
                 bytes as on one machine type",
                snapshot.instruction_set()
            );
            self.warn(message).await?;
            snapshot = snapshot.on_instruction_set(&here);
        }
        let text = format!("goes on after round {}", snapshot.round());
        self.log(Level::Info, &text).await;
        let spec = found.foundation.run_spec(&self.job);
        let spec = spec.map_err(|error| Stop::Failed(error.to_string()))?;
        let run = Run::restore(spec, found.foundation.layout(), snapshot);
        run.map_err(|error| Stop::Failed(error.to_string()))
    }

    /// Tells those who watch something that stops nothing.
    async fn warn(&mut self, message: String) -> Result<(), Stop> {
        self.log(Level::Warn, &message).await;
        let (id, events) = (&self.record.id, json(&[Event::Warning { message }]));
        let at_ms = self.shared.exchange.now_ms();
        let note = Note {
            at_ms,
            events: &events,
        };
        self.insist(|| async { self.shared.store.events().append(id, note).await })
            .await?;
        self.page.move_on();
        Ok(())
    }

    /// One round of training.
    async fn train(&mut self, track: Track) -> Result<Track, Stop> {
        let minimum = self.job.cohort.minimum;
        self.await_nodes(minimum).await?;
        let (now, entropy) = (self.now(), self.draw());
        let Some(population) = &self.population else {
            return Ok(track);
        };
        let round = track.run.open_round(population, None, entropy, now);
        let values = track.run.model().layout().shared_len();
        let terms = Terms {
            model: Some(track.model),
            layout: Some(track.run.model().layout().digest()),
            values,
            longest: longest_update(&track.run, values),
            minimum,
        };
        match self.drive(round, terms).await? {
            Some(driven) => self.commit_round(track, driven, now).await,
            None => Ok(track),
        }
    }

    /// One evaluation of the model as it stands.
    async fn evaluate(&mut self, track: Track) -> Result<Track, Stop> {
        self.await_nodes(1).await?;
        let (now, entropy) = (self.now(), self.draw());
        let Some(population) = &self.population else {
            return Ok(track);
        };
        let round = track.run.open_evaluation(population, entropy, now);
        let terms = Terms {
            model: Some(track.model),
            layout: Some(track.run.model().layout().digest()),
            values: 0,
            longest: 64 + 8 * track.run.spec().metrics.zero().values().len() as u64,
            minimum: 1,
        };
        match self.drive(round, terms).await? {
            Some(driven) => self.commit_evaluation(track, driven, now).await,
            None => Ok(track),
        }
    }

    /// Waits until `minimum` members are there: a round that is opened before is abandoned for nothing.
    pub(super) async fn await_nodes(&mut self, minimum: u32) -> Result<(), Stop> {
        let mut has_said = false;
        loop {
            self.expect_enough()?;
            if self.present() >= minimum as usize {
                return Ok(());
            }
            if !std::mem::replace(&mut has_said, true) {
                let text = format!("waits for {minimum} nodes to be there");
                self.log(Level::Info, &text).await;
            }
            match self.input(None).await {
                Input::Message(message) => self.attend(message).await?,
                Input::Node(event) => self.seen(&event),
                Input::Bell(bell) => self.unneeded(&bell),
                Input::Tick => {}
            }
        }
    }
}

/// Bytes of the model that a node downloads: all that is not its own.
pub(super) fn bytes_down(run: &Run) -> u64 {
    let tensors = run.model().layout().tensors();
    let own = tensors.iter().filter(|tensor| tensor.scope == Scope::Local);
    let own: usize = own.map(Tensor::len).sum();
    4 * (run.model().layout().len() - own) as u64
}

/// Bytes of an update with its frame, its metrics and its values.
fn longest_update(run: &Run, values: usize) -> u64 {
    let plan = &run.spec().strategy.plan;
    let extras: usize = plan.pipeline.extras.iter().map(|extra| extra.len).sum();
    let metrics = plan.metrics.zero().values().len();
    (24 + 8 * metrics + 4 * (values + extras)) as u64
}
