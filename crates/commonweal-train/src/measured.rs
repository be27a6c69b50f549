//! What one client's training measures on the way: the loss alone, or every prediction.

use commonweal_core::{MetricError, MetricSpec, MetricSums};

use crate::score::Scorer;
use crate::workspace::Workspace;

/// Metrics over all steps of one client's training, each at the model before its step.
pub(crate) struct Measured<'a> {
    spec: &'a MetricSpec,
    sums: MetricSums,
    /// Labels so far and the sum of their losses, where nothing but the loss is asked.
    losses: Option<(u32, f64)>,
}

impl<'a> Measured<'a> {
    pub(crate) fn new(spec: &'a MetricSpec) -> Self {
        let losses = (*spec == MetricSpec::loss()).then_some((0, 0.0));
        Self {
            spec,
            sums: spec.zero(),
            losses,
        }
    }

    /// Looks at the predictions for the examples loaded into `workspace`.
    pub(crate) fn observe(
        &mut self,
        scorer: &mut Scorer,
        workspace: &Workspace<f32>,
    ) -> Result<(), MetricError> {
        match self.losses {
            Some(_) => Ok(()),
            None => scorer.observe(workspace, self.spec, &mut self.sums),
        }
    }

    /// Counts a step of `labels` labels whose mean loss is `loss`.
    pub(crate) fn count(&mut self, labels: usize, loss: f64) {
        if let Some((examples, sum)) = &mut self.losses {
            *examples = examples.saturating_add(labels as u32);
            *sum += loss * labels as f64;
        }
    }

    pub(crate) fn finish(mut self) -> Result<MetricSums, MetricError> {
        if let Some((examples, sum)) = self.losses {
            self.sums.observe_losses(self.spec, examples, sum)?;
        }
        Ok(self.sums)
    }
}
