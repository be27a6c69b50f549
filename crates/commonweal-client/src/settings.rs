//! `node.toml`: what the owner of the data allows, and where the data lie.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use commonweal_core::job::{BUILT_IN_TRAINER, Format, TrainerSpec};
use commonweal_core::{ClientName, Digest};
use commonweal_disk::file::{FileError, read_text};

use crate::document::{DocumentError, File, Table, Value};
use crate::hours::Hours;

/// What the owner says. Valid because it exists.
#[derive(Debug, Clone, PartialEq)]
pub struct Settings {
    /// Which runs may use the data.
    pub accept: Accept,
    /// The fewest nodes in a round that this one takes part in: the fewer, the more its own part shows in the sum.
    pub smallest_cohort: u32,
    /// Threads that a trainer may use.
    pub threads: u32,
    /// Memory that the owner grants, in megabytes; jobs can ask for it.
    pub memory_mb: u64,
    /// Room for blobs on disk, in megabytes.
    pub cache_mb: u64,
    /// When it works.
    pub hours: Hours,
    /// Words that jobs can ask for.
    pub labels: BTreeMap<String, String>,
    /// Data sets by name.
    pub data: BTreeMap<String, DataPlace>,
    /// Trainers that may be started, by the name under which a job asks for one.
    pub trainers: BTreeMap<String, TrainerSpec>,
    /// Certificates to trust besides the system's, such as that of a proxy that looks into TLS.
    pub ca_file: Option<PathBuf>,
}

/// Which runs may use the data. There is no default: the owner decides.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Accept {
    /// Those that the owner approves one by one.
    Ask,
    /// Those of these manifests, and others that the owner approves.
    Manifests(BTreeSet<Digest>),
    /// All.
    All,
}

/// Where a data set lies.
#[derive(Debug, Clone, PartialEq)]
pub enum DataPlace {
    /// In files.
    Files(DataFiles),
    /// The rows that a simulation of a job gives to one of its clients.
    Share {
        /// The job file.
        job: PathBuf,
        /// The client.
        client: ClientName,
    },
}

/// A file or a folder, and how it differs from what a job says of it.
#[derive(Debug, Clone, PartialEq)]
pub struct DataFiles {
    /// The file or folder.
    pub path: PathBuf,
    /// Layout of the bytes; `None` for what the job says.
    pub format: Option<Format>,
    /// Labels of `path`, for idx files.
    pub labels_path: Option<PathBuf>,
    /// Test rows.
    pub test_path: Option<PathBuf>,
    /// Labels of `test_path`, for idx files.
    pub test_labels_path: Option<PathBuf>,
    /// Columns of the file by the names that jobs have for them: the file's column → the job's.
    pub columns: BTreeMap<String, String>,
}

