//! The memory of one worker thread: allocated once for a model, then only reused.

use commonweal_data::{Dataset, Input, Target};
use commonweal_kernels::{Real, Workspace as Scratch};

use crate::batch::{Batch, Goal, Inputs};
use crate::head::{Goals, Head};
use crate::layer::Cache;
use crate::model::Model;

/// What a thread needs to run a model forward and backward on up to `block` examples at once.
///
/// A training step allocates nothing, but for scratch memory of the kernels that grows in the
/// first step.
#[derive(Debug, Clone)]
pub struct Workspace<T> {
    /// Values between the layers; the first are the inputs.
    pub(crate) values: Vec<Vec<T>>,
    /// Gradients of the values; the inputs have none.
    pub(crate) gradients: Vec<Vec<T>>,
    pub(crate) caches: Vec<Cache<T>>,
    pub(crate) scratch: Scratch<T>,
    /// Gradient of the parameters.
    pub(crate) gradient: Vec<T>,
    /// Input tokens, time first.
    pub(crate) tokens: Vec<u32>,
    /// Classes, or next tokens, time first.
    pub(crate) labels: Vec<u32>,
    /// Values to predict, or the labels of two classes as numbers.
    pub(crate) targets: Vec<T>,
    /// Factor of each row's loss.
    pub(crate) scales: Vec<T>,
    /// Tokens as the data set gives them, before time is put first.
    staged: Vec<u32>,
    /// Examples loaded.
    pub(crate) batch: usize,
    /// Most examples.
    pub(crate) block: usize,
    head: Head,
    target: Target,
    /// Labels of one example.
    rows: usize,
}

impl<T: Real> Workspace<T> {
    /// Memory for batches of at most `examples`, and of at most [`Model::block`].
    pub fn new(model: &Model, examples: usize) -> Self {
        let block = examples.clamp(1, model.block());
        let slot = |shape: &crate::Shape| vec![T::ZERO; block * shape.width()];
        let is_tokens = matches!(model.example.input, Input::Tokens { .. });
        let mut values: Vec<Vec<T>> = model.slots.iter().map(slot).collect();
        let mut gradients = values.clone();
        gradients[0] = Vec::new();
        if is_tokens {
            values[0] = Vec::new();
        }
        let rows = model.output_shape().rows();
        let tokens = if is_tokens {
            block * model.example.input.width()
        } else {
            0
        };
        Self {
            values,
            gradients,
            caches: model
                .steps
                .iter()
                .map(|step| step.layer.cache(block))
                .collect(),
            scratch: Scratch::new(),
            gradient: vec![T::ZERO; model.layout.len()],
            tokens: vec![0; tokens],
            labels: vec![0; block * rows],
            targets: vec![T::ZERO; block * rows],
            scales: vec![T::ZERO; block * rows],
            staged: vec![0; tokens.max(block * rows)],
            batch: 0,
            block,
            head: model.head,
            target: model.example.target,
            rows,
        }
    }

    /// Gradient of the last batch's mean loss, after [`Model::gradient`].
    pub fn gradient(&self) -> &[T] {
        &self.gradient
    }

    /// Most examples that are computed at once.
    pub fn block(&self) -> usize {
        self.block
    }

    /// Values of the last layer for the loaded examples; sequences lie time first.
    pub(crate) fn outputs(&self) -> &[T] {
        let last = self.values.len() - 1;
        &self.values[last][..self.batch * self.rows * self.head.width()]
    }

    /// Labels that the loaded examples have.
    pub(crate) fn labels_loaded(&self) -> usize {
        self.batch * self.rows
    }

    pub(crate) fn labels_each(&self) -> usize {
        self.rows
    }

    /// Loads examples that are given as slices, examples first.
    ///
    /// # Panics
    /// If there are more examples than [`Workspace::block`] or a length does not fit the model.
    pub fn load(&mut self, batch: &Batch<'_, T>) {
        self.batch = batch.examples;
        assert!(
            self.batch <= self.block,
            "at most {} examples at once",
            self.block
        );
        match batch.inputs {
            Inputs::Values(values) => self.values[0][..values.len()].copy_from_slice(values),
            Inputs::Tokens(tokens) => time_first(tokens, self.batch, &mut self.tokens),
        }
        match batch.goal {
            Goal::Labels(labels) => {
                time_first(labels, self.batch, &mut self.labels);
                self.labels_to_targets();
            }
            Goal::Values(values) => self.targets[..values.len()].copy_from_slice(values),
        }
    }

