//! Data as they were read, before all clients have agreed on means, levels and classes.

mod tables;

use commonweal_core::job::{Data, DataTask, Format};

use crate::archive::{self, ArchiveError, File};
use crate::cifar::{self, Cifar, CifarError};
use crate::embedded::DigitsError;
use crate::gzip::{GzipError, unpacked};
use crate::idx::{self, IdxError};
use crate::images::{self, ImagesError};
use crate::leaf::{self, LeafError};
use crate::series::SeriesError;
use crate::table::{CsvError, SchemaError, Table};
use crate::text::{self, TextError};
use crate::{Dataset, DatasetError, Roster};

/// What a reader returns. Row numbers stay the same in the data set that `prepare` makes of it.
#[derive(Debug, Clone, PartialEq)]
pub enum Source {
    /// Images, windows or text: already numbers, though not yet scaled.
    Numbers(Dataset),
    /// Columns of which some have levels.
    Table(Table),
}

/// The files of a data set by the part they play.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Contents {
    /// The rows, or those for training: one file, or several of one kind.
    pub main: Vec<File>,
    /// Labels of `main`, for idx files.
    pub labels: Option<File>,
    /// The data set's own test rows, if it has any.
    pub test: Vec<File>,
    /// Labels of `test`, for idx files.
    pub test_labels: Option<File>,
}

