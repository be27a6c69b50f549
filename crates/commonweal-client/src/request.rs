//! Runs that asked for consent: what they ask, what was decided, and how they ended. One file a run.
//!
//! `node approve` and `node deny` write here while a running node looks: every change is a rename in one folder.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use commonweal_core::Digest;
use commonweal_core::job::{Job, JobErrors, Manifest};
use commonweal_disk::file::{FileError, read_bytes, write_bytes};
use commonweal_disk::{JsonError, read_json, write_json};
use commonweal_wire::proto::{Ending, UnfitCode};
use serde::{Deserialize, Serialize};

use crate::folder::{NodeFolder, create_private_folder};

/// A run that asked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Request {
    /// The run, as `heart-3`.
    pub run: String,
    /// Digest of the manifest that it asks with.
    pub manifest: Digest,
    /// The researcher who submitted it.
    pub submitter: String,
    /// When it was submitted: milliseconds since 1970, UTC.
    pub submitted_at_ms: u64,
    /// When it asked here: milliseconds since 1970, UTC.
    pub asked_at_ms: u64,
    /// The file of the model that was submitted to begin with; none if there is none.
    #[serde(default)]
    pub initial: Option<Digest>,
    /// What was decided.
    pub decision: Decision,
    /// Whether the server knows the decision.
    pub told: bool,
    /// What all nodes found together, once a task has named it.
    #[serde(default)]
    pub prepared: Option<PreparedBlob>,
    /// How it ended, once it has.
    pub ended: Option<Ended>,
}

/// What was decided about a run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum Decision {
    /// Nobody has decided.
    Waiting,
    /// The run may use the data.
    Approved {
        /// The owner, or the settings.
        by: Decider,
        /// Milliseconds since 1970, UTC.
        at_ms: u64,
    },
    /// It may not, or no longer.
    Denied {
        /// In the owner's words.
        reason: String,
        /// Milliseconds since 1970, UTC.
        at_ms: u64,
    },
    /// The owner agreed, and the data or the machine do not fit.
    Unfit {
        /// What the server is told: a code, a column and a line.
        unfit: Unfit,
        /// The whole sentence, for the owner alone.
        what: String,
        /// Milliseconds since 1970, UTC.
        at_ms: u64,
    },
}

/// Who decided.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Decider {
    /// With `commonweal node approve`.
    Owner,
    /// By `accept` in `node.toml`.
    Settings,
}

/// Why a node cannot serve a run: all that the server learns of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unfit {
    /// The word of the code, as `schema`.
    pub code: String,
    /// The column, if the job names it; empty otherwise.
    pub column: String,
    /// The line of the file, from 1; 0 for none.
    pub line: u64,
}

/// What all nodes found together, and where the server keeps it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct PreparedBlob {
    /// The blob.
    pub blob: Digest,
    /// Of what it says: what tasks are bound to.
    pub found: Digest,
}

/// How a run ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ended {
    /// `finished`, `failed` or `cancelled`.
    pub ending: String,
    /// The server's sentence.
    pub reason: String,
    /// The final model, if nodes may have it.
    pub model: Option<Digest>,
    /// What the model takes in.
    pub input: Option<Digest>,
}