    /// A binary loss takes its two classes as the numbers 0 and 1.
    fn labels_to_targets(&mut self) {
        if self.head == Head::Binary {
            for (target, &label) in self.targets.iter_mut().zip(&self.labels[..self.batch]) {
                *target = if label == 0 { T::ZERO } else { T::ONE };
            }
        }
    }

    /// Sum of the class weights of the loaded labels: their number, if classes have no weights.
    pub(crate) fn total_weight(&self, class_weights: Option<&[f32]>) -> f64 {
        let labels = &self.labels[..self.labels_loaded()];
        match class_weights {
            None => labels.len() as f64,
            Some(weights) => labels.iter().map(|&label| weight_of(weights, label)).sum(),
        }
    }

    /// Sets the factor of each row's loss to its class weight divided by `total`.
    pub(crate) fn set_scales(&mut self, class_weights: Option<&[f32]>, total: f64) {
        let rows = self.labels_loaded();
        let scales = &mut self.scales[..rows];
        match class_weights {
            None => scales.fill(T::from_f64(1.0 / total)),
            Some(weights) => {
                for (scale, &label) in scales.iter_mut().zip(&self.labels[..rows]) {
                    *scale = T::from_f64(weight_of(weights, label) / total);
                }
            }
        }
    }

    pub(crate) fn goals(&self) -> Goals<'_, T> {
        let rows = self.labels_loaded();
        Goals {
            labels: &self.labels[..rows],
            targets: &self.targets[..rows],
            scales: &self.scales[..rows],
        }
    }
}

impl Workspace<f32> {
    /// Loads rows of a data set, with their labels or values.
    ///
    /// # Panics
    /// If there are more rows than [`Workspace::block`], or the data set has another shape than the
    /// model was built for.
    pub fn load_rows(&mut self, data: &Dataset, rows: &[u32]) {
        self.load_inputs(data, rows);
        let labels = self.labels_loaded();
        match self.target {
            Target::Classes(_) => {
                data.fill_labels(rows, &mut self.labels[..labels]);
                self.labels_to_targets();
            }
            Target::NextTokens(_) => {
                let staged = &mut self.staged[..labels];
                data.fill_labels(rows, staged);
                time_first(staged, rows.len(), &mut self.labels);
            }
            Target::Value => data.fill_values(rows, &mut self.targets[..labels]),
        }
    }

    /// Loads rows of a data set whose labels are of no concern.
    ///
    /// # Panics
    /// As [`Workspace::load_rows`].
    pub fn load_inputs(&mut self, data: &Dataset, rows: &[u32]) {
        self.batch = rows.len();
        assert!(
            self.batch <= self.block,
            "at most {} rows at once",
            self.block
        );
        if self.tokens.is_empty() {
            let width = self.values[0].len() / self.block;
            data.fill(rows, &mut self.values[0][..rows.len() * width]);
        } else {
            let tokens = rows.len() * (self.tokens.len() / self.block);
            let staged = &mut self.staged[..tokens];
            data.fill_tokens(rows, staged);
            time_first(staged, rows.len(), &mut self.tokens);
        }
    }
}

/// A label beyond the weights counts fully; the plan's weights are checked when training starts.
fn weight_of(weights: &[f32], label: u32) -> f64 {
    weights
        .get(label as usize)
        .map_or(1.0, |&weight| f64::from(weight))
}

/// Writes `[batch, time]` as `[time, batch]`.
fn time_first(from: &[u32], batch: usize, to: &mut [u32]) {
    let time = from.len() / batch.max(1);
    for (row, from) in from.chunks_exact(time.max(1)).enumerate() {
        for (instant, &token) in from.iter().enumerate() {
            to[instant * batch + row] = token;
        }
    }
}