/// Why there are no settings.
#[derive(Debug, thiserror::Error)]
pub enum SettingsError {
    /// The file does not say what it should.
    #[error(transparent)]
    Document(#[from] DocumentError),
    /// The file cannot be read.
    #[error("{0}: join a federation first, with `commonweal node join`")]
    File(#[from] FileError),
}

const MOST_MB: u64 = 1 << 40;

impl Settings {
    /// Reads the file at `path`; relative paths in it are meant from its folder.
    ///
    /// # Errors
    /// [`SettingsError`], which names line and key.
    pub fn read(path: &Path) -> Result<Self, SettingsError> {
        Ok(Self::parse(&read_text(path)?, path)?)
    }

    /// The settings that `text` describes, as if it lay at `path`.
    ///
    /// # Errors
    /// [`DocumentError`].
    pub fn parse(text: &str, path: &Path) -> Result<Self, DocumentError> {
        let file = File { path, text };
        let base = path.parent().unwrap_or(Path::new(""));
        let mut root = file.root()?;
        let accept = root.need(
            "accept",
            "say which runs may use the data: \"ask\", \"all\", or a list of manifests' digests",
        )?;
        let why =
            "say how many nodes a round must have at least: fewer tell more of each, 3 is a start";
        let smallest = root.need("smallest_cohort", why)?;
        let cores = || std::thread::available_parallelism().map_or(1, |cores| cores.get() as u64);
        let settings = Self {
            accept: accept_of(accept)?,
            smallest_cohort: smallest.integer(1..=1_000_000_000)? as u32,
            threads: optional(&mut root, "threads", |value| value.integer(1..=65_536))?
                .unwrap_or_else(cores) as u32,
            memory_mb: optional(&mut root, "memory_mb", |value| value.integer(1..=MOST_MB))?
                .unwrap_or(2000),
            cache_mb: optional(&mut root, "cache_mb", |value| value.integer(0..=MOST_MB))?
                .unwrap_or(2000),
            hours: optional(&mut root, "hours", hours_of)?.unwrap_or(Hours::ALWAYS),
            labels: optional(&mut root, "labels", labels_of)?.unwrap_or_default(),
            data: optional(&mut root, "data", |value| data_of(value, base))?.unwrap_or_default(),
            trainers: optional(&mut root, "trainers", trainers_of)?.unwrap_or_default(),
            ca_file: optional(&mut root, "ca_file", |value| path_of(value, base))?,
        };
        root.end()?;
        Ok(settings)
    }
}

fn optional<'a, T>(
    table: &mut Table<'a>,
    key: &'static str,
    read: impl FnOnce(Value<'a>) -> Result<T, DocumentError>,
) -> Result<Option<T>, DocumentError> {
    table.take(key).map(read).transpose()
}

fn accept_of(value: Value<'_>) -> Result<Accept, DocumentError> {
    let expected =
        "\"ask\", \"all\", or a list of manifests' digests as `commonweal job digest` prints them";
    match value.as_text() {
        Some("ask") => return Ok(Accept::Ask),
        Some("all") => return Ok(Accept::All),
        Some(_) => return Err(value.expected(expected)),
        None => {}
    }
    let wrong = value.expected(expected);
    let digests = value.texts(expected)?;
    let digests: Result<BTreeSet<Digest>, _> = digests.iter().map(|text| text.parse()).collect();
    digests
        .map(Accept::Manifests)
        .map_err(|error| DocumentError {
            what: error.to_string(),
            ..wrong
        })
}

fn hours_of(value: Value<'_>) -> Result<Hours, DocumentError> {
    let expected = value.expected("two times of day, as \"18:00-06:00\"");
    let text = value.text("two times of day, as \"18:00-06:00\"")?;
    text.parse().map_err(|_| expected)
}

fn labels_of(value: Value<'_>) -> Result<BTreeMap<String, String>, DocumentError> {
    let what = "a table of texts, as { site = \"eu\" }";
    let labels = value.table(what)?.named().into_iter();
    labels
        .map(|(name, value)| Ok((name, value.text("a text")?)))
        .collect()
}

fn path_of(value: Value<'_>, base: &Path) -> Result<PathBuf, DocumentError> {
    Ok(base.join(value.text("a path")?))
}

fn data_of(value: Value<'_>, base: &Path) -> Result<BTreeMap<String, DataPlace>, DocumentError> {
    let what = "a table for each data set, as [data.heart]";
    let sets = value.table(what)?.named().into_iter();
    sets.map(|(name, value)| Ok((name, place_of(value, base)?)))
        .collect()
}

fn place_of(value: Value<'_>, base: &Path) -> Result<DataPlace, DocumentError> {
    let neither = value.expected("a table with `path` or `share`, and not both");
    let mut table = value.table("a table with `path` or `share`")?;
    let place = match (table.take("path"), table.take("share")) {
        (Some(path), None) => DataPlace::Files(files_of(path, &mut table, base)?),
        (None, Some(share)) => share_of(share, base)?,
        _ => return Err(neither),
    };
    table.end()?;
    Ok(place)
}

fn files_of(
    path: Value<'_>,
    table: &mut Table<'_>,
    base: &Path,
) -> Result<DataFiles, DocumentError> {
    let columns = |value: Value<'_>| {
        let columns =
            value.table("a table from the file's column to the job's, as { Alter = \"age\" }")?;
        let columns = columns.named().into_iter();
        columns
            .map(|(name, value)| Ok((name, value.text("the job's name of the column")?)))
            .collect()
    };
    Ok(DataFiles {
        path: path_of(path, base)?,
        format: optional(table, "format", format_of)?,
        labels_path: optional(table, "labels_path", |value| path_of(value, base))?,
        test_path: optional(table, "test_path", |value| path_of(value, base))?,
        test_labels_path: optional(table, "test_labels_path", |value| path_of(value, base))?,
        columns: optional(table, "columns", columns)?.unwrap_or_default(),
    })
}

fn format_of(value: Value<'_>) -> Result<Format, DocumentError> {
    let what = "\"csv\", \"idx\", \"cifar\", \"leaf\", \"text\" or \"series\"";
    let format = match value.as_text() {
        Some("csv") => Format::Csv,
        Some("idx") => Format::Idx,
        Some("cifar") => Format::Cifar,
        Some("leaf") => Format::Leaf,
        Some("text") => Format::Text,
        Some("series") => Format::Series,
        _ => return Err(value.expected(what)),
    };
    Ok(format)
}

fn share_of(value: Value<'_>, base: &Path) -> Result<DataPlace, DocumentError> {
    let what = "a job and one of its clients, as { job = \"job.toml\", client = \"client-003\" }";
    let mut table = value.table(what)?;
    let job = path_of(table.need("job", "name the job file")?, base)?;
    let client = table.need("client", "name the client whose rows these are")?;
    let wrong = client.expected("a client's name");
    let client = client.text("a client's name")?;
    let client = ClientName::try_from(client).map_err(|error| DocumentError {
        what: error.to_string(),
        ..wrong
    })?;
    table.end()?;
    Ok(DataPlace::Share { job, client })
}

fn trainers_of(value: Value<'_>) -> Result<BTreeMap<String, TrainerSpec>, DocumentError> {
    let what = "a table for each trainer, as [trainers.torch]";
    let trainers = value.table(what)?.named().into_iter();
    trainers
        .map(|(name, value)| {
            if name == BUILT_IN_TRAINER {
                return Err(
                    value.wrong("is Commonweal's own trainer: give yours another name".into())
                );
            }
            Ok((name, trainer_of(value)?))
        })
        .collect()
}

fn trainer_of(value: Value<'_>) -> Result<TrainerSpec, DocumentError> {
    let what = "a list of program and arguments, as [\"python3\", \"train.py\"]";
    let mut table = value.table("a table with `command`")?;
    let command = table.need("command", "it is a list of program and arguments")?;
    let empty = command.expected(what);
    let command = command.texts(what)?;
    if command.is_empty() {
        return Err(empty);
    }
    let devices = optional(&mut table, "devices", |value| {
        value.texts("a list of devices, as [\"cuda:0\"]")
    })?;
    let environment = optional(&mut table, "environment", labels_of)?;
    table.end()?;
    Ok(TrainerSpec {
        command,
        // A node works on one task at a time.
        workers: 1,
        devices: devices.unwrap_or_default(),
        environment: environment.unwrap_or_default(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const WHOLE: &str = r#"
accept = "ask"
smallest_cohort = 3
threads = 2
memory_mb = 4000
hours = "18:00-06:00"
labels = { site = "eu" }

[data.heart]
path = "patients.csv"
columns = { "Alter" = "age" }

[data.digits]
share = { job = "job.toml", client = "client-003" }

[trainers.torch]
command = ["python3", "train.py"]
"#;

    fn parse(text: &str) -> Result<Settings, String> {
        Settings::parse(text, Path::new("/srv/node/node.toml")).map_err(|error| error.to_string())
    }

    fn refused(from: &str, to: &str) -> String {
        assert!(WHOLE.contains(from), "{from}");
        parse(&WHOLE.replace(from, to)).unwrap_err()
    }

    #[test]
    fn paths_are_meant_from_the_files_own_folder() {
        let settings = parse(WHOLE).unwrap();
        let DataPlace::Files(heart) = &settings.data["heart"] else {
            panic!("{settings:?}");
        };
        assert_eq!(heart.path, Path::new("/srv/node/patients.csv"));
        assert_eq!(heart.columns["Alter"], "age");
        let DataPlace::Share { job, client } = &settings.data["digits"] else {
            panic!("{settings:?}");
        };
        assert_eq!(job, Path::new("/srv/node/job.toml"));
        assert_eq!(client.as_str(), "client-003");
        assert_eq!(settings.labels["site"], "eu");
        assert_eq!(settings.trainers["torch"].command, ["python3", "train.py"]);
        assert_eq!(settings.memory_mb, 4000);
    }

    #[test]
    fn what_touches_privacy_has_no_default() {
        let error = refused("accept = \"ask\"\n", "");
        assert_eq!(
            error,
            "/srv/node/node.toml:1: accept: is missing: say which runs may use the data: \"ask\", \"all\", or \
             a list of manifests' digests"
        );
        assert!(refused("smallest_cohort = 3\n", "").contains("smallest_cohort: is missing"));
    }

    #[test]
    fn a_misspelt_key_is_told_with_its_line_and_the_nearest() {
        assert_eq!(
            refused("memory_mb", "memori_mb"),
            "/srv/node/node.toml:5: memori_mb: is no key here; did you mean memory_mb?"
        );
        assert_eq!(
            refused("columns =", "colums ="),
            "/srv/node/node.toml:11: data.heart.colums: is no key here; did you mean columns?"
        );
        assert!(refused("command", "comand").contains("trainers.torch.command: is missing"));
    }

    #[test]
    fn a_value_of_another_kind_says_what_is_expected() {
        for (from, to, expected) in [
            ("\"ask\"", "true", "accept: must be \"ask\", \"all\""),
            ("\"ask\"", "\"some\"", "accept: must be"),
            ("\"ask\"", "[\"md5:1\"]", "begins with \"sha256:\""),
            (
                "= 3",
                "= 0",
                "smallest_cohort: must be a whole number from 1",
            ),
            ("18:00-06:00", "18:00", "hours: must be two times of day"),
            ("\"eu\"", "1", "labels.site: must be a text"),
            (
                "path = \"patients.csv\"",
                "format = \"csv\"",
                "`path` or `share`",
            ),
            (
                "[\"python3\", \"train.py\"]",
                "[]",
                "a list of program and arguments",
            ),
            (
                "trainers.torch",
                "trainers.built-in",
                "give yours another name",
            ),
            ("client-003", "", "a client name is empty"),
        ] {
            let error = refused(from, to);
            assert!(error.contains(expected), "{error}");
        }
    }

    #[test]
    fn manifests_can_be_accepted_beforehand() {
        let digest = Digest::of(b"a job");
        let settings = parse(&WHOLE.replace("\"ask\"", &format!("[\"{digest}\"]"))).unwrap();
        assert_eq!(settings.accept, Accept::Manifests([digest].into()));
    }
}
