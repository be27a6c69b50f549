//! The rows of this node, as an approved job reads them.
//!
//! Errors are whole sentences for the owner; what the server learns of one is its [`Unfit`]: a code, a column that the
//! job itself names, and a line.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use commonweal_core::job::{Column, Data, DataSource, Files, Job, JobErrors};
use commonweal_core::{ClientIndex, ClientName, Prepared, Seed};
use commonweal_data::table::{CsvError, SchemaError};
use commonweal_data::{
    ApplyError, DataSchema, Dataset, FeaturesError, Partition, PartitionError, Preparation,
    ReadError, Source, UndeclaredKind,
};
use commonweal_disk::file::{FileError, read_text};
use commonweal_disk::{DataPlaces, ShareError, SourceError, complete, read_renamed, share};
use commonweal_wire::proto::UnfitCode;

use crate::request::{Unfit, unfit_word};
use crate::settings::{DataFiles, DataPlace, Settings};

/// A data set that was opened for a job, with the rows that are this node's.
#[derive(Debug)]
pub(crate) struct OwnData {
    pub(crate) source: Source,
    pub(crate) preparation: Preparation,
    /// Of this node alone.
    partition: Partition,
}

/// The only client of a partition of one.
const SELF: ClientIndex = ClientIndex(0);

/// Why a data set does not serve a job.
#[derive(Debug, thiserror::Error)]
pub enum DataError {
    /// No data set of that name.
    #[error(
        "the job asks for the data set {name:?}, and node.toml has {}",
        list(known)
    )]
    NoDataSet {
        /// The name.
        name: String,
        /// Those that there are.
        known: Vec<String>,
    },
    /// The job whose simulation deals the rows cannot be read.
    #[error("[data.{name}] share.job: {}: {source}", path.display())]
    Job {
        /// The data set.
        name: String,
        /// The job file.
        path: PathBuf,
        /// What is wrong.
        source: JobErrors,
    },
    /// The simulation has no such client.
    #[error("[data.{name}] share.client: {source}")]
    Share {
        /// The data set.
        name: String,
        /// What is wrong.
        source: Box<ShareError>,
    },
    /// The files cannot be read.
    #[error("data set {name:?}: {source}")]
    Source {
        /// The data set.
        name: String,
        /// What is wrong.
        source: Box<SourceError>,
    },
    /// The rows cannot be split.
    #[error("data set {name:?}: {source}")]
    Partition {
        /// The data set.
        name: String,
        /// What is wrong.
        source: PartitionError,
    },
    /// What the job declares does not fit.
    #[error("data set {name:?}: {source}")]
    Features {
        /// The data set.
        name: String,
        /// What is wrong.
        source: FeaturesError,
    },
    /// Texts would be asked for that the job does not declare to be categories.
    #[error("data set {name:?}: {source}")]
    Undeclared {
        /// The data set.
        name: String,
        /// What is wrong.
        source: UndeclaredKind,
    },
    /// A file cannot be read.
    #[error(transparent)]
    File(#[from] FileError),
}

fn list(names: &[String]) -> String {
    match names {
        [] => "none: add [data.NAME] with `path`".to_owned(),
        names => format!("only {}: add it, with `path`", names.join(", ")),
    }
}

impl OwnData {
    /// Opens the data set that `job` asks for. Reads every row: the owner has agreed.
    pub(crate) fn open(
        settings: &Settings,
        job: &Job,
        node: &ClientName,
    ) -> Result<Self, DataError> {
        let name = &job.deployment.data;
        let no_data_set = || DataError::NoDataSet {
            name: name.clone(),
            known: settings.data.keys().cloned().collect(),
        };
        let opening = Opening { name, job };
        match settings.data.get(name).ok_or_else(no_data_set)? {
            DataPlace::Files(files) => opening.files(files, node),
            DataPlace::Share { job, client } => opening.share(job, client),
        }
    }

    /// What the node says of its data: names and kinds.
    pub(crate) fn schema(&self) -> DataSchema {
        DataSchema::of(&self.source)
    }

