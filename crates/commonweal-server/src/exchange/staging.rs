//! Which uploads may take memory, and when one has to give it back: a state machine without sockets or clock.
//!
//! A report has a slot of its declared length before a byte of its body is read, and keeps it until it is folded: so
//! all reports together never hold more than the budget; one that is larger has all memory to itself. Slots go first come, first served. While somebody waits, a
//! slot filled at less than a quarter of the usual rate is taken back, and its owner waits behind everybody else; so
//! is the rest of an upload whose connection broke and that nobody resumes.

use std::collections::{HashMap, HashSet, VecDeque};

use commonweal_core::{ClientName, Digest, Step, TaskId};

use super::pace::Pace;
use super::partial::Partial;

/// Time in which an upload is not judged yet.
const JUDGED_AFTER_MS: u64 = 750;

/// Time that a broken upload keeps its slot while others wait.
const REST_WHILE_OTHERS_WAIT_MS: u64 = 3_000;

/// Time that a broken upload keeps its slot while nobody waits.
const REST_MS: u64 = 600_000;

/// Most uploads that are remembered for having been slow.
const MOST_SLOW: usize = 4_096;

/// What a report is called.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ReportKey {
    /// The run.
    pub run: String,
    /// The task that it reports.
    pub task: TaskId,
    /// The step of the round's session.
    pub step: Step,
    /// Who reports.
    pub node: ClientName,
}

/// One upload over one connection, from its waiting to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Ticket(u64);

/// The whole report is there and is being folded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Folding;

/// Why an upload has to stop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Loss {
    /// It was too slow while others waited. Its bytes are dropped.
    Slow,
    /// The node sends the same report over another connection, which goes on from here.
    Superseded,
    /// The task is over.
    Over,
}

/// What the machine wants done.
#[derive(Debug)]
pub(super) enum Effect {
    /// The upload has a slot and goes on after what is there.
    Granted(Ticket, Partial),
    /// The upload stops, and gives its slot back by [`Staging::rest`].
    Lost(Ticket, Loss),
}

/// The machine.
#[derive(Debug)]
pub(super) struct Staging {
    budget_bytes: u64,
    held_bytes: u64,
    tickets: u64,
    slots: HashMap<ReportKey, Slot>,
    waiting: VecDeque<Waiting>,
    /// They lost a slot: they get one when nobody else waits.
    patient: VecDeque<Waiting>,
    slow: HashSet<ReportKey>,
    pace: Pace,
    effects: VecDeque<Effect>,
}

#[derive(Debug)]
struct Waiting {
    ticket: Ticket,
    key: ReportKey,
    length: u64,
    digest: Digest,
}

#[derive(Debug)]
struct Slot {
    ticket: Ticket,
    length: u64,
    digest: Digest,
    received: u64,
    state: SlotState,
    /// The same report over a newer connection.
    successor: Option<Waiting>,
}

#[derive(Debug)]
enum SlotState {
    /// Bytes come in; `from` were there when this connection began.
    Filling { began_ms: u64, from: u64 },
    /// The connection broke.
    Resting { since_ms: u64, partial: Partial },
    /// Taken back, not given back yet.
    Lost,
    /// The report is whole, and is verified and folded.
    Folding,
}

impl Staging {
    pub(super) fn new(budget_bytes: u64) -> Self {
        Self {
            budget_bytes,
            held_bytes: 0,
            tickets: 0,
            slots: HashMap::new(),
            waiting: VecDeque::new(),
            patient: VecDeque::new(),
            slow: HashSet::new(),
            pace: Pace::default(),
            effects: VecDeque::new(),
        }
    }

    /// The next thing to do.
    pub(super) fn poll_effect(&mut self) -> Option<Effect> {
        self.effects.pop_front()
    }

    /// Sum of the lengths of all slots: what reports may come to hold.
    pub(super) fn held_bytes(&self) -> u64 {
        self.held_bytes
    }

    /// Uploads without a slot.
    pub(super) fn queue(&self) -> usize {
        self.waiting.len() + self.patient.len()
    }

    /// Bytes of that report that are here.
    pub(super) fn received(&self, key: &ReportKey) -> u64 {
        self.slots.get(key).map_or(0, |slot| slot.received)
    }

    /// Whether a connection still brings bytes of that report.
    pub(super) fn is_filling(&self, key: &ReportKey) -> bool {
        let slot = self.slots.get(key);
        slot.is_some_and(|slot| matches!(slot.state, SlotState::Filling { .. }))
    }

