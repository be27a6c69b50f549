//! `commonweal report`: makes the page of a finished run again.

use std::path::{Path, PathBuf};

use clap::Args;
use serde::Serialize;

use crate::context::Context;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::run_record;

/// The arguments.
#[derive(Debug, Args)]
pub struct Report {
    /// A run folder, or the name of one such as digits-1
    pub run: PathBuf,
}

#[derive(Serialize)]
struct Written<'a> {
    path: &'a Path,
}

impl Report {
    /// Writes `report.html` from the records of the run.
    ///
    /// # Errors
    /// A run that does not exist or is not finished; a record that cannot be read.
    pub fn run(&self, context: &Context) -> Result<Exit, Failure> {
        let folder = run_record::find(context, &self.run)?;
        let path = run_record::write_report(&folder)?;
        context.console.event("report", &Written { path: &path });
        context.console.line(path.display());
        Ok(Exit::Success)
    }
}