    /// Rows to learn from.
    pub(crate) fn train(&self) -> Cow<'_, [u32]> {
        self.partition.train(SELF)
    }

    /// Rows to be tested on.
    pub(crate) fn test(&self) -> &[u32] {
        self.partition.test(SELF)
    }

    /// All rows that nobody trains on.
    pub(crate) fn held_out(&self) -> Cow<'_, [u32]> {
        self.partition.held_out(SELF)
    }

    /// The rows as a model sees them, given what all nodes found together.
    pub(crate) fn dataset(&self, found: &Prepared) -> Result<Dataset, ApplyError> {
        self.preparation
            .dataset(&self.source, found, &self.partition)
    }
}

/// A data set while it is being opened.
struct Opening<'a> {
    name: &'a str,
    job: &'a Job,
}

impl Opening<'_> {
    fn files(&self, files: &DataFiles, node: &ClientName) -> Result<OwnData, DataError> {
        let text = |path: &PathBuf| path.display().to_string();
        let own = Files {
            labels_path: files.labels_path.as_ref().map(text),
            test_path: files.test_path.as_ref().map(text),
            test_labels_path: files.test_labels_path.as_ref().map(text),
        };
        let completed = complete(&self.job.data).map_err(|error| self.source(error))?;
        let mut section = Data {
            source: DataSource::Path(text(&files.path)),
            files: own,
            format: files.format.or(completed.format),
            ..completed
        };
        let places = places(Path::new(""));
        let source = match read_renamed(&section, &places, &files.columns) {
            // A file of one client need not say so.
            Err(error) if is_about_client(&error) => {
                section.client = None;
                read_renamed(&section, &places, &files.columns)
            }
            source => source,
        };
        let source = source.map_err(|error| self.source(error))?;
        let root = Seed::from(self.job.seed);
        let partition = Partition::alone(source.roster(), &section, &root, node);
        let partition = partition.map_err(|source| self.partition(source))?;
        self.finish(source, &section, partition)
    }

    fn share(&self, path: &Path, client: &ClientName) -> Result<OwnData, DataError> {
        let dealt = Job::parse(&read_text(path)?).map_err(|source| DataError::Job {
            name: self.name.to_owned(),
            path: path.to_path_buf(),
            source,
        })?;
        // Where the rows lie, and who has which, is the simulation's to say; how they are read, the approved job's.
        let job = Job {
            data: Data {
                source: dealt.data.source,
                files: dealt.data.files,
                ..self.job.data.clone()
            },
            simulation: dealt.simulation,
            ..self.job.clone()
        };
        let section = complete(&job.data).map_err(|error| self.source(error))?;
        let places = places(path.parent().unwrap_or(Path::new("")));
        let share = share(&job, client, &places).map_err(|error| match error {
            ShareError::Source(source) => self.source(source),
            ShareError::Partition(source) => self.partition(source),
            source => DataError::Share {
                name: self.name.to_owned(),
                source: Box::new(source),
            },
        })?;
        self.finish(share.source, &section, share.partition)
    }

    fn finish(
        &self,
        source: Source,
        section: &Data,
        partition: Partition,
    ) -> Result<OwnData, DataError> {
        let preparation = Preparation::of_job(self.job, &source, section).map_err(|source| {
            DataError::Features {
                name: self.name.to_owned(),
                source,
            }
        })?;
        preparation
            .expect_declared(self.job, &source, section)
            .map_err(|source| DataError::Undeclared {
                name: self.name.to_owned(),
                source,
            })?;
        Ok(OwnData {
            source,
            preparation,
            partition,
        })
    }

    fn source(&self, source: SourceError) -> DataError {
        DataError::Source {
            name: self.name.to_owned(),
            source: Box::new(source),
        }
    }

    fn partition(&self, source: PartitionError) -> DataError {
        let name = self.name.to_owned();
        DataError::Partition { name, source }
    }
}

fn places(base: &Path) -> DataPlaces {
    DataPlaces {
        base: base.to_path_buf(),
        ..DataPlaces::default()
    }
}

fn is_about_client(error: &SourceError) -> bool {
    let SourceError::Read {
        source: ReadError::Schema { source, .. },
        ..
    } = error
    else {
        return false;
    };
    matches!(source, SchemaError::NoSuchColumn { key, .. } if key == "data.client")
}

