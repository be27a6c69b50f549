//! One open round: where each of its nodes is, around the core's [`Round`]. Events and the time go in, effects come out.
//!
//! The core decides what counts; here is decided who is there, who is waited for, and for how long.

use std::collections::{BTreeMap, VecDeque};

use commonweal_core::{
    Abandoned, Action, ClientIndex, Committed, Event, Payload, Refusal, Round, Step, Task, TaskId,
    Time,
};

/// A round that is under way.
#[derive(Debug)]
pub(super) struct OpenRound {
    round: Round,
    limits: Limits,
    places: BTreeMap<ClientIndex, Place>,
    effects: VecDeque<Effect>,
    tally: Tally,
    end: Option<RoundEnd>,
}

/// How long this round waits.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    /// For a node that is away; `None` for ever.
    pub(super) grace_ms: Option<u64>,
    /// For a node at work, once enough others have reported; `None` for ever.
    pub(super) work_ms: Option<u64>,
    /// The fewest reports.
    pub(super) minimum: u32,
}

/// One node's place in the round.
#[derive(Debug)]
pub(super) struct Place {
    /// How far it is.
    pub(super) stand: Stand,
    /// Since when.
    pub(super) since: Time,
    /// Why it takes no part any more.
    pub(super) reason: Option<String>,
    task: Option<Task>,
}

/// How far a node is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stand {
    /// It is to check in.
    Invited,
    /// It has, and others have not.
    Ready,
    /// Its task waits for the node's turn.
    Queued,
    /// It has its task.
    Working,
    /// Its report is being added.
    Folding,
    /// Its report is in the sum.
    Counted,
    /// It takes no part any more.
    Gone,
}

/// Whether a node is there, as the round asks it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum There {
    /// It is, and may be given a task.
    Free,
    /// It is, and works for another run.
    Busy,
    /// It failed too often, and is left alone for so long.
    Resting {
        /// Milliseconds.
        left_ms: u64,
    },
    /// It is not, for so long; as long as anybody can know.
    Away {
        /// Milliseconds.
        for_ms: u64,
    },
    /// It will not be.
    Never {
        /// Why.
        reason: String,
    },
}

/// What the driver is to do.
#[derive(Debug, PartialEq)]
pub(super) enum Effect {
    /// Say whether the node is there, with [`OpenRound::look`].
    Look(ClientIndex),
    /// Take the node's turn; once it is this run's, say so with [`OpenRound::turn`].
    Queue(ClientIndex),
    /// Give the node its task.
    Give(ClientIndex, Task),
    /// Tell the node that its task is not needed any more.
    Cancel(ClientIndex, String),
    /// Give the node's turn back.
    Release(ClientIndex),
    /// Fold a report, then say what came of it with [`OpenRound::folded`].
    Fold(ClientIndex, Payload),
}

/// What came of a round.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum RoundEnd {
    /// It has its reports.
    Committed(Committed),
    /// It changes nothing.
    Abandoned(Abandoned),
}

/// What is remembered of a round besides its sum.
#[derive(Debug, Default)]
pub(super) struct Tally {
    /// Nodes that were given a task.
    pub(super) cohort: Vec<ClientIndex>,
    /// Bytes of the reports that were taken.
    pub(super) bytes_up: u64,
    /// Nodes of the cohort that were refused, late or lost, and why.
    pub(super) refused: Vec<(ClientIndex, String)>,
    /// How long each report took, in milliseconds.
    pub(super) worked_ms: Vec<u64>,
}

/// Why a node's part ends without a report.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Failing {
    /// It has nothing to do its part with, which is no fault.
    Declined,
    /// Everything else.
    Failed,
}

impl OpenRound {
    /// Around a round that was just opened.
    pub(super) fn new(round: Round, limits: Limits, now: Time) -> Self {
        let mut open = Self {
            round,
            limits,
            places: BTreeMap::new(),
            effects: VecDeque::new(),
            tally: Tally::default(),
            end: None,
        };
        open.pump(now);
        open
    }

    /// What its task is called.
    pub(super) fn task(&self) -> TaskId {
        self.round.task()
    }

    /// The next thing to do.
    pub(super) fn poll_effect(&mut self) -> Option<Effect> {
        self.effects.pop_front()
    }

    /// When [`Self::tick`] is due at the latest, besides looking at every node once in a while.
    pub(super) fn deadline(&self) -> Option<Time> {
        self.round.deadline()
    }

    /// How it ended, if it has.
    pub(super) fn end(&self) -> Option<&RoundEnd> {
        self.end.as_ref()
    }

    /// How it ended, with what is remembered of it.
    pub(super) fn into_end(self) -> Option<(RoundEnd, Tally)> {
        self.end.map(|end| (end, self.tally))
    }

    /// Where each node is.
    pub(super) fn places(&self) -> impl Iterator<Item = (ClientIndex, &Place)> {
        self.places.iter().map(|(&client, place)| (client, place))
    }

