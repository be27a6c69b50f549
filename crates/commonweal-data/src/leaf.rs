//! LEAF's JSON: `users`, `num_samples` and, by user, `user_data` with `x` and `y`.
//!
//! Format: Caldas et al. 2018, "LEAF: A benchmark for federated settings" (arXiv:1812.01097), and the
//! readme of its repository. `x` is a list of numbers (nested or not) or a text; `y` a number or a text.

mod blocks;

use std::collections::BTreeMap;
use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, SeqAccess, Visitor};

use crate::archive::File;
use crate::dataset::rows_u32;
use crate::gzip::{GzipError, unpacked};
use crate::text::{Speech, TextError, sequences};
use crate::{Categories, Dataset, DatasetError, Features, FeaturesError, Floats, Roster, Targets};

/// Why bytes are not a LEAF data set. Users are named by their position: errors carry no text of the file.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LeafError {
    /// The file cannot be unpacked.
    #[error(transparent)]
    Gzip(#[from] GzipError),
    /// Not JSON, or JSON of another form.
    #[error("file {name}, line {line}, column {column}: not JSON of LEAF's form")]
    Json {
        /// Name of the file.
        name: String,
        /// Line, from 1.
        line: usize,
        /// Column, from 1.
        column: usize,
    },
    /// A user without data.
    #[error("user number {user} (from 0) has no entry in user_data")]
    NoData {
        /// Position in `users`.
        user: usize,
    },
    /// The numbers of samples disagree.
    #[error(
        "user number {user} (from 0): num_samples says {expected}, x has {x} and y has {y} entries"
    )]
    Samples {
        /// Position in `users`.
        user: usize,
        /// What `num_samples` says.
        expected: usize,
        /// Entries of `x`.
        x: usize,
        /// Entries of `y`.
        y: usize,
    },
    /// An entry differs in form from the first.
    #[error(
        "user number {user}, sample {sample} (both from 0): `{part}` has another form or length than the first"
    )]
    OtherForm {
        /// Position in `users`.
        user: usize,
        /// Position in the user's samples.
        sample: usize,
        /// `x` or `y`.
        part: &'static str,
    },
    /// No sample at all.
    #[error("the file has no samples")]
    Empty,
    /// The text cannot be cut.
    #[error(transparent)]
    Text(#[from] TextError),
    /// The features do not fit.
    #[error(transparent)]
    Features(#[from] FeaturesError),
    /// The parts do not fit.
    #[error(transparent)]
    Dataset(#[from] DatasetError),
}

#[derive(Deserialize)]
struct Content {
    users: Vec<String>,
    num_samples: Vec<usize>,
    user_data: BTreeMap<String, Samples>,
}

#[derive(Deserialize)]
struct Samples {
    x: Vec<Entry>,
    y: Vec<Entry>,
}

/// Largest file, unpacked: 4 GiB.
const MAX_BYTES: usize = u32::MAX as usize;

/// Reads one or several files of one set; users are clients.
///
/// Numbers in `y` are classes if all are whole and at least 0 (class 7 is number 7), unless
/// `regression` asks for values. A text `x` with a text `y` of one character is a sequence whose
/// last character is to be continued by `y`.
///
/// Where texts are still to be split, for they have no test file (`has_test`), each is of the group of its
/// neighbours, and those that reach from one group into the next are left out.
///
/// # Errors
/// [`LeafError`].
pub fn read(files: &[File], regression: bool, has_test: bool) -> Result<Dataset, LeafError> {
    let (mut entries, mut clients) = (Vec::new(), Vec::new());
    for file in files {
        let content = parse(file)?;
        let Content {
            users,
            num_samples,
            mut user_data,
        } = content;
        for (user, name) in users.into_iter().enumerate() {
            let samples = user_data.remove(&name).ok_or(LeafError::NoData { user })?;
            let expected = num_samples.get(user).copied().unwrap_or(0);
            let (x, y) = (samples.x.len(), samples.y.len());
            if x != expected || y != expected {
                return Err(LeafError::Samples {
                    user,
                    expected,
                    x,
                    y,
                });
            }
            for (sample, pair) in samples.x.into_iter().zip(samples.y).enumerate() {
                entries.push(((user, sample), pair));
                clients.push(name.clone());
            }
        }
    }
    match entries.first() {
        None => Err(LeafError::Empty),
        Some((_, (Entry::Text(_), _))) => texts(entries, &clients, has_test),
        Some(_) => numbers(entries, &clients, regression),
    }
}

type Sample = ((usize, usize), (Entry, Entry));

fn parse(file: &File) -> Result<Content, LeafError> {
    let bytes = unpacked(&file.bytes, MAX_BYTES)?;
    // The error of the parser quotes the text that it met; only its place is kept.
    serde_json::from_slice(&bytes).map_err(|error| LeafError::Json {
        name: file.name.clone(),
        line: error.line(),
        column: error.column(),
    })
}

fn texts(entries: Vec<Sample>, clients: &[String], has_test: bool) -> Result<Dataset, LeafError> {
    let mut windows = Vec::with_capacity(entries.len());
    let mut length = None;
    for (((user, sample), (x, y)), client) in entries.into_iter().zip(clients) {
        let other = |part| LeafError::OtherForm { user, sample, part };
        let (Entry::Text(x), Entry::Text(y)) = (x, y) else {
            return Err(other("x"));
        };
        let found = x.chars().count();
        if *length.get_or_insert(found) != found {
            return Err(other("x"));
        }
        if y.chars().count() != 1 {
            return Err(other("y"));
        }
        windows.push(Speech {
            client: Some(client.clone()),
            text: x + &y,
        });
    }
    let length = length
        .filter(|&length| length > 0)
        .ok_or(LeafError::Empty)?;
    // Each window is a passage of its own, from which one sequence is cut.
    if has_test {
        let data = sequences(&windows, length, length + 1)?;
        let roster = Roster::new(data.rows()).with_clients(coded(clients));
        return with_roster(&data, roster);
    }
    let blocks = blocks::blocks(&windows);
    let mut groups: Vec<String> = Vec::with_capacity(windows.len());
    let mut kept: Vec<Speech> = Vec::with_capacity(windows.len());
    for (window, block) in windows.into_iter().zip(blocks) {
        if let Some(block) = block {
            groups.push(block.to_string());
            kept.push(window);
        }
    }
    let data = sequences(&kept, length, length + 1)?;
    let clients = kept.iter().filter_map(|window| window.client.as_deref());
    let roster = Roster::new(data.rows())
        .with_clients(Categories::of(clients))
        .with_groups(coded(&groups));
    with_roster(&data, roster)
}

fn with_roster(data: &Dataset, roster: Roster) -> Result<Dataset, LeafError> {
    let features = data.features().clone();
    Ok(Dataset::new(features, Targets::NextTokens, roster)?)
}

fn numbers(
    entries: Vec<Sample>,
    clients: &[String],
    regression: bool,
) -> Result<Dataset, LeafError> {
    let (mut values, mut labels) = (Vec::new(), Vec::new());
    let mut width = None;
    for ((user, sample), (x, y)) in entries {
        let other = |part| LeafError::OtherForm { user, sample, part };
        let found = match x {
            Entry::Numbers(mut numbers) => {
                let found = numbers.len();
                values.append(&mut numbers);
                found
            }
            Entry::Number(number) => {
                values.push(number as f32);
                1
            }
            Entry::Text(_) => return Err(other("x")),
        };
        if *width.get_or_insert(found) != found {
            return Err(other("x"));
        }
        match (&y, labels.first()) {
            (Entry::Numbers(_), _)
            | (Entry::Text(_), Some(Entry::Number(_)))
            | (Entry::Number(_), Some(Entry::Text(_))) => return Err(other("y")),
            _ => labels.push(y),
        }
    }
    let features = Features::Floats(Floats::new(values, vec![width.unwrap_or(0)])?);
    let roster = Roster::new(rows_u32(clients.len())?).with_clients(coded(clients));
    match classes(&labels, regression) {
        Some(classes) => Ok(Dataset::classified(features, roster.with_labels(classes))?),
        None => {
            let value = |label: &Entry| match label {
                Entry::Number(number) => *number as f32,
                _ => f32::NAN,
            };
            let targets = Targets::Values(labels.iter().map(value).collect());
            Ok(Dataset::new(features, targets, roster)?)
        }
    }
}

/// The labels as classes; none if they are values.
fn classes(labels: &[Entry], regression: bool) -> Option<Categories> {
    const MOST_NUMBERED: f64 = 100_000.0;
    let text = |label: &Entry| match label {
        Entry::Text(text) => Some(text.clone()),
        _ => None,
    };
    if let Some(texts) = labels.iter().map(text).collect::<Option<Vec<String>>>() {
        return (!regression).then(|| coded(&texts));
    }
    let code = |label: &Entry| match label {
        Entry::Number(number) if number.fract() == 0.0 && (0.0..MOST_NUMBERED).contains(number) => {
            Some(*number as u32)
        }
        _ => None,
    };
    let codes = labels.iter().map(code).collect::<Option<Vec<u32>>>()?;
    let classes = codes.iter().max().map_or(0, |largest| largest + 1);
    if regression {
        None
    } else {
        Categories::numbered(codes, classes).ok()
    }
}

fn coded(names: &[String]) -> Categories {
    Categories::of(names.iter().map(String::as_str))
}

/// An `x` or a `y`.
enum Entry {
    Number(f64),
    Numbers(Vec<f32>),
    Text(String),
}

impl<'de> Deserialize<'de> for Entry {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(EntryVisitor)
    }
}

struct EntryVisitor;

impl<'de> Visitor<'de> for EntryVisitor {
    type Value = Entry;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a number, a text, or a list of numbers")
    }

    fn visit_f64<E>(self, value: f64) -> Result<Entry, E> {
        Ok(Entry::Number(value))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Entry, E> {
        Ok(Entry::Number(value as f64))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Entry, E> {
        Ok(Entry::Number(value as f64))
    }

    fn visit_str<E>(self, value: &str) -> Result<Entry, E> {
        Ok(Entry::Text(value.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut sequence: A) -> Result<Entry, A::Error> {
        let mut numbers = Vec::new();
        while let Some(entry) = sequence.next_element()? {
            match entry {
                Entry::Number(number) => numbers.push(number as f32),
                Entry::Numbers(mut inner) => numbers.append(&mut inner),
                Entry::Text(_) => return Err(serde::de::Error::custom("a text among numbers")),
            }
        }
        Ok(Entry::Numbers(numbers))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(json: &str) -> File {
        File {
            name: "a.json".to_owned(),
            bytes: json.as_bytes().to_vec(),
        }
    }

    fn of(json: &str) -> Result<Dataset, LeafError> {
        read(&[file(json)], false, false)
    }

    #[test]
    fn users_are_clients_and_whole_numbers_are_classes() {
        let json = r#"{"users": ["b", "a"], "num_samples": [2, 1], "user_data": {
            "a": {"x": [[5, 6]], "y": [2]}, "b": {"x": [[1, 2], [[3], [4]]], "y": [0, 1.0]}}}"#;
        let data = of(json).expect("sound");
        let clients = data
            .roster()
            .clients()
            .map(|clients| clients.codes().to_vec());
        assert_eq!(clients, Some(vec![1, 1, 0]));
        assert_eq!(data.shape().target, crate::Target::Classes(3));
        let mut out = [0.0; 6];
        data.fill(&[0, 1, 2], &mut out);
        assert_eq!(out, [1.0, 2.0, 3.0, 4.0, 5.0, 6.0]);
        let values = read(&[file(json)], true, false).expect("sound");
        assert_eq!(values.shape().target, crate::Target::Value);
    }

    #[test]
    fn texts_are_sequences_to_be_continued() {
        let json = r#"{"users": ["a"], "num_samples": [2], "user_data": {
            "a": {"x": ["abc", "bcd"], "y": ["d", "e"]}}}"#;
        let data = of(json).expect("sound");
        let (mut inputs, mut targets) = ([0; 6], [0; 6]);
        data.fill_tokens(&[0, 1], &mut inputs);
        data.fill_labels(&[0, 1], &mut targets);
        assert_eq!(inputs, [0, 1, 2, 1, 2, 3]);
        assert_eq!(targets, [1, 2, 3, 2, 3, 4]);
    }

    #[test]
    fn test_windows_share_no_character_with_those_to_learn_from() {
        let character = |at: u32| char::from_u32(0x4e00 + at).expect("a character");
        let text = |start: u32| (start..start + 5).map(character).collect::<String>();
        let x: Vec<String> = (0..300).map(text).collect();
        let y: Vec<char> = (0..300).map(|start| character(start + 5)).collect();
        let json = serde_json::json!({"users": ["a"], "num_samples": [300],
            "user_data": {"a": {"x": x, "y": y}}})
        .to_string();
        let data = of(&json).expect("sound");
        let hold_out = crate::HoldOut {
            fraction: 0.2,
            stratify: true,
            by_client: true,
        };
        let split = crate::Split::of(data.roster(), hold_out, |_| 1.into());
        let characters = |rows: &[u32]| {
            let (mut inputs, mut targets) = (vec![0; rows.len() * 5], vec![0; rows.len() * 5]);
            data.fill_tokens(rows, &mut inputs);
            data.fill_labels(rows, &mut targets);
            inputs.extend(targets);
            inputs
        };
        let (train, test) = (characters(&split.train), characters(&split.test));
        assert!(!test.is_empty() && test.iter().all(|one| !train.contains(one)));
        let own = read(&[file(&json)], false, true).expect("sound");
        assert_eq!((own.rows(), own.roster().groups()), (300, None));
    }

    #[test]
    fn every_fault_is_placed_without_quoting_the_file() {
        let of_user = |samples: &str| {
            of(&format!(
                "{{\"users\":[\"u\"],\"num_samples\":[2],\"user_data\":{{\"u\":{samples}}}}}"
            ))
        };
        let error = of("{\"users\": \"secret\"}").expect_err("not a list");
        assert!(
            matches!(error, LeafError::Json { line: 1, .. }),
            "{error:?}"
        );
        assert!(!error.to_string().contains("secret"));
        let samples = LeafError::Samples {
            user: 0,
            expected: 2,
            x: 1,
            y: 2,
        };
        assert_eq!(of_user(r#"{"x": [[1]], "y": [0, 1]}"#), Err(samples));
        let other = |sample, part| {
            Err(LeafError::OtherForm {
                user: 0,
                sample,
                part,
            })
        };
        assert_eq!(
            of_user(r#"{"x": [[1], [1, 2]], "y": [0, 1]}"#),
            other(1, "x")
        );
        assert_eq!(
            of_user(r#"{"x": [[1], [2]], "y": [0, "k"]}"#),
            other(1, "y")
        );
        assert_eq!(
            of_user(r#"{"x": ["ab", "cd"], "y": ["e", "fg"]}"#),
            other(1, "y")
        );
        assert!(matches!(
            of_user(r#"{"x": [[1, "t"]], "y": []}"#),
            Err(LeafError::Json { .. })
        ));
        let none = r#"{"users": ["u"], "num_samples": [0], "user_data": {}}"#;
        assert_eq!(of(none), Err(LeafError::NoData { user: 0 }));
        let empty = r#"{"users": [], "num_samples": [], "user_data": {}}"#;
        assert_eq!(of(empty), Err(LeafError::Empty));
    }
}
