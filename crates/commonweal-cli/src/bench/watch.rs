//! Runs a job in a process of its own and listens to its events: the whole program is measured.

use std::env::temp_dir;
use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Instant;

use commonweal_train::ModelError;
use serde_json::Value;
use tempfile::tempdir;
use thiserror::Error;

/// What a run showed.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Watched {
    /// From the start of the process to the end of round 1.
    pub(super) seconds_to_round_1: f64,
    /// Training and aggregation of each round.
    pub(super) seconds_by_round: Vec<f64>,
    /// Largest resident set.
    pub(super) peak_bytes: Option<f64>,
}

impl Watched {
    /// The median round; rounds differ in their clients, so the fastest would flatter.
    pub(super) fn median_round(&self) -> Option<f64> {
        let mut seconds = self.seconds_by_round.clone();
        seconds.sort_by(f64::total_cmp);
        seconds.get(seconds.len() / 2).copied()
    }
}

/// Why a figure is missing.
#[derive(Debug, Error)]
pub enum WatchError {
    /// A temporary folder, or the program itself.
    #[error("{}: {source}", path.display())]
    System {
        /// What was used.
        path: PathBuf,
        /// What the operating system says.
        source: std::io::Error,
    },
    /// A model that does not fit its own data.
    #[error(transparent)]
    Model(#[from] ModelError),
    /// The run failed.
    #[error("{message}")]
    Failed {
        /// The run's own message, and what it says to do next.
        message: String,
    },
    /// The run ended without what was asked of it.
    #[error("the run ended without {missing}")]
    Incomplete {
        /// What is missing.
        missing: &'static str,
    },
}

/// Gives the first of `files`, a job, to `command` of `program` with `flags`, in a folder that is removed afterwards.
pub(super) fn watch(
    program: &Path,
    command: &str,
    data: Option<&Path>,
    files: &[(&str, &str)],
    flags: &[&str],
) -> Result<Watched, WatchError> {
    let folder = tempdir().map_err(system(&temp_dir()))?;
    for (name, text) in files {
        let file = folder.path().join(name);
        fs::write(&file, text).map_err(system(&file))?;
    }
    let file = folder
        .path()
        .join(files.first().map_or("", |(name, _)| name));
    let mut process = Command::new(program);
    process.args([command, "--json", "--quiet"]).arg(&file);
    process.arg("--runs-dir").arg(folder.path().join("runs"));
    if let Some(data) = data {
        process.arg("--data-dir").arg(data);
    }
    process.args(flags).stdin(Stdio::null());
    process.stdout(Stdio::piped()).stderr(Stdio::null());
    let start = Instant::now();
    let mut child = process.spawn().map_err(system(program))?;
    let watched = listen(&mut child, start);
    let status = child.wait().map_err(system(program))?;
    let watched = watched?;
    if !status.success() {
        return Err(WatchError::Failed {
            message: format!("the run ended with {status}"),
        });
    }
    Ok(watched)
}

fn listen(child: &mut Child, start: Instant) -> Result<Watched, WatchError> {
    let mut watched = Watched::default();
    let mut failure = None;
    if let Some(stdout) = child.stdout.take() {
        for line in BufReader::new(stdout).lines().map_while(Result::ok) {
            let event: Value = serde_json::from_str(&line).unwrap_or_default();
            match event["event"].as_str() {
                Some("round") => {
                    if watched.seconds_by_round.is_empty() {
                        watched.seconds_to_round_1 = start.elapsed().as_secs_f64();
                    }
                    watched.seconds_by_round.extend(event["seconds"].as_f64());
                }
                Some("finished") => {
                    let model = event["model"].as_str().map(Path::new);
                    watched.peak_bytes = model.and_then(peak_bytes);
                }
                Some("error") => failure = Some(message(&event)),
                _ => {}
            }
        }
    }
    if let Some(message) = failure {
        return Err(WatchError::Failed { message });
    }
    if watched.seconds_by_round.is_empty() {
        return Err(WatchError::Incomplete { missing: "a round" });
    }
    Ok(watched)
}

fn message(event: &Value) -> String {
    let text = |key: &str| event[key].as_str().unwrap_or_default().to_owned();
    let (message, next) = (text("message"), text("next"));
    if next.is_empty() {
        message
    } else {
        format!("{message}\n{next}")
    }
}

/// What the run's own record says, beside its model.
fn peak_bytes(model: &Path) -> Option<f64> {
    let text = fs::read_to_string(model.with_file_name("summary.json")).ok()?;
    let summary: Value = serde_json::from_str(&text).ok()?;
    summary["peak_bytes"].as_f64()
}

fn system(path: &Path) -> impl FnOnce(std::io::Error) -> WatchError {
    let path = path.to_path_buf();
    move |source| WatchError::System { path, source }
}
