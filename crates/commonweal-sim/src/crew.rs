//! The threads of a simulation: each with a trainer and a source of secret randomness of its own.

use std::sync::mpsc;
use std::time::Duration;

use commonweal_core::Trainer;
use commonweal_disk::{EntropySource, NoEntropy};

/// Time between two looks at threads at work.
const WATCH_EVERY: Duration = Duration::from_millis(500);

/// What one thread has for itself.
pub(crate) struct Slot {
    pub(crate) trainer: Box<dyn Trainer>,
    pub(crate) entropy: EntropySource,
}

/// All threads, the calling one first, and what each has for itself.
pub(crate) struct Crew<S> {
    slots: Vec<S>,
}

impl Crew<Slot> {
    /// One thread a trainer.
    pub(crate) fn trainers(trainers: Vec<Box<dyn Trainer>>) -> Result<Self, NoEntropy> {
        let slots = trainers
            .into_iter()
            .map(|trainer| {
                Ok(Slot {
                    trainer,
                    entropy: EntropySource::from_system()?,
                })
            })
            .collect::<Result<_, NoEntropy>>()?;
        Ok(Self { slots })
    }
}

impl<S: Send> Crew<S> {
    /// One thread for each of `slots`.
    pub(crate) fn new(slots: Vec<S>) -> Self {
        Self { slots }
    }

    pub(crate) fn threads(&self) -> usize {
        self.slots.len()
    }

    /// Calls `shift` once on every thread and waits until all return. Costs a thread start each but for
    /// the calling one: tens of microseconds.
    pub(crate) fn work(&mut self, shift: impl Fn(&mut S) + Sync) {
        let Some((own, others)) = self.slots.split_first_mut() else {
            return;
        };
        std::thread::scope(|scope| {
            for slot in others {
                let shift = &shift;
                scope.spawn(move || shift(slot));
            }
            shift(own);
        });
    }

    /// As [`work`](Self::work), but all slots work on threads of their own while the calling thread
    /// calls `watch` twice a second.
    pub(crate) fn work_watched(&mut self, shift: impl Fn(&mut S) + Sync, mut watch: impl FnMut()) {
        let (working, ended) = mpsc::channel::<()>();
        std::thread::scope(|scope| {
            for slot in &mut self.slots {
                let (shift, working) = (&shift, working.clone());
                scope.spawn(move || {
                    shift(slot);
                    drop(working);
                });
            }
            drop(working);
            while ended.recv_timeout(WATCH_EVERY) == Err(mpsc::RecvTimeoutError::Timeout) {
                watch();
            }
        });
    }
}
