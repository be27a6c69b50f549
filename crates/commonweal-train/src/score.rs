//! What a model's outputs say of each example: its loss, its prediction, its scores.

use commonweal_core::{MetricError, MetricSpec, MetricSums, Outcome, Prediction};
use commonweal_kernels::activation::{log_sum_exp_rows, softmax_rows};

use crate::head::Head;
use crate::model::Model;
use crate::workspace::Workspace;

/// Reads the outputs of a model; keeps memory for one block of them.
#[derive(Debug, Clone)]
pub(crate) struct Scorer {
    head: Head,
    normalizers: Vec<f32>,
}

impl Scorer {
    pub(crate) fn new(model: &Model) -> Self {
        Self {
            head: model.head,
            normalizers: Vec::new(),
        }
    }

    /// Counts the prediction for every label of the loaded examples.
    pub(crate) fn observe(
        &mut self,
        workspace: &Workspace<f32>,
        spec: &MetricSpec,
        sums: &mut MetricSums,
    ) -> Result<(), MetricError> {
        let (outputs, goals) = (workspace.outputs(), workspace.goals());
        match self.head {
            Head::Classes { classes } => {
                self.normalizers.resize(goals.labels.len(), 0.0);
                log_sum_exp_rows(outputs, classes, &mut self.normalizers);
                let rows = outputs.chunks_exact(classes).zip(goals.labels);
                for ((row, &label), &normalizer) in rows.zip(&self.normalizers) {
                    sums.observe(spec, of_scores(row, label, normalizer))?;
                }
            }
            Head::Binary => {
                for (&score, &label) in outputs.iter().zip(goals.labels) {
                    sums.observe(spec, of_score(f64::from(score), label))?;
                }
            }
            Head::Value => {
                for (&value, &target) in outputs.iter().zip(goals.targets) {
                    sums.observe(spec, of_value(f64::from(value), f64::from(target)))?;
                }
            }
        }
        Ok(())
    }

    /// Appends the scores of the loaded examples, examples first.
    pub(crate) fn append_scores(&self, workspace: &Workspace<f32>, scores: &mut Vec<f32>) {
        let outputs = workspace.outputs();
        let start = scores.len();
        match self.head {
            Head::Classes { classes } => {
                let examples = workspace.batch;
                for example in 0..examples {
                    for instant in 0..workspace.labels_each() {
                        let at = (instant * examples + example) * classes;
                        scores.extend_from_slice(&outputs[at..][..classes]);
                    }
                }
                softmax_rows(&mut scores[start..], classes);
            }
            Head::Binary => scores.extend(outputs.iter().flat_map(|&score| {
                let positive = sigmoid(f64::from(score));
                [(1.0 - positive) as f32, positive as f32]
            })),
            Head::Value => scores.extend_from_slice(outputs),
        }
    }
}

/// `scores` are logits, `normalizer` the logarithm of the sum of their exponentials.
fn of_scores(scores: &[f32], label: u32, normalizer: f32) -> Prediction {
    let mut predicted = 0;
    for (class, &score) in scores.iter().enumerate() {
        if score > scores[predicted] {
            predicted = class;
        }
    }
    let score = match *scores {
        [negative, positive] => sigmoid(f64::from(positive) - f64::from(negative)),
        _ => 0.0,
    };
    Prediction {
        loss: f64::from(normalizer) - f64::from(scores[label as usize]),
        outcome: Outcome::Class {
            label,
            predicted: predicted as u32,
            score,
        },
    }
}

/// `score` is the logit of class 1.
fn of_score(score: f64, label: u32) -> Prediction {
    let target = f64::from(u8::from(label != 0));
    Prediction {
        loss: score.max(0.0) - score * target + libm::log1p(libm::exp(-score.abs())),
        outcome: Outcome::Class {
            label,
            predicted: u32::from(score > 0.0),
            score: sigmoid(score),
        },
    }
}

fn of_value(predicted: f64, target: f64) -> Prediction {
    let error = predicted - target;
    Prediction {
        loss: error * error,
        outcome: Outcome::Value { target, predicted },
    }
}

fn sigmoid(x: f64) -> f64 {
    1.0 / (1.0 + libm::exp(-x))
}
