//! The record: one line for every job the node took and for everything that it sent, each bound to the one before.
//!
//! A line holds the SHA-256 of the line before it, and the last line's is kept beside the file, in the head: a line that
//! was changed, taken out, moved or put between others breaks the chain. One that was put at the end and follows from the
//! last does not: so looks a line whose head a crash kept from being written. Whoever can write both files can write a new
//! chain; copy the head elsewhere to be safe from that too.
//!
//! A line is on the disk before its head is, and the head before anything is sent. What a crash or a full disk left of a
//! line, without its end, is none: it is not read, and the next line takes its place.

use std::fmt;
use std::fs::{File, OpenOptions};
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::path::PathBuf;

use commonweal_core::Digest;
use commonweal_disk::file::{FileError, read_bytes, read_text};
use serde::{Deserialize, Serialize};

use crate::folder::NodeFolder;

/// Appends to the record. Several processes may: the record's lock orders them.
#[derive(Debug, Clone)]
pub struct Record {
    path: PathBuf,
    head: PathBuf,
}

/// One line.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RecordLine {
    /// From 1.
    pub number: u64,
    /// Milliseconds since 1970, UTC, on the node's clock.
    pub at_ms: u64,
    /// SHA-256 of the line before, without its line end; of nothing before the first.
    pub previous: Digest,
    /// What happened.
    #[serde(flatten)]
    pub entry: RecordEntry,
}

/// What happened.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "what", rename_all = "snake_case")]
pub enum RecordEntry {
    /// The node joined a federation.
    Joined {
        /// The server's address.
        server: String,
        /// The name that the node has there.
        name: String,
        /// Fingerprint of the node's key.
        key: String,
    },
    /// A run asked for consent.
    Request {
        /// The run.
        run: String,
        /// Its manifest.
        manifest: Digest,
        /// Who asks.
        submitter: String,
        /// The model that was submitted to begin with.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        initial: Option<Digest>,
    },
    /// The owner, or the settings, decided.
    Decision {
        /// The run.
        run: String,
        /// Its manifest.
        manifest: Digest,
        /// `approved`, `denied` or `unfit`.
        decision: String,
        /// Why, or who decided.
        reason: String,
    },
    /// A task was begun.
    Task {
        /// The run.
        run: String,
        /// The task, as `train-3`.
        task: String,
        /// The manifest that it belongs to.
        manifest: Digest,
        /// Nodes that got it.
        cohort: u32,
    },
    /// A task was not done; the server was told this code and nothing else.
    Failure {
        /// The run.
        run: String,
        /// The task.
        task: String,
        /// The code.
        code: String,
    },
    /// A report leaves.
    Report {
        /// The run.
        run: String,
        /// The task.
        task: String,
        /// SHA-256 of the report.
        digest: Digest,
        /// Its length.
        bytes: u64,
        /// What is in it.
        parts: Vec<Part>,
    },
    /// The server counted a report, or had no use for it.
    Settled {
        /// The run.
        run: String,
        /// The task.
        task: String,
        /// Whether it is in the sum.
        counted: bool,
    },
    /// A run came to its end.
    Over {
        /// The run.
        run: String,
        /// How.
        ending: String,
    },
    /// The node left the federation.
    Left {
        /// The server's address.
        server: String,
    },
}

/// One part of a report: a tensor of the update, a vector beside it, or metrics.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Part {
    /// Its name.
    pub name: String,
    /// Its shape.
    pub shape: Vec<usize>,
    /// Type of an element, as `i32`.
    pub element: String,
    /// Bytes on the wire.
    pub bytes: u64,
}

/// Where the chain ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
struct Head {
    /// Lines.
    number: u64,
    /// SHA-256 of the last one.
    digest: Digest,
    /// Bytes before the last one.
    #[serde(default)]
    start: u64,
}

impl Head {
    /// Before the first line.
    fn none() -> Self {
        Self {
            number: 0,
            digest: Digest::of(b""),
            start: 0,
        }
    }
}

