//! From a population to what the run is built on: the round of `prepare`, if there is anything to ask.

use std::sync::Arc;

use bytes::Bytes;
use commonweal_core::{ClientIndex, Digest, PrepareSpec, PrepareSums, Prepared, open_prepare};
use commonweal_data::DataSchema;
use commonweal_disk::observer::Event;
use commonweal_train::instruction_set;
use commonweal_wire::control::RunState;
use serde::Serialize;

use super::drive::{Driven, Terms};
use super::{Actor, Stop, json};
use crate::runs::files;
use crate::runs::foundation::{Foundation, Questions, nothing_asked};
use crate::runs::rounds::RoundEnd;
use crate::store::{Along, Commit, Level};

/// Attempts at `prepare` before the run is given up, as with rounds.
const ATTEMPTS: u32 = commonweal_core::Run::MAX_ABANDONED;

/// A foundation, and the model that was submitted.
pub(super) struct Found {
    pub(super) foundation: Foundation,
    pub(super) initial: Option<Bytes>,
}

/// What `prepare` found, with the digest of its blob; `None` if nothing was asked.
struct Answers {
    prepared: Prepared,
    blob: Option<Digest>,
}

impl Actor {
    /// What the run is built on; asks the nodes for it unless they were asked before.
    pub(super) async fn found(&mut self) -> Result<Found, Stop> {
        let schema = self.record.schema.clone().unwrap_or_default();
        let schema = DataSchema::parse(schema.as_bytes());
        let schema = schema.map_err(|error| Stop::Failed(error.to_string()))?;
        let questions = Questions::of(&self.job, &schema);
        let questions = questions.map_err(|error| Stop::Failed(error.to_string()))?;
        let initial = self.initial().await?;
        match (questions.spec().cloned(), self.record.prepared) {
            (None, _) => {
                let clients = self.population.as_ref().map_or(0, |all| all.clients());
                let prepared = nothing_asked(self.manifest.digest(), clients.into());
                let answers = Answers {
                    prepared,
                    blob: None,
                };
                let found = self.built(&questions, &answers, initial)?;
                if self.record.state != RunState::Running {
                    self.begin_rounds(&found, &answers).await?;
                }
                Ok(found)
            }
            (Some(_), Some(blob)) => {
                let answers = self.answers(blob).await?;
                self.built(&questions, &answers, initial)
            }
            (Some(spec), None) => self.prepare(&questions, spec, initial).await,
        }
    }

    /// What a blob says that `prepare` found: read as the nodes read it, so that its digest is theirs.
    async fn answers(&self, blob: Digest) -> Result<Answers, Stop> {
        let bytes = self
            .insist(|| async { self.shared.store.blobs().fetch(&blob).await })
            .await?;
        let prepared = serde_json::from_slice(&bytes);
        Ok(Answers {
            prepared: prepared.map_err(|error| Stop::Failed(error.to_string()))?,
            blob: Some(blob),
        })
    }

    fn built(
        &self,
        questions: &Questions,
        answers: &Answers,
        initial: Option<Bytes>,
    ) -> Result<Found, Stop> {
        let foundation = questions.answered(
            &self.job,
            &self.manifest,
            &answers.prepared,
            initial.as_deref(),
        );
        let foundation = foundation.map_err(|error| Stop::Failed(error.to_string()))?;
        Ok(Found {
            foundation,
            initial,
        })
    }

    /// The model that was submitted with the job.
    async fn initial(&self) -> Result<Option<Bytes>, Stop> {
        match self.initial {
            None => Ok(None),
            Some(digest) => {
                let bytes = self
                    .insist(|| async { self.shared.store.blobs().fetch(&digest).await })
                    .await?;
                Ok(Some(bytes))
            }
        }
    }

    /// The round of `prepare`.
    async fn prepare(
        &mut self,
        questions: &Questions,
        spec: PrepareSpec,
        initial: Option<Bytes>,
    ) -> Result<Found, Stop> {
        let spec = Arc::new(spec);
        let began = self.now();
        for _ in 0..ATTEMPTS {
            let Some(driven) = self.ask(&spec).await? else {
                continue;
            };
            let committed = match &driven.end {
                RoundEnd::Committed(committed) => committed.clone(),
                RoundEnd::Abandoned(abandoned) => {
                    let text = format!("prepare was abandoned: {}", abandoned.reason());
                    self.log(Level::Warn, &text).await;
                    continue;
                }
            };
            let sums = driven.folding.take();
            let nobody = || PrepareSums::zero(&spec);
            let sums = sums.prepare().cloned().unwrap_or_else(nobody);
            let prepared = sums.finish(&spec, self.manifest.digest());
            let prepared = prepared.map_err(|error| Stop::Failed(error.to_string()))?;
            let blob = self.put_json(&prepared).await?;
            let answers = self.answers(blob).await?;
            let found = self.built(questions, &answers, initial)?;
            let seconds = (self.now().ms - began.ms) as f64 / 1000.0;
            self.commit_prepared(&found, &answers, &driven, committed.counted(), seconds)
                .await?;
            return Ok(found);
        }
        Err(Stop::Failed(
            "prepare was abandoned again and again: see the run's log".to_owned(),
        ))
    }