impl DataError {
    /// All that the server learns: a code, a column that `job` itself names, a line. A file without a header has
    /// values for column names, so a name that the job does not know stays here.
    pub(crate) fn unfit(&self, job: &Job) -> Unfit {
        let (code, column, line) = self.facts();
        let column = column.filter(|column| names_of(&job.data).contains(column));
        Unfit {
            code: unfit_word(code).to_owned(),
            column: column.unwrap_or_default().to_owned(),
            line,
        }
    }

    fn facts(&self) -> (UnfitCode, Option<&str>, u64) {
        match self {
            Self::NoDataSet { .. } | Self::Job { .. } | Self::Share { .. } => {
                (UnfitCode::NoDataSet, None, 0)
            }
            Self::Partition {
                source: PartitionError::NoRows,
                ..
            } => (UnfitCode::Rows, None, 0),
            Self::Partition { .. } | Self::Features { .. } => (UnfitCode::Schema, None, 0),
            Self::Undeclared { source, .. } => (UnfitCode::Undeclared, Some(source.column()), 0),
            Self::File(_) => (UnfitCode::Unreadable, None, 0),
            Self::Source { source, .. } => of_source(source),
        }
    }
}

fn of_source(error: &SourceError) -> (UnfitCode, Option<&str>, u64) {
    match error {
        SourceError::Read { source, .. } => of_read(source),
        SourceError::NoSuchColumn { .. } => (UnfitCode::Schema, None, 0),
        SourceError::Unknown { .. } | SourceError::NotFetched { .. } => {
            (UnfitCode::NoDataSet, None, 0)
        }
        SourceError::EmptyFolder { .. } | SourceError::KnownFile(_) | SourceError::File(_) => {
            (UnfitCode::Unreadable, None, 0)
        }
    }
}

fn of_read(error: &ReadError) -> (UnfitCode, Option<&str>, u64) {
    match error {
        ReadError::Csv { source, .. } => of_csv(source),
        ReadError::Schema { source, .. } => match source {
            SchemaError::Csv(source) => of_csv(source),
            SchemaError::NoSuchColumn { column, .. } => (UnfitCode::Schema, Some(column), 0),
            SchemaError::NoLabel { .. } | SchemaError::NoFeatures | SchemaError::Delimiter => {
                (UnfitCode::Schema, None, 0)
            }
        },
        ReadError::NoCut { .. } | ReadError::UnnamedClass { .. } | ReadError::Dataset(_) => {
            (UnfitCode::Schema, None, 0)
        }
        _ => (UnfitCode::Unreadable, None, 0),
    }
}

fn of_csv(error: &CsvError) -> (UnfitCode, Option<&str>, u64) {
    match error {
        CsvError::NoHeader | CsvError::Gzip(_) => (UnfitCode::Unreadable, None, 0),
        CsvError::DuplicateColumn { column } | CsvError::NoSuchColumn { column, .. } => {
            (UnfitCode::Schema, Some(column), 1)
        }
        CsvError::Ragged { line, .. } => (UnfitCode::Unreadable, None, u64::from(*line)),
        CsvError::NotUtf8 { line, column } => {
            (UnfitCode::Unreadable, Some(column), u64::from(*line))
        }
        CsvError::NotANumber { line, column }
        | CsvError::NotFinite { line, column }
        | CsvError::Missing { line, column }
        | CsvError::MissingKey { line, column }
        | CsvError::UnknownClass { line, column }
        | CsvError::UnknownLevel { line, column }
        | CsvError::ClientName { line, column } => {
            (UnfitCode::Cell, Some(column), u64::from(*line))
        }
        _ => (UnfitCode::Rows, None, 0),
    }
}

