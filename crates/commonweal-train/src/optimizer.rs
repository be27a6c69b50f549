//! The rule of a local step, with its memory.
//!
//! The memory (velocities, moments) belongs to one client's training in one round: it starts as
//! zeros each time, as in McMahan et al. 2017, and neither stays with the client nor leaves it.

use std::ops::Range;

use commonweal_core::{LocalOptimizer, TrainPlan};
use commonweal_kernels::dense::Descent;
use commonweal_kernels::optimizer::{Adagrad, Adam, Sgd};

/// An optimizer for one client's training.
#[derive(Debug, Clone)]
pub(crate) struct Optimizer {
    rule: Rule,
    steps: u64,
    first: Vec<f32>,
    second: Vec<f32>,
}

#[derive(Debug, Clone, Copy)]
enum Rule {
    Plain(Descent<f32>),
    Momentum(Sgd<f32>),
    Adam(Adam<f32>),
    Adagrad(Adagrad<f32>),
}

impl Rule {
    fn of(plan: &TrainPlan) -> Self {
        let learning_rate = plan.learning_rate;
        match plan.optimizer {
            LocalOptimizer::Sgd {
                momentum: 0.0,
                weight_decay,
                ..
            } => Self::Plain(Descent {
                learning_rate,
                decay: weight_decay,
            }),
            LocalOptimizer::Sgd {
                momentum,
                nesterov,
                weight_decay,
            } => Self::Momentum(Sgd {
                learning_rate,
                momentum,
                nesterov,
                decay: weight_decay,
            }),
            LocalOptimizer::Adam {
                beta1,
                beta2,
                epsilon,
                weight_decay,
                decoupled,
            } => {
                let decay = weight_decay;
                Self::Adam(Adam {
                    learning_rate,
                    beta1,
                    beta2,
                    epsilon,
                    decay,
                    decoupled,
                })
            }
            LocalOptimizer::Adagrad {
                epsilon,
                weight_decay,
            } => Self::Adagrad(Adagrad {
                learning_rate,
                epsilon,
                decay: weight_decay,
            }),
        }
    }

    /// Vectors of memory.
    fn vectors(self) -> usize {
        match self {
            Self::Plain(_) => 0,
            Self::Momentum(_) | Self::Adagrad(_) => 1,
            Self::Adam(_) => 2,
        }
    }
}

impl Optimizer {
    pub(crate) fn new() -> Self {
        let rule = Rule::Plain(Descent {
            learning_rate: 0.0,
            decay: 0.0,
        });
        Self {
            rule,
            steps: 0,
            first: Vec::new(),
            second: Vec::new(),
        }
    }

    /// Begins the training of one client's model of `length` values.
    pub(crate) fn start(&mut self, plan: &TrainPlan, length: usize) {
        self.rule = Rule::of(plan);
        self.steps = 0;
        let vectors = self.rule.vectors();
        for (memory, used) in [
            (&mut self.first, vectors > 0),
            (&mut self.second, vectors > 1),
        ] {
            memory.clear();
            memory.resize(if used { length } else { 0 }, 0.0);
        }
    }

    /// Plain gradient descent, which needs no stored gradient.
    pub(crate) fn descent(&self) -> Option<Descent<f32>> {
        match self.rule {
            Rule::Plain(descent) => Some(descent),
            _ => None,
        }
    }

    /// Steps the values in `trained` along their gradient.
    pub(crate) fn step(&mut self, trained: &[Range<usize>], values: &mut [f32], gradient: &[f32]) {
        self.steps += 1;
        for range in trained {
            let (w, dw) = (&mut values[range.clone()], &gradient[range.clone()]);
            match self.rule {
                Rule::Plain(Descent {
                    learning_rate,
                    decay,
                }) => {
                    Sgd {
                        learning_rate,
                        momentum: 0.0,
                        nesterov: false,
                        decay,
                    }
                    .plain_step(w, dw);
                }
                Rule::Momentum(sgd) => sgd.step(w, dw, &mut self.first[range.clone()]),
                Rule::Adagrad(adagrad) => adagrad.step(w, dw, &mut self.first[range.clone()]),
                Rule::Adam(adam) => {
                    let first = &mut self.first[range.clone()];
                    adam.step(self.steps, w, dw, first, &mut self.second[range.clone()]);
                }
            }
        }
    }
}
