//! Which nodes a run is for, what they have said to it, and whether enough are left.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::sync::Arc;

use commonweal_core::ClientName;
use commonweal_core::job::{BUILT_IN_TRAINER, Job};
use commonweal_data::DataSchema;
use commonweal_wire::KeyId;
use commonweal_wire::proto::{Statement, UnfitCode};

use crate::store::{Verdict, VerdictKind};

/// The nodes that a run could have, by name.
#[derive(Debug, Default)]
pub(super) struct Candidates(BTreeMap<ClientName, Candidate>);

/// One node as a run sees it.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Candidate {
    /// What the job asks for and the node does not state; it is then not asked.
    pub(super) unmet: Option<String>,
    /// Whether it has said what it has. One that joined before its owner named any data has not, until it polls: it
    /// may fit.
    pub(super) has_stated: bool,
    /// The key that has its name.
    pub(super) key: Option<KeyId>,
    /// What was said in its name, with this key or another.
    verdict: Option<Verdict>,
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
    /// Notes a node that is enrolled, with what it stated of itself last. What it said with this key stays.
    pub(super) fn enrolled(
        &mut self,
        job: &Job,
        node: &ClientName,
        key: KeyId,
        statement: &Statement,
        is_online: bool,
    ) {
        let candidate = self.0.entry(node.clone()).or_insert_with(Candidate::new);
        candidate.key = Some(key);
        candidate.is_gone = false;
        self.stated(job, node, statement, is_online);
    }

    /// Notes what a node that is known stated of itself last.
    pub(super) fn stated(
        &mut self,
        job: &Job,
        node: &ClientName,
        statement: &Statement,
        is_online: bool,
    ) {
        if let Some(candidate) = self.0.get_mut(node) {
            candidate.has_stated = is_online || !statement.data_sets.is_empty();
            let is_known = candidate.has_stated || !job.deployment.names(node);
            candidate.unmet = match is_known {
                true => unmet(job, node, statement),
                false => None,
            };
        }
    }

    /// Notes that a node is enrolled no more.
    pub(super) fn gone(&mut self, node: &ClientName) {
        if let Some(candidate) = self.0.get_mut(node) {
            candidate.is_gone = true;
        }
    }

    /// Notes what a node said.
    pub(super) fn said(&mut self, mut verdict: Verdict) {
        if let VerdictKind::Approved { schema } = &mut verdict.kind {
            let mut known = self.0.values().filter_map(Candidate::schema);
            if let Some(same) = known.find(|known| *known == schema) {
                *schema = Arc::clone(same);
            }
        }
        let node = verdict.node.clone();
        let candidate = self.0.entry(node).or_insert_with(Candidate::new);
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
            .filter(|(_, candidate)| candidate.unmet.is_none() || candidate.said().is_some())
    }

    /// Nodes of a standing.
    pub(super) fn of(&self, standing: Standing) -> impl Iterator<Item = &ClientName> {
        self.asked()
            .filter(move |(_, candidate)| candidate.standing() == standing)
            .map(|(node, _)| node)
    }

    /// The schema of most who agree; of two that are as many, the one that was stated first.
    pub(super) fn schema(&self) -> Option<&str> {
        self.largest().map(|group| &**group.schema)
    }

    /// Nodes that agree, and whose data are of one schema: the most that can take part together.
    pub(super) fn agreeing(&self) -> usize {
        self.largest().map_or(0, |group| group.nodes)
    }

    /// Nodes that agree, and whose data are not like those of most: each with the first column that differs.
    pub(super) fn dissenting(&self) -> Vec<(ClientName, String)> {
        let Some(group) = self.largest() else {
            return Vec::new();
        };
        let differing = self.of(Standing::Ready).filter_map(|node| {
            let found = self.find(node)?.schema()?;
            let differs = !Arc::ptr_eq(found, group.schema);
            differs.then(|| (node.clone(), first_difference(group.schema, found)))
        });
        differing.collect()
    }

    /// Nodes that can take part together, now or once they have decided.
    pub(super) fn possible(&self) -> usize {
        self.agreeing() + self.of(Standing::Undecided).count()
    }

    /// Why those who will not take part do not, in words.
    pub(super) fn losses(&self) -> String {
        let lost = self
            .iter()
            .filter_map(|(node, candidate)| Some((node.clone(), candidate.loss()?)));
        let dissenting = self.dissenting().into_iter();
        let dissenting = dissenting.map(|(node, column)| {
            let what = unfit(UnfitCode::Schema, &column, 0);
            (node, format!("refused: {what}"))
        });
        let all: BTreeMap<ClientName, String> = lost.chain(dissenting).collect();
        let words = all.iter().map(|(node, loss)| format!("{node} {loss}"));
        words.collect::<Vec<_>>().join("; ")
    }

    /// Those who agree and are of one schema: the most. Equal schemas share their memory, which is all that is compared.
    fn largest(&self) -> Option<Group<'_>> {
        let mut groups: Vec<Group<'_>> = Vec::new();
        let ready = |candidate: &&Candidate| candidate.standing() == Standing::Ready;
        let stated = self.0.values().filter(ready).filter_map(|candidate| {
            let at_ms = candidate.verdict.as_ref()?.at_ms;
            Some((candidate.schema()?, at_ms))
        });
        for (schema, at_ms) in stated {
            let is_same = |group: &&mut Group<'_>| Arc::ptr_eq(group.schema, schema);
            match groups.iter_mut().find(is_same) {
                Some(group) => {
                    group.nodes += 1;
                    group.since_ms = group.since_ms.min(at_ms);
                }
                None => groups.push(Group {
                    schema,
                    nodes: 1,
                    since_ms: at_ms,
                }),
            }
        }
        groups
            .into_iter()
            .max_by_key(|group| (group.nodes, Reverse(group.since_ms)))
    }
}