/// Why a request cannot be read, written or decided.
#[derive(Debug, thiserror::Error)]
pub enum RequestError {
    /// No run of this name asked.
    #[error("no run {run:?} has asked this node; `commonweal node requests` lists those that have")]
    Unknown {
        /// What was asked for.
        run: String,
    },
    /// A run's name that could be a path.
    #[error("the server calls a run {run:?}, which is no name of a run")]
    Name {
        /// What it calls it.
        run: String,
    },
    /// The run is over.
    #[error("{run} is over ({ending}): there is nothing left to decide")]
    Over {
        /// The run.
        run: String,
        /// How it ended.
        ending: String,
    },
    /// The manifest is none.
    #[error("the manifest of {run} is none that this version understands: {source}")]
    Manifest {
        /// The run.
        run: String,
        /// What is wrong.
        source: JobErrors,
    },
    /// The manifest is another than the one that was asked with.
    #[error("the manifest of {run} was changed on this disk")]
    Changed {
        /// The run.
        run: String,
    },
    /// It asks with another manifest than the one that the owner has in mind.
    #[error(
        "{run} asks with the manifest {found}, and not with {expected}, which was shown or named: read it with \
         `commonweal node show {run}` before you approve it"
    )]
    OtherManifest {
        /// The run.
        run: String,
        /// Shown or named.
        expected: Digest,
        /// What it asks with now.
        found: Digest,
    },
    /// A file is damaged.
    #[error(transparent)]
    Json(#[from] JsonError),
    /// A file cannot be read or written.
    #[error(transparent)]
    File(#[from] FileError),
}

impl Decision {
    /// Whether the run may use the data.
    #[must_use]
    pub fn is_approved(&self) -> bool {
        matches!(self, Self::Approved { .. })
    }

    /// `waiting`, `approved`, `denied` or `unfit`.
    #[must_use]
    pub fn word(&self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Approved { .. } => "approved",
            Self::Denied { .. } => "denied",
            Self::Unfit { .. } => "unfit",
        }
    }
}

/// The word of an unfit code.
pub(crate) fn unfit_word(code: UnfitCode) -> &'static str {
    match code {
        UnfitCode::Unspecified => "unspecified",
        UnfitCode::NoDataSet => "no_data_set",
        UnfitCode::Unreadable => "unreadable",
        UnfitCode::Schema => "schema",
        UnfitCode::Cell => "cell",
        UnfitCode::Rows => "rows",
        UnfitCode::Trainer => "trainer",
        UnfitCode::Capacity => "capacity",
        UnfitCode::Cohort => "cohort",
        UnfitCode::Manifest => "manifest",
        UnfitCode::Model => "model",
        UnfitCode::Undeclared => "undeclared",
    }
}

/// The code of a word.
pub(crate) fn unfit_code(word: &str) -> UnfitCode {
    let codes = (0..).map_while(|number| UnfitCode::try_from(number).ok());
    let mut codes = codes.filter(|&code| unfit_word(code) == word);
    codes.next().unwrap_or(UnfitCode::Unspecified)
}

/// The word of an ending.
pub(crate) fn ending_word(ending: Ending) -> &'static str {
    match ending {
        Ending::Unspecified => "over",
        Ending::Finished => "finished",
        Ending::Failed => "failed",
        Ending::Cancelled => "cancelled",
    }
}

/// The folder of all requests.
#[derive(Debug, Clone)]
pub struct Requests(PathBuf);

impl Requests {
    /// Those of a node.
    #[must_use]
    pub fn of(folder: &NodeFolder) -> Self {
        Self(folder.requests())
    }

    /// All requests, the newest first.
    ///
    /// # Errors
    /// [`RequestError`] for the first that cannot be read.
    pub fn all(&self) -> Result<Vec<Request>, RequestError> {
        let entries = match fs::read_dir(&self.0) {
            Ok(entries) => entries,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(FileError::of_reading(&self.0, error).into()),
        };
        let is_request = |path: &Path| {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            name.ends_with(".json") && !name.ends_with(MANIFEST)
        };
        let paths = entries.flatten().map(|entry| entry.path());
        let mut requests: Vec<Request> = paths
            .filter(|path| is_request(path))
            .map(|path| read_json(&path))
            .collect::<Result<_, _>>()?;
        requests.sort_by(|a, b| (b.asked_at_ms, &b.run).cmp(&(a.asked_at_ms, &a.run)));
        Ok(requests)
    }

    /// The request of a run.
    ///
    /// # Errors
    /// [`RequestError::Unknown`] if it has not asked.
    pub fn find(&self, run: &str) -> Result<Request, RequestError> {
        let unknown = || RequestError::Unknown {
            run: run.to_owned(),
        };
        let path = self.path(run, ".json").map_err(|_| unknown())?;
        match read_json(&path) {
            Err(JsonError::File(FileError::Missing { .. })) => Err(unknown()),
            request => Ok(request?),
        }
    }