/// Why files are not a data set. Names the file, not its folder.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum ReadError {
    /// No file was given.
    #[error("the data set has no file to read")]
    NoFile,
    /// Several files of a layout that has one.
    #[error(
        "{} are several files, and idx takes one: name it with data.path = \"FILE\", and one of test \
         rows with data.test_path", names.join(", ")
    )]
    SeveralFiles {
        /// Names of the files.
        names: Vec<String>,
    },
    /// The layout cannot be told from the name.
    #[error(
        "the layout of {name} cannot be told from its name; say data.format = \"csv\", \"idx\", \
         \"cifar\", \"leaf\", \"text\" or \"series\""
    )]
    UnknownFormat {
        /// Name of the file.
        name: String,
    },
    /// An idx file of images without one of labels.
    #[error("{name} has images only; name the file of their labels: data.{key} = \"FILE\"")]
    NoLabels {
        /// Name of the file.
        name: String,
        /// Key of the job.
        key: &'static str,
    },
    /// The job does not say how to cut.
    #[error("say how the rows are cut: {key}")]
    NoCut {
        /// Keys of the job.
        key: &'static str,
    },
    /// A class number has no name.
    #[error("data.classes names {classes} classes, and row {row} has a larger class number")]
    UnnamedClass {
        /// First such row, from 0.
        row: usize,
        /// Classes named.
        classes: usize,
    },
    /// An idx file.
    #[error("{name}: {source}")]
    Idx {
        /// Name of the file.
        name: String,
        /// What is wrong.
        source: IdxError,
    },
    /// A CSV file.
    #[error("{name}: {source}")]
    Csv {
        /// Name of the file.
        name: String,
        /// What is wrong.
        source: CsvError,
    },
    /// A CSV file and what the job says of it.
    #[error("{name}: {source}")]
    Schema {
        /// Name of the file.
        name: String,
        /// What is wrong.
        source: SchemaError,
    },
    /// An archive.
    #[error("{name}: {source}")]
    Archive {
        /// Name of the file.
        name: String,
        /// What is wrong.
        source: ArchiveError,
    },
    /// A packed file.
    #[error("{name}: {source}")]
    Gzip {
        /// Name of the file.
        name: String,
        /// What is wrong.
        source: GzipError,
    },
    /// Images and labels.
    #[error(transparent)]
    Images(#[from] ImagesError),
    /// CIFAR batches.
    #[error(transparent)]
    Cifar(#[from] CifarError),
    /// LEAF files.
    #[error(transparent)]
    Leaf(#[from] LeafError),
    /// Texts.
    #[error(transparent)]
    Text(#[from] TextError),
    /// Sensor series.
    #[error(transparent)]
    Series(#[from] SeriesError),
    /// The digits file.
    #[error(transparent)]
    Digits(#[from] DigitsError),
    /// Training and test rows.
    #[error(transparent)]
    Dataset(#[from] DatasetError),
}

impl Source {
    /// Reads files as `data` declares them; the layout is `data.format`, or follows from the name of the
    /// first file.
    ///
    /// # Errors
    /// [`ReadError`].
    pub fn read(data: &Data, contents: &Contents) -> Result<Self, ReadError> {
        let first = contents.main.first().ok_or(ReadError::NoFile)?;
        let format = data.format.or_else(|| format_of(&first.name, data));
        let unknown = || ReadError::UnknownFormat {
            name: first.name.clone(),
        };
        match format.ok_or_else(unknown)? {
            Format::Csv => tables::read_csv(data, contents),
            Format::Series => tables::read_series(data, contents),
            Format::Idx => with_class_names(read_idx(data, contents)?, data),
            Format::Cifar => with_class_names(read_cifar(contents)?, data),
            Format::Leaf => {
                let regression = data.task == Some(DataTask::Regression);
                let has_test = !contents.test.is_empty();
                let read = |files: &[File]| Ok(leaf::read(files, regression, has_test)?);
                with_test(contents, read).map(Self::Numbers)
            }
            Format::Text => read_text(data, contents).map(Self::Numbers),
        }
    }

    /// These rows only, in this order, numbered by their place in it: the share of one client of a federation
    /// that is simulated.
    ///
    /// # Panics
    /// If a row does not exist.
    #[must_use]
    pub fn select(&self, rows: &[u32]) -> Self {
        match self {
            Self::Numbers(dataset) => Self::Numbers(dataset.select(rows)),
            Self::Table(table) => Self::Table(table.select(rows)),
        }
    }

    /// What is known of each row.
    pub fn roster(&self) -> &Roster {
        match self {
            Self::Numbers(dataset) => dataset.roster(),
            Self::Table(table) => table.roster(),
        }
    }
}

impl From<Dataset> for Source {
    fn from(dataset: Dataset) -> Self {
        Self::Numbers(dataset)
    }
}

impl From<Table> for Source {
    fn from(table: Table) -> Self {
        Self::Table(table)
    }
}

/// The layout that a file's name stands for, under a job's section; none for a name that says nothing.
pub fn format_of(name: &str, data: &Data) -> Option<Format> {
    let name = name.to_ascii_lowercase();
    let name = name.strip_suffix(".gz").unwrap_or(&name);
    let ends = |endings: &[&str]| endings.iter().any(|ending| name.ends_with(ending));
    if ends(&[".csv", ".tsv"]) {
        Some(if data.windows.is_some() {
            Format::Series
        } else {
            Format::Csv
        })
    } else if ends(&["-ubyte", ".idx"]) {
        Some(Format::Idx)
    } else if ends(&[".bin"]) {
        Some(Format::Cifar)
    } else if ends(&[".json"]) {
        Some(Format::Leaf)
    } else if ends(&[".txt", ".tar", ".tgz"]) {
        Some(Format::Text)
    } else {
        None
    }
}

/// Reads training and test files alike and joins them.
fn with_test(
    contents: &Contents,
    read: impl Fn(&[File]) -> Result<Dataset, ReadError>,
) -> Result<Dataset, ReadError> {
    let train = read(&contents.main)?;
    if contents.test.is_empty() {
        return Ok(train);
    }
    Ok(train.with_own_test(read(&contents.test)?)?)
}

/// The one file of a layout that does not join files.
fn only(files: &[File]) -> Result<&File, ReadError> {
    match files {
        [] => Err(ReadError::NoFile),
        [file] => Ok(file),
        several => Err(ReadError::SeveralFiles {
            names: several.iter().map(|file| file.name.clone()).collect(),
        }),
    }
}

fn read_idx(data: &Data, contents: &Contents) -> Result<Dataset, ReadError> {
    let classes = data.classes.as_ref().map(|classes| classes.len() as u32);
    let parse = |file: &File| {
        idx::parse(&file.bytes).map_err(|source| ReadError::Idx {
            name: file.name.clone(),
            source,
        })
    };
    let labelled = |images: &File, labels: &Option<File>, key, classes| {
        let no_labels = || ReadError::NoLabels {
            name: images.name.clone(),
            key,
        };
        let labels = labels.as_ref().ok_or_else(no_labels)?;
        Ok::<_, ReadError>(images::labelled(parse(images)?, parse(labels)?, classes)?)
    };
    let train = labelled(
        only(&contents.main)?,
        &contents.labels,
        "labels_path",
        classes,
    )?;
    match &contents.test[..] {
        [] => Ok(train),
        tests => {
            let test = only(tests)?;
            let found = train
                .roster()
                .labels()
                .map(|labels| labels.names().len() as u32);
            let test = labelled(test, &contents.test_labels, "test_labels_path", found)?;
            Ok(train.with_own_test(test)?)
        }
    }
}

fn read_cifar(contents: &Contents) -> Result<Dataset, ReadError> {
    let batches = |files: &[File]| {
        let mut batches = Vec::new();
        for file in files {
            if is_archive(&file.name) {
                batches.extend(archived(file, ".bin")?);
            } else {
                batches.push(file.clone());
            }
        }
        Ok::<_, ReadError>(batches)
    };
    let (mut train, mut test) = (batches(&contents.main)?, batches(&contents.test)?);
    if test.is_empty() {
        (test, train) = train
            .into_iter()
            .partition(|file| file.name.contains("test"));
    }
    let read = |files: &[File]| {
        let bytes = || files.iter().map(|file| &file.bytes[..]);
        // A record of CIFAR-100 has one label byte more.
        let is_ten = bytes().all(|batch| {
            crate::gzip::is_gzip(batch) || batch.len().is_multiple_of(Cifar::Ten.record_bytes())
        });
        Ok(cifar::read(
            bytes(),
            if is_ten { Cifar::Ten } else { Cifar::Hundred },
        )?)
    };
    with_test(
        &Contents {
            main: train,
            test,
            ..Contents::default()
        },
        read,
    )
}

fn read_text(data: &Data, contents: &Contents) -> Result<Dataset, ReadError> {
    let cut = data.text.as_ref().ok_or(ReadError::NoCut {
        key: "data.text.sequence_length",
    })?;
    with_test(contents, |files| {
        let mut texts = Vec::new();
        for file in files {
            if is_archive(&file.name) {
                texts.extend(archived(file, ".txt")?);
            } else {
                let content =
                    unpacked(&file.bytes, MAX_BYTES).map_err(|source| ReadError::Gzip {
                        name: file.name.clone(),
                        source,
                    })?;
                texts.push(File {
                    name: file.name.clone(),
                    bytes: content.into_owned(),
                });
            }
        }
        Ok(text::read(&texts, cut)?)
    })
}

/// Largest file, unpacked: 4 GiB.
const MAX_BYTES: usize = u32::MAX as usize;

fn is_archive(name: &str) -> bool {
    [".tar.gz", ".tgz", ".tar"]
        .iter()
        .any(|ending| name.ends_with(ending))
}

fn archived(file: &File, ending: &str) -> Result<Vec<File>, ReadError> {
    archive::unpack(&file.bytes, ending, MAX_BYTES).map_err(|source| ReadError::Archive {
        name: file.name.clone(),
        source,
    })
}

fn with_class_names(dataset: Dataset, data: &Data) -> Result<Source, ReadError> {
    let Some(names) = &data.classes else {
        return Ok(dataset.into());
    };
    let unnamed = |row| ReadError::UnnamedClass {
        row,
        classes: names.len(),
    };
    Ok(dataset.with_class_names(names).map_err(unnamed)?.into())
}
