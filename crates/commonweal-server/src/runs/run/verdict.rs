//! What nodes say to a run that asks for them.

use std::collections::BTreeMap;

use commonweal_core::{ClientName, Digest};
use commonweal_data::DataSchema;
use commonweal_wire::proto;
use commonweal_wire::proto::UnfitCode;
use commonweal_wire::{KeyId, RefusalCode};
use tokio::sync::oneshot;

use super::{Actor, Stop};
use crate::runs::foundation::{FoundationError, Questions};
use crate::runs::message::{Message, Refused};
use crate::runs::population::Standing;
use crate::store::{Level, NodeState, Verdict, VerdictKind};

/// Longest text of a denial that is kept, in characters.
const LONGEST_REASON: usize = 500;

/// Most verdicts that are stored at once.
const AT_ONCE: usize = 500;

/// A verdict that makes sense.
enum Said {
    Approved(DataSchema),
    Other(VerdictKind),
}

/// A node's verdict, and who waits for an answer to it.
struct Heard {
    node: ClientName,
    key: KeyId,
    verdict: proto::Verdict,
    answer: oneshot::Sender<Result<(), Refused>>,
}

impl Actor {
    /// Stores a node's verdict with those that have come meanwhile: thousands of nodes answer an offer at once, and each
    /// write waits for the disk. Once the run has its schema, a node of another one is unfit.
    pub(super) async fn hear_verdicts(
        &mut self,
        node: ClientName,
        key: KeyId,
        verdict: proto::Verdict,
        answer: oneshot::Sender<Result<(), Refused>>,
    ) -> Result<(), Stop> {
        let mut heard = vec![Heard {
            node,
            key,
            verdict,
            answer,
        }];
        while heard.len() < AT_ONCE
            && let Ok(message) = self.inbox.try_recv()
        {
            match message {
                Message::Verdict {
                    node,
                    key,
                    verdict,
                    answer,
                } => heard.push(Heard {
                    node,
                    key,
                    verdict,
                    answer,
                }),
                other => {
                    self.put_back = Some(other);
                    break;
                }
            }
        }
        let (mut verdicts, mut answers) = (Vec::new(), Vec::new());
        for Heard {
            node,
            key,
            verdict,
            answer,
        } in heard
        {
            let (kind, said) = self.judge(&node, key, verdict)?;
            verdicts.extend(kind.map(|kind| self.verdict(node, key, kind)));
            answers.push((answer, said));
        }
        self.note(verdicts).await?;
        for (answer, said) in answers {
            // Whoever asked may be gone; what it said is stored.
            let _ = answer.send(said);
        }
        Ok(())
    }

    /// A verdict as it is to be stored, if it is, and what its node is told.
    fn judge(
        &self,
        node: &ClientName,
        key: KeyId,
        verdict: proto::Verdict,
    ) -> Result<(Option<VerdictKind>, Result<(), Refused>), Stop> {
        let refused = |code, message: &str| (None, Err(Refused::new(code, message)));
        let said = match read(verdict, self.manifest.digest()) {
            Ok(said) => said,
            Err(message) => return Ok(refused(RefusalCode::Malformed, &message)),
        };
        if let Some(message) = self.is_not_asked(node, key) {
            return Ok(refused(RefusalCode::NotInCohort, message));
        }
        let schema = match said {
            Said::Other(kind) => return Ok((Some(kind), Ok(()))),
            Said::Approved(schema) => schema,
        };
        Ok(match self.misfit(&schema)? {
            None => {
                let schema = schema.encode().into();
                (Some(VerdictKind::Approved { schema }), Ok(()))
            }
            Some((code, column, message)) => {
                let line = 0;
                let kind = VerdictKind::Unfit { code, column, line };
                (Some(kind), Err(Refused::new(RefusalCode::Report, message)))
            }
        })
    }

    /// A node's verdict, given now.
    fn verdict(&self, node: ClientName, key: KeyId, kind: VerdictKind) -> Verdict {
        Verdict {
            node,
            key,
            kind,
            at_ms: self.shared.exchange.now_ms(),
        }
    }

    /// What takes the place of a node's verdict, if the node is known.
    pub(super) fn other_verdict(&self, node: ClientName, kind: VerdictKind) -> Option<Verdict> {
        let key = self.candidates.find(&node)?.key?;
        Some(self.verdict(node, key, kind))
    }

    /// Why a node's word does not matter; none if it does.
    fn is_not_asked(&self, node: &ClientName, key: KeyId) -> Option<&'static str> {
        let candidate = self.candidates.find(node);
        let candidate = candidate.filter(|candidate| candidate.key == Some(key));
        match &self.population {
            Some(population) => {
                let is_stranger = candidate.is_none() || population.index(node).is_none();
                is_stranger.then_some("the run has begun without this node")
            }
            None => {
                let fits = candidate.is_some_and(|candidate| candidate.unmet.is_none());
                (!fits)
                    .then_some("the job asks for what this node does not state: it was not asked")
            }
        }
    }

    /// Why a schema does not fit, by code and column and in words; none if it does.
    fn misfit(&self, schema: &DataSchema) -> Result<Option<(UnfitCode, String, String)>, Stop> {
        if let Err(error) = Questions::of(&self.job, schema) {
            let (code, column) = match &error {
                FoundationError::Undeclared(kind) => (UnfitCode::Undeclared, kind.column()),
                _ => (UnfitCode::Schema, ""),
            };
            return Ok(Some((code, column.to_owned(), error.to_string())));
        }
        let Some(settled) = &self.record.schema else {
            return Ok(None);
        };
        let expected = DataSchema::parse(settled.as_bytes());
        let expected = expected.map_err(|error| Stop::Failed(error.to_string()))?;
        let difference = expected.difference(schema);
        Ok(difference.map(|difference| {
            let message = format!("the data differ from the other nodes': {difference}");
            (UnfitCode::Schema, difference.column, message)
        }))
    }

    /// Stores verdicts and says so.
    pub(super) async fn note(&mut self, verdicts: Vec<Verdict>) -> Result<(), Stop> {
        if verdicts.is_empty() {
            return Ok(());
        }
        let id = self.record.id.clone();
        self.insist(|| async { self.shared.store.verdicts().set(&id, &verdicts).await })
            .await?;
        for verdict in verdicts {
            let node = verdict.node.clone();
            self.candidates.said(verdict);
            let candidate = self.candidates.find(&node);
            match candidate.and_then(|candidate| candidate.loss()) {
                None => tracing::info!(run = %self.record.id, %node, "a node takes part"),
                Some(loss) => self.log(Level::Warn, &format!("{node} {loss}")).await,
            }
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
                enrolled.insert(&node.name, (node.key.id(), &node.statement));
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
        for (node, (key, stored)) in enrolled {
            let (stated, is_online) = self.shared.stated(node);
            let stated = stated.as_deref().unwrap_or(stored);
            self.candidates
                .enrolled(&self.job, node, key, stated, is_online);
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
