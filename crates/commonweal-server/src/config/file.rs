//! The configuration file: TOML of one level of tables, each value as text with its line.

use std::path::Path;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::ConfigError;

/// A value of the file.
pub(super) struct Entry {
    /// `retention.last`.
    pub(super) name: String,
    /// As text; none of what no key takes: a list, a date.
    pub(super) text: Option<String>,
    /// From 1.
    pub(super) line: usize,
}

/// Reads the file; none if there is no such file.
pub(super) fn read(path: &Path) -> Result<Option<String>, ConfigError> {
    match std::fs::read_to_string(path) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(source) => {
            let path = path.to_path_buf();
            Err(ConfigError::Unreadable { path, source })
        }
    }
}

/// What `text` says, as if it lay at `path`; in the order of its lines.
pub(super) fn parse(text: &str, path: &Path) -> Result<Vec<Entry>, ConfigError> {
    let table = DeTable::parse(text).map_err(|error| ConfigError::Syntax {
        path: path.to_path_buf(),
        line: error.span().map_or(1, |span| line(text, span.start)),
        message: error.message().to_owned(),
    })?;
    let mut entries = Vec::new();
    collect(text, "", table.get_ref(), &mut entries);
    entries.sort_by_key(|entry| entry.line);
    Ok(entries)
}

fn collect(text: &str, table_name: &str, table: &DeTable<'_>, entries: &mut Vec<Entry>) {
    for (key, value) in table {
        let name = match table_name {
            "" => key.get_ref().to_string(),
            table_name => format!("{table_name}.{}", key.get_ref()),
        };
        match value.get_ref() {
            DeValue::Table(inner) => collect(text, &name, inner, entries),
            _ => entries.push(Entry {
                name,
                text: scalar(value),
                line: line(text, key.span().start),
            }),
        }
    }
}

fn scalar(value: &Spanned<DeValue<'_>>) -> Option<String> {
    match value.get_ref() {
        DeValue::String(text) => Some(text.to_string()),
        DeValue::Integer(number) if number.radix() == 10 => Some(number.as_str().replace('_', "")),
        DeValue::Boolean(value) => Some(value.to_string()),
        _ => None,
    }
}

fn line(text: &str, byte: usize) -> usize {
    text.bytes().take(byte).filter(|it| *it == b'\n').count() + 1
}