/// Why the record cannot be written, or is not what was written.
#[derive(Debug, thiserror::Error)]
pub enum RecordError {
    /// A line is none.
    #[error("{}:{line}: this is no line of a record: it was changed", path.display())]
    Line {
        /// The file.
        path: PathBuf,
        /// From 1.
        line: usize,
    },
    /// A line does not follow from the one before.
    #[error(
        "{}:{line}: the chain is broken: a line before it was changed, moved or taken out, or this one was added",
        path.display()
    )]
    Broken {
        /// The file.
        path: PathBuf,
        /// From 1.
        line: usize,
    },
    /// The end is missing.
    #[error(
        "{}: there were {expected} lines, and {found} are left: the end was cut off. Keep the file and its head \
         elsewhere; without them the node begins a new record",
        path.display()
    )]
    Cut {
        /// The file.
        path: PathBuf,
        /// Lines that there were.
        expected: u64,
        /// Lines that there are.
        found: u64,
    },
    /// The line at which the head was is another.
    #[error(
        "{}: line {line} is not the one that was last: the record was written anew. Keep the file and its head \
         elsewhere; without them the node begins a new record",
        path.display()
    )]
    OtherHead {
        /// The file.
        path: PathBuf,
        /// From 1.
        line: u64,
    },
    /// The file that remembers the last line is gone or damaged.
    #[error("{}: it does not say where the record ends", path.display())]
    NoHead {
        /// The file.
        path: PathBuf,
    },
    /// A file cannot be read or written.
    #[error(transparent)]
    File(#[from] FileError),
}

impl Record {
    /// The record of a node.
    #[must_use]
    pub fn of(folder: &NodeFolder) -> Self {
        Self {
            path: folder.record(),
            head: folder.record_head(),
        }
    }

    /// Appends a line, and returns once it is on the disk. Costs a sync, and reads the line before.
    ///
    /// # Errors
    /// [`RecordError`], such as on a full disk, or if the line that was last is not there.
    pub fn append(&self, at_ms: u64, entry: RecordEntry) -> Result<(), RecordError> {
        let of = |error: io::Error| FileError::of(&self.path, error);
        let mut file = OpenOptions::new()
            .create(true)
            .read(true)
            .append(true)
            .open(&self.path)
            .map_err(of)?;
        file.lock().map_err(of)?;
        let (last, start) = self.end(&mut file)?;
        let line = RecordLine {
            number: last.number + 1,
            at_ms,
            previous: last.digest,
            entry,
        };
        let text = serde_json::to_string(&line).map_err(|error| of(error.into()))?;
        let head = Head {
            number: line.number,
            digest: Digest::of(text.as_bytes()),
            start,
        };
        file.write_all(format!("{text}\n").as_bytes()).map_err(of)?;
        // A head of a line that a power failure took away would say that the end was cut off.
        file.sync_data().map_err(of)?;
        self.write_head(head)
    }

    /// All lines, in order; none if there is no record yet.
    ///
    /// # Errors
    /// [`RecordError::Line`] if one cannot be read.
    pub fn lines(&self) -> Result<Vec<RecordLine>, RecordError> {
        let text = self.text()?;
        let lines = text.lines().enumerate();
        lines.map(|(at, line)| self.parse(at + 1, line)).collect()
    }

