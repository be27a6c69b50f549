//! What becomes of the reports of a task: verified one by one, then folded into one accumulator.

use alloc::sync::Arc;
use alloc::vec;
use alloc::vec::Vec;

use crate::payload::{Message, UpdateMessage};
use crate::{
    AggregateError, ClientIndex, MetricSpec, MetricSums, ModelVersion, Payload, PrepareSpec,
    PrepareSums, Refusal, ServerPipeline, Stage, Weight, WeightError,
};

use super::Partial;
use crate::wide::largest_share;

/// How the reports of one task are verified and folded.
///
/// Shared by all workers of a round; each has an [`Accumulator`] of its own, and these are merged at the end.
#[derive(Debug, Clone)]
pub struct Fold {
    base: ModelVersion,
    /// The most examples or numbers of one report.
    most: i64,
    kind: Kind,
}

#[derive(Debug, Clone)]
enum Kind {
    Train {
        pipeline: Arc<ServerPipeline>,
        largest_weight: Weight,
    },
    Evaluate(Arc<MetricSpec>),
    Prepare(Arc<PrepareSpec>),
}

/// What reports were folded into.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Accumulator {
    clients: u32,
    content: Content,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Content {
    Updates(Updates),
    Metrics(MetricSums),
    Prepare(PrepareSums),
}

/// A verified report of one client, ready to be added.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    from: ClientIndex,
    payload: Payload,
    sums: Sums,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Sums {
    Metrics(MetricSums),
    Prepare(PrepareSums),
}

impl Report {
    /// Whose it is.
    pub fn from(&self) -> ClientIndex {
        self.from
    }

    /// The bytes as they arrived.
    pub fn payload(&self) -> &Payload {
        &self.payload
    }

    /// Its memory, to be written again.
    pub fn into_memory(self) -> Vec<u8> {
        self.payload.into_bytes()
    }
}

/// The updates of a cohort, as far as their rule needs them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Updates {
    pub(crate) held: Held,
    pub(crate) metrics: MetricSums,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Held {
    /// Only their sum.
    Sum(Partial),
    /// All of them.
    Whole(Vec<Report>),
}

impl Fold {
    /// For the updates of a round of `clients` clients that started from `base`.
    pub fn train(
        pipeline: Arc<ServerPipeline>,
        base: ModelVersion,
        largest_weight: Weight,
        clients: u32,
    ) -> Self {
        Self {
            base,
            most: largest_share(clients),
            kind: Kind::Train {
                pipeline,
                largest_weight,
            },
        }
    }

    /// For the metrics of the model `base` at `clients` clients.
    pub fn evaluate(metrics: Arc<MetricSpec>, base: ModelVersion, clients: u32) -> Self {
        Self {
            base,
            most: largest_share(clients),
            kind: Kind::Evaluate(metrics),
        }
    }

    /// For the sums of `prepare` at `clients` clients.
    pub fn prepare(spec: Arc<PrepareSpec>, clients: u32) -> Self {
        Self {
            base: ModelVersion(0),
            most: largest_share(clients),
            kind: Kind::Prepare(spec),
        }
    }

    /// The stage whose reports are folded.
    pub fn stage(&self) -> Stage {
        match self.kind {
            Kind::Train { .. } => Stage::Train,
            Kind::Evaluate(_) => Stage::Evaluate,
            Kind::Prepare(_) => Stage::Prepare,
        }
    }

    /// The accumulator of nobody.
    pub fn zero(&self) -> Accumulator {
        let content = match &self.kind {
            Kind::Train { pipeline, .. } => Content::Updates(pipeline.zero()),
            Kind::Evaluate(metrics) => Content::Metrics(metrics.zero()),
            Kind::Prepare(spec) => Content::Prepare(PrepareSums::zero(spec)),
        };
        Accumulator {
            clients: 0,
            content,
        }
    }

    /// Looks at the frame of a report and at none of its values: cheap, before it is given to a worker.
    ///
    /// # Errors
    /// Bytes that are no report, of another task, model or length, or with too large a weight.
    pub fn check(&self, payload: &Payload) -> Result<(), Refusal> {
        self.parse(payload).map(drop)
    }

    /// Verifies the whole report of `from`: its frame, its metrics and every value. Costs one pass, cheap while
    /// the bytes are still in a cache.
    ///
    /// # Errors
    /// As [`check`](Self::check), and values or sums that no honest client sends.
    pub fn verify(&self, from: ClientIndex, payload: Payload) -> Result<Report, Refusal> {
        let sums = match (&self.kind, self.parse(&payload)?) {
            (Kind::Train { pipeline, .. }, Message::Update(update)) => {
                Sums::Metrics(pipeline.verify(update)?.within(self.most)?)
            }
            (Kind::Evaluate(spec), Message::Metrics { sums, .. }) => {
                Sums::Metrics(MetricSums::admit(spec, sums)?.within(self.most)?)
            }
            (Kind::Prepare(spec), Message::Prepare { sums, .. }) => {
                Sums::Prepare(PrepareSums::parse(spec, sums)?.within(spec, self.most)?)
            }
            (_, message) => {
                let (expected, found) = (self.stage(), message.stage());
                return Err(Refusal::WrongStage { expected, found });
            }
        };
        Ok(Report {
            from,
            payload,
            sums,
        })
    }