    async fn ask(&mut self, spec: &Arc<PrepareSpec>) -> Result<Option<Driven>, Stop> {
        let minimum = self.job.cohort.minimum;
        self.await_nodes(minimum).await?;
        let (manifest, now, entropy) = (self.manifest.digest(), self.now(), self.draw());
        let Some(population) = &self.population else {
            return Ok(None);
        };
        let round = open_prepare(
            Arc::clone(spec),
            manifest,
            population,
            minimum,
            self.round_ms(),
            entropy,
            now,
        );
        let terms = Terms {
            model: None,
            layout: None,
            values: 0,
            longest: longest(spec),
            minimum,
        };
        self.drive(round, terms).await
    }

    /// Stores what was found together with who was counted.
    async fn commit_prepared(
        &mut self,
        found: &Found,
        answers: &Answers,
        driven: &Driven,
        counted: &[ClientIndex],
        seconds: f64,
    ) -> Result<(), Stop> {
        let prepared = Event::Prepared {
            digest: answers.prepared.digest().to_string(),
            clients: answers.prepared.clients,
            seconds,
        };
        let mut events = self.refusals(driven);
        events.extend(self.started(found, answers)?);
        events.push(prepared);
        let (events, files) = (json(&events), self.files(found, answers).await?);
        let files: Vec<_> = files
            .iter()
            .map(|(name, digest)| (*name, *digest))
            .collect();
        let commit = Commit {
            task: driven.task,
            version: 0,
            snapshot: None,
            model: None,
            counted: counted
                .iter()
                .filter_map(|&client| self.name(client))
                .collect(),
            at_ms: self.shared.exchange.now_ms(),
        };
        let along = Along {
            state: RunState::Running,
            prepared: answers.blob,
            history: None,
            files: &files,
            events: &events,
        };
        self.add_commit(&commit, along).await?;
        self.record.prepared = answers.blob;
        self.settled(driven, &commit.counted).await;
        self.record.state = RunState::Running;
        Ok(())
    }

    /// Where nothing was asked: the rounds begin at once.
    async fn begin_rounds(&mut self, found: &Found, answers: &Answers) -> Result<(), Stop> {
        let (files, events) = (
            self.files(found, answers).await?,
            self.started(found, answers)?,
        );
        self.enter(RunState::Running, files, &events).await?;
        self.page.move_on();
        Ok(())
    }

    /// The first events of a run, as a simulation's.
    fn started(&self, found: &Found, answers: &Answers) -> Result<Vec<Event>, Stop> {
        let population = self.population.as_ref();
        let started = Event::Started {
            job: self.job.name.clone(),
            manifest: self.manifest.digest().to_string(),
            folder: None,
            rounds: self.job.rounds.into(),
            resumed_after: 0,
            clients: population.map_or(0, |all| all.clients()).into(),
            train_rows: answers.prepared.rows,
            test_rows: 0,
            parameters: found.foundation.layout().len() as u64,
            seeds: vec![self.job.seed],
            threads: self.shared.workers,
            instruction_set: instruction_set().to_string(),
        };
        let seed = Event::Seed {
            seed: self.job.seed,
            index: 1,
            of: 1,
        };
        Ok(vec![started, seed])
    }

    /// `prepared.json` and `input.json`.
    async fn files(
        &self,
        found: &Found,
        answers: &Answers,
    ) -> Result<[(&'static str, Digest); 2], Stop> {
        let prepared = match answers.blob {
            Some(blob) => blob,
            None => self.put_json(&answers.prepared).await?,
        };
        let input = self.put_json(&found.foundation.input).await?;
        Ok([(files::PREPARED, prepared), (files::INPUT, input)])
    }

    /// Writes a record as a blob.
    pub(super) async fn put_json(&self, record: &impl Serialize) -> Result<Digest, Stop> {
        let text = serde_json::to_vec(record);
        let text = Bytes::from(text.map_err(|error| Stop::Failed(error.to_string()))?);
        self.insist(|| async { self.shared.store.blobs().put(text.clone()).await })
            .await
    }

    /// The job's bound for a round, in milliseconds.
    pub(super) fn round_ms(&self) -> Option<u64> {
        let seconds = self.job.cohort.deadline_seconds?;
        Some((seconds * 1000.0).ceil() as u64)
    }
}

/// Most bytes of a report of `prepare`.
fn longest(spec: &PrepareSpec) -> u64 {
    /// A level with its length and its count.
    const LEVEL: u64 = PrepareSpec::MAX_LEVEL_BYTES as u64 + 16;
    /// All reports are held in memory while they arrive.
    const MOST: u64 = 64 << 20;
    let columns = spec.columns.len() as u64 + 1;
    (columns * PrepareSpec::MAX_LEVELS as u64 * LEVEL).min(MOST)
}
