//! Training without a federation: one holder of rows, who goes on from its own model.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use commonweal_core::{
    ClientName, ClientRows, ClientState, EvaluatePlan, EvaluateRows, Flow, MetricSpec, MetricSums,
    ModelVersion, Parameters, Progress, Purpose, Seed, Stage, Task, TaskId, TaskKind, TrainError,
    TrainPlan,
};

use crate::crew::Slot;

/// What all baselines of a seed share.
pub(crate) struct Setting<'a> {
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
                &mut Watch(self.interrupt),
            )?;
            for (value, change) in learned.model.shared_mut().iter_mut().zip(&update.values) {
                *value += change;
            }
            learned.state = state;
            self.learned.fetch_add(rows.len() as u64, Ordering::Relaxed);
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
        let plan = Arc::new(EvaluatePlan {
            metrics,
            rows: EvaluateRows::Test,
        });
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
        let watch = &mut Watch(self.interrupt);
        slot.trainer
            .evaluate(&task, &plan, data, &learned.model, &learned.state, watch)
    }

    fn task(&self, piece: u64, name: &ClientName, stage: Stage, kind: TaskKind) -> Task {
        Task {
            id: TaskId {
                round: piece,
                stage,
                attempt: 0,
            },
            base: ModelVersion(piece.saturating_sub(1)),
            seed: self.seed.derive(Purpose::Baseline, piece, Some(name)),
            deadline: None,
            cohort: 1,
            kind,
        }
    }
}

/// Ends training when the run is asked to stop.
struct Watch<'a>(&'a AtomicBool);

impl Progress for Watch<'_> {
    fn step(&mut self, _done: u64, _total: u64) -> Flow {
        match self.0.load(Ordering::Relaxed) {
            true => Flow::Cancel,
            false => Flow::Continue,
        }
    }
}
