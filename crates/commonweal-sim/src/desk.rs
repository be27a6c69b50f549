//! The server's desk in a simulated round: hands clients out to threads and their reports to [`Round`].
//!
//! Where all clients answer at once, the largest is trained first and reports are handed over as they
//! come: sums of integers do not depend on the order. Where the population model delays or loses
//! reports, or more clients are asked than needed, clients are trained and handed over in the order in
//! which their reports arrive in virtual time.

use std::collections::VecDeque;

use commonweal_core::{
    Abandoned, Action, ClientIndex, Committed, Event, Payload, Population, Refusal, Round, Seed,
    Step, Task, Time,
};

use crate::arrival::{Arrival, Arrivals};
use crate::error::SimulationError;
use crate::states::StagedState;
use crate::work::{Report, Work, WorkError};

/// One client's failure to be counted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Refused {
    pub(crate) client: ClientIndex,
    pub(crate) reason: String,
}

/// What a round came to.
#[derive(Debug)]
pub(crate) enum Ended {
    Committed(Committed),
    Abandoned(Abandoned),
}

/// What a thread does next.
pub(crate) enum Next {
    /// Do the part of the client in this place.
    Client(usize),
    /// Wait until reports before have been handed over.
    Wait,
    /// Go home.
    Nothing,
}

/// A client with its seed and, in a round in virtual time, the arrival of its report.
#[derive(Clone, Debug)]
struct Place {
    client: ClientIndex,
    seed: Seed,
    arrival: Option<Arrival>,
}

/// A round with its reports on their way.
pub(crate) struct Desk {
    round: Round,
    now: Time,
    /// Any configured client's task: all differ in the seed alone.
    task: Option<Task>,
    places: Vec<Place>,
    /// The place that is given to a thread next.
    next: usize,
    /// Virtual time: results of the places from `due` on, of which the first is awaited.
    window: VecDeque<Option<Result<Report, WorkError>>>,
    due: usize,
    widest_window: usize,
    /// Virtual time: a report is with a thread.
    is_folding: bool,
    is_closed: bool,
    invited: VecDeque<ClientIndex>,
    folds: Vec<(ClientIndex, Payload)>,
    pub(crate) ended: Option<Ended>,
    pub(crate) error: Option<SimulationError>,
    pub(crate) refused: Vec<Refused>,
    pub(crate) staged: Vec<(ClientIndex, StagedState)>,
    pub(crate) bytes_up: u64,
}

impl Desk {
    /// Lets the invited clients check in, so that the cohort is fixed, and puts them in order.
    ///
    /// `arrivals` and the round's number are given where virtual time matters. At most
    /// `widest_window` reports are kept for want of one that arrives before them.
    pub(crate) fn open<S>(
        round: Round,
        work: &dyn Work<S>,
        arrivals: Option<(&Arrivals, u64, &Population)>,
        widest_window: usize,
        now: Time,
    ) -> Self {
        let mut desk = Self {
            round,
            now,
            task: None,
            places: Vec::new(),
            next: 0,
            window: VecDeque::new(),
            due: 0,
            widest_window,
            is_folding: false,
            is_closed: false,
            invited: VecDeque::new(),
            folds: Vec::new(),
            ended: None,
            error: None,
            refused: Vec::new(),
            staged: Vec::new(),
            bytes_up: 0,
        };
        desk.poll();
        while let Some(client) = desk.invited.pop_front() {
            let event = match work.takes_part(client) {
                true => Event::CheckIn { client },
                false => Event::Failed { client },
            };
            // Whoever comes too late for selection is dismissed by the round itself.
            let _ = desk.handle(event);
        }
        match arrivals {
            Some((arrivals, number, population)) => {
                desk.sort_by_arrival(arrivals, number, population)
            }
            None => desk
                .places
                .sort_by_key(|place| std::cmp::Reverse(work.cost(place.client))),
        }
        desk
    }

    fn sort_by_arrival(&mut self, arrivals: &Arrivals, number: u64, population: &Population) {
        for place in &mut self.places {
            let name = population.name(place.client);
            place.arrival = name.map(|name| arrivals.draw(number, &name, self.now));
        }
        self.places
            .sort_by_key(|place| (place.arrival, place.client));
    }

    /// Clients that were configured.
    pub(crate) fn cohort(&self) -> usize {
        self.places.len()
    }

    /// The time of the last event.
    pub(crate) fn now(&self) -> Time {
        self.now
    }

    /// Whether no further report will count.
    pub(crate) fn is_closed(&self) -> bool {
        self.is_closed || self.error.is_some() || self.ended.is_some()
    }

    /// What a thread does next.
    pub(crate) fn take(&mut self) -> Next {
        if self.is_closed() || self.next == self.places.len() {
            return Next::Nothing;
        }
        if self.is_in_virtual_time() {
            if self.next - self.due >= self.widest_window {
                return Next::Wait;
            }
            self.window.push_back(None);
        }
        self.next += 1;
        Next::Client(self.next - 1)
    }

    /// The client in a place and its task; none if it vanishes instead of working.
    pub(crate) fn task(&self, place: usize) -> Option<(ClientIndex, Task)> {
        let Place {
            client,
            seed,
            arrival,
        } = &self.places[place];
        if arrival.is_some_and(|arrival| arrival.vanishes) {
            return None;
        }
        let task = self.task.clone()?;
        Some((
            *client,
            Task {
                seed: seed.clone(),
                ..task
            },
        ))
    }