    /// An upload wants a slot: an effect grants it, now or later.
    ///
    /// # Errors
    /// [`Folding`].
    pub(super) fn enter(
        &mut self,
        key: ReportKey,
        length: u64,
        digest: Digest,
        now_ms: u64,
    ) -> Result<Ticket, Folding> {
        self.tickets += 1;
        let ticket = Ticket(self.tickets);
        let entrant = Waiting {
            ticket,
            key,
            length,
            digest,
        };
        match self.slots.get_mut(&entrant.key) {
            None => self.wait(entrant),
            Some(slot) => match slot.state {
                SlotState::Folding => return Err(Folding),
                SlotState::Resting { .. } => self.resume(entrant, now_ms),
                SlotState::Filling { .. } | SlotState::Lost => {
                    if matches!(slot.state, SlotState::Filling { .. }) && slot.successor.is_none() {
                        self.effects
                            .push_back(Effect::Lost(slot.ticket, Loss::Superseded));
                    }
                    if let Some(older) = slot.successor.replace(entrant) {
                        self.effects
                            .push_back(Effect::Lost(older.ticket, Loss::Superseded));
                    }
                }
            },
        }
        self.grant(now_ms);
        Ok(ticket)
    }

    /// A waiting upload gave up.
    pub(super) fn leave(&mut self, key: &ReportKey, ticket: Ticket, now_ms: u64) {
        self.waiting.retain(|waiting| waiting.ticket != ticket);
        self.patient.retain(|waiting| waiting.ticket != ticket);
        if let Some(slot) = self.slots.get_mut(key) {
            slot.successor
                .take_if(|successor| successor.ticket == ticket);
        }
        self.grant(now_ms);
    }

    /// So many bytes of the report are here.
    pub(super) fn progress(&mut self, key: &ReportKey, ticket: Ticket, received: u64) {
        if let Some(slot) = self.slot(key, ticket) {
            slot.received = received;
        }
    }

    /// The upload's connection ended, by itself or because the slot was lost; `partial` is what came of it.
    pub(super) fn rest(&mut self, key: &ReportKey, ticket: Ticket, partial: Partial, now_ms: u64) {
        let Some(slot) = self.slot(key, ticket) else {
            return;
        };
        let is_lost = matches!(slot.state, SlotState::Lost);
        let successor = slot.successor.take();
        if is_lost || partial.is_empty() {
            self.free(key);
            if let Some(successor) = successor {
                self.wait(successor);
            }
        } else {
            slot.received = partial.len();
            slot.state = SlotState::Resting {
                since_ms: now_ms,
                partial,
            };
            if let Some(successor) = successor {
                self.resume(successor, now_ms);
            }
        }
        self.grant(now_ms);
    }

    /// The report is whole. False if the slot was lost in the meantime.
    pub(super) fn fold(&mut self, key: &ReportKey, ticket: Ticket, now_ms: u64) -> bool {
        let Some(slot) = self.slot(key, ticket) else {
            return false;
        };
        let SlotState::Filling { began_ms, from } = slot.state else {
            return false;
        };
        slot.state = SlotState::Folding;
        let (bytes, successor) = (slot.length - from, slot.successor.take());
        if let Some(successor) = successor {
            self.effects
                .push_back(Effect::Lost(successor.ticket, Loss::Superseded));
        }
        self.pace.completed(bytes, now_ms.saturating_sub(began_ms));
        self.slow.remove(key);
        true
    }

    /// The upload is over, and its bytes are gone.
    pub(super) fn release(&mut self, key: &ReportKey, ticket: Ticket, now_ms: u64) {
        if let Some(slot) = self.slot(key, ticket) {
            let successor = slot.successor.take();
            self.free(key);
            if let Some(successor) = successor {
                self.wait(successor);
            }
            self.grant(now_ms);
        }
    }

    /// The report is of no use: its task is over.
    pub(super) fn forget(&mut self, key: &ReportKey, now_ms: u64) {
        let successor = self
            .slots
            .get_mut(key)
            .and_then(|slot| slot.successor.take());
        if let Some(successor) = successor {
            self.effects
                .push_back(Effect::Lost(successor.ticket, Loss::Over));
        }
        self.take_back(key, Loss::Over);
        for queue in [&mut self.waiting, &mut self.patient] {
            queue.retain(|waiting| {
                let is_over = waiting.key == *key;
                if is_over {
                    self.effects
                        .push_back(Effect::Lost(waiting.ticket, Loss::Over));
                }
                !is_over
            });
        }
        self.slow.remove(key);
        self.grant(now_ms);
    }

