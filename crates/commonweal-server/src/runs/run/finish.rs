//! The end of a run: the final model, the summary, and a word to every node.

use std::sync::Arc;

use bytes::Bytes;
use commonweal_core::{Digest, End, Run};
use commonweal_disk::memory::peak_bytes;
use commonweal_disk::model_file::save_model;
use commonweal_disk::record::{Ended, Expected, SeedSummary, Summary};
use commonweal_disk::spread::Spread;
use commonweal_train::instruction_set;
use commonweal_wire::control::RunState;
use commonweal_wire::proto::instruction;
use tokio::task::spawn_blocking;

use super::rounds::Track;
use super::{Actor, Stop};
use crate::runs::farewell::run_over;
use crate::runs::files;
use crate::store::{Level, Note};

impl Actor {
    /// Stores the result and tells everybody.
    pub(super) async fn finish(&mut self, track: &Track, end: End) -> Result<(), Stop> {
        let model = self.put_file(&track.run).await?;
        let summary = self.summary(track, end).await?;
        let record = self.put_json(&summary).await?;
        let files = [(files::MODEL, model), (files::SUMMARY, record)];
        self.enter(RunState::Finished, files, &[summary.finished(None)])
            .await?;
        let shared_model = self.job.deployment.share_model.then_some(track.model);
        self.tell_over(shared_model).await;
        let text = format!("finished after {} rounds", track.run.round());
        self.log(Level::Info, &text).await;
        self.page.move_on();
        Ok(())
    }

    /// Stores an end that is no result, and tells everybody.
    pub(super) async fn end(&mut self, state: RunState, reason: &str) {
        let id = self.record.id.clone();
        let at_ms = self.shared.exchange.now_ms();
        let note = Note { at_ms, events: &[] };
        let never = std::future::pending();
        let ended = self
            .insist_unless(never, || async {
                let runs = self.shared.store.runs();
                let stored = runs.set_state(&id, state, Some(reason), note).await;
                stored.inspect_err(|error| self.page.is_unstored(error.to_string()))
            })
            .await;
        if ended.is_err() {
            // The server ends, or the run is gone from the store: there is nobody to tell.
            return;
        }
        let level = match state {
            RunState::Cancelled => Level::Info,
            _ => Level::Error,
        };
        self.log(level, reason).await;
        self.record.state = state;
        self.record.reason = Some(reason.to_owned());
        self.tell_over(None).await;
        self.page.move_on();
    }

    /// Tells all nodes that were asked that nothing more will come.
    async fn tell_over(&self, model: Option<Digest>) {
        let input = match model {
            Some(_) => self.input_blob().await,
            None => None,
        };
        for (node, _) in self.candidates.asked() {
            let is_member = self.client(node).is_some();
            let for_member = |digest: Option<Digest>| digest.filter(|_| is_member);
            let over = run_over(&self.record, for_member(model), for_member(input));
            self.shared
                .exchange
                .send(node, instruction::Kind::RunOver(over));
        }
    }

    async fn input_blob(&self) -> Option<Digest> {
        let files = self.shared.store.files();
        files
            .find(&self.record.id, files::INPUT)
            .await
            .ok()
            .flatten()
    }

    /// The final model as safetensors.
    async fn put_file(&self, run: &Arc<Run>) -> Result<Digest, Stop> {
        let (run, folder) = (Arc::clone(run), self.shared.store.folder().to_path_buf());
        let written = spawn_blocking(move || {
            let folder = tempfile::tempdir_in(folder).map_err(|error| error.to_string())?;
            let path = folder.path().join(files::MODEL);
            save_model(&path, run.model()).map_err(|error| error.to_string())?;
            std::fs::read(&path).map_err(|error| error.to_string())
        });
        let written = written.await.map_err(|_| Stop::Stopping)?;
        let bytes = Bytes::from(written.map_err(Stop::Failed)?);
        self.insist(|| async { self.shared.store.blobs().put(bytes.clone()).await })
            .await
    }

    async fn summary(&self, track: &Track, end: End) -> Result<Summary, Stop> {
        let job = &self.job;
        let judged = job.judged_by();
        let seed = SeedSummary {
            seed: job.seed,
            folder: String::new(),
            rounds: track.run.round(),
            abandoned: track.run.abandoned(),
            ended: match end {
                End::Reached | End::Patience => Ended::Stop,
                End::Rounds | End::Abandoned => Ended::Rounds,
            },
            metrics: track.totals.metrics.clone(),
            digest: track.digest.clone(),
            seconds_train: track.totals.seconds_train,
            seconds_evaluate: track.totals.seconds_evaluate,
        };
        let federated = Spread::of_each(std::iter::once(&seed.metrics));
        let expect = job.expect.as_ref();
        let waited_ms = self
            .shared
            .exchange
            .now_ms()
            .saturating_sub(self.record.submitted_at_ms);
        Ok(Summary {
            job: job.name.clone(),
            manifest: self.manifest.digest().to_string(),
            metric: judged.name().to_owned(),
            higher_is_better: judged.higher_is_better(),
            expected: expect.map(|expect| Expected::of(expect, &federated)),
            federated,
            baselines: Vec::new(),
            clients: self
                .population
                .as_ref()
                .map_or(0, |all| all.clients())
                .into(),
            train_rows: self.train_rows().await?,
            test_rows: 0,
            parameters: track.run.model().layout().len() as u64,
            seconds: waited_ms as f64 / 1000.0,
            peak_bytes: peak_bytes(),
            instruction_set: instruction_set().to_string(),
            threads: self.shared.workers,
            model: files::MODEL.to_owned(),
            digest: track.digest.clone(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            seeds: vec![seed],
        })
    }

    /// Rows that the nodes train on, as far as `prepare` asked.
    async fn train_rows(&self) -> Result<u64, Stop> {
        let Some(prepared) = self.record.prepared else {
            return Ok(0);
        };
        let bytes = self
            .insist(|| async { self.shared.store.blobs().fetch(&prepared).await })
            .await?;
        let prepared: Option<commonweal_core::Prepared> = serde_json::from_slice(&bytes).ok();
        Ok(prepared.map_or(0, |prepared| prepared.rows))
    }
}
