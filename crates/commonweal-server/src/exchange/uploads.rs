//! Reports on their way in: each waits for its slot, fills it, and holds it until it is folded.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use commonweal_core::{Digest, Payload};
use tokio::sync::oneshot;

use super::Clock;
use super::partial::Partial;
use super::staging::{Effect, Folding, Loss, ReportKey, Staging, Ticket};

/// How often slots are judged.
const TICK: Duration = Duration::from_millis(250);

/// In a moment without a byte, nothing more comes of a connection that broke.
const MOMENT: Duration = Duration::from_millis(200);

/// Moments that a broken connection has for its last bytes.
const MOMENTS: usize = 10;

/// All reports on their way in, within one budget of memory. Cloning costs a reference count.
#[derive(Clone)]
pub struct Uploads(Arc<Shared>);

struct Shared {
    budget_bytes: u64,
    clock: Clock,
    state: Mutex<State>,
}

struct State {
    staging: Staging,
    calls: HashMap<Ticket, Calls>,
}

/// How an upload hears of what was decided.
struct Calls {
    granted: Option<oneshot::Sender<Partial>>,
    lost: oneshot::Sender<Loss>,
}

/// One report over one connection. Dropped before its end, it leaves what has arrived to the next connection.
pub struct Upload {
    uploads: Uploads,
    key: ReportKey,
    ticket: Ticket,
    length: u64,
    digest: Digest,
    lost: oneshot::Receiver<Loss>,
    stage: UploadStage,
}

enum UploadStage {
    Waiting(oneshot::Receiver<Partial>),
    Filling(Partial),
    Folding,
}

/// The memory of a whole report: drop it when the report is folded.
pub struct Held(#[expect(dead_code, reason = "gives the slot back when it is dropped")] Upload);

/// Why a report is not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum UploadError {
    /// The whole report is there and is being folded.
    #[error("the report has arrived whole and is being folded; ask for its state")]
    Folding,
    /// The slot is lost.
    #[error("{}", match .0 {
        Loss::Slow => "the upload was slow while others waited; begin it again later",
        Loss::Superseded => "the node sends this report over another connection",
        Loss::Over => "the task is over",
    })]
    Lost(Loss),
    /// More bytes than were declared.
    #[error("the report was declared to have {declared} bytes and has more")]
    TooLong {
        /// The declared length.
        declared: u64,
    },
    /// Fewer bytes than were declared.
    #[error("the report was declared to have {declared} bytes and ends after {found}")]
    TooShort {
        /// The declared length.
        declared: u64,
        /// How many came.
        found: u64,
    },
    /// Other bytes than the signed digest is of.
    #[error("the report has the digest {found}, the request was signed for {expected}")]
    Digest {
        /// The signed digest.
        expected: Digest,
        /// That of the bytes.
        found: Digest,
    },
}

impl Uploads {
    /// No uploads yet; all together will hold at most `budget_bytes`, or one longer report.
    #[must_use]
    pub fn new(budget_bytes: u64, clock: Clock) -> Self {
        Self(Arc::new(Shared {
            budget_bytes,
            clock,
            state: Mutex::new(State {
                staging: Staging::new(budget_bytes),
                calls: HashMap::new(),
            }),
        }))
    }

    /// Bytes that all reports together may hold; a longer one is held alone.
    #[must_use]
    pub fn budget_bytes(&self) -> u64 {
        self.0.budget_bytes
    }

    /// Bytes that are reserved for reports.
    #[must_use]
    pub fn held_bytes(&self) -> u64 {
        self.state().staging.held_bytes()
    }

    /// Reports that wait for a slot.
    #[must_use]
    pub fn queue(&self) -> usize {
        self.state().staging.queue()
    }

    /// Bytes of that report that are here.
    #[must_use]
    pub fn received(&self, key: &ReportKey) -> u64 {
        self.state().staging.received(key)
    }

    /// Bytes of that report that are here, once a connection that broke has given over what had reached this machine:
    /// megabytes lie in its socket, and a node that went on before them would send them again.
    pub async fn settled(&self, key: &ReportKey) -> u64 {
        let mut received = self.received(key);
        for _ in 0..MOMENTS {
            if !self.state().staging.is_filling(key) {
                break;
            }
            tokio::time::sleep(MOMENT).await;
            let before = std::mem::replace(&mut received, self.received(key));
            if received == before {
                break;
            }
        }
        received
    }