    /// The manifest that a run asked with, and the job in it.
    ///
    /// # Errors
    /// [`RequestError`] if it is not there, changed, or of another version.
    pub fn manifest(&self, request: &Request) -> Result<(Manifest, Job), RequestError> {
        let run = request.run.clone();
        let bytes = read_bytes(&self.path(&run, MANIFEST)?)?;
        if Digest::of(&bytes) != request.manifest {
            return Err(RequestError::Changed { run });
        }
        Manifest::parse(&bytes).map_err(|source| RequestError::Manifest { run, source })
    }

    /// Keeps a request and its manifest.
    pub(crate) fn keep(&self, request: &Request, manifest: &[u8]) -> Result<(), RequestError> {
        create_private_folder(&self.0)?;
        let _lock = self.lock()?;
        write_bytes(&self.path(&request.run, MANIFEST)?, manifest)?;
        self.write(request)
    }

    /// Keeps what has changed of a request.
    fn write(&self, request: &Request) -> Result<(), RequestError> {
        Ok(write_json(&self.path(&request.run, ".json")?, request)?)
    }

    /// Remembers that the owner has read what a run asks with: what an approval is meant for.
    pub(crate) fn note_shown(&self, request: &Request) -> Result<(), RequestError> {
        let text = request.manifest.to_string();
        Ok(write_bytes(
            &self.path(&request.run, SHOWN)?,
            text.as_bytes(),
        )?)
    }

    /// The manifest that the owner read last under the name of this run.
    fn shown(&self, run: &str) -> Result<Option<Digest>, RequestError> {
        match read_bytes(&self.path(run, SHOWN)?) {
            Err(FileError::Missing { .. }) => Ok(None),
            bytes => Ok(String::from_utf8_lossy(&bytes?).parse().ok()),
        }
    }

    /// Approves a run with `manifest`; without one, with that which was shown last, if any was.
    ///
    /// # Errors
    /// [`RequestError`]: it asks with another manifest, never asked, or is over.
    pub(crate) fn approve(
        &self,
        run: &str,
        manifest: Option<Digest>,
        decision: Decision,
    ) -> Result<Request, RequestError> {
        self.manifest(&self.find(run)?)?;
        let expected = match manifest {
            Some(manifest) => Some(manifest),
            None => self.shown(run)?,
        };
        self.change(run, |request| {
            let found = request.manifest;
            match expected.filter(|&expected| expected != found) {
                Some(expected) => Err(RequestError::OtherManifest {
                    run: request.run.clone(),
                    expected,
                    found,
                }),
                None => decide(request, decision),
            }
        })
    }

    /// Decides about a run, whatever was decided before.
    ///
    /// # Errors
    /// [`RequestError`]: it never asked, or is over.
    pub fn decide(&self, run: &str, decision: Decision) -> Result<Request, RequestError> {
        self.change(run, |request| decide(request, decision))
    }

    /// One process at a time changes requests.
    fn lock(&self) -> Result<fs::File, FileError> {
        let path = self.0.join(".lock");
        let of = |error| FileError::of(&path, error);
        let lock = fs::File::create(&path).map_err(of)?;
        lock.lock().map_err(of)?;
        Ok(lock)
    }

    /// Changes what is kept of a run, as it is on disk now. Two processes change one after the other: what an owner
    /// decides is never overwritten by what a running node knew before.
    pub(crate) fn change(
        &self,
        run: &str,
        change: impl FnOnce(&mut Request) -> Result<(), RequestError>,
    ) -> Result<Request, RequestError> {
        self.find(run)?;
        let _lock = self.lock()?;
        let before = self.find(run)?;
        let mut request = before.clone();
        change(&mut request)?;
        if request != before {
            self.write(&request)?;
        }
        Ok(request)
    }

    /// When anything last changed; none if there is nothing.
    pub(crate) fn changed(&self) -> Option<SystemTime> {
        fs::metadata(&self.0).and_then(|meta| meta.modified()).ok()
    }

    fn path(&self, run: &str, ending: &str) -> Result<PathBuf, RequestError> {
        match is_run(run) {
            true => Ok(self.0.join(format!("{run}{ending}"))),
            false => Err(RequestError::Name {
                run: run.chars().take(100).collect(),
            }),
        }
    }
}

