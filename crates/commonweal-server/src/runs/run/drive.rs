//! Drives one open round to its end.

use std::collections::HashMap;
use std::sync::Arc;

use commonweal_core::{ClientIndex, ClientName, Committed, Digest, Payload, Round, Step, TaskId};
use commonweal_wire::proto::{self, Cancel, FailureCode, UnfitCode, Work, instruction};
use commonweal_wire::{remaining_ms, task_id, task_of};
use rand::TryRng as _;
use rand::rngs::SysRng;
use tokio::sync::oneshot;
use tokio::task::spawn_blocking;

use super::{Actor, Input, Stop};
use crate::exchange::NodeEvent;
use crate::runs::folding::{Folding, Lost};
use crate::runs::message::{Expected, Message, Refused, Reported};
use crate::runs::rounds::{Effect, Failing, Limits, OpenRound, RoundEnd, Stand, Tally};
use crate::runs::turns::Bell;
use crate::store::VerdictKind;

/// What a round's nodes are given, and what its reports can be.
#[derive(Debug, Clone, Copy)]
pub(super) struct Terms {
    /// The blob of the model's values, for a task that needs it.
    pub(super) model: Option<Digest>,
    /// Digest of the model's layout, for such a task.
    pub(super) layout: Option<Digest>,
    /// Values of an update: what a sum of them costs.
    pub(super) values: usize,
    /// Most bytes of a report.
    pub(super) longest: u64,
    /// The fewest reports.
    pub(super) minimum: u32,
}

/// A round that is over.
#[derive(Debug)]
pub(super) struct Driven {
    pub(super) task: TaskId,
    pub(super) end: RoundEnd,
    pub(super) tally: Tally,
    /// Of one sum, if the round committed.
    pub(super) folding: Arc<Folding>,
}

/// A round with its sum and those who wait for what comes of their reports.
struct Desk {
    open: OpenRound,
    terms: Terms,
    accumulator: String,
    folding: Arc<Folding>,
    answers: HashMap<ClientIndex, oneshot::Sender<Result<String, Refused>>>,
    /// Whether the nodes that are there suffice: looked at once a second.
    is_enough: bool,
    /// A worker crashed: the sum is lost, and the round begins afresh.
    is_lost: bool,
}

impl Actor {
    /// Drives a round until it commits or is abandoned; `None` if its sum was lost and it must be opened again.
    pub(super) async fn drive(
        &mut self,
        round: Round,
        terms: Terms,
    ) -> Result<Option<Driven>, Stop> {
        let mut desk = self.desk(round, terms)?;
        loop {
            while let Some(effect) = desk.open.poll_effect() {
                self.perform(&mut desk, effect);
            }
            if desk.is_lost {
                return Ok(None);
            }
            if desk.open.end().is_some() {
                break;
            }
            match self.input(desk.open.deadline()).await {
                Input::Tick => self.look_at_all(&mut desk),
                Input::Bell(bell) => self.rung(&mut desk, &bell),
                Input::Node(event) => self.moved(&mut desk, &event)?,
                Input::Message(message) => self.handle(&mut desk, message).await?,
            }
        }
        let (task, folding) = (desk.open.task(), desk.folding);
        let Some((end, tally)) = desk.open.into_end() else {
            return Ok(None);
        };
        let end = match end {
            RoundEnd::Committed(committed) => self.join(committed, &folding).await?,
            RoundEnd::Abandoned(abandoned) => RoundEnd::Abandoned(abandoned),
        };
        Ok(Some(Driven {
            task,
            end,
            tally,
            folding,
        }))
    }

    /// Makes one sum of a round's reports. What its nodes say cannot end the run: a round without a sum is abandoned.
    async fn join(&self, committed: Committed, folding: &Arc<Folding>) -> Result<RoundEnd, Stop> {
        let folding = Arc::clone(folding);
        let joined = spawn_blocking(move || folding.join()).await;
        let crashed = |_| Stop::Failed("the thread that merged sums crashed".to_owned());
        Ok(match joined.map_err(crashed)? {
            Ok(()) => RoundEnd::Committed(committed),
            Err(error) => {
                tracing::warn!(run = %self.record.id, task = %committed.task(), %error, "a round has no sum");
                RoundEnd::Abandoned(committed.into_abandoned())
            }
        })
    }