    /// A slot for a report of `length` bytes with that digest, as soon as there is one.
    ///
    /// # Errors
    /// See [`UploadError`].
    pub async fn slot(
        &self,
        key: ReportKey,
        length: u64,
        digest: Digest,
    ) -> Result<Upload, UploadError> {
        let mut upload = self.enter(key, length, digest)?;
        upload.granted().await?;
        Ok(upload)
    }

    /// The report is of no use: what is here of it is dropped.
    pub fn forget(&self, key: &ReportKey) {
        self.change(|staging, now_ms| staging.forget(key, now_ms));
    }

    /// Takes slots back in time. Ends never: the server's task.
    pub async fn watch(&self) {
        let mut ticks = tokio::time::interval(TICK);
        loop {
            ticks.tick().await;
            self.change(Staging::tick);
        }
    }

    fn enter(&self, key: ReportKey, length: u64, digest: Digest) -> Result<Upload, UploadError> {
        let now_ms = self.0.clock.passed_ms();
        let mut state = self.state();
        let entered = state.staging.enter(key.clone(), length, digest, now_ms);
        let ticket = entered.map_err(|Folding| UploadError::Folding)?;
        let (granted, waiting) = oneshot::channel();
        let (loss, lost) = oneshot::channel();
        let calls = Calls {
            granted: Some(granted),
            lost: loss,
        };
        state.calls.insert(ticket, calls);
        state.call();
        Ok(Upload {
            uploads: self.clone(),
            key,
            ticket,
            length,
            digest,
            lost,
            stage: UploadStage::Waiting(waiting),
        })
    }

    /// Lets the machine take a step, and tells the uploads what came of it.
    fn change<T>(&self, step: impl FnOnce(&mut Staging, u64) -> T) -> T {
        let now_ms = self.0.clock.passed_ms();
        let mut state = self.state();
        let result = step(&mut state.staging, now_ms);
        state.call();
        result
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// An upload that is gone does not hear the call: its `Drop` puts things right.
    fn call(&mut self) {
        while let Some(effect) = self.staging.poll_effect() {
            match effect {
                Effect::Granted(ticket, partial) => {
                    let calls = self.calls.get_mut(&ticket);
                    if let Some(granted) = calls.and_then(|calls| calls.granted.take()) {
                        let _ = granted.send(partial);
                    }
                }
                Effect::Lost(ticket, loss) => {
                    if let Some(calls) = self.calls.remove(&ticket) {
                        let _ = calls.lost.send(loss);
                    }
                }
            }
        }
    }
}

impl Upload {
    /// Bytes that are here already: where the connection goes on.
    #[must_use]
    pub fn offset(&self) -> u64 {
        match &self.stage {
            UploadStage::Filling(partial) => partial.len(),
            UploadStage::Waiting(_) | UploadStage::Folding => 0,
        }
    }

    /// Ends when the slot is lost.
    pub async fn lost(&mut self) -> Loss {
        // The sender goes only with the upload itself.
        (&mut self.lost).await.unwrap_or(Loss::Over)
    }

    /// Appends bytes.
    ///
    /// # Errors
    /// [`UploadError::TooLong`]: nothing of `bytes` is kept.
    pub fn write(&mut self, bytes: &[u8]) -> Result<(), UploadError> {
        let declared = self.length;
        let UploadStage::Filling(partial) = &mut self.stage else {
            return Ok(());
        };
        if partial.len() + bytes.len() as u64 > declared {
            return Err(UploadError::TooLong { declared });
        }
        partial.append(bytes, usize::try_from(declared).unwrap_or(usize::MAX));
        let received = partial.len();
        let mut state = self.uploads.state();
        state.staging.progress(&self.key, self.ticket, received);
        Ok(())
    }

    /// The whole report, and the memory that it holds.
    ///
    /// # Errors
    /// [`UploadError::TooShort`] leaves the bytes to the next connection; [`UploadError::Digest`] drops them.
    pub fn finish(mut self) -> Result<(Payload, Held), UploadError> {
        let found = self.offset();
        if found < self.length {
            return Err(UploadError::TooShort {
                declared: self.length,
                found,
            });
        }
        let is_folding = self
            .uploads
            .change(|staging, now_ms| staging.fold(&self.key, self.ticket, now_ms));
        if !is_folding {
            return Err(UploadError::Lost(
                self.lost.try_recv().unwrap_or(Loss::Over),
            ));
        }
        let UploadStage::Filling(partial) =
            std::mem::replace(&mut self.stage, UploadStage::Folding)
        else {
            return Err(UploadError::Folding);
        };
        let (bytes, found) = partial.into_whole();
        match found == self.digest {
            true => Ok((Payload::from(bytes), Held(self))),
            false => Err(UploadError::Digest {
                expected: self.digest,
                found,
            }),
        }
    }

