//! A TOML document that is taken apart key by key: what is left at the end is a key that nobody knows.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use commonweal_core::job::nearest;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// Why a file does not say what it should. Names the line, the key, and the nearest key there is.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}:{line}: {key}{what}", path.display())]
pub struct DocumentError {
    /// The file.
    pub path: PathBuf,
    /// Line, from 1.
    pub line: usize,
    /// The dotted key with a colon and a blank; empty where there is none.
    pub key: String,
    /// What is wrong, and what to write.
    pub what: String,
}

/// One table of a document. Its keys are taken out; [`Table::end`] refuses what is left.
pub(crate) struct Table<'a> {
    file: &'a File<'a>,
    prefix: String,
    line: usize,
    entries: BTreeMap<String, (usize, Spanned<DeValue<'a>>)>,
    known: Vec<&'static str>,
}

/// The text and where it lies.
pub(crate) struct File<'a> {
    pub(crate) path: &'a Path,
    pub(crate) text: &'a str,
}

/// A value and where it was written.
pub(crate) struct Value<'a> {
    file: &'a File<'a>,
    pub(crate) key: String,
    line: usize,
    value: DeValue<'a>,
}

type Result<T> = std::result::Result<T, DocumentError>;

impl<'a> File<'a> {
    /// The document's root.
    pub(crate) fn root(&'a self) -> Result<Table<'a>> {
        let root = DeTable::parse(self.text).map_err(|fault| {
            let start = fault.span().map_or(0, |span| span.start);
            self.error(self.line(start), String::new(), fault.message().to_owned())
        })?;
        Ok(Table::new(self, String::new(), 1, root.into_inner()))
    }

    fn line(&self, at: usize) -> usize {
        let before = self.text.get(..at).unwrap_or(self.text);
        before.matches('\n').count() + 1
    }

    fn error(&self, line: usize, key: String, what: String) -> DocumentError {
        let key = match key.as_str() {
            "" => key,
            _ => format!("{key}: "),
        };
        DocumentError {
            path: self.path.to_path_buf(),
            line,
            key,
            what,
        }
    }
}

impl<'a> Table<'a> {
    fn new(file: &'a File<'a>, prefix: String, line: usize, table: DeTable<'a>) -> Self {
        let entries = table.into_iter().map(|(key, value)| {
            let line = file.line(key.span().start);
            (key.into_inner().into_owned(), (line, value))
        });
        Self {
            file,
            prefix,
            line,
            entries: entries.collect(),
            known: Vec::new(),
        }
    }

    /// Takes a key out, if it is there.
    pub(crate) fn take(&mut self, key: &'static str) -> Option<Value<'a>> {
        self.known.push(key);
        let (line, value) = self.entries.remove(key)?;
        Some(self.value(key, line, value))
    }

    /// Takes a key out that has no default; `why` says what it decides.
    pub(crate) fn need(&mut self, key: &'static str, why: &str) -> Result<Value<'a>> {
        let missing = || {
            let what = format!("is missing: {why}");
            self.file.error(self.line, self.path(key), what)
        };
        let missing = missing();
        self.take(key).ok_or(missing)
    }

    /// All keys that are left: those of a table whose keys are names.
    pub(crate) fn named(mut self) -> Vec<(String, Value<'a>)> {
        let entries = std::mem::take(&mut self.entries);
        entries
            .into_iter()
            .map(|(key, (line, value))| {
                let value = self.value(&key, line, value);
                (key, value)
            })
            .collect()
    }

    /// Refuses a key that was not taken.
    pub(crate) fn end(self) -> Result<()> {
        let Some((key, (line, _))) = self.entries.first_key_value() else {
            return Ok(());
        };
        let what = match nearest(key, self.known.iter().copied()) {
            Some(meant) => format!("is no key here; did you mean {meant}?"),
            None => format!("is no key here; known are {}", self.known.join(", ")),
        };
        Err(self.file.error(*line, self.path(key), what))
    }

    fn value(&self, key: &str, line: usize, value: Spanned<DeValue<'a>>) -> Value<'a> {
        Value {
            file: self.file,
            key: self.path(key),
            line,
            value: value.into_inner(),
        }
    }

    fn path(&self, key: &str) -> String {
        match self.prefix.as_str() {
            "" => key.to_owned(),
            prefix => format!("{prefix}.{key}"),
        }
    }
}

impl<'a> Value<'a> {
    /// The error that says what was expected here.
    pub(crate) fn expected(&self, what: &str) -> DocumentError {
        self.wrong(format!("must be {what}"))
    }

    /// An error about this value.
    pub(crate) fn wrong(&self, what: String) -> DocumentError {
        self.file.error(self.line, self.key.clone(), what)
    }

    /// A text.
    pub(crate) fn text(self, what: &str) -> Result<String> {
        match self.value {
            DeValue::String(text) => Ok(text.into_owned()),
            _ => Err(self.expected(what)),
        }
    }

    /// A text, if it is one.
    pub(crate) fn as_text(&self) -> Option<&str> {
        match &self.value {
            DeValue::String(text) => Some(text),
            _ => None,
        }
    }

    /// An integer within `range`.
    pub(crate) fn integer(self, range: std::ops::RangeInclusive<u64>) -> Result<u64> {
        let number = match &self.value {
            DeValue::Integer(number) => u64::from_str_radix(number.as_str(), number.radix()).ok(),
            _ => None,
        };
        number
            .filter(|number| range.contains(number))
            .ok_or_else(|| {
                let what = format!("a whole number from {} to {}", range.start(), range.end());
                self.expected(&what)
            })
    }

    /// Texts in a list.
    pub(crate) fn texts(self, what: &str) -> Result<Vec<String>> {
        let DeValue::Array(items) = &self.value else {
            return Err(self.expected(what));
        };
        let texts: Option<Vec<String>> = items
            .iter()
            .map(|item| match item.get_ref() {
                DeValue::String(text) => Some(text.clone().into_owned()),
                _ => None,
            })
            .collect();
        texts.ok_or_else(|| self.expected(what))
    }

    /// A table.
    pub(crate) fn table(self, what: &str) -> Result<Table<'a>> {
        match self.value {
            DeValue::Table(table) => Ok(Table::new(self.file, self.key, self.line, table)),
            _ => Err(self.expected(what)),
        }
    }
}