    /// Where a node is.
    pub(super) fn stand(&self, client: ClientIndex) -> Option<Stand> {
        self.places.get(&client).map(|place| place.stand)
    }

    /// Nodes of which something is still to come.
    pub(super) fn unfinished(&self) -> Vec<ClientIndex> {
        let is_unfinished = |place: &Place| {
            matches!(
                place.stand,
                Stand::Invited | Stand::Ready | Stand::Queued | Stand::Working
            )
        };
        let places = self.places.iter();
        places
            .filter(|(_, place)| is_unfinished(place))
            .map(|(&client, _)| client)
            .collect()
    }

    /// Takes in whether a node is there. `is_enough`: the nodes that are there suffice for a round, so that others
    /// need not be waited for.
    pub(super) fn look(&mut self, client: ClientIndex, there: &There, is_enough: bool, now: Time) {
        let Some(place) = self.places.get(&client) else {
            return;
        };
        let (stand, since) = (place.stand, place.since);
        let is_over = |waited_ms: u64| {
            is_enough && self.limits.grace_ms.is_some_and(|grace| waited_ms >= grace)
        };
        match (stand, there) {
            (Stand::Folding | Stand::Counted | Stand::Gone, _) => {}
            (_, There::Never { reason }) => self.lose(client, reason, Failing::Failed, now),
            (Stand::Invited, There::Free) => {
                self.set(client, Stand::Ready, now);
                // Refused only when selection is over: then the round dismisses the node itself.
                let _ = self.handle(Event::CheckIn { client }, now);
            }
            (Stand::Invited, There::Resting { left_ms }) if is_over(*left_ms) => {
                let reason = "it rests after repeated failures";
                self.lose(client, reason, Failing::Failed, now);
            }
            (_, There::Away { for_ms }) if is_over(*for_ms) => {
                let reason = match stand {
                    Stand::Working => "it went away while it worked",
                    _ => "it is away",
                };
                self.lose(client, reason, Failing::Failed, now);
            }
            (Stand::Working, _) if self.is_too_slow(since, now) => {
                let reason = "it took more than three times as long as the others";
                self.lose(client, reason, Failing::Failed, now);
            }
            _ => {}
        }
    }

    /// It is the node's turn: its task can be given.
    pub(super) fn turn(&mut self, client: ClientIndex, now: Time) {
        let Some(place) = self.places.get_mut(&client) else {
            return self.effects.push_back(Effect::Release(client));
        };
        match (place.stand, &place.task) {
            (Stand::Queued, Some(task)) => {
                let task = task.clone();
                self.set(client, Stand::Working, now);
                self.effects.push_back(Effect::Give(client, task));
            }
            (Stand::Working, _) => {}
            _ => self.effects.push_back(Effect::Release(client)),
        }
    }

    /// The task of a node that has it, to be given again to one that came back.
    pub(super) fn given(&self, client: ClientIndex) -> Option<&Task> {
        let place = self.places.get(&client)?;
        let is_given = place.stand == Stand::Working;
        place.task.as_ref().filter(|_| is_given)
    }

    /// Whether a report of the node would be taken now.
    ///
    /// # Errors
    /// Why not.
    pub(super) fn expects(
        &self,
        client: ClientIndex,
        task: TaskId,
        step: Step,
    ) -> Result<(), Refusal> {
        let expected = self.task();
        if task != expected {
            let found = task;
            return Err(Refusal::WrongTask { expected, found });
        }
        match self.stand(client) {
            None => Err(Refusal::NotInCohort),
            Some(Stand::Gone) => Err(Refusal::Gone),
            Some(Stand::Folding | Stand::Counted) => Err(Refusal::Duplicate),
            Some(Stand::Invited | Stand::Ready) => Err(Refusal::OutOfOrder),
            Some(Stand::Queued | Stand::Working) if step != Step(0) => Err(Refusal::OutOfOrder),
            Some(Stand::Queued | Stand::Working) if self.round.is_over() => Err(Refusal::Over),
            Some(Stand::Queued | Stand::Working) => Ok(()),
        }
    }

    /// Takes a whole report. What comes of it is told by [`Effect::Fold`].
    ///
    /// # Errors
    /// Why it does not count; if it was at fault, the node's part in the round is over.
    pub(super) fn report(
        &mut self,
        client: ClientIndex,
        task: TaskId,
        step: Step,
        message: Payload,
        now: Time,
    ) -> Result<(), Refusal> {
        self.expects(client, task, step)?;
        let bytes = message.as_bytes().len() as u64;
        let since = self.places.get(&client).map_or(now, |place| place.since);
        let event = Event::Report {
            client,
            task,
            step,
            message,
        };
        let taken = self.handle(event, now);
        match &taken {
            Ok(()) => {
                self.tally.bytes_up += bytes;
                self.tally.worked_ms.push(now.ms.saturating_sub(since.ms));
            }
            Err(refusal) if refusal.is_final() => self.gone(client, refusal.to_string(), now),
            Err(_) => {}
        }
        taken
    }

