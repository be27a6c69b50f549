//! What is wrong with a job, where, and what to do about it.

use alloc::string::String;
use alloc::vec::Vec;
use core::fmt::{self, Display, Formatter};

/// Where a value was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// In the file; both from 1, columns are characters.
    File {
        /// Line.
        line: usize,
        /// Column.
        column: usize,
    },
    /// In an override, `key=value`.
    Override(String),
    /// In a manifest, which has no lines.
    Manifest,
}

impl Place {
    /// The line, in a file.
    pub fn line(&self) -> Option<usize> {
        match self {
            Self::File { line, .. } => Some(*line),
            Self::Override(_) | Self::Manifest => None,
        }
    }
}

impl Display for Place {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::File { line, column } => write!(f, "line {line}, column {column}"),
            Self::Override(text) => write!(f, "--set {text}"),
            Self::Manifest => f.write_str("manifest"),
        }
    }
}

/// One fault of a job.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{place}: {problem}")]
pub struct JobError {
    /// Where it is.
    pub place: Place,
    /// Dotted path of the key; empty where there is none.
    pub key: String,
    /// What it is.
    pub problem: Problem,
}

/// What is wrong.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Problem {
    /// No TOML.
    #[error("this is not TOML: {message}")]
    Syntax {
        /// The parser's words.
        message: String,
    },
    /// A key that does not exist.
    #[error("unknown key `{key}`{}", Hint(nearest))]
    UnknownKey {
        /// Its path.
        key: String,
        /// A key that may be meant.
        nearest: Option<String>,
    },
    /// A key that another kind of the same table has.
    #[error("`{key}` does not go with the kind \"{kind}\", only with {kinds}; remove one of them")]
    NotForKind {
        /// Its path.
        key: String,
        /// The kind that the table has.
        kind: String,
        /// The kinds that have the key.
        kinds: String,
    },
    /// A key that must be there.
    #[error("`{key}` is missing: it needs {expected}")]
    Missing {
        /// Its path.
        key: String,
        /// What must stand there.
        expected: String,
    },
    /// A value of another type or out of range.
    #[error("`{key}` is {found}; it must be {expected}")]
    Value {
        /// Path of the key.
        key: String,
        /// What stands there.
        found: String,
        /// What may stand there.
        expected: String,
    },
    /// A word that is none of those allowed.
    #[error("`{key}` is \"{found}\"{}; it must be {expected}", Hint(nearest))]
    UnknownWord {
        /// Path of the key.
        key: String,
        /// What stands there.
        found: String,
        /// The word that may be meant.
        nearest: Option<String>,
        /// The words that may stand there.
        expected: String,
    },
    /// Two keys that exclude each other.
    #[error("`{key}` and `{other}` exclude each other; keep one")]
    Exclusive {
        /// Path of the second.
        key: String,
        /// Path of the first.
        other: String,
    },
    /// A section that is known and does nothing yet.
    #[error(
        "[{section}] is not built yet: {missing} is missing. Remove the section to run without it"
    )]
    NotBuilt {
        /// Name of the section.
        section: String,
        /// What it would bring.
        missing: String,
    },
    /// Values that are fine by themselves and not together.
    #[error("{rule}")]
    Rule {
        /// What does not fit, and what to do.
        rule: String,
    },
    /// An override that cannot be applied.
    #[error("{message}")]
    Override {
        /// Why, and what to do.
        message: String,
    },
    /// A checked job that the types refuse: a fault of Commonweal, told rather than hidden.
    #[error("the job passed all checks and could not be built ({message}); please report this")]
    Unbuildable {
        /// The refusal.
        message: String,
    },
}

/// `: did you mean …?`, or nothing.
struct Hint<'a>(&'a Option<String>);

impl Display for Hint<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(nearest) => write!(f, " (did you mean `{nearest}`?)"),
            None => Ok(()),
        }
    }
}

/// All faults of a job that were found; at least one, in the order of their places.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JobErrors(pub(super) Vec<JobError>);

impl JobErrors {
    /// The faults.
    pub fn iter(&self) -> core::slice::Iter<'_, JobError> {
        self.0.iter()
    }
}

impl IntoIterator for JobErrors {
    type Item = JobError;
    type IntoIter = alloc::vec::IntoIter<JobError>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

impl<'a> IntoIterator for &'a JobErrors {
    type Item = &'a JobError;
    type IntoIter = core::slice::Iter<'a, JobError>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

impl Display for JobErrors {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        for (index, error) in self.0.iter().enumerate() {
            if index > 0 {
                f.write_str("\n")?;
            }
            write!(f, "{error}")?;
        }
        Ok(())
    }
}

impl core::error::Error for JobErrors {}