/// Nodes whose data are of one schema.
struct Group<'a> {
    schema: &'a Arc<str>,
    nodes: usize,
    /// When the first of them stated it.
    since_ms: u64,
}

/// The first column in which two schemas differ; empty where they cannot be compared.
fn first_difference(expected: &str, found: &str) -> String {
    let [expected, found] = [expected, found].map(|text| DataSchema::parse(text.as_bytes()));
    let difference = match (expected, found) {
        (Ok(expected), Ok(found)) => expected.difference(&found),
        _ => None,
    };
    difference
        .map(|difference| difference.column)
        .unwrap_or_default()
}

impl Candidate {
    fn new() -> Self {
        Self {
            unmet: None,
            key: None,
            has_stated: false,
            verdict: None,
            is_gone: false,
        }
    }

    /// What it said. What another key said under its name is not its word.
    pub(super) fn said(&self) -> Option<&VerdictKind> {
        let verdict = self.verdict.as_ref()?;
        let is_its_own = self.key.is_none_or(|key| key == verdict.key);
        is_its_own.then_some(&verdict.kind)
    }

    /// The schema of its data, if it has agreed.
    fn schema(&self) -> Option<&Arc<str>> {
        match self.said() {
            Some(VerdictKind::Approved { schema }) => Some(schema),
            _ => None,
        }
    }

