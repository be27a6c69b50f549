//! The server's side of the pipeline: from a cohort's reports to one mean update.

use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec;
use alloc::vec::Vec;
use core::fmt;

use commonweal_kernels::fold::{dequantize, in_range};

use super::{ExtraSpec, Quantizer};
use crate::aggregate::{CohortBlock, GridUpdate, Held, Report, Updates};
use crate::payload::{Message, UpdateMessage};
use crate::{
    Accumulator, Aggregator, Entropy, MetricError, MetricSpec, MetricSums, PrepareError, Refusal,
    RobustAggregator,
};

/// The server's slots, in their order: sum → dequantize → denominator.
#[derive(Clone)]
pub struct ServerPipeline {
    /// How the updates become one.
    pub rule: Rule,
    /// The grid of the update's values.
    pub quantizer: Quantizer,
    /// Further vectors, with a grid each.
    pub extras: Arc<[ExtraSpec]>,
    /// Shared values of the model.
    pub shared_len: usize,
    /// What clients measure while training.
    pub metrics: Arc<MetricSpec>,
}

/// How the updates of a cohort become one.
#[derive(Clone)]
pub enum Rule {
    /// By their sum.
    Sum(Arc<dyn Aggregator>),
    /// By looking at all of them, without their weights and extra vectors being summed.
    Whole(Arc<dyn RobustAggregator>),
}

/// The mean update of a cohort.
#[derive(Debug, Clone, PartialEq)]
pub struct Aggregate {
    /// One value a shared parameter: what a server optimizer steps along.
    pub mean: Vec<f32>,
    /// The mean of each extra vector.
    pub extras: Vec<(String, Vec<f32>)>,
    /// Updates in it.
    pub clients: u32,
    /// Σ weight.
    pub weight: u64,
    /// Training metrics, summed.
    pub metrics: MetricSums,
}

