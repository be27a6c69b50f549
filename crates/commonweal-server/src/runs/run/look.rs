//! Where a run's nodes are: for the round that waits for them, and for whoever asks why it waits.

use commonweal_core::{ClientIndex, ClientName};
use commonweal_wire::control::Explanation;

use super::Actor;
use crate::exchange::Presence;
use crate::runs::explain::{Status, Waits, explanation};
use crate::runs::population::Standing;
use crate::runs::rounds::{OpenRound, Place, Stand, There};

impl Actor {
    /// Whether a node is there.
    pub(super) fn there(&self, client: ClientIndex) -> There {
        let Some(node) = self.name(client) else {
            let reason = "it is unknown".to_owned();
            return There::Never { reason };
        };
        if let Some(reason) = self.candidates.find(&node).and_then(|one| one.loss()) {
            return There::Never { reason };
        }
        if let Some(for_ms) = self.away_ms(&node) {
            return There::Away { for_ms };
        }
        if self.shared.exchange.is_leaving(&node) {
            return There::Away { for_ms: u64::MAX };
        }
        if let Some(left_ms) = self.rests.left_ms(client, self.now()) {
            return There::Resting { left_ms };
        }
        match self.shared.turns.is_busy(&node, self.order, &self.bell) {
            true => There::Busy,
            false => There::Free,
        }
    }

    /// Members that are there and do not rest.
    pub(super) fn present(&self) -> usize {
        let there = |client| matches!(self.there(client), There::Free | There::Busy);
        let population = self.population.as_ref();
        population.map_or(0, |population| {
            population.indices().filter(|&client| there(client)).count()
        })
    }

    /// A member's name.
    pub(super) fn name(&self, client: ClientIndex) -> Option<ClientName> {
        self.population.as_ref()?.name(client)
    }

    /// A member.
    pub(super) fn client(&self, node: &ClientName) -> Option<ClientIndex> {
        self.population.as_ref()?.index(node)
    }

    /// Why the run waits while no round is open.
    pub(super) fn explain_idle(&self) -> Explanation {
        let minimum = u64::from(self.job.cohort.minimum);
        match &self.population {
            None => {
                let asked = self.candidates.iter().filter(|(_, candidate)| {
                    candidate.unmet.is_none() || candidate.said().is_some()
                });
                let nodes = asked.map(|(node, candidate)| {
                    let status = match candidate.standing() {
                        Standing::Ready => Status::Done,
                        Standing::Out => self.loss(node),
                        Standing::Undecided => match self.absence(node) {
                            Some(Status::Offline(ms)) if !candidate.has_stated => {
                                Status::Unstated(ms)
                            }
                            Some(status) => status,
                            None => Status::Undecided(self.waited_ms()),
                        },
                    };
                    (node.clone(), status)
                });
                let clients = u64::from(self.job.deployment.clients);
                explanation(Waits::Verdicts, minimum.max(clients), nodes.collect())
            }
            Some(population) => {
                let nodes = population.indices().filter_map(|client| {
                    let node = population.name(client)?;
                    let status = self.presence_of(client, &node, Status::Done);
                    Some((node, status))
                });
                explanation(Waits::CheckIn, minimum, nodes.collect())
            }
        }
    }

    /// Why an open round waits.
    pub(super) fn explain_round(&self, open: &OpenRound) -> Explanation {
        let is_given = |place: &Place| !matches!(place.stand, Stand::Invited | Stand::Ready);
        let is_reporting = open.places().any(|(_, place)| is_given(place));
        let nodes = open.places().filter_map(|(client, place)| {
            let node = self.name(client)?;
            let status = self.status(open, client, &node, place);
            Some((node, status))
        });
        let waits = match is_reporting {
            true => Waits::Reports,
            false => Waits::CheckIn,
        };
        explanation(waits, self.job.cohort.minimum.into(), nodes.collect())
    }

    fn status(
        &self,
        open: &OpenRound,
        client: ClientIndex,
        node: &ClientName,
        place: &Place,
    ) -> Status {
        match place.stand {
            Stand::Counted => Status::Done,
            Stand::Folding => Status::Uploading,
            Stand::Gone => match self.candidates.find(node).and_then(|one| one.loss()) {
                Some(_) => self.loss(node),
                None => {
                    let reason = place.reason.as_deref().unwrap_or("out of this round");
                    let absence = self.absence(node);
                    absence
                        .unwrap_or_else(|| Status::Out(format!("is out of this round: {reason}")))
                }
            },
            Stand::Invited => self.presence_of(client, node, Status::Ready),
            Stand::Ready => Status::Ready,
            Stand::Queued => Status::Busy,
            Stand::Working => match self.absence(node) {
                Some(status) => status,
                None => self.work_of(open, node, place),
            },
        }
    }

    /// How far a node at work is.
    fn work_of(&self, open: &OpenRound, node: &ClientName, place: &Place) -> Status {
        let ms = self.now().ms.saturating_sub(place.since.ms);
        let (done, total) = self
            .shared
            .exchange
            .working(node)
            .filter(|working| working.run == self.record.id)
            .map_or((0, 0), |working| (working.done, working.total));
        let usual = self.pace.slow_ms(open.task().stage);
        match usual.is_some_and(|usual| ms > usual) {
            true => Status::Slow(done, total, ms),
            false => Status::Working(done, total, ms),
        }
    }

    fn presence_of(&self, client: ClientIndex, node: &ClientName, there: Status) -> Status {
        match self.there(client) {
            There::Free => there,
            There::Busy => Status::Busy,
            There::Resting { left_ms } => Status::Resting(left_ms),
            There::Never { .. } => self.loss(node),
            There::Away { .. } => self.absence(node).unwrap_or(Status::Offline(None)),
        }
    }

    /// Why a node is not there; none if it is.
    fn absence(&self, node: &ClientName) -> Option<Status> {
        let passed = |since_ms| self.shared.exchange.now_ms().saturating_sub(since_ms);
        match self.shared.exchange.presence(node) {
            Presence::Online { .. } => None,
            Presence::Silent { since_ms } => Some(Status::Silent(passed(since_ms))),
            Presence::Offline { since_ms } => Some(Status::Offline(Some(passed(since_ms)))),
            Presence::Unknown => Some(Status::Offline(None)),
        }
    }

    /// Why a node will not take part.
    fn loss(&self, node: &ClientName) -> Status {
        use crate::store::VerdictKind;
        let candidate = self.candidates.find(node);
        let words = candidate.and_then(|one| one.loss()).unwrap_or_default();
        match candidate.and_then(|one| one.said()) {
            Some(VerdictKind::Denied { .. }) => Status::Denied(words),
            _ => Status::Unfit(words),
        }
    }

    /// Since the run was submitted.
    fn waited_ms(&self) -> u64 {
        let now_ms = self.shared.exchange.now_ms();
        now_ms.saturating_sub(self.record.submitted_at_ms)
    }
}
