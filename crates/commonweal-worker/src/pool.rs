//! The worker processes of one run: how they are started, and what they share.

use std::env;
use std::fmt;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use commonweal_core::job::TrainerSpec;

use crate::data::{DataSet, write_file};
use crate::error::WorkerError;
use crate::exchange::Exchange;
use crate::stderr::LineSink;
use crate::trainer::WorkerTrainer;

/// The Python module, written beside the exchanged files so that a trainer finds it without installing it.
const PYTHON_MODULE: &str = include_str!("../commonweal_worker.py");

/// The worker processes of one run and their private directory, which is removed with the value.
pub struct Workers {
    pub(crate) trainer: String,
    program: String,
    arguments: Vec<String>,
    spec: TrainerSpec,
    /// Where commands run: relative paths in a job file are meant from its own folder.
    working: PathBuf,
    pub(crate) sink: LineSink,
    /// Failures since the last success, in all slots.
    failures: AtomicU32,
    exchange: Exchange,
    data: Option<Arc<dyn DataSet>>,
    data_written: Mutex<bool>,
}

/// Name of the data set's file in the exchange directory.
pub(crate) const DATA_FILE: &str = "data.safetensors";

impl Workers {
    /// Failures in a row, over all slots, after which there is no point in trying again.
    pub(crate) const LAST_FAILURE: u32 = 5;

    /// Prepares to start the trainer called `trainer` in the job as `spec` says, in the folder `working`.
    ///
    /// `sink` receives each line that a worker prints; `data` is handed to workers that ask for it.
    /// No process is started yet.
    ///
    /// # Errors
    /// An empty command, or no place for temporary files.
    pub fn new(
        trainer: &str,
        spec: TrainerSpec,
        working: &Path,
        sink: LineSink,
        data: Option<Arc<dyn DataSet>>,
    ) -> Result<Arc<Self>, WorkerError> {
        let Some((program, arguments)) = spec.command.split_first() else {
            return Err(WorkerError::NoCommand {
                trainer: trainer.into(),
            });
        };
        let failed = |why| WorkerError::File {
            what: "make a temporary folder".into(),
            why,
        };
        let exchange = Exchange::within(&env::temp_dir()).map_err(failed)?;
        let module = exchange.path().join("commonweal_worker.py");
        fs::write(module, PYTHON_MODULE).map_err(failed)?;
        Ok(Arc::new(Self {
            trainer: trainer.into(),
            program: program.clone(),
            arguments: arguments.to_vec(),
            spec,
            working: match working.as_os_str().is_empty() {
                true => ".".into(),
                false => working.into(),
            },
            sink,
            failures: AtomicU32::new(0),
            exchange,
            data,
            data_written: Mutex::new(false),
        }))
    }

    /// One trainer for each of the spec's `workers`, all of which begin to load at once.
    ///
    /// # Errors
    /// The command cannot be started.
    pub fn trainers(self: &Arc<Self>) -> Result<Vec<WorkerTrainer>, WorkerError> {
        (0..self.spec.workers)
            .map(|slot| WorkerTrainer::start(Arc::clone(self), slot))
            .collect()
    }

    /// The device of `slot`: dealt in turn.
    pub(crate) fn device(&self, slot: u32) -> Option<&str> {
        match &*self.spec.devices {
            [] => None,
            devices => Some(&devices[slot as usize % devices.len()]),
        }
    }

    /// The private folder in which files are exchanged.
    pub fn directory(&self) -> &Path {
        self.exchange.path()
    }

    /// The name of the data set's file, which is written when the first worker asks for it.
    pub(crate) fn data_file(&self) -> Result<Option<&'static str>, WorkerError> {
        let Some(data) = &self.data else {
            return Ok(None);
        };
        let mut written = self
            .data_written
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if !*written {
            let path = self.directory().join(DATA_FILE);
            write_file(&**data, &path).map_err(|why| WorkerError::File {
                what: format!("write the data set to {}", path.display()),
                why,
            })?;
            *written = true;
        }
        Ok(Some(DATA_FILE))
    }

    /// The command as a user would type it.
    pub(crate) fn command_line(&self) -> String {
        self.spec.command.join(" ")
    }

    /// Counts a request that came to an end as it should.
    pub(crate) fn succeeded(&self) {
        self.failures.store(0, Ordering::Relaxed);
    }

    /// Counts a failure, and says whether it was one too many.
    pub(crate) fn failed(&self) -> bool {
        self.failures.fetch_add(1, Ordering::Relaxed) + 1 >= Self::LAST_FAILURE
    }

    /// The command of `slot`. The Python module is found last, so that a user's own copy wins.
    pub(crate) fn command(&self, slot: u32) -> Result<Command, WorkerError> {
        let given = self.spec.environment.get("PYTHONPATH").map(Into::into);
        let given = given.or_else(|| env::var_os("PYTHONPATH"));
        let paths = given.iter().flat_map(env::split_paths);
        let python_path = env::join_paths(paths.chain([self.directory().to_owned()]))
            .map_err(|why| self.cannot_start(io::Error::other(why)))?;
        let mut command = Command::new(&self.program);
        command
            .args(&self.arguments)
            .current_dir(&self.working)
            .envs(&self.spec.environment)
            .env("PYTHONPATH", python_path)
            .env("COMMONWEAL_WORKER", slot.to_string())
            .env("COMMONWEAL_WORKER_DIRECTORY", self.directory());
        if let Some(device) = self.device(slot) {
            command.env("COMMONWEAL_DEVICE", device);
        }
        Ok(command)
    }

    pub(crate) fn cannot_start(&self, why: io::Error) -> WorkerError {
        WorkerError::Start {
            trainer: self.trainer.clone(),
            program: self.program.clone(),
            why,
        }
    }
}

impl fmt::Debug for Workers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Workers")
            .field("trainer", &self.trainer)
            .field("spec", &self.spec)
            .finish_non_exhaustive()
    }
}
