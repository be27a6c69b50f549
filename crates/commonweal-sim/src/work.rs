//! What a thread does for one client of a round: prepare, train or evaluate, and protect the result.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use commonweal_core::{
    ClientIndex, ClientName, ClientRows, EvaluatePlan, MetricSpec, MetricSums, Parameters, Payload,
    Progress, Task, TaskKind, TrainError, TrainPlan,
};
use commonweal_data::{Partition, Preparation, Source};
use commonweal_disk::file::FileError;

use crate::crew::Slot;
use crate::error::SimulationError;
use crate::result::MOST_CLIENTS;
use crate::states::{StagedState, StateError, StateStore};

/// The clients' side of a round, done with what a thread has for itself.
pub(crate) trait Work<S>: Sync {
    /// What the client's part costs, in any unit: the most expensive come first.
    fn cost(&self, client: ClientIndex) -> usize;

    /// Whether the client has anything to do its part with; others decline.
    fn takes_part(&self, client: ClientIndex) -> bool {
        self.cost(client) > 0
    }

    /// The client's name.
    fn name(&self, client: ClientIndex) -> ClientName;

    /// Does the client's part; a large message is written into `memory`.
    fn perform(
        &self,
        slot: &mut S,
        client: ClientIndex,
        task: &Task,
        memory: Vec<u8>,
        progress: &mut dyn Progress,
    ) -> Result<Report, WorkError>;
}

/// What a client sends, and the state that it keeps if that is counted.
pub(crate) struct Report {
    pub(crate) message: Payload,
    /// None if it stays as it is, which costs nothing.
    pub(crate) state: Option<StagedState>,
}

/// Why there is no report.
pub(crate) enum WorkError {
    /// The client takes no part; the round goes on.
    Client(String),
    /// The run cannot go on.
    Fatal(SimulationError),
}

/// Sums up the columns of the clients' training rows.
pub(crate) struct Preparing<'a> {
    pub(crate) preparation: &'a Preparation,
    pub(crate) source: &'a Source,
    pub(crate) partition: &'a Partition,
}

impl Work<()> for Preparing<'_> {
    fn cost(&self, client: ClientIndex) -> usize {
        self.partition.train_len(client)
    }

    fn name(&self, client: ClientIndex) -> ClientName {
        self.partition.name(client)
    }

    fn perform(
        &self,
        _slot: &mut (),
        client: ClientIndex,
        task: &Task,
        _memory: Vec<u8>,
        _progress: &mut dyn Progress,
    ) -> Result<Report, WorkError> {
        let train = self.partition.train(client);
        let held_out = self.partition.held_out(client);
        let sums = self
            .preparation
            .contribution(self.source, &train, &held_out);
        // A column that one client cannot sum up makes every later round meaningless.
        let sums = sums.map_err(|source| {
            let client = self.partition.name(client);
            WorkError::Fatal(SimulationError::Prepare { client, source })
        })?;
        Ok(Report {
            message: Payload::prepare(task.base, &sums),
            state: None,
        })
    }
}

/// Trains the model on the clients' training rows.
pub(crate) struct Training<'a> {
    pub(crate) partition: &'a Partition,
    pub(crate) model: &'a Parameters,
    pub(crate) states: &'a StateStore,
}

impl Training<'_> {
    fn train(
        &self,
        slot: &mut Slot,
        client: ClientIndex,
        task: &Task,
        plan: &TrainPlan,
        memory: Vec<u8>,
        progress: &mut dyn Progress,
    ) -> Result<Report, WorkError> {
        let name = self.partition.name(client);
        let train = self.partition.train(client);
        let rows = ClientRows {
            client: &name,
            train: &train,
            // What the model is tested on is nothing to learn from.
            test: &[],
        };
        let state = self.states.load(client)?;
        let had_none = state.bytes.is_empty();
        let (model, entropy) = (self.model, slot.entropy.draw());
        let (update, state) = slot
            .trainer
            .train(task, plan, rows, model, state, entropy, progress)?;
        let message = plan
            .pipeline
            .on_client_in(memory, update, task.base, &task.seed, slot.entropy.draw())
            .map_err(|error| WorkError::Client(error.to_string()))?;
        let state = match had_none && state.bytes.is_empty() {
            true => None,
            false => Some(self.states.stage(&state)?),
        };
        Ok(Report { message, state })
    }
}

impl Work<Slot> for Training<'_> {
    fn cost(&self, client: ClientIndex) -> usize {
        self.partition.train_len(client)
    }

    fn name(&self, client: ClientIndex) -> ClientName {
        self.partition.name(client)
    }

    fn perform(
        &self,
        slot: &mut Slot,
        client: ClientIndex,
        task: &Task,
        memory: Vec<u8>,
        progress: &mut dyn Progress,
    ) -> Result<Report, WorkError> {
        match &task.kind {
            TaskKind::Train(plan) => self.train(slot, client, task, plan, memory, progress),
            _ => Err(other_task(task)),
        }
    }
}