    fn desk(&self, round: Round, terms: Terms) -> Result<Desk, Stop> {
        let stage = round.task().stage;
        let limits = Limits {
            grace_ms: self.pace.grace_ms(stage),
            work_ms: self.pace.work_ms(stage),
            minimum: terms.minimum,
        };
        let fold = Arc::clone(round.fold());
        Ok(Desk {
            open: OpenRound::new(round, limits, self.now()),
            terms,
            accumulator: accumulator()?,
            folding: Arc::new(Folding::new(fold, terms.values, self.shared.workers)),
            answers: HashMap::new(),
            is_enough: self.present() >= terms.minimum as usize,
            is_lost: false,
        })
    }

    fn perform(&self, desk: &mut Desk, effect: Effect) {
        let now = self.now();
        match effect {
            Effect::Look(client) => self.look_at(desk, client),
            Effect::Queue(client) => {
                let node = self.name(client);
                let is_ours = |node| self.shared.turns.take(&node, self.order, &self.bell);
                if node.is_some_and(is_ours) {
                    desk.open.turn(client, now);
                }
            }
            Effect::Give(client, task) => {
                let task = task_of(&task, remaining_ms(&task, now));
                self.give(desk, client, task);
            }
            Effect::Cancel(client, reason) => {
                let Some(node) = self.name(client) else {
                    return;
                };
                let cancel = Cancel {
                    run: self.record.id.clone(),
                    task: Some(task_id(desk.open.task())),
                    reason,
                };
                self.shared
                    .exchange
                    .send(&node, instruction::Kind::Cancel(cancel));
            }
            Effect::Release(client) => {
                if let Some(node) = self.name(client) {
                    self.shared.turns.give_back(&node, self.order);
                }
            }
            Effect::Fold(client, payload) => self.fold(desk, client, payload),
        }
    }

    /// Gives a node its task: the first time, or again to one that came back.
    fn give(&self, desk: &Desk, client: ClientIndex, task: proto::Task) {
        let Some(node) = self.name(client) else {
            return;
        };
        let work = Work {
            run: self.record.id.clone(),
            task: Some(task),
            model: desk.terms.model.map(|digest| digest.as_bytes().to_vec()),
            accumulator: desk.accumulator.clone(),
            prepared: self
                .record
                .prepared
                .map(|digest| digest.as_bytes().to_vec()),
            layout: desk.terms.layout.map(|digest| digest.as_bytes().to_vec()),
        };
        self.shared
            .exchange
            .send(&node, instruction::Kind::Work(work));
    }

    /// Folds off this task, which goes on with other nodes meanwhile.
    fn fold(&self, desk: &Desk, client: ClientIndex, payload: Payload) {
        let (folding, own) = (Arc::clone(&desk.folding), self.own.clone());
        let accumulator = desk.accumulator.clone();
        tokio::spawn(async move {
            let folded = folding.fold(client, payload).await;
            // A run that has ended in the meantime needs no answer.
            let _ = own.send(Message::Folded {
                accumulator,
                client,
                folded,
            });
        });
    }

    fn look_at_all(&self, desk: &mut Desk) {
        desk.is_enough = self.present() >= desk.terms.minimum as usize;
        desk.open.tick(self.now());
        for client in desk.open.unfinished() {
            self.look_at(desk, client);
        }
    }

    fn look_at(&self, desk: &mut Desk, client: ClientIndex) {
        let there = self.there(client);
        desk.open.look(client, &there, desk.is_enough, self.now());
    }

    fn rung(&self, desk: &mut Desk, bell: &Bell) {
        match bell {
            Bell::Yours(node) => match self.client(node) {
                // It may have rung for a round that is over: only who has the turn has it.
                Some(client) if self.shared.turns.take(node, self.order, &self.bell) => {
                    desk.open.turn(client, self.now());
                }
                _ => {}
            },
            Bell::Free(node) => {
                if let Some(client) = self.client(node) {
                    self.look_at(desk, client);
                }
            }
        }
    }

