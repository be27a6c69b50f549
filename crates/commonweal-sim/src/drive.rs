//! Drives one round of the core's machine to its end, with all threads.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use commonweal_core::{
    Abandoned, Accumulator, ClientIndex, Committed, Flow, Fold, Population, Progress, Round, Task,
    Time,
};

use crate::arrival::Arrivals;
use crate::crew::Crew;
use crate::desk::{Desk, Ended, Next, Refused};
use crate::error::SimulationError;
use crate::part::{Part, TOGETHER};
use crate::states::StagedState;
use crate::work::{Report, Work, WorkError};

/// Reports that a thread may be ahead of the one that is awaited, where their order matters.
const AHEAD: usize = 4;

/// What came of a round.
pub(crate) struct Driven {
    pub(crate) end: RoundEnd,
    /// Virtual time at its end.
    pub(crate) now: Time,
    /// Clients that were configured.
    pub(crate) cohort: u64,
    pub(crate) refused: Vec<Refused>,
    /// The new states of the clients that were counted.
    pub(crate) states: Vec<(ClientIndex, StagedState)>,
    pub(crate) bytes_up: u64,
}

pub(crate) enum RoundEnd {
    Committed(Committed, Accumulator),
    Abandoned(Abandoned),
}

/// A round and those who drive it.
pub(crate) struct Drive<'a, S> {
    pub(crate) crew: &'a mut Crew<S>,
    pub(crate) work: &'a dyn Work<S>,
    /// With the round's number and the population, where virtual time matters.
    pub(crate) arrivals: Option<(&'a Arrivals, u64, &'a Population)>,
    pub(crate) now: Time,
}

impl<S: Send> Drive<'_, S> {
    /// Drives `round` until it commits or is abandoned.
    pub(crate) fn drive(self, round: Round) -> Result<Driven, SimulationError> {
        let fold = Arc::clone(round.fold());
        // In virtual time, whether a report is needed depends on the one before.
        let together = self.arrivals.map_or(TOGETHER, |_| 1);
        let widest_window = AHEAD * self.crew.threads();
        let desk = Desk::open(round, self.work, self.arrivals, widest_window, self.now);
        let hall = Hall {
            desk: Mutex::new(desk),
            moved: Condvar::new(),
            is_closed: AtomicBool::new(false),
            sum: Mutex::new(fold.zero()),
            fold,
            together,
            work: self.work,
        };
        self.crew.work(|slot| hall.shift(slot));
        hall.close()
    }
}

/// What the threads of a round share.
struct Hall<'a, S> {
    desk: Mutex<Desk>,
    /// A report was handed over.
    moved: Condvar,
    /// Copied from the desk, to be read at every step of training.
    is_closed: AtomicBool,
    sum: Mutex<Accumulator>,
    fold: Arc<Fold>,
    /// Reports that a thread adds at a time.
    together: usize,
    work: &'a dyn Work<S>,
}

impl<S> Hall<'_, S> {
    /// One thread's work: client after client, and its part of the sum at the end.
    fn shift(&self, slot: &mut S) {
        let mut own = Part::new(&self.fold, self.together);
        while let Some(place) = self.next() {
            let task = self.desk().task(place);
            let result = match task {
                None => Err(WorkError::Client("it did not answer".to_owned())),
                Some((client, task)) => self.perform(slot, client, &task, own.memory()),
            };
            let mut next = self.desk().deliver(place, result);
            while let Some((client, message)) = next {
                next = None;
                for (client, folded) in own.take(client, message) {
                    next = self.desk().folded(client, folded);
                }
            }
            self.is_closed
                .store(self.desk().is_closed(), Ordering::Relaxed);
            self.moved.notify_all();
        }
        for (client, folded) in own.add() {
            // A part with reports that wait is one where nothing comes after them.
            let _ = self.desk().folded(client, folded);
        }
        if let Some(own) = own.into_sum() {
            self.add(own);
        }
    }

    /// A panic is delivered as any other end of the work: others wait for this place.
    fn perform(
        &self,
        slot: &mut S,
        client: ClientIndex,
        task: &Task,
        memory: Vec<u8>,
    ) -> Result<Report, WorkError> {
        let mut watch = Watch(&self.is_closed);
        // Unwind safety: the run ends with this error, and nothing of the slot is used again.
        let work = AssertUnwindSafe(|| self.work.perform(slot, client, task, memory, &mut watch));
        catch_unwind(work).unwrap_or_else(|panic| {
            let (client, what) = (self.work.name(client), said(panic.as_ref()));
            Err(WorkError::Fatal(SimulationError::Panicked { client, what }))
        })
    }

    fn next(&self) -> Option<usize> {
        let mut desk = self.desk();
        loop {
            match desk.take() {
                Next::Client(place) => return Some(place),
                Next::Nothing => return None,
                Next::Wait => {
                    desk = self
                        .moved
                        .wait(desk)
                        .unwrap_or_else(PoisonError::into_inner);
                }
            }
        }
    }

    fn add(&self, own: Accumulator) {
        let mut sum = self.sum.lock().unwrap_or_else(PoisonError::into_inner);
        let merged = match sum.clients() {
            0 => {
                *sum = own;
                Ok(())
            }
            _ => self.fold.merge(&mut sum, own),
        };
        if let Err(error) = merged {
            self.desk().error.get_or_insert(error.into());
        }
    }

    fn desk(&self) -> MutexGuard<'_, Desk> {
        self.desk.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn close(self) -> Result<Driven, SimulationError> {
        let mut desk = self
            .desk
            .into_inner()
            .unwrap_or_else(PoisonError::into_inner);
        desk.close();
        if let Some(error) = desk.error {
            return Err(error);
        }
        let (now, cohort) = (desk.now(), desk.cohort() as u64);
        let Some(ended) = desk.ended else {
            return Err(SimulationError::Unfinished);
        };
        let mut states = desk.staged;
        let end = match ended {
            Ended::Abandoned(abandoned) => {
                states.clear();
                RoundEnd::Abandoned(abandoned)
            }
            Ended::Committed(committed) => {
                let counted = committed.counted();
                states.retain(|(client, _)| counted.binary_search(client).is_ok());
                let sum = self
                    .sum
                    .into_inner()
                    .unwrap_or_else(PoisonError::into_inner);
                RoundEnd::Committed(committed, sum)
            }
        };
        let (refused, bytes_up) = (desk.refused, desk.bytes_up);
        Ok(Driven {
            end,
            now,
            cohort,
            refused,
            states,
            bytes_up,
        })
    }
}

/// The message of a panic.
fn said(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    let text = text.or_else(|| panic.downcast_ref::<&str>().copied());
    text.unwrap_or("without a message").to_owned()
}

/// Ends the training of clients whose reports would not count any more.
struct Watch<'a>(&'a AtomicBool);

impl Progress for Watch<'_> {
    fn step(&mut self, _done: u64, _total: u64) -> Flow {
        match self.0.load(Ordering::Relaxed) {
            true => Flow::Cancel,
            false => Flow::Continue,
        }
    }
}