    async fn granted(&mut self) -> Result<(), UploadError> {
        let UploadStage::Waiting(waiting) = &mut self.stage else {
            return Ok(());
        };
        tokio::select! {
            biased;
            Ok(partial) = waiting => {
                self.stage = UploadStage::Filling(partial);
                Ok(())
            }
            loss = &mut self.lost => Err(UploadError::Lost(loss.unwrap_or(Loss::Over))),
        }
    }
}

impl Drop for Upload {
    fn drop(&mut self) {
        let stage = std::mem::replace(&mut self.stage, UploadStage::Folding);
        let partial = match stage {
            UploadStage::Filling(partial) => Some(partial),
            UploadStage::Waiting(mut waiting) => {
                waiting.close();
                waiting.try_recv().ok()
            }
            UploadStage::Folding => {
                let release = |staging: &mut Staging, now_ms| {
                    staging.release(&self.key, self.ticket, now_ms);
                };
                self.uploads.change(release);
                self.uploads.state().calls.remove(&self.ticket);
                return;
            }
        };
        self.uploads.change(|staging, now_ms| match partial {
            Some(partial) => staging.rest(&self.key, self.ticket, partial, now_ms),
            None => staging.leave(&self.key, self.ticket, now_ms),
        });
        self.uploads.state().calls.remove(&self.ticket);
    }
}

#[cfg(test)]
mod tests {
    use commonweal_core::{ClientName, Stage, Step, TaskId};

    use super::*;

    fn key(node: &str) -> ReportKey {
        ReportKey {
            run: "digits-1".to_owned(),
            task: TaskId {
                round: 1,
                stage: Stage::Train,
                attempt: 0,
            },
            step: Step(0),
            node: ClientName::try_from(node).unwrap(),
        }
    }

    fn uploads() -> Uploads {
        Uploads::new(10, Clock::start())
    }

    #[tokio::test]
    async fn a_report_holds_its_memory_until_it_is_folded() {
        let uploads = uploads();
        let digest = Digest::of(b"the report");
        let mut upload = uploads.slot(key("a"), 10, digest).await.unwrap();
        upload.write(b"the ").unwrap();
        upload.write(b"report").unwrap();
        let (payload, held) = upload.finish().unwrap();
        assert_eq!(payload.as_bytes(), b"the report");
        assert_eq!(uploads.held_bytes(), 10);
        drop(held);
        assert_eq!(uploads.held_bytes(), 0);
    }

    #[tokio::test]
    async fn a_dropped_upload_leaves_its_bytes_to_the_next() {
        let uploads = uploads();
        let digest = Digest::of(b"the report");
        let mut upload = uploads.slot(key("a"), 10, digest).await.unwrap();
        upload.write(b"the ").unwrap();
        drop(upload);
        assert_eq!(uploads.received(&key("a")), 4);
        let mut upload = uploads.slot(key("a"), 10, digest).await.unwrap();
        assert_eq!(upload.offset(), 4);
        upload.write(b"report").unwrap();
        assert!(upload.finish().is_ok());
    }

    #[tokio::test]
    async fn other_bytes_than_were_signed_are_dropped() {
        let uploads = uploads();
        let digest = Digest::of(b"the report");
        let mut upload = uploads.slot(key("a"), 10, digest).await.unwrap();
        assert_eq!(
            upload.write(&[0; 11]),
            Err(UploadError::TooLong { declared: 10 })
        );
        upload.write(b"the resort").unwrap();
        assert!(matches!(upload.finish(), Err(UploadError::Digest { .. })));
        assert_eq!(uploads.held_bytes(), 0);
        let upload = uploads.slot(key("a"), 10, digest).await.unwrap();
        assert_eq!(upload.offset(), 0);
        let short = UploadError::TooShort {
            declared: 10,
            found: 0,
        };
        assert_eq!(upload.finish().err(), Some(short));
    }

    #[tokio::test]
    async fn an_upload_that_gives_up_waiting_is_in_nobodys_way() {
        let uploads = uploads();
        let digest = Digest::of(b"the report");
        let first = uploads.slot(key("a"), 10, digest).await.unwrap();
        let second = uploads.enter(key("b"), 10, digest).unwrap();
        assert_eq!(uploads.queue(), 1);
        drop(second);
        assert_eq!(uploads.queue(), 0);
        let granted_and_gone = uploads.enter(key("c"), 10, digest).unwrap();
        drop(first);
        drop(granted_and_gone);
        assert_eq!(uploads.held_bytes(), 0);
    }
}
