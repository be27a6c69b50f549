//! The run folder `runs/<job>-<n>/`: where each file of a run lies, and which runs there are.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::file::{self, FileError};

/// Folder of one run, or of one further seed within it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunFolder {
    path: PathBuf,
}

impl RunFolder {
    /// Makes `<runs>/<job>-<n>` with the first free number above all taken ones, from 1.
    ///
    /// Two programs that do so at once get two folders: making a folder is atomic.
    ///
    /// # Errors
    /// [`FileError`] if `runs` cannot be made or written.
    pub fn create(runs: &Path, job: &str) -> Result<Self, FileError> {
        file::create_folder(runs)?;
        let mut number = last_number(runs, job)? + 1;
        loop {
            let path = runs.join(format!("{job}-{number}"));
            match fs::create_dir(&path) {
                Ok(()) => return Ok(Self { path }),
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => number += 1,
                Err(error) => return Err(FileError::of(&path, error)),
            }
        }
    }

    /// The folder of a run that exists.
    ///
    /// # Errors
    /// [`FileError::Missing`] if `path` holds no run.
    pub fn open(path: &Path) -> Result<Self, FileError> {
        let folder = Self {
            path: path.to_path_buf(),
        };
        let manifest = folder.manifest();
        if manifest.is_file() {
            Ok(folder)
        } else {
            Err(FileError::Missing { path: manifest })
        }
    }

    /// The folder itself.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Its name, such as `digits-3`.
    #[must_use]
    pub fn name(&self) -> String {
        self.path
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned()
    }

    /// The job as it was run.
    #[must_use]
    pub fn job(&self) -> PathBuf {
        self.path.join("job.toml")
    }

    /// The resolved job, canonical.
    #[must_use]
    pub fn manifest(&self) -> PathBuf {
        self.path.join("manifest.json")
    }

    /// Digest of the manifest.
    #[must_use]
    pub fn manifest_digest(&self) -> PathBuf {
        self.path.join("manifest.digest")
    }

    /// What `prepare` found.
    #[must_use]
    pub fn prepared(&self) -> PathBuf {
        self.path.join("prepared.json")
    }

    /// The rounds.
    #[must_use]
    pub fn history(&self) -> PathBuf {
        self.path.join("history.csv")
    }

    /// The clients.
    #[must_use]
    pub fn clients(&self) -> PathBuf {
        self.path.join("clients.csv")
    }

    /// Training rows by client and class.
    #[must_use]
    pub fn partition(&self) -> PathBuf {
        self.path.join("partition.csv")
    }

    /// The result.
    #[must_use]
    pub fn summary(&self) -> PathBuf {
        self.path.join("summary.json")
    }

    /// The result of one seed.
    #[must_use]
    pub fn seed_summary(&self) -> PathBuf {
        self.path.join("seed.json")
    }

    /// The final model.
    #[must_use]
    pub fn model(&self) -> PathBuf {
        self.path.join("model.safetensors")
    }

    /// The model that the job's `model.init` named when the run began.
    #[must_use]
    pub fn initial(&self) -> PathBuf {
        self.path.join("initial.safetensors")
    }

    /// The report.
    #[must_use]
    pub fn report(&self) -> PathBuf {
        self.path.join("report.html")
    }

    /// Checkpoints.
    #[must_use]
    pub fn checkpoints(&self) -> PathBuf {
        self.path.join("checkpoints")
    }

    /// What the model takes in.
    #[must_use]
    pub fn input(&self) -> PathBuf {
        self.path.join("input.json")
    }

    /// Where the run was started.
    #[must_use]
    pub fn origin(&self) -> PathBuf {
        self.path.join("origin.json")
    }

    /// What the baselines of one seed found.
    #[must_use]
    pub fn baselines(&self) -> PathBuf {
        self.path.join("baselines.json")
    }

    /// Folder of a further seed.
    #[must_use]
    pub fn seed(&self, seed: u64) -> Self {
        Self {
            path: self.path.join(seed_name(seed)),
        }
    }

    /// Makes the folder if it is not there.
    ///
    /// # Errors
    /// [`FileError`].
    pub fn ensure(&self) -> Result<(), FileError> {
        file::create_folder(&self.path)
    }
}

/// Name of a further seed's folder within a run folder.
#[must_use]
pub fn seed_name(seed: u64) -> String {
    format!("seed-{seed}")
}

/// All run folders in `runs`, by name and number; none if there is no such folder.
///
/// # Errors
/// [`FileError`] if it cannot be read.
pub fn list_runs(runs: &Path) -> Result<Vec<RunFolder>, FileError> {
    if !runs.exists() {
        return Ok(Vec::new());
    }
    let mut found: Vec<(String, u64, RunFolder)> = names(runs)?
        .into_iter()
        .filter_map(|name| {
            let (job, number) = name.rsplit_once('-')?;
            let folder = RunFolder::open(&runs.join(&name)).ok()?;
            Some((job.to_owned(), number.parse().ok()?, folder))
        })
        .collect();
    found.sort_by(|a, b| (&a.0, a.1).cmp(&(&b.0, b.1)));
    Ok(found.into_iter().map(|(_, _, folder)| folder).collect())
}

fn last_number(runs: &Path, job: &str) -> Result<u64, FileError> {
    let numbers = names(runs)?.into_iter().filter_map(|name| {
        name.strip_prefix(job)?
            .strip_prefix('-')?
            .parse::<u64>()
            .ok()
    });
    Ok(numbers.max().unwrap_or(0))
}

fn names(folder: &Path) -> Result<Vec<String>, FileError> {
    let entries = fs::read_dir(folder).map_err(|error| FileError::of_reading(folder, error))?;
    Ok(entries
        .flatten()
        .filter_map(|entry| entry.file_name().into_string().ok())
        .collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_run_gets_a_number_above_all_others_of_its_job() {
        let runs = tempfile::tempdir().unwrap();
        for other in ["digits-2", "digits-9", "digits-x", "digits-big-40"] {
            fs::create_dir(runs.path().join(other)).unwrap();
        }
        let run = RunFolder::create(runs.path(), "digits").unwrap();
        assert_eq!(run.name(), "digits-10");
    }

    #[test]
    fn runs_made_at_once_get_folders_of_their_own() {
        let runs = tempfile::tempdir().unwrap();
        let mut names: Vec<String> = std::thread::scope(|scope| {
            let made: Vec<_> = (0..8)
                .map(|_| {
                    scope.spawn(|| {
                        (0..20)
                            .map(|_| RunFolder::create(runs.path(), "job").unwrap().name())
                            .collect::<Vec<_>>()
                    })
                })
                .collect();
            made.into_iter()
                .flat_map(|thread| thread.join().unwrap())
                .collect()
        });
        names.sort();
        names.dedup();
        assert_eq!(names.len(), 160);
    }

    #[test]
    fn runs_are_listed_by_number_and_other_folders_are_not() {
        let runs = tempfile::tempdir().unwrap();
        for number in [1, 2, 10] {
            let run = RunFolder::create(runs.path(), "a").unwrap();
            fs::rename(run.path(), runs.path().join(format!("a-{number}"))).unwrap();
            fs::write(runs.path().join(format!("a-{number}/manifest.json")), "{}").unwrap();
        }
        fs::create_dir(runs.path().join("a-99")).unwrap();
        let names: Vec<_> = list_runs(runs.path())
            .unwrap()
            .iter()
            .map(RunFolder::name)
            .collect();
        assert_eq!(names, ["a-1", "a-2", "a-10"]);
        assert_eq!(list_runs(Path::new("no-such-folder")).unwrap(), []);
    }
}