/// Measures the model on the clients' test rows.
pub(crate) struct Evaluating<'a> {
    pub(crate) partition: &'a Partition,
    pub(crate) model: &'a Parameters,
    pub(crate) states: &'a StateStore,
    pub(crate) found: Found,
}

/// What the first [`MOST_CLIENTS`] of those that were measured found.
#[derive(Debug, Default)]
pub(crate) struct Found(Mutex<BTreeMap<ClientIndex, Vec<Option<f64>>>>);

impl Found {
    fn remember(&self, client: ClientIndex, values: impl Iterator<Item = Option<f64>>) {
        let mut found = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let is_full = found.len() == MOST_CLIENTS;
        if is_full
            && found
                .last_key_value()
                .is_some_and(|(&last, _)| client > last)
        {
            return;
        }
        found.insert(client, values.collect());
        if is_full {
            found.pop_last();
        }
    }

    /// In the order of the population.
    fn into_metrics(self) -> Vec<ClientMetrics> {
        let found = self.0.into_inner().unwrap_or_else(PoisonError::into_inner);
        found
            .into_iter()
            .map(|(client, values)| ClientMetrics { client, values })
            .collect()
    }
}

/// One client's metrics, in the order of the spec.
#[derive(Clone, Debug)]
pub(crate) struct ClientMetrics {
    pub(crate) client: ClientIndex,
    pub(crate) values: Vec<Option<f64>>,
}

impl Evaluating<'_> {
    /// What the first clients measured, in the order of the population.
    pub(crate) fn found(self) -> Vec<ClientMetrics> {
        self.found.into_metrics()
    }

    fn evaluate(
        &self,
        slot: &mut Slot,
        client: ClientIndex,
        task: &Task,
        plan: &EvaluatePlan,
        progress: &mut dyn Progress,
    ) -> Result<Report, WorkError> {
        let name = self.partition.name(client);
        let test = self.partition.test(client);
        let rows = ClientRows {
            client: &name,
            train: &[],
            test,
        };
        let state = self.states.load(client)?;
        let sums = slot
            .trainer
            .evaluate(task, plan, rows, self.model, &state, progress)?;
        self.remember(client, &plan.metrics, &sums);
        Ok(Report {
            message: Payload::metrics(task.base, &sums),
            state: None,
        })
    }

    fn remember(&self, client: ClientIndex, spec: &MetricSpec, sums: &MetricSums) {
        let values = spec.values(sums).map(|(_, value)| value);
        self.found.remember(client, values);
    }
}

impl Work<Slot> for Evaluating<'_> {
    fn cost(&self, client: ClientIndex) -> usize {
        self.partition.test(client).len()
    }

    fn name(&self, client: ClientIndex) -> ClientName {
        self.partition.name(client)
    }

    fn perform(
        &self,
        slot: &mut Slot,
        client: ClientIndex,
        task: &Task,
        _memory: Vec<u8>,
        progress: &mut dyn Progress,
    ) -> Result<Report, WorkError> {
        match &task.kind {
            TaskKind::Evaluate(plan) => self.evaluate(slot, client, task, plan, progress),
            _ => Err(other_task(task)),
        }
    }
}

fn other_task(task: &Task) -> WorkError {
    WorkError::Client(format!(
        "the task {} is of another kind than the round",
        task.id
    ))
}

impl From<TrainError> for WorkError {
    fn from(error: TrainError) -> Self {
        match error {
            TrainError::TrainerLost { what } => Self::Fatal(SimulationError::TrainerLost { what }),
            error => Self::Client(error.to_string()),
        }
    }
}

impl From<StateError> for WorkError {
    fn from(error: StateError) -> Self {
        Self::Fatal(error.into())
    }
}

impl From<FileError> for WorkError {
    fn from(error: FileError) -> Self {
        Self::Fatal(error.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_first_clients_are_remembered_in_whatever_order_they_come() {
        let found = Found::default();
        let clients = 2 * MOST_CLIENTS as u32;
        // 7919 is prime: every client once, mixed.
        for step in 0..clients {
            let client = step * 7919 % clients;
            found.remember(ClientIndex(client), [Some(f64::from(client))].into_iter());
        }
        let metrics = found.into_metrics();
        assert_eq!(metrics.len(), MOST_CLIENTS);
        for (index, metrics) in metrics.iter().enumerate() {
            assert_eq!(metrics.client, ClientIndex(index as u32));
            assert_eq!(metrics.values, [Some(index as f64)]);
        }
    }
}
