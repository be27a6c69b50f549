//! Folds a round's reports off the runtime's threads, into sums that are merged at the end.

use std::sync::{Arc, Mutex, PoisonError};

use commonweal_core::{Accumulator, AggregateError, ClientIndex, Fold, Payload, Refusal, Stage};
use tokio::sync::Semaphore;
use tokio::task::spawn_blocking;

/// The sums of one round. Born in memory, and never anywhere else.
#[derive(Debug)]
pub(super) struct Folding {
    fold: Arc<Fold>,
    /// One for each worker that folds at the same time.
    permits: Semaphore,
    /// Sums that no worker has in hand.
    idle: Mutex<Vec<Accumulator>>,
}

/// A worker panicked, and its part of the sum is lost: a fault of this program, after which the round starts afresh.
#[derive(Debug, thiserror::Error)]
#[error("a worker that folds reports has crashed; please report this")]
pub(super) struct Lost;

impl Folding {
    /// Largest update, in values, of which several sums are kept: of a larger one, each costs too much memory.
    const SMALL: usize = 1 << 22;

    /// For reports of `values` values, on at most `workers` threads at a time.
    pub(super) fn new(fold: Arc<Fold>, values: usize, workers: usize) -> Self {
        let workers = match fold.stage() {
            // Whether the levels of two sums go together shows only when they are merged.
            Stage::Prepare => 1,
            _ if values > Self::SMALL => 1,
            _ => workers.max(1),
        };
        Self {
            fold,
            permits: Semaphore::new(workers),
            idle: Mutex::default(),
        }
    }

    /// Verifies the report and adds it: from the payload's own bytes, which are given up as soon as that is done.
    ///
    /// # Errors
    /// [`Lost`]; within, why nothing of the report was added.
    pub(super) async fn fold(
        self: &Arc<Self>,
        from: ClientIndex,
        payload: Payload,
    ) -> Result<Result<(), Refusal>, Lost> {
        let permit = self.permits.acquire().await.map_err(|_| Lost)?;
        let own = Arc::clone(self);
        let folded = spawn_blocking(move || {
            let idle = own
                .idle
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .pop();
            let mut sum = idle.unwrap_or_else(|| own.fold.zero());
            let folded = own.fold.accumulate(&mut sum, from, payload);
            own.idle
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .push(sum);
            folded
        });
        let folded = folded.await.map_err(|_| Lost);
        drop(permit);
        folded
    }

    /// Makes one sum of those of all workers. Costs a pass over each but the first: call it where threads may block.
    ///
    /// # Errors
    /// They are too large together. Reports whose folds bound them, in cohorts of up to 2,048, never are.
    pub(super) fn join(&self) -> Result<(), AggregateError> {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        let mut sums = std::mem::take(&mut *idle).into_iter();
        let mut whole = sums.next().unwrap_or_else(|| self.fold.zero());
        for sum in sums {
            self.fold.merge(&mut whole, sum)?;
        }
        idle.push(whole);
        Ok(())
    }

    /// The sum that [`Self::join`] made; of nobody if it made none.
    pub(super) fn take(&self) -> Accumulator {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        idle.pop().unwrap_or_else(|| self.fold.zero())
    }
}

#[cfg(test)]
mod tests {
    use commonweal_core::{MetricSpec, ModelVersion};

    use super::*;

    #[tokio::test]
    async fn sums_of_several_workers_are_one_sum_and_a_refused_report_is_not_in_it() {
        let spec = Arc::new(MetricSpec::loss());
        let base = ModelVersion(1);
        let fold = Arc::new(Fold::evaluate(Arc::clone(&spec), base, 11));
        let folding = Arc::new(Folding::new(Arc::clone(&fold), 3, 2));
        let report = || Payload::metrics(base, &spec.zero());
        let other = Payload::metrics(ModelVersion(2), &spec.zero());
        for client in 0..10 {
            folding
                .fold(ClientIndex(client), report())
                .await
                .unwrap()
                .unwrap();
        }
        let refused = folding.fold(ClientIndex(11), other).await.unwrap();
        assert!(matches!(refused, Err(Refusal::WrongBase { .. })));
        folding.join().unwrap();
        assert_eq!(folding.take().clients(), 10);
    }
}
