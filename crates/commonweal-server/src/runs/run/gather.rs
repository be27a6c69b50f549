//! Waiting for nodes: offers, verdicts, and at last a population.

use commonweal_core::{ClientName, Population};
use commonweal_wire::control::RunState;
use commonweal_wire::proto::{Offer, UnfitCode, instruction};

use super::{Actor, Input, Stop};
use crate::exchange::{NodeEvent, Presence};
use crate::runs::population::Standing;
use crate::store::{Level, Note, VerdictKind};

impl Actor {
    /// Asks every node that fits, until enough have agreed; then fixes who takes part.
    pub(super) async fn gather(&mut self) -> Result<(), Stop> {
        let asked: Vec<ClientName> = self.candidates.of(Standing::Undecided).cloned().collect();
        asked.iter().for_each(|node| self.offer(node));
        while !self.may_begin() {
            self.expect_enough()?;
            match self.input(None).await {
                Input::Message(message) => self.attend(message).await?,
                Input::Node(event) => self.meet(event).await?,
                Input::Bell(bell) => self.unneeded(&bell),
                Input::Tick => {}
            }
        }
        self.settle_schema().await?;
        self.fix_members().await
    }

    /// Whether those who agreed are enough, and nobody else is worth waiting for.
    fn may_begin(&self) -> bool {
        if self.candidates.agreeing() < self.job.deployment.clients as usize {
            return false;
        }
        let join_ms = (self.job.deployment.join_seconds * 1000.0) as u64;
        let waited_ms = self
            .shared
            .exchange
            .now_ms()
            .saturating_sub(self.record.submitted_at_ms);
        waited_ms >= join_ms
            || !self
                .candidates
                .of(Standing::Undecided)
                .any(|node| self.may_answer(node))
    }

    /// Whether a node that has not decided is there, or was until a moment ago. One that has not even said what it
    /// has is not worth waiting for.
    fn may_answer(&self, node: &ClientName) -> bool {
        if self
            .candidates
            .find(node)
            .is_some_and(|one| !one.has_stated)
        {
            return false;
        }
        if self.job.deployment.reproducible {
            return true;
        }
        self.away_ms(node)
            .is_none_or(|away_ms| away_ms < self.shared.patience.grace_ms)
    }

    /// For how long a node has been away, as far as this process can know; none if it is there.
    pub(super) fn away_ms(&self, node: &ClientName) -> Option<u64> {
        let exchange = &self.shared.exchange;
        let since_ms = match exchange.presence(node) {
            Presence::Online { .. } => return None,
            Presence::Silent { since_ms } | Presence::Offline { since_ms } => since_ms,
            Presence::Unknown => 0,
        };
        Some(
            exchange
                .now_ms()
                .saturating_sub(since_ms.max(self.shared.began_ms)),
        )
    }

    /// Takes in what happened to a node while the run waits.
    async fn meet(&mut self, event: NodeEvent) -> Result<(), Stop> {
        match event {
            NodeEvent::Gone(node) => self.candidates.gone(&node),
            NodeEvent::Online(node) | NodeEvent::Stated(node) => {
                let is_known = self.candidates.find(&node).is_some_and(|one| !one.is_gone);
                match self.shared.stated(&node) {
                    (Some(statement), is_online) if is_known => {
                        self.candidates
                            .stated(&self.job, &node, &statement, is_online);
                        self.offer_again(&node);
                    }
                    _ => self.meet_stranger(&node).await?,
                }
            }
            NodeEvent::Silent(_) | NodeEvent::Offline(_) | NodeEvent::Leaving(_) => {}
        }
        Ok(())
    }

    /// A node that was not enrolled when the run was submitted.
    async fn meet_stranger(&mut self, node: &ClientName) -> Result<(), Stop> {
        self.refresh_nodes().await?;
        self.offer_again(node);
        Ok(())
    }

    /// Asks a node that has not decided: it may have forgotten, or fit only now.
    fn offer_again(&self, node: &ClientName) {
        let candidate = self.candidates.find(node);
        if candidate.is_some_and(|one| one.standing() == Standing::Undecided) {
            self.offer(node);
        }
    }

    /// Asks a node for its consent.
    pub(super) fn offer(&self, node: &ClientName) {
        let offer = Offer {
            run: self.record.id.clone(),
            manifest: self.manifest.digest().as_bytes().to_vec(),
            submitter: self.record.submitter.clone(),
            submitted_at_ms: self.record.submitted_at_ms,
            initial: self.initial.map(|digest| digest.as_bytes().to_vec()),
        };
        self.shared
            .exchange
            .send(node, instruction::Kind::Offer(offer));
    }

    /// Makes those unfit who agreed on other data than most: no single node, however early, decides on what the run is.
    async fn settle_schema(&mut self) -> Result<(), Stop> {
        let dissenting = self.candidates.dissenting().into_iter();
        let verdicts = dissenting.filter_map(|(node, column)| {
            let (code, line) = (UnfitCode::Schema, 0);
            self.other_verdict(node, VerdictKind::Unfit { code, column, line })
        });
        self.note(verdicts.collect()).await
    }

    /// Fixes who takes part: all who agreed, for good.
    async fn fix_members(&mut self) -> Result<(), Stop> {
        let members: Vec<ClientName> = self.candidates.of(Standing::Ready).cloned().collect();
        let population = Population::named(members.clone());
        let population = population.map_err(|error| Stop::Failed(error.to_string()))?;
        let Some(schema) = self.candidates.schema().map(str::to_owned) else {
            return Err(Stop::Failed("no node has agreed".to_owned()));
        };
        let id = self.record.id.clone();
        let note = Note {
            at_ms: self.shared.exchange.now_ms(),
            events: &[],
        };
        let state = RunState::Preparing;
        self.insist(|| async {
            self.shared
                .store
                .runs()
                .fix_members(&id, &members, &schema, state, note)
                .await
        })
        .await?;
        self.page.progress().get_or_insert_default().nodes = Some(members.len() as u64);
        self.page.move_on();
        let text = begins(&members);
        self.log(Level::Info, &text).await;
        self.record.state = state;
        self.record.schema = Some(schema);
        self.population = Some(population);
        Ok(())
    }
}

/// A run's first members in words, of many only the first.
fn begins(members: &[ClientName]) -> String {
    const NAMED: usize = 20;
    let names: Vec<&str> = members.iter().take(NAMED).map(ClientName::as_str).collect();
    let rest = if members.len() > NAMED { ", …" } else { "" };
    format!(
        "begins with {} nodes: {}{rest}",
        members.len(),
        names.join(", ")
    )
}
