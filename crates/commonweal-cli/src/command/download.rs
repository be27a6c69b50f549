//! `commonweal download`: the files of a run on the server, as a run folder that every other command understands.

use std::fs;
use std::path::{Path, PathBuf};

use clap::Args;
use commonweal_disk::file::{self, FileError};
use serde::Serialize;

use crate::context::Context;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::remote::Remote;
use crate::{download, training};

/// The arguments.
#[derive(Debug, Args)]
pub struct Download {
    /// The run, such as digits-1
    pub run: String,
    /// The folder to make [default: the run's name in the folder of the runs]
    #[arg(long, value_name = "FOLDER")]
    pub into: Option<PathBuf>,
}

#[derive(Serialize)]
struct Downloaded<'a> {
    run: &'a str,
    path: &'a Path,
    finished: bool,
}

impl Download {
    /// Fetches what there is, and makes the report of a finished run.
    ///
    /// # Errors
    /// A run that does not exist; a folder that is there already; a server that cannot be reached.
    pub fn run(&self, context: &Context) -> Result<Exit, Failure> {
        let remote = Remote::open()?;
        let info = remote.run(&self.run)?;
        // What the server says becomes part of a path.
        let name = Path::new(&info.id).file_name().unwrap_or("run".as_ref());
        let path = match &self.into {
            Some(path) => path.clone(),
            None => context.global.runs_dir.join(name),
        };
        if path.exists() {
            return Err(Failure::Exists { path });
        }
        let parent = path
            .parent()
            .filter(|parent| !parent.as_os_str().is_empty());
        file::create_folder(parent.unwrap_or(Path::new(".")))?;
        fs::create_dir(&path).map_err(|error| FileError::of(&path, error))?;
        let folder = download::download(&remote, &info.id, &path)?;
        let finished = folder.summary().is_file();
        let console = &context.console;
        let report = match finished {
            true => training::report(console, &path),
            false => None,
        };
        console.line(path.display());
        if let Some(report) = &report {
            console.line(report.display());
        }
        console.event(
            "downloaded",
            &Downloaded {
                run: &info.id,
                path: &path,
                finished,
            },
        );
        Ok(Exit::Success)
    }
}