    /// Gives a turn back that has come while no round needs it.
    pub(super) fn unneeded(&self, bell: &Bell) {
        if let Bell::Yours(node) = bell {
            self.shared.turns.give_back(node, self.order);
        }
    }

    /// Takes in what happened to a node.
    fn moved(&mut self, desk: &mut Desk, event: &NodeEvent) -> Result<(), Stop> {
        let (NodeEvent::Online(node)
        | NodeEvent::Silent(node)
        | NodeEvent::Offline(node)
        | NodeEvent::Stated(node)
        | NodeEvent::Leaving(node)
        | NodeEvent::Gone(node)) = event;
        let Some(client) = self.client(node) else {
            return Ok(());
        };
        match event {
            NodeEvent::Gone(node) => {
                self.candidates.gone(node);
                self.expect_enough()?;
            }
            NodeEvent::Online(node) => {
                self.welcome(node);
                if let Some(task) = desk.open.given(client) {
                    let task = task_of(task, remaining_ms(task, self.now()));
                    self.give(desk, client, task);
                }
            }
            _ => {}
        }
        self.look_at(desk, client);
        Ok(())
    }

    async fn handle(&mut self, desk: &mut Desk, message: Message) -> Result<(), Stop> {
        match message {
            Message::Expects {
                node,
                task,
                step,
                answer,
            } => drop(answer.send(self.expects(desk, &node, task, step))),
            Message::Report {
                node,
                task,
                step,
                payload,
                answer,
            } => self.report(desk, &node, (task, step), payload, answer),
            Message::Reported { node, task, answer } if task == desk.open.task() => {
                let stand = self
                    .client(&node)
                    .and_then(|client| desk.open.stand(client));
                let reported = Reported {
                    accumulator: desk.accumulator.clone(),
                    is_counted: stand == Some(Stand::Counted),
                };
                let _ = answer.send(Ok(reported));
            }
            Message::Failure {
                node,
                task,
                failure,
                answer,
            } if task == desk.open.task() => {
                let failed = self.failure(desk, &node, &failure).await?;
                let _ = answer.send(failed);
                self.expect_enough()?;
            }
            Message::Folded {
                accumulator,
                client,
                folded,
            } if accumulator == desk.accumulator => self.folded(desk, client, folded),
            Message::Explain { answer } => drop(answer.send(self.explain_round(&desk.open))),
            other => self.attend(other).await?,
        }
        Ok(())
    }

    fn expects(
        &self,
        desk: &Desk,
        node: &ClientName,
        task: TaskId,
        step: Step,
    ) -> Result<Expected, Refused> {
        let client = self
            .client(node)
            .ok_or(commonweal_core::Refusal::NotInCohort)?;
        if task != desk.open.task() {
            return Err(self.past(task));
        }
        desk.open.expects(client, task, step)?;
        Ok(Expected {
            accumulator: desk.accumulator.clone(),
            longest: desk.terms.longest,
        })
    }

    fn report(
        &self,
        desk: &mut Desk,
        node: &ClientName,
        (task, step): (TaskId, Step),
        payload: Payload,
        answer: oneshot::Sender<Result<String, Refused>>,
    ) {
        let taken = match self.expects(desk, node, task, step) {
            Err(refused) => Err(refused),
            Ok(_) => match self.client(node) {
                None => Err(commonweal_core::Refusal::NotInCohort.into()),
                Some(client) => {
                    let taken = desk.open.report(client, task, step, payload, self.now());
                    taken.map(|()| client).map_err(Refused::from)
                }
            },
        };
        match taken {
            Ok(client) => drop(desk.answers.insert(client, answer)),
            Err(refused) => {
                self.blame(node, task, &refused);
                let _ = answer.send(Err(refused));
            }
        }
    }