/// Columns that a job names.
fn names_of(data: &Data) -> BTreeSet<&str> {
    let declared = data
        .columns
        .iter()
        .filter(|(_, column)| !matches!(column, Column::Drop));
    let single = [&data.label, &data.client, &data.group];
    let windows = data.windows.iter().map(|windows| windows.series.as_str());
    let single = single.into_iter().flatten().map(String::as_str);
    let features = data.features.iter().flatten().map(String::as_str);
    let dropped = data.drop.iter().map(String::as_str);
    declared
        .map(|(name, _)| name.as_str())
        .chain(single)
        .chain(windows)
        .chain(features)
        .chain(dropped)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = "Alter,dataset,ill\n20,x,no\n40,x,yes\n60,x,no\n80,x,yes\n70,x,no\n";

    /// A job whose clients are natural: its data name a column that a site's own file need not have.
    fn job(lines: &str) -> Job {
        let text = format!(
            "name = \"w\"\nrounds = 1\n[data]\npath = \"all.csv\"\nlabel = \"ill\"\nclient = \"dataset\"\ntest = 0.2\n{lines}\n\
             [deployment]\ndata = \"ward\"\nclients = 1\n[model]\nkind = \"logistic\"\n"
        );
        Job::parse(&text).unwrap()
    }

    struct Site(tempfile::TempDir);

    impl Site {
        fn new(file: &str) -> Self {
            let folder = tempfile::tempdir().unwrap();
            std::fs::write(folder.path().join("own.csv"), file).unwrap();
            Self(folder)
        }

        fn open(&self, place: &str, job: &Job) -> Result<OwnData, DataError> {
            let text = format!("accept = \"all\"\nsmallest_cohort = 1\n{place}");
            let settings = Settings::parse(&text, &self.0.path().join("node.toml")).unwrap();
            OwnData::open(&settings, job, &ClientName::try_from("oslo").unwrap())
        }
    }

    const RENAMED: &str = "[data.ward]\npath = \"own.csv\"\ncolumns = { \"Alter\" = \"age\" }\n";

    #[test]
    fn a_files_columns_have_the_jobs_names() {
        let site = Site::new(FILE);
        let data = site.open(RENAMED, &job("")).unwrap();
        assert_eq!(data.schema().columns(), ["age"]);
        assert_eq!((data.train().len(), data.held_out().len()), (4, 1));
        let error = site
            .open(&RENAMED.replace("Alter", "Alder"), &job(""))
            .unwrap_err();
        assert!(error.to_string().contains("\"Alder\""), "{error}");
        assert_eq!(error.unfit(&job("")).code, "schema");
    }

    #[test]
    fn a_file_of_one_client_need_not_say_whose_it_is() {
        let own = FILE.replace(",dataset", "").replace(",x", "");
        let with = Site::new(FILE).open(RENAMED, &job("")).unwrap();
        let without = Site::new(&own).open(RENAMED, &job("")).unwrap();
        assert_eq!(with.schema(), without.schema());
        assert_eq!(with.train(), without.train());
    }

    #[test]
    fn a_share_has_the_rows_that_the_simulation_deals_to_its_client() {
        let site = Site::new("");
        let rows: String = (0..30)
            .map(|row| format!("{row},{},{}\n", row % 3, row % 2))
            .collect();
        std::fs::write(
            site.0.path().join("all.csv"),
            format!("age,dataset,ill\n{rows}"),
        )
        .unwrap();
        let job = job("classes = [\"0\", \"1\"]");
        std::fs::write(site.0.path().join("job.toml"), job.to_toml()).unwrap();
        let share = "[data.ward]\nshare = { job = \"job.toml\", client = \"2\" }\n";
        let data = site.open(share, &job).unwrap();
        assert_eq!((data.train().len(), data.test().len()), (8, 2));
        let Source::Table(table) = &data.source else {
            panic!("CSV is a table");
        };
        assert_eq!(table.rows(), 10, "nobody else's rows are in memory");
        let nobody = share.replace("\"2\"", "\"9\"");
        let error = site.open(&nobody, &job).unwrap_err();
        assert_eq!(error.unfit(&job).code, "no_data_set");
    }

    #[test]
    fn a_data_set_that_there_is_not_is_told_with_those_that_there_are() {
        let site = Site::new(FILE);
        let error = site
            .open("[data.heart]\npath = \"own.csv\"\n", &job(""))
            .unwrap_err();
        assert_eq!(
            error.to_string(),
            "the job asks for the data set \"ward\", and node.toml has only heart: add it, with `path`"
        );
    }
}