/// Why reports do not become one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AggregateError {
    /// No report was folded.
    #[error("there is no update to aggregate")]
    Nobody,
    /// Accumulators of different tasks.
    #[error("the accumulators are of different tasks")]
    OtherTask,
    /// The metrics are too many together.
    #[error(transparent)]
    Metric(#[from] MetricError),
    /// The sums of `prepare` are too many together.
    #[error(transparent)]
    Prepare(#[from] PrepareError),
}

impl ServerPipeline {
    /// Values of an update: the shared parameters and the extra vectors.
    pub fn len(&self) -> usize {
        self.shared_len + self.extras.iter().map(|extra| extra.len).sum::<usize>()
    }

    /// Whether an update has no values. No [`Layout`](crate::Layout) gives that.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Turns what was folded into the mean update. `entropy` is for the noise slot; those that exist draw
    /// nothing from it.
    ///
    /// # Errors
    /// Nothing was folded, or not updates.
    pub fn on_server(
        &self,
        accumulator: Accumulator,
        _entropy: Entropy,
    ) -> Result<Aggregate, AggregateError> {
        let clients = accumulator.clients();
        let Updates { held, metrics } = accumulator
            .into_updates()
            .ok_or(AggregateError::OtherTask)?;
        if clients == 0 {
            return Err(AggregateError::Nobody);
        }
        let mut values = vec![0.0; self.len()];
        let weight = match (&self.rule, held) {
            (Rule::Sum(rule), Held::Sum(partial)) => {
                let weight = partial.weight;
                let sum = rule.report(partial);
                for (grid, range) in self.grids() {
                    let scale = grid.step() / sum.denominator as f64;
                    dequantize(&sum.values[range.clone()], scale, &mut values[range]);
                }
                weight
            }
            (Rule::Whole(rule), Held::Whole(reports)) => {
                self.combine(&**rule, reports, &mut values)
            }
            _ => return Err(AggregateError::OtherTask),
        };
        let extras = self.split_extras(&mut values);
        Ok(Aggregate {
            mean: values,
            extras,
            clients,
            weight,
            metrics,
        })
    }

    pub(crate) fn zero(&self) -> Updates {
        let held = match &self.rule {
            Rule::Sum(rule) => Held::Sum(rule.zero(self.len())),
            Rule::Whole(_) => Held::Whole(Vec::new()),
        };
        Updates {
            held,
            metrics: self.metrics.zero(),
        }
    }

    /// Looks at every value of an update of the right length.
    pub(crate) fn verify(&self, update: UpdateMessage<'_>) -> Result<MetricSums, Refusal> {
        let fits = self.grids().all(|(grid, range)| {
            in_range(&update.values[4 * range.start..4 * range.end], grid.limit())
        });
        match fits {
            true => Ok(MetricSums::admit(&self.metrics, update.metrics)?),
            false => Err(Refusal::OutOfRange),
        }
    }

    /// Adds verified updates. Takes them if the rule keeps them.
    pub(crate) fn fold(&self, held: &mut Held, reports: &mut Vec<Report>) {
        match (&self.rule, held) {
            (Rule::Sum(rule), Held::Sum(partial)) => {
                let updates: Vec<GridUpdate<'_>> = reports.iter().filter_map(grid_update).collect();
                rule.accumulate_all(partial, &updates);
            }
            (_, Held::Whole(kept)) => kept.append(reports),
            (Rule::Whole(_), Held::Sum(_)) => {}
        }
    }

    pub(crate) fn merge(
        &self,
        updates: &mut Updates,
        other: Updates,
    ) -> Result<(), AggregateError> {
        match (&self.rule, &mut updates.held, other.held) {
            (Rule::Sum(rule), Held::Sum(partial), Held::Sum(other)) => rule.merge(partial, &other),
            (Rule::Whole(_), Held::Whole(reports), Held::Whole(other)) => reports.extend(other),
            _ => return Err(AggregateError::OtherTask),
        }
        Ok(updates.metrics.merge(&other.metrics)?)
    }

    /// Each grid with the coordinates that lie on it.
    fn grids(&self) -> impl Iterator<Item = (Quantizer, core::ops::Range<usize>)> + '_ {
        let own = (self.quantizer, self.shared_len);
        let extras = self.extras.iter().map(|extra| (extra.quantizer, extra.len));
        core::iter::once(own)
            .chain(extras)
            .scan(0, |start, (grid, len)| {
                *start += len;
                Some((grid, *start - len..*start))
            })
    }

    fn split_extras(&self, values: &mut Vec<f32>) -> Vec<(String, Vec<f32>)> {
        let mut rest = values.split_off(self.shared_len).into_iter();
        let split =
            |extra: &ExtraSpec| (extra.name.clone(), rest.by_ref().take(extra.len).collect());
        self.extras.iter().map(split).collect()
    }

    /// Applies a robust rule block by block; returns the sum of weights.
    fn combine(
        &self,
        rule: &dyn RobustAggregator,
        mut reports: Vec<Report>,
        out: &mut [f32],
    ) -> u64 {
        const BLOCK: usize = 256;
        // Arrival order is no part of the input.
        reports.sort_unstable_by_key(Report::from);
        let updates: Vec<GridUpdate<'_>> = reports.iter().filter_map(grid_update).collect();
        let weights: Vec<u32> = updates.iter().map(|update| update.weight()).collect();
        let mut values = vec![0; BLOCK * updates.len()];
        let mut combined = [0.0; BLOCK];
        for (grid, range) in self.grids() {
            for start in range.clone().step_by(BLOCK) {
                let len = BLOCK.min(range.end - start);
                transpose(&updates, start, len, &mut values);
                let block = CohortBlock::new(&values, &weights);
                rule.combine(&block, &mut combined[..len]);
                for (out, value) in out[start..start + len].iter_mut().zip(combined) {
                    *out = (value * grid.step()) as f32;
                }
            }
        }
        weights.iter().map(|&weight| u64::from(weight)).sum()
    }
}

/// Puts coordinate after coordinate, each with all clients' values.
fn transpose(updates: &[GridUpdate<'_>], start: usize, len: usize, values: &mut [i32]) {
    let clients = updates.len();
    for (client, update) in updates.iter().enumerate() {
        let bytes = update.bytes()[4 * start..4 * (start + len)]
            .as_chunks::<4>()
            .0;
        for (coordinate, bytes) in bytes.iter().enumerate() {
            values[coordinate * clients + client] = i32::from_le_bytes(*bytes);
        }
    }
}

fn grid_update(report: &Report) -> Option<GridUpdate<'_>> {
    match report.payload().parse() {
        Ok(Message::Update(update)) => Some(GridUpdate::new(update.values, update.weight.value())),
        _ => None,
    }
}

impl fmt::Debug for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Sum(_) => "Sum",
            Self::Whole(_) => "Whole",
        })
    }
}

impl fmt::Debug for ServerPipeline {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "ServerPipeline({:?}, {:?}, {} values)",
            self.rule,
            self.quantizer,
            self.len()
        )
    }
}