    /// Looks at the time: takes slots back that others could use better.
    pub(super) fn tick(&mut self, now_ms: u64) {
        let (others_wait, anybody_waits) = (!self.waiting.is_empty(), self.queue() > 0);
        let rest_ms = match anybody_waits {
            true => REST_WHILE_OTHERS_WAIT_MS,
            false => REST_MS,
        };
        let fair = self.pace.fair();
        let lost: Vec<_> = self
            .slots
            .iter()
            .filter_map(|(key, slot)| match slot.state {
                SlotState::Resting { since_ms, .. } => {
                    (now_ms.saturating_sub(since_ms) >= rest_ms).then(|| (key.clone(), None))
                }
                SlotState::Filling { began_ms, from } => {
                    let spent_ms = now_ms.saturating_sub(began_ms);
                    let rate = Pace::rate(slot.received - from, spent_ms);
                    let is_slow = others_wait && spent_ms >= JUDGED_AFTER_MS && rate < fair;
                    is_slow.then(|| (key.clone(), Some(rate)))
                }
                SlotState::Lost | SlotState::Folding => None,
            })
            .collect();
        for (key, rate) in lost {
            if let Some(rate) = rate {
                self.pace.lost(rate);
                if self.slow.len() >= MOST_SLOW {
                    self.slow.clear();
                }
                self.slow.insert(key.clone());
            }
            self.take_back(&key, Loss::Slow);
        }
        self.grant(now_ms);
    }

    /// The slot of that upload, if it still has it.
    fn slot(&mut self, key: &ReportKey, ticket: Ticket) -> Option<&mut Slot> {
        self.slots.get_mut(key).filter(|slot| slot.ticket == ticket)
    }

    /// Of one report, the newest connection alone waits, in the place of the one before: that one is most likely dead.
    fn wait(&mut self, entrant: Waiting) {
        let mut queued = self.waiting.iter_mut().chain(&mut self.patient);
        if let Some(place) = queued.find(|waiting| waiting.key == entrant.key) {
            let older = std::mem::replace(place, entrant);
            let lost = Effect::Lost(older.ticket, Loss::Superseded);
            return self.effects.push_back(lost);
        }
        match self.slow.contains(&entrant.key) {
            true => self.patient.push_back(entrant),
            false => self.waiting.push_back(entrant),
        }
    }

    /// Goes on with a resting slot, or gives it up for another report of the same task.
    fn resume(&mut self, entrant: Waiting, now_ms: u64) {
        let Some(slot) = self.slots.get_mut(&entrant.key) else {
            return self.wait(entrant);
        };
        let is_same = slot.length == entrant.length && slot.digest == entrant.digest;
        let state = std::mem::replace(&mut slot.state, SlotState::Lost);
        match state {
            SlotState::Resting { partial, .. } if is_same => {
                let from = partial.len();
                slot.ticket = entrant.ticket;
                slot.state = SlotState::Filling {
                    began_ms: now_ms,
                    from,
                };
                self.effects
                    .push_back(Effect::Granted(entrant.ticket, partial));
            }
            _ => {
                self.free(&entrant.key);
                self.wait(entrant);
            }
        }
    }

    /// A slot of which a connection still holds the bytes is lost, and freed when it lets go; another is freed now.
    fn take_back(&mut self, key: &ReportKey, loss: Loss) {
        let Some(slot) = self.slots.get_mut(key) else {
            return;
        };
        match slot.state {
            SlotState::Resting { .. } => self.free(key),
            SlotState::Filling { .. } => {
                slot.state = SlotState::Lost;
                self.effects.push_back(Effect::Lost(slot.ticket, loss));
            }
            SlotState::Lost | SlotState::Folding => {}
        }
    }

    fn free(&mut self, key: &ReportKey) {
        if let Some(slot) = self.slots.remove(key) {
            self.held_bytes -= slot.length;
        }
    }

    fn grant(&mut self, now_ms: u64) {
        loop {
            let queue = match self.waiting.is_empty() {
                false => &mut self.waiting,
                true => &mut self.patient,
            };
            let (held_bytes, most) = (self.held_bytes, self.budget_bytes);
            let fits = |first: &mut Waiting| {
                held_bytes == 0 || first.length <= most.saturating_sub(held_bytes)
            };
            let Some(first) = queue.pop_front_if(fits) else {
                return;
            };
            self.held_bytes += first.length;
            self.effects
                .push_back(Effect::Granted(first.ticket, Partial::default()));
            let slot = Slot {
                ticket: first.ticket,
                length: first.length,
                digest: first.digest,
                received: 0,
                state: SlotState::Filling {
                    began_ms: now_ms,
                    from: 0,
                },
                successor: None,
            };
            self.slots.insert(first.key, slot);
        }
    }
}

#[cfg(test)]
#[path = "staging_tests.rs"]
mod tests;
