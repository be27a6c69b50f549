//! What a run asks for, in plain words: what its owner reads before saying yes or no.

use std::fmt;

use commonweal_core::job::{
    AggregatorSpec, CohortSize, Column, Format, Job, LocalLength, ModelKind, StrategyKind,
};
use commonweal_data::{Columns, Foreseen};
use commonweal_disk::complete;
use serde::Serialize;

use crate::clock::readable;
use crate::plain::Plain;
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
    /// Describes a request and the job in its manifest, for data laid out in `format`, if that is known.
    #[must_use]
    pub fn of(request: &Request, job: &Job, format: Option<Format>) -> Self {
        Self {
            run: request.run.clone(),
            manifest: request.manifest.to_string(),
            submitter: request.submitter.clone(),
            submitted: readable(request.submitted_at_ms),
            decision: decision(&request.decision),
            data: job.deployment.data.clone(),
            columns: columns(job),
            model: model(request, job),
            trainer: trainer(job),
            rounds: rounds(job),
            cohort: cohort(job),
            metrics: job
                .evaluation
                .metrics
                .iter()
                .map(|metric| metric.name().to_owned())
                .collect(),
            leaves: leaves(job, format),
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

fn model(request: &Request, job: &Job) -> String {
    let kind = match &job.model.kind {
        ModelKind::External => {
            "a model that your trainer knows; it must declare the tensors that were submitted"
                .to_owned()
        }
        kind => serde_json::to_value(kind)
            .ok()
            .and_then(|value| Some(value.get("kind")?.as_str()?.to_owned()))
            .unwrap_or_else(|| "a built-in model".to_owned()),
    };
    match request.initial {
        Some(initial) => {
            format!("{kind}; it begins with the values of the submitted file {initial}")
        }
        None => kind,
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

fn leaves(job: &Job, format: Option<Format>) -> Vec<String> {
    let columns = "when you approve: the names and kinds of the columns, and no value (the first line of a file is taken for \
                   the names)";
    let mut leaves = vec![columns.to_owned()];
    leaves.extend(prepared(&foreseen(job, format)));
    let update = match job.strategy.kind {
        StrategyKind::FedSgd => "each round: one step's change of every parameter of the model",
        _ => "each round: the change of every parameter of the model after training on your rows",
    };
    leaves.push(update.to_owned());
    let beside = "with it: how many examples you trained on, and the sums of the loss and the metrics over them";
    leaves.push(beside.to_owned());
    let measured = "after evaluations: how many examples you tested on, and the sums of the loss and the metrics over them";
    leaves.push(measured.to_owned());
    leaves.push("while it works: which task, and how much of it is done".to_owned());
    leaves
}

fn foreseen(job: &Job, format: Option<Format>) -> Foreseen {
    let mut data = complete(&job.data).unwrap_or_else(|_| job.data.clone());
    data.format = format.or(data.format);
    let mut foreseen = Foreseen::new(&data, &job.training);
    // Data with texts in a column that the job does not declare are refused here.
    let is_declared =
        |name: &String| matches!(data.columns.get(name), Some(Column::Categorical { .. }));
    foreseen.levels.others = false;
    foreseen.levels.named.retain(is_declared);
    foreseen
}

/// What `prepare` sends.
fn prepared(foreseen: &Foreseen) -> Vec<String> {
    let mut lines = Vec::new();
    if !foreseen.moments.is_empty() {
        let of = which(&foreseen.moments, "numbers");
        lines.push(format!(
            "once: how many numbers your training rows have, their sum and the sum of their squares, for {of}"
        ));
    }
    if !foreseen.levels.is_empty() {
        let of = which(&foreseen.levels, "texts");
        lines.push(format!(
            "once: every distinct text of your training rows with how often it occurs, for {of}"
        ));
    }
    if foreseen.classes {
        let classes = "once: the name of every class (value of the label) with how many of your training rows have it, also of \
                       those that only rows kept for testing have";
        lines.push(classes.to_owned());
    }
    if foreseen.characters {
        let characters = "once: every character of your training texts with how often it occurs";
        lines.push(characters.to_owned());
    }
    lines
}

fn which(columns: &Columns, holding: &str) -> String {
    let named = columns.named.iter().map(String::as_str);
    let named = named.collect::<Vec<_>>().join(", ");
    match (columns.others, named.is_empty()) {
        (false, _) => named,
        (true, true) => format!("each column or channel of {holding}"),
        (true, false) => {
            format!("{named}, and each column or channel of {holding} that the job does not name")
        }
    }
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
        writeln!(f, "{}: {}", Plain(&self.run), Plain(&self.decision))?;
        let asked = format!("{}, submitted {}", self.submitter, self.submitted);
        let metrics = self.metrics.join(", ");
        for (name, text) in [
            ("asked by", &asked),
            ("data set", &self.data),
            ("columns", &self.columns),
            ("model", &self.model),
            ("trainer", &self.trainer),
            ("rounds", &self.rounds),
            ("nodes", &self.cohort),
            ("metrics", &metrics),
        ] {
            writeln!(f, "  {name:<12} {}", Plain(text))?;
        }
        for (at, leaves) in self.leaves.iter().enumerate() {
            let name = if at == 0 { "what leaves" } else { "" };
            writeln!(f, "  {name:<12} {}", Plain(leaves))?;
        }
        writeln!(f, "  protections  {}", Plain(&self.protections))?;
        writeln!(f, "  final model  {}", Plain(&self.final_model))?;
        write!(f, "  manifest     {}", self.manifest)
    }
}

#[cfg(test)]
mod tests {
    use commonweal_core::job::Manifest;

    use super::*;
    use crate::request::tests::JOB;

    fn request(job: &Job) -> Request {
        Request {
            run: "heart-3".to_owned(),
            manifest: Manifest::of(job).digest(),
            submitter: "ada".to_owned(),
            submitted_at_ms: 1_700_000_000_000,
            asked_at_ms: 0,
            initial: Some(commonweal_core::Digest::of(b"a model")),
            decision: Decision::Waiting,
            told: false,
            prepared: None,
            ended: None,
        }
    }

    /// A job on a table with these lines in its `[data]`, for a node's CSV file.
    fn table(lines: &str, training: &str) -> Description {
        let text = format!(
            "name = \"t\"\nrounds = 1\n[data]\npath = \"t.csv\"\nlabel = \"y\"\n{lines}\n[training]\n{training}\n\
             [model]\nkind = \"logistic\"\n[deployment]\ndata = \"t\"\nclients = 1\n"
        );
        let job = Job::parse(&text).unwrap();
        Description::of(&request(&job), &job, Some(Format::Csv))
    }

    #[test]
    fn the_owner_reads_who_asks_for_what_and_what_protects() {
        let job = Job::parse(JOB).unwrap();
        let request = request(&job);
        let text = Description::of(&request, &job, None).to_string();
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
    #[test]
    fn what_is_summed_up_is_told_whatever_makes_it_necessary() {
        let declared = "classes = [\"a\", \"b\"]\nscale = \"none\"\nfeatures = [\"x\", \"c\"]\ncolumns = { \
                        x = { kind = \"numeric\" }, c = { kind = \"categorical\", levels = [\"u\"] } }";
        let silent = table(declared, "").to_string();
        assert!(!silent.contains("once:"), "{silent}");
        for (lines, training, told) in [
            (
                declared.replace(", levels = [\"u\"]", ""),
                "",
                "how often it occurs, for c\n",
            ),
            (
                declared.replace("\"numeric\"", "\"numeric\", missing = \"mean\""),
                "",
                "squares, for x\n",
            ),
            (
                declared.to_owned(),
                "class_weights = \"balanced\"",
                "name of every class",
            ),
            (
                declared.replace("classes = [\"a\", \"b\"]", ""),
                "",
                "also of those that only rows kept for testing",
            ),
        ] {
            let text = table(&lines, training).to_string();
            assert!(text.contains(told), "{told:?} in\n{text}");
            assert!(
                text.contains("how many examples you trained on, and"),
                "{text}"
            );
        }
    }

    #[test]
    fn no_texts_are_foreseen_to_leave_of_columns_that_the_job_does_not_declare() {
        let lines = "features = [\"x\", \"c\"]\ncolumns = { c = \"categorical\" }";
        for (lines, told) in [("", false), ("features = [\"x\"]", false), (lines, true)] {
            let text = table(lines, "").to_string();
            assert_eq!(text.contains("every distinct text"), told, "{text}");
            assert!(
                !text.contains("for x, c") && !text.contains("of texts"),
                "{text}"
            );
        }
    }

    #[test]
    fn no_name_in_a_job_forges_a_line() {
        let mut description = table("drop = [\"a\\n  protections  noise\"]", "");
        description.submitter = "ada\n  protections  noise\u{1b}[8m".to_owned();
        let text = description.to_string();
        let lines = text
            .lines()
            .filter(|line| line.starts_with("  protections"));
        assert_eq!(lines.count(), 1, "{text}");
        assert!(!text.contains('\u{1b}'), "{text}");
    }
}