    fn folded(
        &self,
        desk: &mut Desk,
        client: ClientIndex,
        folded: Result<Result<(), commonweal_core::Refusal>, Lost>,
    ) {
        let answer = desk.answers.remove(&client);
        let (said, of_round) = match folded {
            Ok(Ok(())) => (Ok(desk.accumulator.clone()), Ok(())),
            Ok(Err(refusal)) => {
                let reason = refusal.to_string();
                (Err(Refused::from(refusal)), Err(reason))
            }
            Err(error) => {
                tracing::error!(run = %self.record.id, %error, "the sum of a round is lost");
                desk.is_lost = true;
                (Err(Refused::later()), Err(error.to_string()))
            }
        };
        desk.open.folded(client, of_round, self.now());
        if let (Err(refused), Some(node)) = (&said, self.name(client)) {
            self.blame(&node, desk.open.task(), refused);
        }
        if let Some(answer) = answer {
            let _ = answer.send(said);
        }
    }

    /// A node could not do its task.
    async fn failure(
        &mut self,
        desk: &mut Desk,
        node: &ClientName,
        failure: &proto::TaskFailure,
    ) -> Result<Result<(), Refused>, Stop> {
        let Some(client) = self.client(node) else {
            return Ok(Err(commonweal_core::Refusal::NotInCohort.into()));
        };
        match desk.open.stand(client) {
            None => return Ok(Err(commonweal_core::Refusal::NotInCohort.into())),
            Some(Stand::Queued | Stand::Working) => {}
            Some(_) => return Ok(Err(Refused::late())),
        }
        let failing = match failure.code() {
            FailureCode::NoRows => Failing::Declined,
            _ => Failing::Failed,
        };
        let reason = failed(failure);
        tracing::warn!(run = %self.record.id, task = %desk.open.task(), %node, reason, "a node gave its task back");
        desk.open.lose(client, &reason, failing, self.now());
        let said = match failure.code() {
            FailureCode::Denied => {
                let reason = "its owner took the consent back".to_owned();
                Some(VerdictKind::Denied { reason })
            }
            // It would fail at every further task too.
            FailureCode::Layout => Some(VerdictKind::Unfit {
                code: UnfitCode::Model,
                column: String::new(),
                line: 0,
            }),
            _ => None,
        };
        if let Some(kind) = said {
            let verdict = self.other_verdict(node.clone(), kind);
            self.note(verdict.into_iter().collect()).await?;
        }
        Ok(Ok(()))
    }

    /// Says in the logs whose report was refused.
    fn blame(&self, node: &ClientName, task: TaskId, refused: &Refused) {
        let (run, code) = (&self.record.id, refused.code.word());
        tracing::warn!(%run, %task, %node, code, message = refused.message, "a report was refused");
    }
}

/// What a node could not do, in words.
fn failed(failure: &proto::TaskFailure) -> String {
    let what = match failure.code() {
        FailureCode::Unspecified => "it could not do its task",
        FailureCode::Diverged => "its training diverged",
        FailureCode::NoRows => "it has no rows for this task",
        FailureCode::OutOfRange => "its update has a value above training.max_abs_update",
        FailureCode::Trainer => "its trainer failed",
        FailureCode::State => "its client state is unusable",
        FailureCode::Cohort => "the cohort is smaller than its owner allows",
        FailureCode::Model => "the model did not arrive whole",
        FailureCode::Data => "its data cannot be read any more",
        FailureCode::Cancelled => "its work was cancelled",
        FailureCode::Unsupported => {
            "its version cannot do such a task, or the approved job has no such task"
        }
        FailureCode::Denied => "its owner took the consent back",
        FailureCode::Layout => "the model has other tensors than its trainer declares",
    };
    match failure.step {
        0 => what.to_owned(),
        step => format!("{what} at step {step}"),
    }
}

/// A name for a sum that no other has, in this process or another.
fn accumulator() -> Result<String, Stop> {
    let mut bytes = [0; 16];
    let filled = SysRng.try_fill_bytes(&mut bytes);
    filled.map_err(|error| Stop::Failed(format!("no random bytes: {error}")))?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}
