//! Which nodes a run is for, what they have said to it, and whether enough are left.

use std::collections::BTreeMap;

use commonweal_core::ClientName;
use commonweal_core::job::{BUILT_IN_TRAINER, Job};
use commonweal_wire::proto::{Statement, UnfitCode};

use crate::store::VerdictKind;

/// The nodes that a run could have, by name.
#[derive(Debug, Default)]
pub(super) struct Candidates(BTreeMap<ClientName, Candidate>);

/// One node as a run sees it.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Candidate {
    /// What the job asks for and the node does not state; it is then not asked.
    pub(super) unmet: Option<String>,
    /// What it said.
    pub(super) verdict: Option<VerdictKind>,
    /// Whether it was revoked or left.
    pub(super) is_gone: bool,
}

/// What a run can expect of a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Standing {
    /// It takes part.
    Ready,
    /// It has not decided.
    Undecided,
    /// It will not take part.
    Out,
}

impl Candidates {
    /// Notes a node that is enrolled, with what it states of itself. What it said stays.
    pub(super) fn enrolled(&mut self, job: &Job, node: &ClientName, statement: &Statement) {
        let candidate = self.0.entry(node.clone()).or_insert_with(Candidate::new);
        candidate.unmet = unmet(job, node, statement);
        candidate.is_gone = false;
    }

    /// Notes that a node is enrolled no more.
    pub(super) fn gone(&mut self, node: &ClientName) {
        if let Some(candidate) = self.0.get_mut(node) {
            candidate.is_gone = true;
        }
    }

    /// Notes what a node said.
    pub(super) fn said(&mut self, node: &ClientName, verdict: VerdictKind) {
        let candidate = self.0.entry(node.clone()).or_insert_with(Candidate::new);
        candidate.verdict = Some(verdict);
    }

    /// A node.
    pub(super) fn find(&self, node: &ClientName) -> Option<&Candidate> {
        self.0.get(node)
    }

    /// All, by name.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&ClientName, &Candidate)> {
        self.0.iter()
    }

    /// Nodes that are asked: those that fit, and those that have said something.
    pub(super) fn asked(&self) -> impl Iterator<Item = (&ClientName, &Candidate)> {
        self.iter()
            .filter(|(_, candidate)| candidate.unmet.is_none() || candidate.verdict.is_some())
    }

    /// Nodes of a standing.
    pub(super) fn of(&self, standing: Standing) -> impl Iterator<Item = &ClientName> {
        self.asked()
            .filter(move |(_, candidate)| candidate.standing() == standing)
            .map(|(node, _)| node)
    }

    /// Nodes that take part, or may yet.
    pub(super) fn possible(&self) -> usize {
        self.of(Standing::Ready).count() + self.of(Standing::Undecided).count()
    }

    /// Why those who will not take part do not, in words.
    pub(super) fn losses(&self) -> String {
        let words: Vec<String> = self
            .iter()
            .filter_map(|(node, candidate)| Some(format!("{node} {}", candidate.loss()?)))
            .collect();
        words.join("; ")
    }
}

impl Candidate {
    fn new() -> Self {
        Self {
            unmet: None,
            verdict: None,
            is_gone: false,
        }
    }

    /// What can be expected of it.
    pub(super) fn standing(&self) -> Standing {
        match &self.verdict {
            _ if self.is_gone => Standing::Out,
            Some(VerdictKind::Approved) => Standing::Ready,
            Some(VerdictKind::Denied { .. } | VerdictKind::Unfit { .. }) => Standing::Out,
            None if self.unmet.is_some() => Standing::Out,
            None => Standing::Undecided,
        }
    }

    /// Why it will not take part, in words; none if it may.
    pub(super) fn loss(&self) -> Option<String> {
        if self.is_gone {
            return Some("is enrolled no more".to_owned());
        }
        match &self.verdict {
            Some(VerdictKind::Approved) => None,
            Some(VerdictKind::Denied { reason }) if reason.is_empty() => Some("denied".to_owned()),
            Some(VerdictKind::Denied { reason }) => Some(format!("denied: {reason}")),
            Some(VerdictKind::Unfit { code, column, line }) => {
                Some(format!("refused: {}", unfit(*code, column, *line)))
            }
            None => self.unmet.clone(),
        }
    }
}

