//! Tasks: one at a time, in the order in which they came; and their reports, until their rounds are settled.

use std::sync::Arc;

use commonweal_core::{Digest, TaskId};
use commonweal_wire::path;
use commonweal_wire::proto::{FailureCode, TaskFailure};

use super::consent::post_until_heard;
use super::{Agent, AgentError, Current, Event, Kept};
use crate::assignment::{Assignment, AssignmentError, Ready, Watch, failure, failure_word};
use crate::record::RecordEntry;
use crate::request::PreparedBlob;
use crate::session::Session;
use crate::upload::{Fate, Upload};

impl Agent {
    /// A task has come, perhaps again.
    pub(super) fn assigned(&mut self, assignment: Assignment) -> Result<(), AgentError> {
        let (run, task) = (assignment.run.clone(), assignment.id());
        if !self.runs.contains_key(&run) {
            self.work_again(&run, assignment.task.manifest)?;
        }
        // A run has one round open: what is left of another is of no use any more.
        self.cancel(&run, |own| own != task);
        if let Some(kept) = self.kept.get_mut(&(run.clone(), task)) {
            let is_elsewhere = kept.accumulator != assignment.accumulator;
            let is_on_its_way = kept.is_counted || kept.sending.is_some();
            if is_elsewhere || !is_on_its_way {
                kept.accumulator = assignment.accumulator;
                self.send(&run, task)?;
            }
            return Ok(());
        }
        if let Some(current) = &mut self.current
            && current.run == run
            && current.task == task
            && !current.watch.is_cancelled()
        {
            current.accumulator = assignment.accumulator;
            return Ok(());
        }
        self.queue.retain(|waiting| waiting.run != run);
        if !self.is_leaving {
            self.queue.push_back(assignment);
        }
        Ok(())
    }

    /// Begins the next task, if none is being worked on.
    pub(super) fn begin_next(&mut self) -> Result<(), AgentError> {
        while self.current.is_none() {
            let Some(assignment) = self.queue.pop_front() else {
                return Ok(());
            };
            match self.refusal(&assignment) {
                Some(code) => {
                    self.fail(&assignment.run, assignment.id(), &failure(code))?;
                }
                None => self.begin(assignment)?,
            }
        }
        Ok(())
    }

    /// Why the owner does not want a task to be done.
    fn refusal(&self, assignment: &Assignment) -> Option<FailureCode> {
        if !self.is_approved(&assignment.run, assignment.task.manifest) {
            return Some(FailureCode::Denied);
        }
        let smallest = self.shared.settings.smallest_cohort;
        (assignment.task.cohort < smallest).then_some(FailureCode::Cohort)
    }

    /// Whether the owner's word holds for a run with this manifest.
    fn is_approved(&self, run: &str, manifest: Digest) -> bool {
        self.runs.get(run).is_some_and(|run| {
            run.request.decision.is_approved() && run.request.manifest == manifest
        })
    }

    fn begin(&mut self, assignment: Assignment) -> Result<(), AgentError> {
        let Some(run) = self.runs.get_mut(&assignment.run) else {
            return Ok(());
        };
        let job = run.job.as_ref().clone();
        let prepared = assignment.prepared.zip(assignment.task.prepared);
        let prepared = prepared.map(|(blob, found)| PreparedBlob { blob, found });
        if prepared.is_some() && run.request.prepared != prepared {
            run.request.prepared = prepared;
            self.shared.requests.change(&assignment.run, |request| {
                request.prepared = prepared;
                Ok(())
            })?;
        }
        let (run, task) = (assignment.run.clone(), assignment.id());
        tracing::info!(run, %task, "begins");
        self.shared.note(RecordEntry::Task {
            run: run.clone(),
            task: task.to_string(),
            manifest: assignment.task.manifest,
            cohort: assignment.task.cohort,
        })?;
        let watch = Arc::new(Watch::default());
        self.current = Some(Current {
            run: run.clone(),
            task,
            watch: Arc::clone(&watch),
            accumulator: assignment.accumulator.clone(),
        });
        let (shared, session) = (Arc::clone(&self.shared), self.take_session(&run));
        self.jobs.spawn(async move {
            let perform = assignment.clone().perform(shared, job, session, watch);
            let (session, result) = perform.await;
            Event::Worked {
                assignment: Box::new(assignment),
                session,
                result,
            }
        });
        Ok(())
    }