    /// What can be expected of it.
    pub(super) fn standing(&self) -> Standing {
        match self.said() {
            _ if self.is_gone => Standing::Out,
            Some(VerdictKind::Approved { .. }) => Standing::Ready,
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
        match self.said() {
            Some(VerdictKind::Approved { .. }) => None,
            Some(VerdictKind::Denied { reason }) if reason.is_empty() => Some("denied".to_owned()),
            Some(VerdictKind::Denied { reason }) => Some(format!("denied: {reason}")),
            Some(VerdictKind::Unfit { code, column, line }) => {
                Some(format!("refused: {}", unfit(*code, column, *line)))
            }
            None if self.unmet.is_none() && self.verdict.is_some() => {
                Some("has not agreed with the key that it has now".to_owned())
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
        UnfitCode::Undeclared => {
            "a column holds texts: declare its kind in data.columns or data.task"
        }
        UnfitCode::Model => "its trainer declares other tensors than the run's model has",
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
    use commonweal_wire::NodeKey;

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

    fn key(seed: u8) -> KeyId {
        NodeKey::from_secret(&[seed; 32]).public().id()
    }

    fn verdict(node: &str, at_ms: u64, kind: VerdictKind) -> Verdict {
        Verdict {
            node: name(node),
            key: key(1),
            kind,
            at_ms,
        }
    }

    fn approved(schema: &str) -> VerdictKind {
        VerdictKind::Approved {
            schema: schema.into(),
        }
    }

    fn schema(column: &str) -> String {
        let columns = format!(r#"[{{"name":"{column}","kind":"numeric"}}]"#);
        let text = format!(r#"{{"kind":"table","columns":{columns},"label":null}}"#);
        DataSchema::parse(text.as_bytes()).unwrap().encode()
    }

    #[test]
    fn the_schema_of_most_is_the_runs_and_of_as_many_the_one_that_was_stated_first() {
        let mut candidates = Candidates::default();
        let [age, years] = ["age", "years"].map(schema);
        candidates.said(verdict("liar", 1, approved(&years)));
        assert_eq!(candidates.schema(), Some(&*years));
        candidates.said(verdict("a", 2, approved(&age)));
        assert_eq!(candidates.schema(), Some(&*years));
        assert_eq!(candidates.losses(), "a refused: schema (column years)");
        candidates.said(verdict("b", 3, approved(&age)));
        assert_eq!(candidates.schema(), Some(&*age));
        assert_eq!((candidates.agreeing(), candidates.possible()), (2, 2));
        let dissenting = [(name("liar"), "age".to_owned())];
        assert_eq!(candidates.dissenting(), dissenting);
        assert_eq!(candidates.losses(), "liar refused: schema (column age)");
        candidates.gone(&name("a"));
        candidates.gone(&name("b"));
        assert_eq!(candidates.schema(), Some(&*years));
        candidates.said(verdict("c", 4, approved(&age)));
        for node in ["a", "b"] {
            candidates.enrolled(&job(""), &name(node), key(1), &statement(), false);
        }
        assert_eq!(candidates.agreeing(), 3);
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
            candidates.enrolled(&job, &name(node), key(1), &statement(), false);
        }
        candidates.enrolled(&job, &name("e"), key(1), &Statement::default(), true);
        candidates.said(verdict("a", 1, approved("{}")));
        let reason = "not this quarter".to_owned();
        candidates.said(verdict("b", 2, VerdictKind::Denied { reason }));
        let (code, column, line) = (UnfitCode::Schema, "age".to_owned(), 0);
        candidates.said(verdict("c", 3, VerdictKind::Unfit { code, column, line }));
        assert_eq!(candidates.of(Standing::Ready).count(), 1);
        assert_eq!(candidates.possible(), 2);
        assert_eq!(
            candidates.losses(),
            "b denied: not this quarter; c refused: schema (column age); e has no data set \"heart\""
        );
        candidates.gone(&name("a"));
        assert_eq!(candidates.possible(), 1);
        candidates.enrolled(&job, &name("a"), key(1), &statement(), false);
        assert_eq!(candidates.possible(), 2);
    }

    #[test]
    fn what_another_key_said_under_a_nodes_name_is_not_its_word() {
        let (job, mut candidates) = (job(""), Candidates::default());
        let standing = |candidates: &Candidates| candidates.find(&name("a")).unwrap().standing();
        let reason = String::new();
        for (kind, own) in [
            (approved("{}"), Standing::Ready),
            (VerdictKind::Denied { reason }, Standing::Out),
        ] {
            candidates.said(verdict("a", 1, kind));
            candidates.enrolled(&job, &name("a"), key(2), &statement(), false);
            assert_eq!(standing(&candidates), Standing::Undecided);
            let loss = candidates.find(&name("a")).unwrap().loss();
            assert_eq!(
                loss.as_deref(),
                Some("has not agreed with the key that it has now")
            );
            candidates.enrolled(&job, &name("a"), key(1), &statement(), false);
            assert_eq!(standing(&candidates), own);
        }
    }

    #[test]
    fn a_node_that_has_not_said_what_it_has_may_fit_until_it_says_so() {
        let (job, mut candidates) = (job("nodes = [\"a\"]"), Candidates::default());
        for node in ["a", "b"] {
            candidates.enrolled(&job, &name(node), key(1), &Statement::default(), false);
        }
        assert_eq!(candidates.possible(), 1);
        assert_eq!(candidates.losses(), "b is not among deployment.nodes");
        assert!(!candidates.find(&name("a")).unwrap().has_stated);
        candidates.enrolled(&job, &name("a"), key(1), &Statement::default(), true);
        assert_eq!(candidates.possible(), 0);
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
