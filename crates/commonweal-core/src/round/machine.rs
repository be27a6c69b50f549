//! The machine itself: one event at a time, the time first.

use alloc::boxed::Box;
use alloc::collections::VecDeque;
use alloc::sync::Arc;
use core::fmt;

use super::members::{Members, State};
use super::{AbandonReason, Abandoned, Action, Committed, Event, RoundSpec};
use crate::{
    ClientIndex, ClientName, Entropy, Fold, Payload, Purpose, Refusal, Session, SessionAction,
    Stage, Step, Task, TaskId, Time,
};

/// One round. Drive it with [`handle`](Self::handle) until [`is_over`](Self::is_over), doing after each event
/// whatever [`poll_action`](Self::poll_action) gives, and sending [`Event::Tick`] at [`deadline`](Self::deadline).
pub struct Round {
    spec: RoundSpec,
    session: Box<dyn Session>,
    /// Until the session begins.
    entropy: Option<Entropy>,
    phase: Phase,
    members: Members,
    cohort: u32,
    /// Dismissals and folds: before any further task, so that reports do not pile up with a driver that does one
    /// thing after another.
    queue: VecDeque<Action>,
    /// Clients to be told that they may check in.
    to_invite: VecDeque<ClientIndex>,
    /// Clients whose task is still to be made.
    to_configure: VecDeque<ClientIndex>,
    /// Messages of the session: after all tasks.
    to_send: VecDeque<Action>,
    /// Comes last.
    end: Option<Action>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Selection,
    Reporting,
    /// No more reports; waits for workers.
    Closing,
    /// All is folded; waits for the session.
    Finishing,
    Over,
}

impl Round {
    /// Opens a round and invites its clients. `entropy` is for the session.
    pub fn new(
        mut spec: RoundSpec,
        session: Box<dyn Session>,
        entropy: Entropy,
        now: Time,
    ) -> Self {
        spec.minimum = spec.minimum.max(1);
        let members = Members::new(core::mem::take(&mut spec.cohort.invited));
        let to_invite = members.of(State::Invited).into();
        let phase = Phase::Selection;
        let entropy = Some(entropy);
        let mut round = Self {
            spec,
            session,
            entropy,
            phase,
            members,
            cohort: 0,
            queue: VecDeque::new(),
            to_invite,
            to_configure: VecDeque::new(),
            to_send: VecDeque::new(),
            end: None,
        };
        round.close_if_due(now);
        round.advance(now);
        round
    }

    /// Takes an event that happened at `now`. Times must not go backwards.
    ///
    /// # Errors
    /// The event does not count; the round goes on as if only the time had passed.
    pub fn handle(&mut self, event: Event, now: Time) -> Result<(), Refusal> {
        self.close_if_due(now); // before the event: a report that is late must not count
        let handled = match event {
            Event::CheckIn { client } => self.check_in(client),
            Event::Report {
                client,
                task,
                step,
                message,
            } => self.report(client, task, step, message, now),
            Event::Folded { client } => self.folded(client, State::Counted, now),
            Event::FoldRefused { client } => self.folded(client, State::Gone, now),
            Event::Failed { client } => self.failed(client, now),
            Event::Tick => Ok(()),
        };
        self.advance(now);
        handled
    }

    /// The next thing to do, in order.
    pub fn poll_action(&mut self) -> Option<Action> {
        if let Some(action) = self.queue.pop_front() {
            return Some(action);
        }
        while let Some(client) = self.to_invite.pop_front() {
            if self.members.state(client) == Some(State::Invited) {
                return Some(Action::Invite { client });
            }
        }
        while let Some(client) = self.to_configure.pop_front() {
            if self.members.state(client) == Some(State::Working) {
                let task = self.task_of(client);
                return Some(Action::Configure { client, task });
            }
        }
        self.to_send.pop_front().or_else(|| self.end.take())
    }

    /// When an [`Event::Tick`] is due at the latest, if nothing else happens before.
    pub fn deadline(&self) -> Option<Time> {
        let own = match self.phase {
            Phase::Selection => earlier(self.spec.selection_until, self.spec.reporting_until),
            Phase::Reporting => self.spec.reporting_until,
            Phase::Closing | Phase::Finishing => None,
            Phase::Over => return None,
        };
        earlier(own, self.session.deadline())
    }

    /// Whether it has committed or was abandoned. There may be actions left to poll.
    pub fn is_over(&self) -> bool {
        self.phase == Phase::Over
    }

    /// What its task is called.
    pub fn task(&self) -> TaskId {
        self.spec.task
    }

    /// How its reports are verified and folded: workers hold a copy.
    pub fn fold(&self) -> &Arc<Fold> {
        &self.spec.fold
    }

    /// The client of a name, for whoever hears only names.
    ///
    /// # Errors
    /// [`Refusal::UnknownClient`].
    pub fn client(&self, name: &ClientName) -> Result<ClientIndex, Refusal> {
        self.spec
            .population
            .index(name)
            .ok_or(Refusal::UnknownClient)
    }

