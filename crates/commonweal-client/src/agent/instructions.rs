//! Instructions of the server. Each may come twice and does nothing the second time.

use commonweal_core::{Digest, TaskId};
use commonweal_wire::proto::{self, instruction::Kind};
use commonweal_wire::{TaskError, to_task, to_task_id};

use super::{Agent, AgentError};
use crate::assignment::Assignment;
use crate::record::RecordEntry;
use crate::request::{Ended, ending_word, is_run};

impl Agent {
    /// Takes what is new in an answer.
    pub(super) fn take(&mut self, answer: proto::PollAnswer) -> Result<(), AgentError> {
        if answer.mailbox != self.mailbox {
            self.mailbox = answer.mailbox;
            self.taken = 0;
        }
        for instruction in answer.instructions {
            if instruction.number <= self.taken {
                continue;
            }
            self.taken = instruction.number;
            if let Some(kind) = instruction.kind {
                self.follow(kind)?;
            }
        }
        Ok(())
    }

    fn follow(&mut self, kind: Kind) -> Result<(), AgentError> {
        let run = match &kind {
            Kind::Offer(offer) => &offer.run,
            Kind::Work(work) => &work.run,
            Kind::Cancel(cancel) => &cancel.run,
            Kind::Settled(settled) => &settled.run,
            Kind::RunOver(over) => &over.run,
        };
        if !is_run(run) {
            tracing::warn!(
                "the server names a run in a way that is none; the instruction is passed over"
            );
            return Ok(());
        }
        match kind {
            Kind::Offer(offer) => self.consider(offer),
            Kind::Work(work) => match assignment(&work, self.shared.now()) {
                Ok(assignment) => self.assigned(assignment),
                Err(error) => {
                    tracing::warn!(run = work.run, "{error}");
                    Ok(())
                }
            },
            Kind::Cancel(cancel) => {
                if let Ok(task) = to_task_id(cancel.task.as_ref()) {
                    tracing::info!(run = cancel.run, %task, "cancelled: {}", cancel.reason);
                    self.cancel(&cancel.run, |own| own == task);
                }
                Ok(())
            }
            Kind::Settled(settled) => match to_task_id(settled.task.as_ref()) {
                Ok(task) => self.settle(&settled.run, task, settled.counted),
                Err(_) => Ok(()),
            },
            Kind::RunOver(over) => self.over(&over),
        }
    }

    /// Ends the tasks of a run that `is_meant`, in whatever state they are.
    pub(super) fn cancel(&mut self, run: &str, is_meant: impl Fn(TaskId) -> bool) {
        self.queue
            .retain(|waiting| waiting.run != run || !is_meant(waiting.id()));
        if let Some(current) = &self.current
            && current.run == run
            && is_meant(current.task)
        {
            current.watch.cancel();
        }
        self.kept.retain(|(kept_run, task), kept| {
            let goes = kept_run == run && is_meant(*task);
            if goes && let Some(sending) = &kept.sending {
                sending.abort();
            }
            !goes
        });
    }

    fn settle(&mut self, run: &str, task: TaskId, counted: bool) -> Result<(), AgentError> {
        let is_known = self.kept.contains_key(&(run.to_owned(), task));
        self.cancel(run, |own| own == task);
        self.shared.states.settle(run, task, counted)?;
        if is_known {
            self.shared.note(RecordEntry::Settled {
                run: run.to_owned(),
                task: task.to_string(),
                counted,
            })?;
        }
        Ok(())
    }

    fn over(&mut self, over: &proto::RunOver) -> Result<(), AgentError> {
        let run = &over.run;
        self.drop_offer(run);
        self.cancel(run, |_| true);
        self.take_session(run);
        self.runs.remove(run);
        let Ok(request) = self.shared.requests.find(run) else {
            return Ok(());
        };
        if request.ended.is_some() {
            return Ok(());
        }
        let ending = ending_word(over.ending()).to_owned();
        tracing::info!(run, ending, "the run is over: {}", over.reason);
        let digest = |bytes: &Option<Vec<u8>>| {
            let bytes: [u8; 32] = bytes.as_deref()?.try_into().ok()?;
            Some(Digest::from_bytes(bytes))
        };
        let ended = Ended {
            ending: ending.clone(),
            reason: over.reason.clone(),
            model: digest(&over.model),
            input: digest(&over.input),
        };
        self.shared.requests.change(run, |request| {
            request.ended = Some(ended);
            Ok(())
        })?;
        self.shared.note(RecordEntry::Over {
            run: run.clone(),
            ending,
        })?;
        Ok(())
    }
}

fn assignment(work: &proto::Work, now: commonweal_core::Time) -> Result<Assignment, TaskError> {
    let wrong = |field| TaskError { field };
    let task = to_task(work.task.as_ref().ok_or(wrong("task"))?, now)?;
    let blob = |bytes: &Option<Vec<u8>>, field| match bytes {
        Some(bytes) => {
            let bytes: [u8; 32] = bytes.as_slice().try_into().map_err(|_| wrong(field))?;
            Ok(Some(Digest::from_bytes(bytes)))
        }
        None => Ok(None),
    };
    Ok(Assignment {
        run: work.run.clone(),
        task,
        model: blob(&work.model, "model")?,
        prepared: blob(&work.prepared, "prepared")?,
        layout: blob(&work.layout, "layout")?,
        accumulator: work.accumulator.clone(),
    })
}
