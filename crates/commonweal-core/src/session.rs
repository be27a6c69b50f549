//! What is exchanged with the clients within one round.
//!
//! A [`Round`](crate::Round) knows who takes part and until when; its session knows which messages lead to a
//! report that can be folded. Plain reporting has one step. A protocol with more steps, such as secure
//! aggregation, relays messages between clients on the way; neither the round nor whoever carries the bytes
//! looks inside.

use alloc::collections::VecDeque;
use alloc::sync::Arc;

use crate::{ClientIndex, Entropy, Fold, Payload, Refusal, Time};

/// A step of a session, counted from 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Step(pub u8);

/// The protocol of one round: messages in by `handle`, actions out by `poll_action`.
pub trait Session: Send {
    /// The step whose message is folded. It is asked of each client once.
    fn report_step(&self) -> Step;

    /// The cohort is fixed and gets its tasks now. Secrets of the server's side come from `entropy`.
    fn begin(&mut self, cohort: &[ClientIndex], entropy: Entropy, now: Time);

    /// Takes a message of a client of the cohort. The round has checked the time, the sender, and that it
    /// reports once.
    ///
    /// # Errors
    /// A message that the session does not wait for, or that is no such message.
    fn handle(
        &mut self,
        from: ClientIndex,
        step: Step,
        message: Payload,
        now: Time,
    ) -> Result<(), Refusal>;

    /// The client sends nothing more.
    fn lost(&mut self, _client: ClientIndex, _now: Time) {}

    /// No further report will be folded; `counted` are in the sum.
    fn close(&mut self, _counted: &[ClientIndex], _now: Time) {}

    /// Whether the sum can be used, once the reports are closed.
    fn is_complete(&self) -> bool {
        true
    }

    /// When [`tick`](Self::tick) is due: the end of a step.
    fn deadline(&self) -> Option<Time> {
        None
    }

    /// A deadline has passed.
    fn tick(&mut self, _now: Time) {}

    /// The next thing to do.
    fn poll_action(&mut self) -> Option<SessionAction>;
}

/// What a session wants done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SessionAction {
    /// Give a message to a client.
    Send {
        /// To whom.
        to: ClientIndex,
        /// In which step.
        step: Step,
        /// What.
        message: Payload,
    },
    /// Fold a client's report.
    Fold {
        /// Whose.
        from: ClientIndex,
        /// The report.
        message: Payload,
    },
    /// Exclude a client that broke the protocol.
    Fail {
        /// Whom.
        client: ClientIndex,
        /// Why.
        refusal: Refusal,
    },
    /// Give the round up: what the protocol promises cannot be kept any more.
    Abandon,
}

/// The session of one step: a client reports, and the report is folded.
#[derive(Debug)]
pub struct PlainReporting {
    fold: Arc<Fold>,
    actions: VecDeque<SessionAction>,
}

impl PlainReporting {
    /// A session whose reports are for `fold`.
    pub fn new(fold: Arc<Fold>) -> Self {
        Self {
            fold,
            actions: VecDeque::new(),
        }
    }
}

impl Session for PlainReporting {
    fn report_step(&self) -> Step {
        Step(0)
    }

    fn begin(&mut self, _cohort: &[ClientIndex], _entropy: Entropy, _now: Time) {}

    fn handle(
        &mut self,
        from: ClientIndex,
        step: Step,
        message: Payload,
        _now: Time,
    ) -> Result<(), Refusal> {
        if step != self.report_step() {
            return Err(Refusal::OutOfOrder);
        }
        self.fold.check(&message)?;
        self.actions
            .push_back(SessionAction::Fold { from, message });
        Ok(())
    }

    fn poll_action(&mut self) -> Option<SessionAction> {
        self.actions.pop_front()
    }
}