    fn close_if_due(&mut self, now: Time) {
        let is_due = |deadline: Option<Time>| deadline.is_some_and(|deadline| now >= deadline);
        if self.phase == Phase::Selection
            && is_due(earlier(
                self.spec.selection_until,
                self.spec.reporting_until,
            ))
        {
            self.end_selection(now);
        }
        if self.phase != Phase::Over && is_due(self.session.deadline()) {
            self.session.tick(now);
            self.pump();
        }
        if self.phase == Phase::Reporting && is_due(self.spec.reporting_until) {
            self.close(Refusal::Late, now);
        }
    }

    fn check_in(&mut self, client: ClientIndex) -> Result<(), Refusal> {
        match (self.members.state(client), self.phase) {
            (None, _) => Err(self.stranger(client)),
            (Some(State::Invited), Phase::Selection) => {
                self.members.set(client, State::Ready);
                Ok(())
            }
            (Some(State::Gone), Phase::Selection) => Err(Refusal::Gone),
            (Some(State::Invited | State::Gone), _) => Err(Refusal::Late),
            (Some(_), _) => Err(Refusal::Duplicate),
        }
    }

    fn report(
        &mut self,
        client: ClientIndex,
        task: TaskId,
        step: Step,
        message: Payload,
        now: Time,
    ) -> Result<(), Refusal> {
        let state = self
            .members
            .state(client)
            .ok_or_else(|| self.stranger(client))?;
        if task != self.spec.task {
            return Err(Refusal::WrongTask {
                expected: self.spec.task,
                found: task,
            });
        }
        let is_report = step == self.session.report_step();
        match (state, self.phase) {
            (State::Folding | State::Counted, _) if is_report => return Err(Refusal::Duplicate),
            (_, Phase::Over) => return Err(Refusal::Over),
            (State::Gone, Phase::Closing | Phase::Finishing) => return Err(Refusal::Late),
            (State::Gone, _) => return Err(Refusal::Gone),
            (State::Invited | State::Ready, _) => return Err(Refusal::OutOfOrder),
            _ if is_report && self.accepted() >= self.spec.cohort.goal => {
                return Err(Refusal::NotNeeded);
            }
            _ => {}
        }
        let handled = self.session.handle(client, step, message, now);
        if let Err(refusal) = &handled
            && is_report
            && refusal.is_final()
        {
            self.lose(client, now);
        }
        self.pump();
        handled
    }

    fn folded(&mut self, client: ClientIndex, state: State, now: Time) -> Result<(), Refusal> {
        match self.members.state(client) {
            Some(State::Folding) if state == State::Counted => {
                self.members.set(client, state);
                Ok(())
            }
            Some(State::Folding) => {
                self.lose(client, now);
                Ok(())
            }
            Some(_) => Err(Refusal::OutOfOrder),
            None => Err(self.stranger(client)),
        }
    }

    fn failed(&mut self, client: ClientIndex, now: Time) -> Result<(), Refusal> {
        match (self.members.state(client), self.phase) {
            (None, _) => Err(self.stranger(client)),
            (Some(State::Invited | State::Ready), Phase::Selection) => {
                self.members.set(client, State::Gone);
                self.invite_another();
                Ok(())
            }
            (Some(State::Working), _) => {
                self.lose(client, now);
                Ok(())
            }
            // Its report is complete: whoever vanishes after that has still reported.
            (Some(State::Folding | State::Counted), _) => {
                self.session.lost(client, now);
                self.pump();
                Ok(())
            }
            (Some(_), _) => Err(Refusal::Gone),
        }
    }

    /// Replaces a client that vanished before the cohort was fixed. Afterwards nobody is replaced: what was
    /// promised about the cohort, its size first, must stay true.
    fn invite_another(&mut self) {
        let members = &mut self.members;
        let another = self
            .spec
            .cohort
            .reserve
            .find(|&client| members.invite(client));
        self.to_invite.extend(another);
    }

    /// The client's part in the round ends without a report.
    fn lose(&mut self, client: ClientIndex, now: Time) {
        self.members.set(client, State::Gone);
        self.session.lost(client, now);
        self.pump();
    }

    /// Moves on as far as the members' states allow.
    fn advance(&mut self, now: Time) {
        if self.phase == Phase::Selection && self.members.count(State::Invited) == 0 {
            self.end_selection(now);
            self.close_if_due(now);
        }
        if self.phase == Phase::Reporting {
            if self.members.count(State::Counted) >= self.spec.cohort.goal {
                self.close(Refusal::NotNeeded, now);
            } else if self.members.count(State::Working) == 0
                && self.members.count(State::Folding) == 0
            {
                self.close(Refusal::Late, now);
            }
        }
        if self.phase == Phase::Closing && self.members.count(State::Folding) == 0 {
            self.finish(now);
        }
        if self.phase == Phase::Finishing && self.session.is_complete() {
            let (task, cohort) = (self.spec.task, self.cohort);
            let counted = self.members.of(State::Counted);
            self.end(Action::Commit(Committed {
                task,
                cohort,
                counted,
            }));
        }
    }

