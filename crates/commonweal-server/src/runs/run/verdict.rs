//! What nodes say to a run that asks for them.

use std::collections::BTreeMap;

use commonweal_core::{ClientName, Digest};
use commonweal_data::DataSchema;
use commonweal_wire::RefusalCode;
use commonweal_wire::proto;
use commonweal_wire::proto::UnfitCode;

use super::{Actor, Stop};
use crate::runs::foundation::Questions;
use crate::runs::message::Refused;
use crate::runs::population::Standing;
use crate::store::{Level, NodeState, Verdict, VerdictKind};

/// Longest text of a denial that is kept, in characters.
const LONGEST_REASON: usize = 500;

/// A verdict that makes sense.
enum Said {
    Approved(DataSchema),
    Other(VerdictKind),
}

impl Actor {
    /// Stores a node's verdict. Once the run has its schema, a node of another one is unfit.
    pub(super) async fn hear_verdict(
        &mut self,
        node: &ClientName,
        verdict: proto::Verdict,
    ) -> Result<Result<(), Refused>, Stop> {
        let said = match read(verdict, self.manifest.digest()) {
            Ok(said) => said,
            Err(message) => return Ok(Err(Refused::new(RefusalCode::Malformed, message))),
        };
        if let Some(message) = self.is_not_asked(node) {
            return Ok(Err(Refused::new(RefusalCode::NotInCohort, message)));
        }
        match said {
            Said::Other(kind) => {
                self.note(node, kind).await?;
                Ok(Ok(()))
            }
            Said::Approved(schema) => match self.misfit(&schema)? {
                None => {
                    let schema = schema.encode().into();
                    self.note(node, VerdictKind::Approved { schema }).await?;
                    Ok(Ok(()))
                }
                Some((column, message)) => {
                    let code = UnfitCode::Schema;
                    let line = 0;
                    let kind = VerdictKind::Unfit { code, column, line };
                    self.note(node, kind).await?;
                    Ok(Err(Refused::new(RefusalCode::Report, message)))
                }
            },
        }
    }

    /// Why a node's word does not matter; none if it does.
    fn is_not_asked(&self, node: &ClientName) -> Option<&'static str> {
        match &self.population {
            Some(population) => {
                let is_stranger = population.index(node).is_none();
                is_stranger.then_some("the run has begun without this node")
            }
            None => {
                let candidate = self.candidates.find(node);
                let fits = candidate.is_some_and(|candidate| candidate.unmet.is_none());
                (!fits)
                    .then_some("the job asks for what this node does not state: it was not asked")
            }
        }
    }

    /// Why a schema does not fit, by column and in words; none if it does.
    fn misfit(&self, schema: &DataSchema) -> Result<Option<(String, String)>, Stop> {
        if let Err(error) = Questions::of(&self.job, schema) {
            return Ok(Some((String::new(), error.to_string())));
        }
        let Some(settled) = &self.record.schema else {
            return Ok(None);
        };
        let expected = DataSchema::parse(settled.as_bytes());
        let expected = expected.map_err(|error| Stop::Failed(error.to_string()))?;
        let difference = expected.difference(schema);
        Ok(difference.map(|difference| {
            let message = format!("the data differ from the other nodes': {difference}");
            (difference.column, message)
        }))
    }

    /// Stores a verdict and says so.
    pub(super) async fn note(&mut self, node: &ClientName, kind: VerdictKind) -> Result<(), Stop> {
        let verdict = Verdict {
            node: node.clone(),
            kind,
            at_ms: self.shared.exchange.now_ms(),
        };
        let id = self.record.id.clone();
        self.insist(|| async { self.shared.store.verdicts().set(&id, &verdict).await })
            .await?;
        self.candidates.said(verdict);
        let candidate = self.candidates.find(node);
        match candidate.and_then(|candidate| candidate.loss()) {
            None => tracing::info!(run = %self.record.id, %node, "a node takes part"),
            Some(loss) => self.log(Level::Warn, &format!("{node} {loss}")).await,
        }
        self.page.move_on();
        Ok(())
    }

    /// Ends a run that can never have its minimum.
    pub(super) fn expect_enough(&self) -> Result<(), Stop> {
        let (possible, needed) = match &self.population {
            None => (
                self.candidates.possible(),
                self.job.deployment.clients.max(self.job.cohort.minimum),
            ),
            Some(population) => {
                let left = self.candidates.of(Standing::Ready);
                let left = left.filter(|node| population.index(node).is_some());
                (left.count(), self.job.cohort.minimum)
            }
        };
        match possible >= needed as usize {
            true => Ok(()),
            false => Err(Stop::Failed(format!(
                "{possible} nodes are left, and the run needs {needed}: {}",
                self.candidates.losses()
            ))),
        }
    }

    /// Takes in who is enrolled, and what each states of itself.
    pub(super) async fn refresh_nodes(&mut self) -> Result<(), Stop> {
        let nodes = self
            .insist(|| async { self.shared.store.nodes().list().await })
            .await?;
        // Of a name that was given twice, the key that counts now.
        let mut enrolled = BTreeMap::new();
        for node in &nodes {
            if node.state == NodeState::Enrolled {
                enrolled.insert(&node.name, &node.statement);
            }
        }
        let known: Vec<ClientName> = self
            .candidates
            .iter()
            .map(|(node, _)| node.clone())
            .collect();
        for node in known.iter().filter(|node| !enrolled.contains_key(node)) {
            self.candidates.gone(node);
        }
        for (node, stored) in enrolled {
            match self.shared.exchange.statement(node) {
                Some(stated) => self.candidates.enrolled(&self.job, node, &stated),
                None => self.candidates.enrolled(&self.job, node, stored),
            }
        }
        Ok(())
    }
}

/// Looks at what a peer said.
fn read(verdict: proto::Verdict, manifest: Digest) -> Result<Said, String> {
    if verdict.manifest != manifest.as_bytes() {
        return Err("the verdict is about another manifest than the run's".to_owned());
    }
    match verdict.kind {
        None => Err("the verdict says neither yes nor no".to_owned()),
        Some(proto::verdict::Kind::Approved(approved)) => {
            let schema = DataSchema::parse(&approved.schema);
            schema
                .map(Said::Approved)
                .map_err(|error| error.to_string())
        }
        Some(proto::verdict::Kind::Denied(denied)) => {
            let reason = denied.reason.chars().filter(|letter| !letter.is_control());
            let reason = reason.take(LONGEST_REASON).collect();
            Ok(Said::Other(VerdictKind::Denied { reason }))
        }
        Some(proto::verdict::Kind::Unfit(unfit)) => {
            let column = unfit.column.chars().filter(|letter| !letter.is_control());
            Ok(Said::Other(VerdictKind::Unfit {
                code: unfit.code(),
                column: column.take(LONGEST_REASON).collect(),
                line: unfit.line,
            }))
        }
    }
}
