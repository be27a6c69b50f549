//! A federated algorithm as a value: who takes part, what they do, how it is aggregated, how the model steps.

use alloc::boxed::Box;
use alloc::sync::Arc;
use core::fmt;

use crate::job::{Decay, Schedule};
use crate::{
    CoordinateMedian, Mean, Rule, Selector, ServerMomentum, ServerOptimizer, ServerSgd, TrainPlan,
};

/// A federated algorithm. The constructors name the known ones; any other is a struct literal away.
pub struct Strategy {
    /// Draws the cohort of a round.
    pub selector: Box<dyn Selector>,
    /// What each client does, with the learning rate before any schedule.
    pub plan: TrainPlan,
    /// How the learning rate changes by round.
    pub schedule: Schedule,
    /// How the updates of a cohort become one.
    pub rule: Rule,
    /// How the mean update changes the model.
    pub optimizer: Box<dyn ServerOptimizer>,
}

impl Strategy {
    /// FederatedAveraging: local training as planned, and the weighted mean of the local models (McMahan et al.
    /// 2017, arXiv:1602.05629, algorithm 1, where the server's `learning_rate` is 1).
    pub fn fed_avg(selector: Box<dyn Selector>, plan: TrainPlan, learning_rate: f32) -> Self {
        Self {
            selector,
            plan,
            schedule: Schedule {
                decay: Decay::Constant,
                warmup_rounds: 0,
            },
            rule: Rule::Sum(Arc::new(Mean)),
            optimizer: Box::new(ServerSgd { learning_rate }),
        }
    }

    /// FederatedSGD: one step on all rows of each client (the same paper, E = 1 and B = ∞).
    pub fn fed_sgd(selector: Box<dyn Selector>, plan: TrainPlan, learning_rate: f32) -> Self {
        let plan = TrainPlan {
            epochs: 1,
            steps: None,
            batch_size: None,
            ..plan
        };
        Self::fed_avg(selector, plan, learning_rate)
    }

    /// FedAvg with momentum on the server (Hsu et al. 2019, arXiv:1909.06335).
    pub fn fed_avg_momentum(
        selector: Box<dyn Selector>,
        plan: TrainPlan,
        learning_rate: f32,
        momentum: f32,
    ) -> Self {
        let optimizer = Box::new(ServerMomentum::new(learning_rate, momentum));
        Self {
            optimizer,
            ..Self::fed_avg(selector, plan, learning_rate)
        }
    }

    /// The same with the median of each coordinate instead of the mean.
    pub fn with_median(self) -> Self {
        Self {
            rule: Rule::Whole(Arc::new(CoordinateMedian)),
            ..self
        }
    }

    /// The plan of `round`, counted from 1, of `rounds`.
    pub fn plan_of(&self, round: u64, rounds: u64) -> TrainPlan {
        let factor = self.schedule.factor(round, rounds);
        let learning_rate = (f64::from(self.plan.learning_rate) * factor) as f32;
        TrainPlan {
            learning_rate,
            ..self.plan.clone()
        }
    }
}

impl fmt::Debug for Strategy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Strategy")
            .field("plan", &self.plan)
            .field("schedule", &self.schedule)
            .field("rule", &self.rule)
            .finish_non_exhaustive()
    }
}