fn decide(request: &mut Request, decision: Decision) -> Result<(), RequestError> {
    if let Some(ended) = &request.ended {
        return Err(RequestError::Over {
            run: request.run.clone(),
            ending: ended.ending.clone(),
        });
    }
    request.decision = decision;
    request.told = false;
    Ok(())
}

const MANIFEST: &str = ".manifest.json";

const SHOWN: &str = ".shown";

/// Whether a text that came from a server is a run's name: nothing that could lead out of a folder.
pub(crate) fn is_run(text: &str) -> bool {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    (1..=128).contains(&text.len()) && !text.starts_with('.') && text.chars().all(is_plain)
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) const JOB: &str = "name = \"heart\"\nrounds = 2\n[data]\nname = \"heart\"\n[model]\nkind = \"logistic\"\n\
         [deployment]\ndata = \"heart\"\nclients = 3\n";

    fn request(run: &str) -> (Request, Manifest) {
        let manifest = Manifest::of(&Job::parse(JOB).unwrap());
        let request = Request {
            run: run.to_owned(),
            manifest: manifest.digest(),
            submitter: "ada".to_owned(),
            submitted_at_ms: 1,
            asked_at_ms: 2,
            initial: None,
            decision: Decision::Waiting,
            told: false,
            prepared: None,
            ended: None,
        };
        (request, manifest)
    }

    fn requests() -> (tempfile::TempDir, Requests) {
        let folder = tempfile::tempdir().unwrap();
        let requests = Requests::of(&NodeFolder::at(folder.path()));
        (folder, requests)
    }

    #[test]
    fn a_request_is_kept_until_somebody_decides() {
        let (_folder, requests) = requests();
        assert_eq!(requests.all().unwrap(), []);
        let (asked, manifest) = request("heart-1");
        requests.keep(&asked, manifest.bytes()).unwrap();
        assert_eq!(requests.find("heart-1").unwrap(), asked);
        assert_eq!(requests.manifest(&asked).unwrap().0, manifest);
        let denied = Decision::Denied {
            reason: "not this month".to_owned(),
            at_ms: 3,
        };
        requests.decide("heart-1", denied.clone()).unwrap();
        assert_eq!(requests.all().unwrap()[0].decision, denied);
    }

    #[test]
    fn a_manifest_that_was_changed_on_disk_is_not_the_one_that_was_approved() {
        let (folder, requests) = requests();
        let (asked, manifest) = request("heart-1");
        requests.keep(&asked, manifest.bytes()).unwrap();
        let path = folder.path().join("requests/heart-1.manifest.json");
        let text = fs::read_to_string(&path).unwrap();
        fs::write(&path, text.replace("\"rounds\":2", "\"rounds\":9")).unwrap();
        assert!(matches!(
            requests.manifest(&asked),
            Err(RequestError::Changed { .. })
        ));
    }

    #[test]
    fn a_run_that_is_over_cannot_be_decided_any_more() {
        let (_folder, requests) = requests();
        let (mut asked, manifest) = request("heart-1");
        asked.ended = Some(Ended {
            ending: "finished".to_owned(),
            reason: String::new(),
            model: None,
            input: None,
        });
        requests.keep(&asked, manifest.bytes()).unwrap();
        let error = requests.decide("heart-1", Decision::Waiting).unwrap_err();
        assert!(error.to_string().contains("is over (finished)"), "{error}");
    }

    #[test]
    fn no_name_of_a_run_leads_out_of_the_folder() {
        let (_folder, requests) = requests();
        for run in [
            "",
            ".",
            "..",
            "../heart",
            "a/b",
            "a\\b",
            "a b",
            "ä",
            &"x".repeat(129),
        ] {
            assert!(!is_run(run), "{run:?}");
            assert!(matches!(
                requests.find(run),
                Err(RequestError::Unknown { .. })
            ));
            let (asked, manifest) = request(run);
            let kept = requests.keep(&asked, manifest.bytes());
            assert!(matches!(kept, Err(RequestError::Name { .. })), "{run:?}");
        }
        assert!(is_run("heart_2.b-17"));
    }

    #[test]
    fn every_unfit_code_survives_its_word() {
        for number in 0..=9 {
            let code = UnfitCode::try_from(number).unwrap();
            assert_eq!(unfit_code(unfit_word(code)), code);
        }
    }
}
