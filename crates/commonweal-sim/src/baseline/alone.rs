//! Training without a federation: one holder of rows, who goes on from its own model.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use commonweal_core::{
    ClientName, ClientRows, ClientState, Digest, EvaluatePlan, Flow, MetricSpec, MetricSums,
    ModelVersion, Parameters, Progress, Purpose, Seed, Stage, Task, TaskId, TaskKind, TrainError,
    TrainPlan,
};

use crate::crew::Slot;

/// What all baselines of a seed share.
pub(crate) struct Setting<'a> {
    pub(crate) manifest: Digest,
    pub(crate) prepared: Option<Digest>,
    pub(crate) metrics: Arc<MetricSpec>,
    pub(crate) initial: &'a Parameters,
    pub(crate) seed: Seed,
    pub(crate) interrupt: &'a AtomicBool,
    /// Rows learned from so far, by all threads.
    pub(crate) learned: AtomicU64,
}

/// A model that somebody trained alone.
pub(crate) struct Learned {
    model: Parameters,
    state: ClientState,
}

impl Setting<'_> {
    /// Trains on `rows`, plan after plan.
    pub(crate) fn learn(
        &self,
        slot: &mut Slot,
        name: &ClientName,
        rows: &[u32],
        plans: &[Arc<TrainPlan>],
    ) -> Result<Learned, TrainError> {
        let mut learned = Learned {
            model: self.initial.clone(),
            state: ClientState::default(),
        };
        for (piece, plan) in (1..).zip(plans) {
            let kind = TaskKind::Train(Arc::clone(plan));
            let task = self.task(piece, name, Stage::Train, kind);
            let data = ClientRows {
                client: name,
                train: rows,
                test: &[],
            };
            let (state, entropy) = (std::mem::take(&mut learned.state), slot.entropy.draw());
            let (update, state) = slot.trainer.train(
                &task,
                plan,
                data,
                &learned.model,
                state,
                entropy,
                &mut self.watch(Some(&self.learned), rows),
            )?;
            for (value, change) in learned.model.shared_mut().iter_mut().zip(&update.values) {
                *value += change;
            }
            learned.state = state;
        }
        Ok(learned)
    }

    /// Measures a model on `rows`.
    pub(crate) fn measure(
        &self,
        slot: &mut Slot,
        name: &ClientName,
        rows: &[u32],
        learned: &Learned,
    ) -> Result<MetricSums, TrainError> {
        let metrics: Arc<MetricSpec> = Arc::clone(&self.metrics);
        if rows.is_empty() {
            return Ok(metrics.zero());
        }
        let plan = Arc::new(EvaluatePlan { metrics });
        let task = self.task(
            0,
            name,
            Stage::Evaluate,
            TaskKind::Evaluate(Arc::clone(&plan)),
        );
        let data = ClientRows {
            client: name,
            train: &[],
            test: rows,
        };
        let watch = &mut self.watch(None, rows);
        slot.trainer
            .evaluate(&task, &plan, data, &learned.model, &learned.state, watch)
    }

    fn watch<'w>(&'w self, learned: Option<&'w AtomicU64>, rows: &[u32]) -> Watch<'w> {
        Watch {
            interrupt: self.interrupt,
            learned,
            rows: rows.len() as u64,
            counted: 0,
        }
    }

    fn task(&self, piece: u64, name: &ClientName, stage: Stage, kind: TaskKind) -> Task {
        Task {
            id: TaskId {
                round: piece,
                stage,
                attempt: 0,
            },
            manifest: self.manifest,
            prepared: self.prepared,
            base: ModelVersion(piece.saturating_sub(1)),
            seed: self.seed.derive(Purpose::Baseline, piece, Some(name)),
            deadline: None,
            cohort: 1,
            kind,
        }
    }
}

/// Ends training when the run is asked to stop, and counts rows as they are learned from.
struct Watch<'a> {
    interrupt: &'a AtomicBool,
    learned: Option<&'a AtomicU64>,
    rows: u64,
    counted: u64,
}

impl Progress for Watch<'_> {
    fn step(&mut self, done: u64, total: u64) -> Flow {
        let until_now = self.rows * done / total.max(1);
        if let Some(learned) = self.learned {
            learned.fetch_add(until_now - self.counted, Ordering::Relaxed);
        }
        self.counted = until_now;
        match self.interrupt.load(Ordering::Relaxed) {
            true => Flow::Cancel,
            false => Flow::Continue,
        }
    }
}
