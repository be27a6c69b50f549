//! Where a simulation runs: folders, threads, and how it is told to stop.

use std::fmt;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::thread;

use commonweal_disk::DataPlaces;

/// Receives each line that a worker process prints.
pub type LineSink = Arc<dyn Fn(&str) + Send + Sync>;

/// What a job does not say: it differs between machines.
#[derive(Clone)]
pub struct Environment {
    /// Where the job's data and other files lie.
    pub places: DataPlaces,
    /// Folder in which run folders are made; `None` writes nothing.
    pub runs: Option<PathBuf>,
    /// Threads; `None` for what the job says, or one a core.
    pub threads: Option<NonZeroUsize>,
    /// Set to `true` to end the run after the round that is under way.
    pub interrupt: Arc<AtomicBool>,
    /// Where the lines go that worker processes print.
    pub lines: LineSink,
}

impl Default for Environment {
    /// Data from `COMMONWEAL_DATA`, paths from the current folder, nothing written.
    fn default() -> Self {
        Self {
            places: DataPlaces::default(),
            runs: None,
            threads: None,
            interrupt: Arc::default(),
            lines: Arc::new(|_| {}),
        }
    }
}

impl Environment {
    /// Threads for a job that asks for `wanted`.
    pub(crate) fn threads(&self, wanted: Option<u32>) -> usize {
        let wanted = wanted.and_then(|threads| NonZeroUsize::new(threads as usize));
        let cores = || thread::available_parallelism().ok();
        self.threads
            .or(wanted)
            .or_else(cores)
            .map_or(1, NonZeroUsize::get)
    }
}

impl fmt::Debug for Environment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Environment")
            .field("places", &self.places)
            .field("runs", &self.runs)
            .field("threads", &self.threads)
            .finish_non_exhaustive()
    }
}