    /// Takes what came of a place; returns a report that the calling thread is to fold.
    pub(crate) fn deliver(
        &mut self,
        place: usize,
        result: Result<Report, WorkError>,
    ) -> Option<(ClientIndex, Payload)> {
        if !self.is_in_virtual_time() {
            self.hand_over(place, result);
            return self.folds.pop();
        }
        if let Some(kept) = self.window.get_mut(place - self.due) {
            *kept = Some(result);
        }
        self.hand_over_due()
    }

    /// Tells the round what a thread made of a report; returns what the thread is to fold next.
    pub(crate) fn folded(
        &mut self,
        client: ClientIndex,
        result: Result<(), Refusal>,
    ) -> Option<(ClientIndex, Payload)> {
        let event = match result {
            Ok(()) => Event::Folded { client },
            Err(refusal) => {
                self.refuse(client, refusal.to_string());
                Event::FoldRefused { client }
            }
        };
        // The round asked for this fold, so it waits for the answer.
        let _ = self.handle(event);
        if !self.is_in_virtual_time() {
            return None;
        }
        self.is_folding = false;
        self.hand_over_due()
    }

    /// Ends the round at its deadline if clients are missing that will not come.
    pub(crate) fn close(&mut self) {
        while self.ended.is_none()
            && self.error.is_none()
            && let Some(deadline) = self.round.deadline()
        {
            self.reach(deadline);
        }
        if !self.is_in_virtual_time() {
            self.refused.sort_by_key(|refused| refused.client);
        }
    }

    fn is_in_virtual_time(&self) -> bool {
        self.places
            .first()
            .is_some_and(|place| place.arrival.is_some())
    }

    /// Hands over what is due until a report is to be folded: whether a later one is needed depends on
    /// whether this one is counted.
    fn hand_over_due(&mut self) -> Option<(ClientIndex, Payload)> {
        while !self.is_folding
            && let Some(Some(_)) = self.window.front()
            && let Some(Some(result)) = self.window.pop_front()
        {
            self.due += 1;
            self.hand_over(self.due - 1, result);
            self.is_folding = !self.folds.is_empty();
        }
        self.folds.pop()
    }

    fn hand_over(&mut self, place: usize, result: Result<Report, WorkError>) {
        let Place {
            client, arrival, ..
        } = self.places[place];
        self.reach(arrival.map_or(self.now, |arrival| arrival.at));
        match result {
            Err(WorkError::Fatal(error)) => {
                self.error.get_or_insert(error);
            }
            // Whoever is missing was dismissed.
            _ if self.is_closed() => {}
            Err(WorkError::Client(reason)) => self.lose(client, reason),
            Ok(report) => self.report(client, report),
        }
    }

    fn report(&mut self, client: ClientIndex, Report { message, state }: Report) {
        let Some(task) = self.task.as_ref().map(|task| task.id) else {
            return;
        };
        let bytes = message.as_bytes().len() as u64;
        match self.handle(Event::Report {
            client,
            task,
            step: Step(0),
            message,
        }) {
            Ok(()) => {
                self.bytes_up += bytes;
                self.staged.extend(state.map(|state| (client, state)));
            }
            Err(Refusal::NotNeeded | Refusal::Over) => {}
            Err(refusal) => self.lose(client, refusal.to_string()),
        }
    }

    fn lose(&mut self, client: ClientIndex, reason: String) {
        self.refuse(client, reason);
        // Refused if the round has given the client up already: then it knows.
        let _ = self.handle(Event::Failed { client });
    }

    fn refuse(&mut self, client: ClientIndex, reason: String) {
        self.refused.push(Refused { client, reason });
    }

    /// Lets time pass, a deadline on the way first.
    fn reach(&mut self, at: Time) {
        if let Some(deadline) = self.round.deadline()
            && deadline <= at
        {
            self.now = self.now.max(deadline);
            // A tick is never refused.
            let _ = self.handle(Event::Tick);
        }
        if !self.is_closed() {
            self.now = self.now.max(at);
        }
    }

    fn handle(&mut self, event: Event) -> Result<(), Refusal> {
        let handled = self.round.handle(event, self.now);
        self.poll();
        handled
    }

    fn poll(&mut self) {
        while let Some(action) = self.round.poll_action() {
            match action {
                Action::Invite { client } => self.invited.push_back(client),
                Action::Configure { client, task } => {
                    self.places.push(Place {
                        client,
                        seed: task.seed.clone(),
                        arrival: None,
                    });
                    self.task.get_or_insert(task);
                }
                Action::Fold { client, message } => self.folds.push((client, message)),
                Action::Dismiss {
                    refusal: Refusal::NotNeeded | Refusal::Over,
                    ..
                } => {
                    self.is_closed = true;
                }
                Action::Dismiss {
                    client,
                    refusal: refusal @ Refusal::Late,
                } => {
                    self.is_closed = true;
                    self.refuse(client, refusal.to_string());
                }
                Action::Dismiss { client, refusal } => self.refuse(client, refusal.to_string()),
                // Plain reporting has no message to clients but the task.
                Action::Send { .. } => {}
                Action::Commit(committed) => self.ended = Some(Ended::Committed(committed)),
                Action::Abandon(abandoned) => self.ended = Some(Ended::Abandoned(abandoned)),
            }
        }
    }
}
