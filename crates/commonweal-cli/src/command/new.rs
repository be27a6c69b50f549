//! `commonweal new`: writes a job file and a README to start from, out of a template or a table.

use std::fs;
use std::path::{Path, PathBuf};

use clap::Args;
use commonweal_disk::file::{self, FileError};
use serde::Serialize;

use crate::context::Context;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::own_table;
use crate::study_name::StudyName;
use crate::template::Template;

/// The arguments.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  commonweal new my-study --template heart
  commonweal new my-study --from patients.csv --label target --client hospital")]
pub struct New {
    /// Folder to make; its name becomes the job's
    pub name: StudyName,
    /// The study to start from
    #[arg(long, short, required_unless_present = "from", conflicts_with = "from")]
    pub template: Option<Template>,
    /// A CSV file with a header line; columns are recognised and written into the job
    #[arg(long, value_name = "CSV", requires = "label")]
    pub from: Option<PathBuf>,
    /// The column to predict
    #[arg(long, value_name = "COLUMN", requires = "from")]
    pub label: Option<String>,
    /// The column that names the client of a row, such as a hospital; without it, rows are dealt
    #[arg(long, value_name = "COLUMN", requires = "from")]
    pub client: Option<String>,
}

#[derive(Serialize)]
struct Created<'a> {
    job: &'a Path,
    readme: &'a Path,
}

/// What is written.
pub(crate) struct Study {
    pub(crate) job: String,
    pub(crate) readme: String,
}

impl New {
    /// Writes `NAME/job.toml` and `NAME/README.md`.
    ///
    /// # Errors
    /// If the folder exists or cannot be made; if the table cannot be read or lacks a column.
    pub fn run(&self, context: &Context) -> Result<Exit, Failure> {
        let folder = self.name.folder();
        if folder.exists() {
            return Err(Failure::Exists {
                path: folder.to_path_buf(),
            });
        }
        let study = self.study()?;
        let (job, readme) = (folder.join("job.toml"), folder.join("README.md"));
        if let Some(parent) = folder.parent() {
            file::create_folder(parent)?;
        }
        fs::create_dir(folder).map_err(|source| FileError::of(folder, source))?;
        file::write_bytes(&job, study.job.as_bytes())?;
        file::write_bytes(&readme, study.readme.as_bytes())?;
        let console = &context.console;
        let created = Created {
            job: &job,
            readme: &readme,
        };
        console.event("created", &created);
        console.line(format_args!(
            "wrote {} and {}\nnext:  commonweal simulate {}",
            job.display(),
            readme.display(),
            job.display()
        ));
        Ok(Exit::Success)
    }

    fn study(&self) -> Result<Study, Failure> {
        match (&self.template, &self.from, &self.label) {
            (_, Some(table), Some(label)) => {
                let place = self.name.folder();
                own_table::study(
                    self.name.name(),
                    place,
                    table,
                    label,
                    self.client.as_deref(),
                )
            }
            (template, ..) => {
                let template = template.unwrap_or(Template::Digits);
                Ok(Study {
                    job: template.job_named(self.name.name()),
                    readme: template.readme_named(self.name.name()),
                })
            }
        }
    }
}