    fn end_selection(&mut self, now: Time) {
        for client in self.members.set_all(State::Invited, State::Gone) {
            self.dismiss(client, Refusal::Late);
        }
        let found = self.members.count(State::Ready);
        if found < self.spec.minimum {
            let minimum = self.spec.minimum;
            return self.abandon(AbandonReason::TooFewReady { minimum, found });
        }
        self.configure(now);
    }

    fn configure(&mut self, now: Time) {
        let cohort = self.members.set_all(State::Ready, State::Working);
        self.cohort = cohort.len() as u32;
        // Over-selected clients that never came leave fewer to wait for.
        self.spec.cohort.goal = self.spec.cohort.goal.clamp(self.spec.minimum, self.cohort);
        self.phase = Phase::Reporting;
        self.to_configure.extend(&cohort);
        if let Some(entropy) = self.entropy.take() {
            self.session.begin(&cohort, entropy, now);
        }
        self.pump();
    }

    /// Takes no more reports; those with workers still count.
    fn close(&mut self, refusal: Refusal, now: Time) {
        self.phase = Phase::Closing;
        for client in self.members.set_all(State::Working, State::Gone) {
            self.session.lost(client, now);
            self.dismiss(client, refusal.clone());
        }
        self.pump();
    }

    fn finish(&mut self, now: Time) {
        let (found, minimum) = (self.members.count(State::Counted), self.spec.minimum);
        if found < minimum {
            return self.abandon(AbandonReason::TooFewReports { minimum, found });
        }
        self.phase = Phase::Finishing;
        self.session.close(&self.members.of(State::Counted), now);
        self.pump();
    }

    fn abandon(&mut self, reason: AbandonReason) {
        for state in [State::Invited, State::Ready, State::Working] {
            for client in self.members.set_all(state, State::Gone) {
                self.dismiss(client, Refusal::Over);
            }
        }
        self.end(Action::Abandon(Abandoned {
            task: self.spec.task,
            reason,
        }));
    }

    fn end(&mut self, action: Action) {
        self.phase = Phase::Over;
        self.end = Some(action);
    }

    fn dismiss(&mut self, client: ClientIndex, refusal: Refusal) {
        self.queue.push_back(Action::Dismiss { client, refusal });
    }

    /// Does what the session wants.
    fn pump(&mut self) {
        while self.phase != Phase::Over
            && let Some(action) = self.session.poll_action()
        {
            match action {
                SessionAction::Send {
                    to: client,
                    step,
                    message,
                } => {
                    self.to_send.push_back(Action::Send {
                        client,
                        step,
                        message,
                    });
                }
                SessionAction::Fold {
                    from: client,
                    message,
                } => {
                    if self.members.state(client) == Some(State::Working) {
                        self.members.set(client, State::Folding);
                        self.queue.push_back(Action::Fold { client, message });
                    }
                }
                SessionAction::Fail { client, refusal } => {
                    // What is in the sum stays there.
                    if self.members.state(client) == Some(State::Working) {
                        self.members.set(client, State::Gone);
                    }
                    self.dismiss(client, refusal);
                }
                SessionAction::Abandon => self.abandon(AbandonReason::Session),
            }
        }
    }

    /// Reports that are in the sum or about to be.
    fn accepted(&self) -> u32 {
        self.members.count(State::Folding) + self.members.count(State::Counted)
    }

    fn stranger(&self, client: ClientIndex) -> Refusal {
        match client.0 < self.spec.population.clients() {
            true => Refusal::NotInCohort,
            false => Refusal::UnknownClient,
        }
    }

    fn task_of(&self, client: ClientIndex) -> Task {
        let purpose = match self.spec.task.stage {
            Stage::Prepare => Purpose::Prepare,
            Stage::Train => Purpose::Train,
            Stage::Evaluate => Purpose::Evaluate,
        };
        let name = self.spec.population.name(client);
        Task {
            id: self.spec.task,
            manifest: self.spec.manifest,
            prepared: self.spec.prepared,
            base: self.spec.base,
            seed: self
                .spec
                .seed
                .derive(purpose, self.spec.task.round, name.as_ref()),
            deadline: self.spec.reporting_until,
            cohort: self.cohort,
            kind: self.spec.kind.clone(),
        }
    }
}

fn earlier(a: Option<Time>, b: Option<Time>) -> Option<Time> {
    match (a, b) {
        (Some(a), Some(b)) => Some(a.min(b)),
        (one, other) => one.or(other),
    }
}

impl fmt::Debug for Round {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "Round({}, {:?}, {:?})",
            self.spec.task, self.phase, self.members
        )
    }
}
