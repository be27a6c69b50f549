//! A report on its way: sent from where the server holds it, again and again until it is counted or of no use.

use std::time::Duration;

use bytes::Bytes;
use commonweal_core::{Digest, Step, TaskId};
use commonweal_wire::{RefusalCode, path, proto};

use crate::backoff::Backoff;
use crate::connection::CallError;
use crate::shared::Shared;

/// One report and where it belongs.
#[derive(Debug, Clone)]
pub(crate) struct Upload {
    pub(crate) run: String,
    pub(crate) task: TaskId,
    pub(crate) bytes: Bytes,
    pub(crate) digest: Digest,
}

/// What became of a report.
#[derive(Debug)]
pub(crate) enum Fate {
    /// It is in this sum.
    Counted {
        /// The sum's name.
        accumulator: String,
    },
    /// The server has no open round for it: it may want it later, and says so.
    NotOpen,
    /// It is of no use, now or later.
    Refused(CallError),
}

/// The step of a session in which the report is folded.
const REPORT: Step = Step(0);

impl Upload {
    /// Sends the report into the sum `accumulator`, or the one that took its place.
    pub(crate) async fn send(&self, shared: &Shared, accumulator: &str) -> Fate {
        let mut backoff = Backoff::new(shared.pace);
        let mut offset = 0;
        loop {
            let error = match self.put(shared, offset).await {
                Ok(answer) => {
                    return Fate::Counted {
                        accumulator: answer.accumulator,
                    };
                }
                Err(error) => error,
            };
            match (error.code(), &error) {
                (Some(RefusalCode::Duplicate), _) => {
                    return Fate::Counted {
                        accumulator: accumulator.to_owned(),
                    };
                }
                (Some(RefusalCode::Offset), CallError::Refused { offset: held, .. }) => {
                    offset = self.within(*held);
                    self.wait(&mut backoff, &error).await;
                }
                (Some(RefusalCode::SlotLost), _) => {
                    offset = 0;
                    self.wait(&mut backoff, &error).await;
                }
                (Some(_), _) if error.is_passing() => self.wait(&mut backoff, &error).await,
                (Some(_), _) => return Fate::Refused(error),
                (None, _) => {
                    self.wait(&mut backoff, &error).await;
                    match self.ask(shared, &mut backoff).await {
                        Ok(state) if state.counted => {
                            return Fate::Counted {
                                accumulator: state.accumulator,
                            };
                        }
                        Ok(state) if state.accumulator.is_empty() => return Fate::NotOpen,
                        Ok(state) => offset = self.within(state.offset),
                        Err(error) => return Fate::Refused(error),
                    }
                }
            }
        }
    }

    async fn put(&self, shared: &Shared, offset: usize) -> Result<proto::ReportAnswer, CallError> {
        let length = self.bytes.len() as u64;
        let target = path::report_part(&self.run, self.task, REPORT, offset as u64, length);
        let part = self.bytes.slice(offset..);
        tokio::select! {
            answer = shared.connection.put(&target, part, self.digest) => answer,
            () = shared.reconnected.notified() => Err(shared.connection.lost()),
        }
    }

    /// Asks how much of the report the server holds, for as long as it takes.
    async fn ask(
        &self,
        shared: &Shared,
        backoff: &mut Backoff,
    ) -> Result<proto::ReportState, CallError> {
        let target = path::report(&self.run, self.task, REPORT);
        loop {
            match shared.connection.get(&target).await {
                Err(error) if error.is_passing() => self.wait(backoff, &error).await,
                state => return state,
            }
        }
    }

    fn within(&self, offset: u64) -> usize {
        usize::try_from(offset).map_or(0, |offset| offset.min(self.bytes.len()))
    }

    async fn wait(&self, backoff: &mut Backoff, error: &CallError) {
        let (run, task) = (&self.run, self.task);
        let wait: Duration = backoff.next();
        tracing::info!(%run, %task, "the report did not get through, and is sent again: {error}");
        tokio::time::sleep(wait).await;
    }
}
