//! `commonweal export`: a run's model for another program.

use std::fs;
use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};
use commonweal_disk::file::{self, FileError};
use commonweal_sim::FinishedRun;
use commonweal_train::torch_source;
use serde::Serialize;

use crate::context::Context;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::{run_record, training};

/// The arguments.
#[derive(Debug, Args)]
pub struct Export {
    /// A run folder, or the name of one such as digits-1
    pub run: PathBuf,
    /// What to write
    #[arg(long, value_enum, default_value = "torch")]
    pub format: Format,
    /// Folder to make [default: torch within the run folder]
    #[arg(long, short, value_name = "FOLDER")]
    pub output: Option<PathBuf>,
}

/// Who is to read the model.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// PyTorch: model.py, a module that loads model.safetensors beside it
    Torch,
}

#[derive(Serialize)]
struct Exported<'a> {
    module: &'a Path,
    model: &'a Path,
}

impl Export {
    /// Writes the module and its tensors.
    ///
    /// # Errors
    /// A run that does not exist or is not finished; a folder that exists.
    pub fn run(&self, context: &Context) -> Result<Exit, Failure> {
        let folder = run_record::finished(context, &self.run)?;
        let Format::Torch = self.format;
        let to = self
            .output
            .clone()
            .unwrap_or_else(|| folder.path().join("torch"));
        if to.exists() {
            return Err(Failure::Exists { path: to });
        }
        let environment = training::environment(context, PathBuf::new());
        let finished = FinishedRun::open(folder.path(), environment)?;
        let (model, _) = finished.model()?;
        let source = torch_source(&model, finished.input().names().unwrap_or_default());
        let tensors = file::read_bytes(&folder.model())?;
        fs::create_dir_all(&to).map_err(|source| FileError::of(&to, source))?;
        let (module, model) = (to.join("model.py"), to.join("model.safetensors"));
        file::write_bytes(&module, source.as_bytes())?;
        file::write_bytes(&model, &tensors)?;
        let exported = Exported {
            module: &module,
            model: &model,
        };
        context.console.event("exported", &exported);
        context
            .console
            .line(format_args!("{}\n{}", module.display(), model.display()));
        Ok(Exit::Success)
    }
}