    /// The work on a task has come to an end.
    pub(super) fn worked(
        &mut self,
        assignment: Assignment,
        session: Option<Box<Session>>,
        result: Result<Ready, AssignmentError>,
    ) -> Result<(), AgentError> {
        let (run, task) = (assignment.run.clone(), assignment.id());
        let Some(current) = self.current.take() else {
            return Ok(());
        };
        if let Some(session) = session
            && self.is_approved(&run, session.manifest())
        {
            self.keep_session(&run, session);
        }
        if current.watch.is_cancelled() {
            return Ok(());
        }
        match result {
            Ok(ready) => {
                self.shared.note(RecordEntry::Report {
                    run: run.clone(),
                    task: task.to_string(),
                    digest: ready.digest,
                    bytes: ready.bytes.len() as u64,
                    parts: ready.parts,
                })?;
                let upload = Upload {
                    run: run.clone(),
                    task,
                    bytes: ready.bytes,
                    digest: ready.digest,
                };
                let kept = Kept {
                    upload,
                    accumulator: current.accumulator,
                    is_counted: false,
                    sending: None,
                };
                self.kept.insert((run.clone(), task), kept);
                self.send(&run, task)
            }
            Err(error) => {
                self.complain_of(&run, task, &error);
                self.fail(&run, task, &error.failure())
            }
        }
    }

    /// The whole sentence is for the owner, in `node status`: it may hold what a trainer printed, or names of columns
    /// that a file without a header has values for. In the log is only what the server did.
    fn complain_of(&mut self, run: &str, task: TaskId, error: &AssignmentError) {
        let code = failure_word(error.failure().code());
        match error.is_servers() {
            true => tracing::warn!(run, %task, code, "not done: {error}"),
            false => tracing::warn!(run, %task, code, "not done: see `commonweal node status`"),
        }
        self.not_done = Some(format!("{run} {task}: {error}"));
        self.leave_word();
    }

    /// Gives back all tasks of a run whose owner took the consent back.
    pub(super) fn give_back(&mut self, run: &str) -> Result<(), AgentError> {
        let waiting = self.queue.iter().filter(|waiting| waiting.run == run);
        let mut tasks: Vec<TaskId> = waiting.map(Assignment::id).collect();
        let current = self.current.as_ref().filter(|current| current.run == run);
        tasks.extend(current.map(|current| current.task));
        let kept = self.kept.iter();
        let unsent = kept.filter(|((kept_run, _), kept)| kept_run == run && !kept.is_counted);
        tasks.extend(unsent.map(|((_, task), _)| *task));
        self.cancel(run, |_| true);
        for task in tasks {
            self.fail(run, task, &failure(FailureCode::Denied))?;
        }
        Ok(())
    }

    fn fail(&mut self, run: &str, task: TaskId, failure: &TaskFailure) -> Result<(), AgentError> {
        let run = run.to_owned();
        let code = failure_word(failure.code()).to_owned();
        tracing::info!(run, %task, code, "the server is told that the task is not done");
        self.shared.note(RecordEntry::Failure {
            run: run.clone(),
            task: task.to_string(),
            code,
        })?;
        let (shared, failure) = (Arc::clone(&self.shared), *failure);
        self.unfinished += 1;
        self.jobs.spawn(async move {
            let target = path::failure(&run, task);
            if let Err(error) = post_until_heard(&shared, &target, &failure).await {
                tracing::info!(run, %task, "the server does not take the failure: {error}");
            }
            Event::FailureTold
        });
        Ok(())
    }

    /// Sends a kept report, from its beginning or where the server says.
    fn send(&mut self, run: &str, task: TaskId) -> Result<(), AgentError> {
        let Some(kept) = self.kept.get_mut(&(run.to_owned(), task)) else {
            return Ok(());
        };
        if let Some(sending) = kept.sending.take() {
            sending.abort();
        }
        kept.is_counted = false;
        let (shared, upload) = (Arc::clone(&self.shared), kept.upload.clone());
        let accumulator = kept.accumulator.clone();
        let handle = self.jobs.spawn(async move {
            let fate = upload.send(&shared, &accumulator).await;
            Event::Uploaded {
                run: upload.run,
                task,
                fate,
            }
        });
        kept.sending = Some(handle);
        Ok(())
    }

    /// A report has come to where it can come.
    pub(super) fn uploaded(
        &mut self,
        run: &str,
        task: TaskId,
        fate: Fate,
    ) -> Result<(), AgentError> {
        let key = (run.to_owned(), task);
        let Some(kept) = self.kept.get_mut(&key) else {
            return Ok(());
        };
        kept.sending = None;
        match fate {
            Fate::Counted { accumulator } => {
                tracing::info!(run, %task, bytes = kept.upload.bytes.len(), "reported");
                kept.accumulator = accumulator;
                kept.is_counted = true;
            }
            Fate::NotOpen => {
                tracing::info!(run, %task, "the server has no open round for the report; it is kept")
            }
            Fate::Refused(error) => {
                tracing::warn!(run, %task, "the report is of no use: {error}");
                self.kept.remove(&key);
            }
        }
        Ok(())
    }
}