    /// Verifies a report, then adds it. On an error nothing of it was added.
    ///
    /// # Errors
    /// As [`verify`](Self::verify).
    pub fn accumulate(
        &self,
        accumulator: &mut Accumulator,
        from: ClientIndex,
        payload: Payload,
    ) -> Result<(), Refusal> {
        let report = self.verify(from, payload)?;
        let mut refused = self.accumulate_all(accumulator, &mut vec![report]);
        refused.pop().map_or(Ok(()), |(_, refusal)| Err(refusal))
    }

    /// Adds verified reports: as one after the other, but the sum is walked through once, which matters where
    /// it is larger than the cache.
    ///
    /// Returns the reports of which nothing was added, since they are not of this task or the sums are full.
    /// Those that were added stay in `reports` for their memory, unless the rule keeps them.
    pub fn accumulate_all(
        &self,
        accumulator: &mut Accumulator,
        reports: &mut Vec<Report>,
    ) -> Vec<(ClientIndex, Refusal)> {
        let mut refused = Vec::new();
        reports.retain(
            |report| match self.add_sums(&mut accumulator.content, &report.sums) {
                Ok(()) => true,
                Err(refusal) => {
                    refused.push((report.from, refusal));
                    false
                }
            },
        );
        accumulator.clients += reports.len() as u32;
        if let (Kind::Train { pipeline, .. }, Content::Updates(updates)) =
            (&self.kind, &mut accumulator.content)
        {
            pipeline.fold(&mut updates.held, reports);
        }
        refused
    }

    /// Adds what is not the update itself.
    fn add_sums(&self, content: &mut Content, sums: &Sums) -> Result<(), Refusal> {
        match (&self.kind, content, sums) {
            (
                Kind::Train { .. },
                Content::Updates(Updates { metrics, .. }),
                Sums::Metrics(sums),
            )
            | (Kind::Evaluate(_), Content::Metrics(metrics), Sums::Metrics(sums)) => {
                Ok(metrics.merge(sums)?)
            }
            (Kind::Prepare(spec), Content::Prepare(found), Sums::Prepare(sums)) => {
                Ok(found.merge(spec, sums)?)
            }
            _ => Err(Refusal::OutOfOrder),
        }
    }

    /// Adds what another worker accumulated under the same fold.
    ///
    /// # Errors
    /// The other is of another task, or the two together are more than sums can hold.
    pub fn merge(
        &self,
        accumulator: &mut Accumulator,
        other: Accumulator,
    ) -> Result<(), AggregateError> {
        match (&self.kind, &mut accumulator.content, other.content) {
            (Kind::Train { pipeline, .. }, Content::Updates(updates), Content::Updates(other)) => {
                pipeline.merge(updates, other)?;
            }
            (Kind::Evaluate(_), Content::Metrics(sums), Content::Metrics(other)) => {
                sums.merge(&other)?;
            }
            (Kind::Prepare(spec), Content::Prepare(sums), Content::Prepare(other)) => {
                sums.merge(spec, &other)?;
            }
            _ => return Err(AggregateError::OtherTask),
        }
        accumulator.clients += other.clients;
        Ok(())
    }

    fn parse<'a>(&self, payload: &'a Payload) -> Result<Message<'a>, Refusal> {
        let message = payload.parse()?;
        let (expected, found) = (self.stage(), message.stage());
        if expected != found {
            return Err(Refusal::WrongStage { expected, found });
        }
        let (expected, found) = (self.base, message.base());
        if expected != found {
            return Err(Refusal::WrongBase { expected, found });
        }
        if let (
            Kind::Train {
                pipeline,
                largest_weight,
            },
            Message::Update(update),
        ) = (&self.kind, &message)
        {
            check_update(pipeline, *largest_weight, update)?;
        }
        Ok(message)
    }
}

fn check_update(
    pipeline: &ServerPipeline,
    largest_weight: Weight,
    update: &UpdateMessage<'_>,
) -> Result<(), Refusal> {
    let (expected, found) = (pipeline.len(), update.values.len() / 4);
    if expected != found {
        return Err(Refusal::WrongLength { expected, found });
    }
    if update.weight > largest_weight {
        let (largest, found) = (largest_weight.value(), update.weight.value().into());
        return Err(WeightError::TooLarge { largest, found }.into());
    }
    Ok(())
}

impl Accumulator {
    /// Reports folded.
    pub fn clients(&self) -> u32 {
        self.clients
    }

    /// The metric sums of the clients: of training, or of evaluation. `None` for `prepare`.
    pub fn metrics(&self) -> Option<&MetricSums> {
        match &self.content {
            Content::Updates(updates) => Some(&updates.metrics),
            Content::Metrics(sums) => Some(sums),
            Content::Prepare(_) => None,
        }
    }

    /// The sums of `prepare`, or `None` for another task.
    pub fn prepare(&self) -> Option<&PrepareSums> {
        match &self.content {
            Content::Prepare(sums) => Some(sums),
            _ => None,
        }
    }

    pub(crate) fn into_updates(self) -> Option<Updates> {
        match self.content {
            Content::Updates(updates) => Some(updates),
            _ => None,
        }
    }
}