    /// Reads the whole record, checks that every line follows from the one before, and that the last is the last.
    ///
    /// # Errors
    /// [`RecordError`], which names the line.
    pub fn verify(&self) -> Result<Vec<RecordLine>, RecordError> {
        // The head first: a line that is added meanwhile is then one too many, and not one too few.
        let head = self.read_head()?;
        let text = self.text()?;
        let mut lines = Vec::new();
        let mut previous = Digest::of(b"");
        let mut is_head_met = head.is_none_or(|head| head.number == 0);
        for (at, text) in text.lines().enumerate() {
            let line = self.parse(at + 1, text)?;
            if line.number != at as u64 + 1 || line.previous != previous {
                let path = self.path.clone();
                return Err(RecordError::Broken { path, line: at + 1 });
            }
            previous = Digest::of(text.as_bytes());
            if let Some(head) = head.filter(|head| head.number == line.number) {
                let (path, line) = (self.path.clone(), head.number);
                if head.digest != previous {
                    return Err(RecordError::OtherHead { path, line });
                }
                is_head_met = true;
            }
            lines.push(line);
        }
        let found = lines.len() as u64;
        let path = self.path.clone();
        match head {
            Some(head) if !is_head_met => Err(RecordError::Cut {
                path,
                expected: head.number,
                found,
            }),
            None if found > 0 => Err(RecordError::NoHead {
                path: self.head.clone(),
            }),
            _ => Ok(lines),
        }
    }

    /// All whole lines. Other bytes than text's cannot be lines of a chain: their digest is another.
    fn text(&self) -> Result<String, FileError> {
        let mut bytes = match read_bytes(&self.path) {
            Err(FileError::Missing { .. }) => Vec::new(),
            bytes => bytes?,
        };
        bytes.truncate(whole(&bytes));
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }

    fn parse(&self, line: usize, text: &str) -> Result<RecordLine, RecordError> {
        let parsed = serde_json::from_str(text);
        parsed.map_err(|_| RecordError::Line {
            path: self.path.clone(),
            line,
        })
    }

    fn read_head(&self) -> Result<Option<Head>, RecordError> {
        let text = match read_text(&self.head) {
            Err(FileError::Missing { .. }) => return Ok(None),
            text => text?,
        };
        // Nothing is in it if a crash or a full disk came after it was made.
        if text.is_empty() {
            return Ok(None);
        }
        let head = serde_json::from_str(&text);
        head.map(Some).map_err(|_| RecordError::NoHead {
            path: self.head.clone(),
        })
    }

    /// The last whole line, and the bytes up to its end; cuts off what is left of a line after it.
    fn end(&self, file: &mut File) -> Result<(Head, u64), RecordError> {
        let of = |error: io::Error| FileError::of(&self.path, error);
        let head = self.read_head()?.unwrap_or_else(Head::none);
        let mut bytes = Vec::new();
        file.seek(SeekFrom::Start(head.start)).map_err(of)?;
        file.read_to_end(&mut bytes).map_err(of)?;
        let whole = whole(&bytes);
        let Some((last, end)) = follow(head, &bytes[..whole]) else {
            // Another look, at every line, tells which one is at fault.
            self.verify()?;
            let (path, line) = (self.path.clone(), head.number);
            return Err(RecordError::OtherHead { path, line });
        };
        if whole < bytes.len() {
            file.set_len(end).map_err(of)?;
        }
        Ok((last, end))
    }

    /// Replaces the head in its place: it always has the same length and fits into one sector, so that a crash leaves
    /// the old one or the new one.
    fn write_head(&self, head: Head) -> Result<(), RecordError> {
        let of = |error: io::Error| FileError::of(&self.head, error);
        let text = serde_json::to_string(&head).map_err(|error| of(error.into()))?;
        let mut file = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .open(&self.head)
            .map_err(of)?;
        let line = format!("{text:<width$}\n", width = HEAD_BYTES - 1);
        file.write_all(line.as_bytes()).map_err(of)?;
        Ok(file.sync_data().map_err(of)?)
    }
}

/// Bytes of the head's file: two numbers of 20 digits and a digest fit.
const HEAD_BYTES: usize = 200;

/// Bytes up to the end of the last whole line.
fn whole(bytes: &[u8]) -> usize {
    let end = bytes.iter().rposition(|&byte| byte == b'\n');
    end.map_or(0, |at| at + 1)
}

