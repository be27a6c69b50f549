//! What is told of runs: where they stand, what happened, and their files.

use std::time::Duration;

use commonweal_core::job::Job;
use commonweal_wire::control::{ApiError, Events, LogLines, RunInfo};
use tokio::time::{Instant, timeout_at};

use super::files::{self, Content, File};
use super::history::{Entry, Progress, table};
use super::{Runs, error, of_store};
use crate::store::Run as Record;

/// Events and lines that are told at once.
const PAGE: u32 = 1_000;

impl Runs {
    /// All runs, the newest first.
    ///
    /// # Errors
    /// [`ApiError`] if the store cannot be read.
    pub async fn list(&self) -> Result<Vec<RunInfo>, ApiError> {
        let records = self
            .0
            .store
            .runs()
            .list()
            .await
            .map_err(|fault| of_store(&fault))?;
        let mut infos = Vec::with_capacity(records.len());
        for record in records {
            infos.push(self.tell(record).await?);
        }
        Ok(infos)
    }

    /// Where a run stands.
    ///
    /// # Errors
    /// [`ApiError`] for a run that is unknown.
    pub async fn info(&self, id: &str) -> Result<RunInfo, ApiError> {
        let record = self.record(id).await?;
        self.tell(record).await
    }

    /// What happened after event number `after`; waits at most `hold` for something to happen.
    ///
    /// # Errors
    /// [`ApiError`] for a run that is unknown.
    pub async fn events(&self, id: &str, after: u64, hold: Duration) -> Result<Events, ApiError> {
        let until = Instant::now() + hold;
        let first = self.record(id).await?.state;
        loop {
            // Before the store is looked at: what happens in between is not missed.
            let moved = self.0.live(id).map(|live| live.page.moved.subscribe());
            // The state first: a run that is over has all its events in the store.
            let state = self.record(id).await?.state;
            let events = self.0.store.events().after(id, after, PAGE).await;
            let events = events.map_err(|fault| of_store(&fault))?;
            let is_news = !events.is_empty() || state != first || state.is_over();
            let Some(mut moved) = moved.filter(|_| !is_news) else {
                return Ok(Events { events, state });
            };
            match timeout_at(until, moved.changed()).await {
                Ok(Ok(())) => {}
                // The run's task has ended: its last word is in the store.
                Ok(Err(_)) if Instant::now() < until => {}
                _ => return Ok(Events { events, state }),
            }
        }
    }

    /// Lines of the log after number `after`.
    ///
    /// # Errors
    /// [`ApiError`] for a run that is unknown.
    pub async fn logs(&self, id: &str, after: u64) -> Result<LogLines, ApiError> {
        self.record(id).await?;
        let lines = self.0.store.lines().after(id, after, PAGE).await;
        let lines = lines.map_err(|fault| of_store(&fault))?;
        Ok(LogLines { lines })
    }

    /// A file of a run, by the name that it has in a simulation's run folder.
    ///
    /// # Errors
    /// [`ApiError`] for a run or a file that is unknown, or not there yet.
    pub async fn file(&self, id: &str, name: &str) -> Result<File, ApiError> {
        let record = self.record(id).await?;
        let unknown = || error("unknown_file", format!("a run has no file {name:?}"));
        let media = files::media(name).ok_or_else(unknown)?;
        let content = match name {
            files::JOB => Content::Bytes(record.job.into_bytes()),
            files::HISTORY => {
                let job =
                    Job::parse(&record.job).map_err(|fault| error("job", fault.to_string()))?;
                let entries = self.entries(id).await?;
                let bytes = table(&job, &entries);
                Content::Bytes(bytes.map_err(|fault| error("unavailable", fault.to_string()))?)
            }
            _ => {
                let found = self.0.store.files().find(id, name).await;
                let found = found.map_err(|fault| of_store(&fault))?;
                let missing = || {
                    let message = format!("{id} has no {name} yet: see `commonweal watch {id}`");
                    error("no_file", message)
                };
                Content::Blob(found.ok_or_else(missing)?)
            }
        };
        Ok(File { media, content })
    }

    pub(super) async fn record(&self, id: &str) -> Result<Record, ApiError> {
        let found = self.0.store.runs().find(id).await;
        found.map_err(|fault| of_store(&fault))
    }

    async fn entries(&self, id: &str) -> Result<Vec<Entry>, ApiError> {
        let entries = self.0.store.commits().history(id).await;
        Ok(Entry::read(entries.map_err(|fault| of_store(&fault))?))
    }

    async fn tell(&self, record: Record) -> Result<RunInfo, ApiError> {
        let job = Job::parse(&record.job).map_err(|fault| error("job", fault.to_string()))?;
        let progress = self.progress(&record, &job).await?;
        let judged = job.evaluation.metric.name();
        Ok(RunInfo {
            job: record.job_name,
            manifest: record.manifest.to_string(),
            submitter: record.submitter,
            state: record.state,
            reason: record.reason,
            round: progress.round,
            rounds: job.rounds.into(),
            nodes: progress.nodes,
            metric: progress.metric.map(|value| (judged.to_owned(), value)),
            model: progress.model,
            submitted_at_ms: record.submitted_at_ms,
            ended_at_ms: record.ended_at_ms,
            id: record.id,
        })
    }

    /// Where a run stands: by its task, or by what the store says of a run that is over.
    async fn progress(&self, record: &Record, job: &Job) -> Result<Progress, ApiError> {
        let live = self.0.live(&record.id);
        if let Some(progress) = live.and_then(|live| live.page.progress().clone()) {
            return Ok(progress);
        }
        let known = self.0.over().get(&record.id).cloned();
        if let Some(known) = known.filter(|_| record.state.is_over()) {
            return Ok(known);
        }
        let members = self.0.store.runs().members(&record.id).await;
        let members = members.map_err(|fault| of_store(&fault))?;
        let progress = Progress::of(job, &self.entries(&record.id).await?, members.len());
        if record.state.is_over() {
            self.0.over().insert(record.id.clone(), progress.clone());
        }
        Ok(progress)
    }
}
