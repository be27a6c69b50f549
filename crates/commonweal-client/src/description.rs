//! What a run asks for, in plain words: what its owner reads before saying yes or no.

use std::fmt;

use commonweal_core::job::{
    AggregatorSpec, CohortSize, Column, Job, LocalLength, ModelKind, Scale, StrategyKind,
};
use serde::Serialize;

use crate::clock::readable;
use crate::request::{Decision, Request};

/// A request in plain words.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Description {
    /// The run.
    pub run: String,
    /// The manifest's digest: what consent is bound to.
    pub manifest: String,
    /// Who asks.
    pub submitter: String,
    /// When it was submitted.
    pub submitted: String,
    /// `waiting`, `approved`, `denied` or `unfit`, and why.
    pub decision: String,
    /// Name of the data set.
    pub data: String,
    /// Which of its columns, and what is to be predicted.
    pub columns: String,
    /// What is learned.
    pub model: String,
    /// Who trains.
    pub trainer: String,
    /// Rounds, and what a node does in each.
    pub rounds: String,
    /// Nodes in a round.
    pub cohort: String,
    /// What is measured on the node's test rows.
    pub metrics: Vec<String>,
    /// What leaves the node.
    pub leaves: Vec<String>,
    /// What is done so that an update tells little.
    pub protections: String,
    /// Whether nodes get the final model.
    pub final_model: String,
}

impl Description {
    /// Describes a request and the job in its manifest.
    #[must_use]
    pub fn of(request: &Request, job: &Job) -> Self {
        Self {
            run: request.run.clone(),
            manifest: request.manifest.to_string(),
            submitter: request.submitter.clone(),
            submitted: readable(request.submitted_at_ms),
            decision: decision(&request.decision),
            data: job.deployment.data.clone(),
            columns: columns(job),
            model: model(job),
            trainer: trainer(job),
            rounds: rounds(job),
            cohort: cohort(job),
            metrics: job
                .evaluation
                .metrics
                .iter()
                .map(|metric| metric.name().to_owned())
                .collect(),
            leaves: leaves(job),
            protections: protections(job),
            final_model: match job.deployment.share_model {
                true => "nodes may fetch it".to_owned(),
                false => "nodes do not get it".to_owned(),
            },
        }
    }
}

fn decision(decision: &Decision) -> String {
    match decision {
        Decision::Waiting => "waiting for you".to_owned(),
        Decision::Approved { at_ms, .. } => format!("approved on {}", readable(*at_ms)),
        Decision::Denied { reason, .. } if reason.is_empty() => "denied".to_owned(),
        Decision::Denied { reason, .. } => format!("denied: {reason}"),
        Decision::Unfit { what, .. } => format!("cannot be served: {what}"),
    }
}

fn columns(job: &Job) -> String {
    let data = &job.data;
    let mut parts = Vec::new();
    if let Some(label) = &data.label {
        parts.push(format!("predicts {label:?}"));
    }
    match &data.features {
        Some(features) => parts.push(format!("from the columns {}", features.join(", "))),
        None if data.label.is_some() => parts.push("from every other column".to_owned()),
        None => parts.push("uses every row whole".to_owned()),
    }
    let dropped = data.columns.iter();
    let dropped = dropped.filter(|(_, column)| matches!(column, Column::Drop));
    let left_out: Vec<&str> = (data.drop.iter().map(String::as_str))
        .chain(dropped.map(|(name, _)| name.as_str()))
        .collect();
    if !left_out.is_empty() {
        parts.push(format!("without {}", left_out.join(", ")));
    }
    let share = data.test.map_or_else(
        || "the usual share of rows is".to_owned(),
        |test| format!("{} % of the rows are", test * 100.0),
    );
    parts.push(format!("{share} kept for testing and not trained on"));
    parts.join("; ")
}

fn model(job: &Job) -> String {
    match &job.model.kind {
        ModelKind::External => "a model that the trainer brings".to_owned(),
        kind => serde_json::to_value(kind)
            .ok()
            .and_then(|value| Some(value.get("kind")?.as_str()?.to_owned()))
            .unwrap_or_else(|| "a built-in model".to_owned()),
    }
}

fn trainer(job: &Job) -> String {
    match job.training.trainer.as_str() {
        commonweal_core::job::BUILT_IN_TRAINER => "Commonweal's own".to_owned(),
        name => format!("{name:?}, the command that your node.toml has under [trainers.{name}]"),
    }
}

