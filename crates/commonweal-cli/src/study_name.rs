//! The name of a new study: its folder, and the name of its job.

use std::path::{Path, PathBuf};
use std::str::FromStr;

use thiserror::Error;

/// A folder whose last part is a job's name: letters, digits, `-`, `_` and `.`, with a letter or
/// digit first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StudyName {
    folder: PathBuf,
    name: String,
}

/// Why a text names no study.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error(
    "a study is named by letters, digits, '-', '_' and '.', with a letter or digit first; \
     found {found:?}"
)]
pub struct StudyNameError {
    /// The last part of the path.
    pub found: String,
}

impl StudyName {
    /// Where it goes.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// What its job is called.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }
}

impl FromStr for StudyName {
    type Err = StudyNameError;

    fn from_str(text: &str) -> Result<Self, StudyNameError> {
        let folder = PathBuf::from(text);
        let name = match folder.file_name().and_then(|name| name.to_str()) {
            Some(name) => name.to_owned(),
            None => text.to_owned(),
        };
        let first = name.starts_with(|c: char| c.is_ascii_alphanumeric());
        let allowed = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
        if first && name.chars().all(allowed) {
            Ok(Self { folder, name })
        } else {
            Err(StudyNameError { found: name })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_part_of_a_path_names_the_job() {
        let study: StudyName = "studies/heart-2".parse().unwrap();
        assert_eq!(study.name(), "heart-2");
        assert_eq!(study.folder(), Path::new("studies/heart-2"));
    }

    #[test]
    fn a_name_that_a_job_could_not_have_is_refused() {
        for text in ["", "..", "a b", "-x", ".hidden", "a/..", "é", "a\"b"] {
            assert!(text.parse::<StudyName>().is_err(), "{text}");
        }
    }
}