/// What does not fit, as `schema (column age)`.
pub(super) fn unfit(code: UnfitCode, column: &str, line: u64) -> String {
    let what = match code {
        UnfitCode::Unspecified => "unfit",
        UnfitCode::NoDataSet => "no such data set",
        UnfitCode::Unreadable => "its data cannot be read",
        UnfitCode::Schema => "schema",
        UnfitCode::Cell => "a cell cannot be read",
        UnfitCode::Rows => "too few rows",
        UnfitCode::Trainer => "no such trainer",
        UnfitCode::Capacity => "the job asks for more than it has",
        UnfitCode::Cohort => "a smaller cohort than it allows",
        UnfitCode::Manifest => "its version does not understand the job",
    };
    match (column, line) {
        ("", 0) => what.to_owned(),
        ("", line) => format!("{what} (line {line})"),
        (column, 0) => format!("{what} (column {column})"),
        (column, line) => format!("{what} (line {line}, column {column})"),
    }
}

/// What `job` asks for and a node of this name and statement lacks; none if it fits.
pub(super) fn unmet(job: &Job, node: &ClientName, statement: &Statement) -> Option<String> {
    let deployment = &job.deployment;
    if !deployment.names(node) {
        return Some("is not among deployment.nodes".to_owned());
    }
    if !statement.data_sets.contains(&deployment.data) {
        return Some(format!("has no data set {:?}", deployment.data));
    }
    let trainer = &job.training.trainer;
    if trainer != BUILT_IN_TRAINER && !statement.trainers.contains(trainer) {
        return Some(format!("has no trainer {trainer:?}"));
    }
    let capacity = |name: &str| match name {
        "memory_mb" => Some(statement.memory_mb as f64),
        "threads" => Some(f64::from(statement.threads)),
        _ => None,
    };
    let labels = statement
        .labels
        .iter()
        .map(|(name, value)| (name.clone(), value.clone()));
    let labels: BTreeMap<String, String> = labels.collect();
    let lacking = deployment.unmet(&labels, capacity).next();
    lacking.map(|(name, requirement)| format!("does not have {name} {requirement}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn job(deployment: &str) -> Job {
        let text = format!(
            "name = \"heart\"\nrounds = 1\n[data]\npath = \"t.csv\"\nlabel = \"y\"\n[model]\nkind = \"logistic\"\n\
             [deployment]\n{deployment}\n"
        );
        Job::parse(&text).unwrap()
    }

    fn name(text: &str) -> ClientName {
        ClientName::try_from(text).unwrap()
    }

    fn statement() -> Statement {
        Statement {
            labels: [("site".to_owned(), "eu".to_owned())].into(),
            memory_mb: 2_000,
            threads: 4,
            data_sets: vec!["heart".to_owned()],
            ..Statement::default()
        }
    }

    #[test]
    fn a_node_fits_by_name_data_labels_and_capacity() {
        let fits = |deployment: &str| unmet(&job(deployment), &name("a"), &statement());
        assert_eq!(
            fits("require = { site = \"eu\", memory_mb = 2000, threads = 4 }"),
            None
        );
        let lacks = |deployment: &str| fits(deployment).unwrap();
        assert_eq!(lacks("nodes = [\"b\"]"), "is not among deployment.nodes");
        assert_eq!(lacks("data = \"lungs\""), "has no data set \"lungs\"");
        assert_eq!(
            lacks("require = { memory_mb = 2001 }"),
            "does not have memory_mb >= 2001"
        );
        assert_eq!(
            lacks("require = { site = \"us\" }"),
            "does not have site = \"us\""
        );
    }

    #[test]
    fn what_nodes_said_decides_who_can_be_expected() {
        let (job, mut candidates) = (job(""), Candidates::default());
        for node in ["a", "b", "c", "d"] {
            candidates.enrolled(&job, &name(node), &statement());
        }
        candidates.enrolled(&job, &name("e"), &Statement::default());
        candidates.said(&name("a"), VerdictKind::Approved);
        let reason = "not this quarter".to_owned();
        candidates.said(&name("b"), VerdictKind::Denied { reason });
        let (code, column) = (UnfitCode::Schema, "age".to_owned());
        candidates.said(
            &name("c"),
            VerdictKind::Unfit {
                code,
                column,
                line: 0,
            },
        );
        assert_eq!(candidates.of(Standing::Ready).count(), 1);
        assert_eq!(candidates.possible(), 2);
        assert_eq!(
            candidates.losses(),
            "b denied: not this quarter; c refused: schema (column age); e has no data set \"heart\""
        );
        candidates.gone(&name("a"));
        assert_eq!(candidates.possible(), 1);
        candidates.enrolled(&job, &name("a"), &statement());
        assert_eq!(candidates.possible(), 2);
    }

    #[test]
    fn unfitness_is_told_by_code_column_and_line() {
        assert_eq!(
            unfit(UnfitCode::Cell, "age", 7),
            "a cell cannot be read (line 7, column age)"
        );
        assert_eq!(unfit(UnfitCode::Rows, "", 0), "too few rows");
    }
}
