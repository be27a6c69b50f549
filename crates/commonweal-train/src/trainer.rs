//! Training and evaluating one client with a built-in model.

use std::ops::Range;
use std::sync::Arc;

use commonweal_core::{
    ClientRows, ClientState, ClientUpdate, Entropy, EvaluatePlan, Flow, MetricSums, Parameters,
    Progress, Purpose, Scope, SeedRng, Task, TrainError, TrainPlan, Trainer, shuffle,
};
use commonweal_data::Dataset;
use commonweal_kernels::norm;
use commonweal_kernels::product::Output;

use crate::local::LocalTensors;
use crate::measured::Measured;
use crate::model::Model;
use crate::optimizer::Optimizer;
use crate::pass::Learn;
use crate::score::Scorer;
use crate::workspace::Workspace;

/// The trainer of the built-in models: one client at a time, on the calling thread.
///
/// Keep one per worker thread: it holds that thread's memory, and nothing of a client between two
/// calls. Batches are drawn without replacement from the client's rows, which are shuffled before
/// every pass by the task's seed; the optimizer's memory starts afresh with every task.
#[derive(Debug)]
pub struct BuiltInTrainer {
    model: Arc<Model>,
    data: Arc<Dataset>,
    workspace: Workspace<f32>,
    /// The client's own model while it trains.
    local: Vec<f32>,
    order: Vec<u32>,
    optimizer: Optimizer,
    scorer: Scorer,
    /// Everything but what is frozen.
    trained: Vec<Range<usize>>,
    kept: LocalTensors,
    has_dropout: bool,
}

impl BuiltInTrainer {
    /// A trainer of `model` on rows of `data`.
    ///
    /// # Panics
    /// If the model was built for another shape of example.
    pub fn new(model: Arc<Model>, data: Arc<Dataset>) -> Self {
        assert_eq!(
            model.example(),
            &data.shape(),
            "the model is for these data"
        );
        Self {
            workspace: Workspace::new(&model, 1),
            local: Vec::new(),
            order: Vec::new(),
            optimizer: Optimizer::new(),
            scorer: Scorer::new(&model),
            trained: trained(&model),
            kept: LocalTensors::of(model.layout()),
            has_dropout: model.has_dropout(),
            model,
            data,
        }
    }

    /// Scores of each row at `parameters`: a probability a class (and a position, for sequences),
    /// or one value; `outputs` values a row, where a binary model has two.
    ///
    /// # Panics
    /// If a row lies outside the data set or the parameters are another model's.
    pub fn predict(&mut self, parameters: &Parameters, rows: &[u32]) -> Vec<f32> {
        self.reserve(rows.len());
        let mut scores = Vec::new();
        for rows in rows.chunks(self.workspace.block()) {
            self.workspace.load_inputs(&self.data, rows);
            self.model
                .forward(parameters.values(), &mut self.workspace, &mut None);
            self.scorer.append_scores(&self.workspace, &mut scores);
        }
        scores
    }

    /// Makes room for batches of `examples`.
    fn reserve(&mut self, examples: usize) {
        if self.workspace.block() < examples.min(self.model.block()) {
            self.workspace = Workspace::new(&self.model, examples);
        }
    }

    /// Refuses a model, or class weights, of another length than the trainer's model asks for.
    fn check(&self, model: &Parameters, class_weights: Option<&[f32]>) -> Result<(), TrainError> {
        expect_length(
            "values of the model",
            self.model.layout().len(),
            model.values().len(),
        )?;
        match class_weights {
            Some(weights) => expect_length("class weights", self.model.classes(), weights.len()),
            None => Ok(()),
        }
    }

    /// One step on the rows `batch` of the order; returns their mean loss.
    fn step(
        &mut self,
        plan: &TrainPlan,
        batch: Range<usize>,
        dropout: &mut Option<SeedRng>,
        measured: &mut Measured<'_>,
    ) -> Result<f64, TrainError> {
        let class_weights = plan.class_weights.as_deref();
        let rows = &self.order[batch];
        let blocks = rows.chunks(self.workspace.block());
        let descent = self.optimizer.descent().filter(|_| blocks.len() == 1);
        let mut total = (rows.len() * self.workspace.labels_each()) as f64;
        if class_weights.is_some() {
            total = 0.0;
            for rows in blocks.clone() {
                self.workspace.load_rows(&self.data, rows);
                total += self.workspace.total_weight(class_weights);
            }
        }
        let mut loss = 0.0;
        for (at, rows) in blocks.enumerate() {
            self.workspace.load_rows(&self.data, rows);
            self.workspace.set_scales(class_weights, total);
            let learn = match descent {
                Some(descent) => Learn::Descend(&mut self.local, descent),
                None if at == 0 => Learn::Gradient(&self.local, Output::Set),
                None => Learn::Gradient(&self.local, Output::Add),
            };
            loss += self.model.learn(learn, &mut self.workspace, dropout);
            if !loss.is_finite() {
                return Ok(loss);
            }
            measured.observe(&mut self.scorer, &self.workspace)?;
        }
        if descent.is_none() {
            self.optimizer
                .step(&self.trained, &mut self.local, &self.workspace.gradient);
        }
        measured.count(rows.len() * self.workspace.labels_each(), loss);
        Ok(loss)
    }