    /// Takes in what came of a fold.
    pub(super) fn folded(&mut self, client: ClientIndex, folded: Result<(), String>, now: Time) {
        let event = match folded {
            Ok(()) => {
                self.set(client, Stand::Counted, now);
                Event::Folded { client }
            }
            Err(reason) => {
                self.gone(client, reason, now);
                Event::FoldRefused { client }
            }
        };
        // The round asked for this fold, so it waits for the answer.
        let _ = self.handle(event, now);
    }

    /// The node's part ends without a report.
    pub(super) fn lose(&mut self, client: ClientIndex, reason: &str, failing: Failing, now: Time) {
        let Some(stand) = self.stand(client) else {
            return;
        };
        match stand {
            Stand::Folding | Stand::Counted | Stand::Gone => return,
            Stand::Invited | Stand::Ready => {}
            Stand::Queued => self.effects.push_back(Effect::Release(client)),
            Stand::Working => {
                self.effects
                    .push_back(Effect::Cancel(client, reason.to_owned()));
                self.effects.push_back(Effect::Release(client));
            }
        }
        if matches!(stand, Stand::Queued | Stand::Working) && failing == Failing::Failed {
            self.tally.refused.push((client, reason.to_owned()));
        }
        self.set(client, Stand::Gone, now);
        self.because(client, reason.to_owned());
        // Refused if the round has given the node up already: then it knows.
        let _ = self.handle(Event::Failed { client }, now);
    }

    /// Time has passed.
    pub(super) fn tick(&mut self, now: Time) {
        // A tick is never refused.
        let _ = self.handle(Event::Tick, now);
    }

    /// Whether the node works for longer than is usual and enough others are done.
    fn is_too_slow(&self, since: Time, now: Time) -> bool {
        let is_done = |place: &&Place| place.stand == Stand::Counted;
        let done = self.places.values().filter(is_done).count();
        let limit = self
            .limits
            .work_ms
            .filter(|_| done >= self.limits.minimum as usize);
        limit.is_some_and(|limit| now.ms.saturating_sub(since.ms) >= limit)
    }

    fn handle(&mut self, event: Event, now: Time) -> Result<(), Refusal> {
        let handled = self.round.handle(event, now);
        self.pump(now);
        handled
    }

    fn pump(&mut self, now: Time) {
        while let Some(action) = self.round.poll_action() {
            match action {
                Action::Invite { client } => {
                    self.set(client, Stand::Invited, now);
                    self.effects.push_back(Effect::Look(client));
                }
                Action::Configure { client, task } => {
                    self.set(client, Stand::Queued, now);
                    if let Some(place) = self.places.get_mut(&client) {
                        place.task = Some(task);
                    }
                    self.tally.cohort.push(client);
                    self.effects.push_back(Effect::Queue(client));
                }
                Action::Fold { client, message } => {
                    self.set(client, Stand::Folding, now);
                    self.effects.push_back(Effect::Release(client));
                    self.effects.push_back(Effect::Fold(client, message));
                }
                Action::Dismiss { client, refusal } => self.dismissed(client, &refusal, now),
                // Plain reporting has no message to nodes but the task.
                Action::Send { .. } => {}
                Action::Commit(committed) => self.end = Some(RoundEnd::Committed(committed)),
                Action::Abandon(abandoned) => self.end = Some(RoundEnd::Abandoned(abandoned)),
            }
        }
    }

    fn dismissed(&mut self, client: ClientIndex, refusal: &Refusal, now: Time) {
        let reason = refusal.to_string();
        let stand = self.stand(client);
        if stand == Some(Stand::Working) {
            self.effects
                .push_back(Effect::Cancel(client, reason.clone()));
        }
        if matches!(stand, Some(Stand::Queued | Stand::Working)) {
            self.effects.push_back(Effect::Release(client));
            if !matches!(refusal, Refusal::NotNeeded | Refusal::Over) {
                self.tally.refused.push((client, reason.clone()));
            }
        }
        self.set(client, Stand::Gone, now);
        self.because(client, reason);
    }

    /// The round has refused the node's report.
    fn gone(&mut self, client: ClientIndex, reason: String, now: Time) {
        if self.stand(client) != Some(Stand::Folding) {
            self.effects.push_back(Effect::Release(client));
        }
        self.set(client, Stand::Gone, now);
        self.because(client, reason.clone());
        self.tally.refused.push((client, reason));
    }

    fn set(&mut self, client: ClientIndex, stand: Stand, now: Time) {
        let place = self.places.entry(client).or_insert(Place {
            stand,
            since: now,
            reason: None,
            task: None,
        });
        place.stand = stand;
        place.since = now;
    }

    fn because(&mut self, client: ClientIndex, reason: String) {
        if let Some(place) = self.places.get_mut(&client) {
            place.reason = Some(reason);
        }
    }
}

#[cfg(test)]
mod tests;