/// The last of the lines from the one that the head is of (or from the first), and the bytes of the file up to its end;
/// none if the head's line is not there, or one does not follow from the one before.
fn follow(head: Head, lines: &[u8]) -> Option<(Head, u64)> {
    let mut last = (head.start == 0).then(Head::none);
    let mut end = head.start;
    let mut is_head_met = head.number == 0;
    for text in lines.split_inclusive(|&byte| byte == b'\n') {
        let line: RecordLine = serde_json::from_slice(text).ok()?;
        let found = Head {
            number: line.number,
            digest: Digest::of(text.strip_suffix(b"\n")?),
            start: end,
        };
        let follows = last.is_none_or(|last: Head| {
            (line.number, line.previous) == (last.number + 1, last.digest)
        });
        let is_head = line.number == head.number;
        if !follows || (is_head && found.digest != head.digest) {
            return None;
        }
        is_head_met |= is_head;
        end += text.len() as u64;
        last = Some(found);
    }
    last.filter(|_| is_head_met).map(|last| (last, end))
}

impl fmt::Display for RecordEntry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Joined { server, name, .. } => write!(f, "joined {server} as {name}"),
            Self::Request { run, submitter, .. } => {
                write!(f, "{run} asked, submitted by {submitter}")
            }
            Self::Decision {
                run,
                decision,
                reason,
                ..
            } => write!(f, "{run} {decision}: {reason}"),
            Self::Task {
                run, task, cohort, ..
            } => write!(f, "{run} {task} begun, with {cohort} nodes"),
            Self::Failure { run, task, code } => write!(f, "{run} {task} failed: {code}"),
            Self::Report {
                run,
                task,
                bytes,
                parts,
                ..
            } => {
                let names: Vec<&str> = parts.iter().map(|part| part.name.as_str()).collect();
                write!(f, "{run} {task} sends {bytes} bytes: {}", names.join(", "))
            }
            Self::Settled { run, task, counted } => {
                let fate = if *counted { "counted" } else { "not counted" };
                write!(f, "{run} {task} {fate}")
            }
            Self::Over { run, ending } => write!(f, "{run} is over: {ending}"),
            Self::Left { server } => write!(f, "left {server}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn record(lines: u64) -> (tempfile::TempDir, Record) {
        let folder = tempfile::tempdir().unwrap();
        let record = Record::of(&NodeFolder::at(folder.path()));
        for number in 0..lines {
            let entry = RecordEntry::Settled {
                run: "heart-1".to_owned(),
                task: format!("train-{number}"),
                counted: true,
            };
            record.append(number, entry).unwrap();
        }
        (folder, record)
    }

    fn rewrite(record: &Record, change: impl FnOnce(&mut Vec<String>)) {
        let text = std::fs::read_to_string(&record.path).unwrap();
        let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
        change(&mut lines);
        let text: String = lines.iter().map(|line| format!("{line}\n")).collect();
        std::fs::write(&record.path, text).unwrap();
    }

    #[test]
    fn a_record_that_nobody_touched_is_sound_and_says_what_was_written() {
        let (_folder, record) = record(3);
        let lines = record.verify().unwrap();
        assert_eq!(lines.len(), 3);
        assert_eq!(lines[0].previous, Digest::of(b""));
        assert!(matches!(&lines[2].entry, RecordEntry::Settled { task, .. } if task == "train-2"));
        assert_eq!(record.lines().unwrap(), lines);
    }

    #[test]
    fn no_record_is_a_sound_one() {
        let (_folder, record) = record(0);
        assert!(record.verify().unwrap().is_empty());
    }

    #[test]
    fn an_end_that_was_cut_off_is_noticed() {
        let (_folder, record) = record(3);
        rewrite(&record, |lines| lines.truncate(2));
        assert!(matches!(
            record.verify(),
            Err(RecordError::Cut {
                expected: 3,
                found: 2,
                ..
            })
        ));
    }

    #[test]
    fn a_chain_that_was_written_anew_is_noticed() {
        let (_folder, record) = record(2);
        let head = std::fs::read(&record.head).unwrap();
        for path in [&record.path, &record.head] {
            std::fs::remove_file(path).unwrap();
        }
        for number in 0..2 {
            let ending = "finished".to_owned();
            let run = format!("run-{number}");
            record.append(0, RecordEntry::Over { run, ending }).unwrap();
        }
        record.verify().unwrap();
        std::fs::write(&record.head, head).unwrap();
        assert!(matches!(
            record.verify(),
            Err(RecordError::OtherHead { line: 2, .. })
        ));
    }

    #[test]
    fn a_head_that_a_crash_left_behind_is_no_fault() {
        let (_folder, record) = record(2);
        let head = std::fs::read(&record.head).unwrap();
        let run = "heart-1".to_owned();
        let ending = "failed".to_owned();
        record.append(9, RecordEntry::Over { run, ending }).unwrap();
        std::fs::write(&record.head, head).unwrap();
        assert_eq!(record.verify().unwrap().len(), 3);
        record.append(10, over("heart-2")).unwrap();
        assert_eq!(record.verify().unwrap().len(), 4);
    }

    fn over(run: &str) -> RecordEntry {
        RecordEntry::Over {
            run: run.to_owned(),
            ending: "failed".to_owned(),
        }
    }

    #[test]
    fn a_line_that_a_full_disk_cut_short_is_none_and_the_next_takes_its_place() {
        for torn in 1..40 {
            let (_folder, record) = record(2);
            let whole = std::fs::read(&record.path).unwrap();
            let head = std::fs::read(&record.head).unwrap();
            // With a letter of two bytes, so that it may be cut in its middle.
            record.append(9, over("hérz-1")).unwrap();
            let mut bytes = std::fs::read(&record.path).unwrap();
            bytes.truncate(bytes.len() - torn);
            assert!(bytes.len() > whole.len());
            std::fs::write(&record.path, bytes).unwrap();
            std::fs::write(&record.head, head).unwrap();
            assert_eq!(record.verify().unwrap().len(), 2, "{torn}");
            assert_eq!(record.lines().unwrap().len(), 2, "{torn}");
            record.append(10, over("heart-2")).unwrap();
            assert_eq!(record.verify().unwrap().len(), 3, "{torn}");
        }
    }

    #[test]
    fn a_head_that_was_made_and_not_written_is_no_fault() {
        let (_folder, record) = record(0);
        std::fs::write(&record.head, "").unwrap();
        record.append(1, over("heart-1")).unwrap();
        assert_eq!(record.verify().unwrap().len(), 1);
    }

    #[test]
    fn nothing_is_added_to_a_record_whose_last_line_is_gone() {
        let (_folder, record) = record(3);
        rewrite(&record, |lines| lines.truncate(2));
        let added = record.append(9, over("heart-1"));
        assert!(matches!(
            added,
            Err(RecordError::Cut {
                expected: 3,
                found: 2,
                ..
            })
        ));
        let (_folder, record) = self::record(3);
        rewrite(&record, |lines| {
            lines[2] = lines[2].replace("true", "false")
        });
        let added = record.append(9, over("heart-1"));
        assert!(matches!(added, Err(RecordError::OtherHead { line: 3, .. })));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]

        #[test]
        fn no_line_can_be_changed_taken_out_or_moved(
            line in 0_usize..5,
            other in 0_usize..5,
            at in 0_usize..60,
        ) {
            let (_folder, record) = record(5);
            let original = std::fs::read_to_string(&record.path).unwrap();
            rewrite(&record, |lines| { lines.remove(line); });
            prop_assert!(record.verify().is_err());

            std::fs::write(&record.path, &original).unwrap();
            rewrite(&record, |lines| lines.swap(line, other));
            prop_assert_eq!(record.verify().is_err(), line != other);

            std::fs::write(&record.path, &original).unwrap();
            rewrite(&record, |lines| {
                let byte = lines[line].as_bytes()[at];
                let changed = if byte == b'0' { "1" } else { "0" };
                lines[line].replace_range(at..=at, changed);
            });
            prop_assert!(record.verify().is_err());
        }
    }
}