    /// `local − global` of the shared prefix.
    fn update(&self, model: &Parameters, steps: u64) -> Result<Vec<f32>, TrainError> {
        let shared = model.shared();
        let mut values = vec![0.0; shared.len()];
        norm::subtract(&self.local[..shared.len()], shared, &mut values);
        match norm::all_finite(&values) {
            true => Ok(values),
            false => Err(TrainError::Diverged { step: steps }),
        }
    }
}

impl Trainer for BuiltInTrainer {
    fn train(
        &mut self,
        task: &Task,
        plan: &TrainPlan,
        data: ClientRows<'_>,
        model: &Parameters,
        state: ClientState,
        _entropy: Entropy,
        progress: &mut dyn Progress,
    ) -> Result<(ClientUpdate, ClientState), TrainError> {
        self.check(model, plan.class_weights.as_deref())?;
        let rows = data.train.len();
        if rows == 0 {
            return Err(TrainError::NoRows);
        }
        let weight = plan.weighting.of(rows as u64)?;
        let batch = plan
            .batch_size
            .map_or(rows, |size| (size.max(1) as usize).min(rows));
        let passes = u64::from(plan.epochs) * rows.div_ceil(batch) as u64;
        let steps = plan.steps.map_or(passes, u64::from);
        self.reserve(batch);
        self.optimizer.start(plan, model.values().len());
        self.local.clear();
        self.local.extend_from_slice(model.values());
        self.kept.restore(&state, &mut self.local)?;
        self.order.clear();
        self.order.extend_from_slice(data.train);

        let mut shuffles = task.seed.derive(Purpose::Shuffle, 0, None).rng();
        let mut dropout = self
            .has_dropout
            .then(|| task.seed.derive(Purpose::Dropout, 0, None).rng());
        let mut measured = Measured::new(&plan.metrics);
        let mut next = rows;
        for done in 1..=steps {
            if next == rows {
                next = 0;
                // One batch of all rows is the same in any order.
                if batch < rows {
                    shuffle(&mut shuffles, &mut self.order);
                }
            }
            let end = (next + batch).min(rows);
            let loss = self.step(plan, next..end, &mut dropout, &mut measured)?;
            next = end;
            if !loss.is_finite() {
                return Err(TrainError::Diverged { step: done });
            }
            if progress.step(done, steps) == Flow::Cancel {
                return Err(TrainError::Cancelled);
            }
        }
        let values = self.update(model, steps)?;
        let metrics = measured.finish()?;
        let update = ClientUpdate {
            values,
            weight,
            metrics,
            extras: Vec::new(),
        };
        Ok((update, self.kept.save(&self.local)))
    }

    fn evaluate(
        &mut self,
        _task: &Task,
        plan: &EvaluatePlan,
        data: ClientRows<'_>,
        model: &Parameters,
        state: &ClientState,
        progress: &mut dyn Progress,
    ) -> Result<MetricSums, TrainError> {
        self.check(model, None)?;
        let rows = data.test;
        self.reserve(rows.len());
        self.local.clear();
        self.local.extend_from_slice(model.values());
        self.kept.restore(state, &mut self.local)?;
        let mut sums = plan.metrics.zero();
        let blocks = rows.chunks(self.workspace.block());
        let total = blocks.len() as u64;
        for (done, rows) in (1..).zip(blocks) {
            self.workspace.load_rows(&self.data, rows);
            self.model
                .forward(&self.local, &mut self.workspace, &mut None);
            self.scorer
                .observe(&self.workspace, &plan.metrics, &mut sums)?;
            if progress.step(done, total) == Flow::Cancel {
                return Err(TrainError::Cancelled);
            }
        }
        Ok(sums)
    }
}

fn expect_length(part: &str, expected: usize, found: usize) -> Result<(), TrainError> {
    if expected == found {
        return Ok(());
    }
    let what = format!("{found} {part}, where {expected} are expected");
    Err(TrainError::Unsupported { what })
}

/// The values that training changes.
fn trained(model: &Model) -> Vec<Range<usize>> {
    let layout = model.layout();
    let frozen = layout
        .tensors()
        .iter()
        .filter(|tensor| tensor.scope == Scope::Frozen);
    let frozen: usize = frozen.map(|tensor| tensor.len()).sum();
    let shared = layout.shared_len();
    [0..shared, shared + frozen..layout.len()]
        .into_iter()
        .filter(|range| !range.is_empty())
        .collect()
}