fn rounds(job: &Job) -> String {
    let each = match job.training.length {
        LocalLength::Epochs(1) => "one pass over your rows".to_owned(),
        LocalLength::Epochs(epochs) => format!("{epochs} passes over your rows"),
        LocalLength::Steps(steps) => format!("{steps} steps of training"),
    };
    format!("at most {}, each with {each}", job.rounds)
}

fn cohort(job: &Job) -> String {
    let size = match job.cohort.size {
        CohortSize::Fraction(share) => format!("{} % of the nodes", share * 100.0),
        CohortSize::Target(1) => "one node".to_owned(),
        CohortSize::Target(nodes) => format!("{nodes} nodes"),
    };
    let sum = match job.cohort.minimum {
        1 => "a single report is enough for a sum".to_owned(),
        minimum => format!("a sum has at least {minimum} reports"),
    };
    format!("{size} in a round; {sum}")
}

fn leaves(job: &Job) -> Vec<String> {
    let mut leaves = vec!["the columns' names and kinds, without a value".to_owned()];
    if !matches!(job.data.scale, Some(Scale::None)) || job.data.classes.is_none() {
        let counted = "once, for the columns that need it: counts, sums and sums of squares of numbers, and the distinct \
             texts of categories with their counts, of your training rows";
        leaves.push(counted.to_owned());
    }
    let update = match job.strategy.kind {
        StrategyKind::FedSgd => "each round: one step's change of every parameter of the model",
        _ => "each round: the change of every parameter of the model after training on your rows",
    };
    leaves.push(update.to_owned());
    leaves.push(
        "with it: how many rows you trained on, unless nodes are weighed alike, and the mean loss"
            .to_owned(),
    );
    leaves.push("after evaluations: sums of the metrics over your test rows".to_owned());
    leaves
}

pub(crate) fn protections(job: &Job) -> String {
    let sight = match job.strategy.aggregator {
        AggregatorSpec::Mean => {
            "the server sees this node's update before it adds it to the others'"
        }
        AggregatorSpec::Median => {
            "the server sees this node's update and compares it with the others'"
        }
    };
    format!("none beyond encryption on the way: {sight}; no noise is added, nothing is clipped")
}

impl fmt::Display for Description {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}: {}", self.run, self.decision)?;
        writeln!(
            f,
            "  asked by     {}, submitted {}",
            self.submitter, self.submitted
        )?;
        writeln!(f, "  data set     {}", self.data)?;
        writeln!(f, "  columns      {}", self.columns)?;
        writeln!(f, "  model        {}", self.model)?;
        writeln!(f, "  trainer      {}", self.trainer)?;
        writeln!(f, "  rounds       {}", self.rounds)?;
        writeln!(f, "  nodes        {}", self.cohort)?;
        writeln!(f, "  metrics      {}", self.metrics.join(", "))?;
        for (at, leaves) in self.leaves.iter().enumerate() {
            let name = if at == 0 { "what leaves" } else { "" };
            writeln!(f, "  {name:<12} {leaves}")?;
        }
        writeln!(f, "  protections  {}", self.protections)?;
        writeln!(f, "  final model  {}", self.final_model)?;
        write!(f, "  manifest     {}", self.manifest)
    }
}

#[cfg(test)]
mod tests {
    use commonweal_core::job::Manifest;

    use super::*;
    use crate::request::tests::JOB;

    #[test]
    fn the_owner_reads_who_asks_for_what_and_what_protects() {
        let job = Job::parse(JOB).unwrap();
        let request = Request {
            run: "heart-3".to_owned(),
            manifest: Manifest::of(&job).digest(),
            submitter: "ada".to_owned(),
            submitted_at_ms: 1_700_000_000_000,
            asked_at_ms: 0,
            decision: Decision::Waiting,
            told: false,
            prepared: None,
            ended: None,
        };
        let text = Description::of(&request, &job).to_string();
        for part in [
            "heart-3: waiting for you",
            "asked by     ada, submitted 2023-11-14 22:13 UTC",
            "data set     heart",
            "model        logistic",
            "trainer      Commonweal's own",
            "rounds       at most 2, each with one pass over your rows",
            "a single report is enough for a sum",
            "protections  none",
            &request.manifest.to_string(),
        ] {
            assert!(text.contains(part), "{part:?} in\n{text}");
        }
    }
}
