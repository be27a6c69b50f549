//! `job explain`: what a key means, in plain text.

use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::fmt::Write as _;

use super::{Absent, Key, UNBUILT, Words, reference};
use crate::job::nearest::nearest;

/// A key that the job file does not have.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "there is no key `{key}`{}; `commonweal job explain` lists all",
    nearest.as_ref().map(|near| alloc::format!(" (did you mean `{near}`?)")).unwrap_or_default()
)]
pub struct NoSuchKey {
    /// What was asked for.
    pub key: String,
    /// What may be meant.
    pub nearest: Option<String>,
}

/// What `key` means, with all keys below it; without a key, one line for each of them.
///
/// A last part alone (`batch_size`) finds every key of that name.
///
/// # Errors
/// A key that there is not.
pub fn explain(key: Option<&str>) -> Result<String, NoSuchKey> {
    let Some(asked) = key else {
        return Ok(overview());
    };
    let asked = asked.trim().trim_matches(|c| c == '[' || c == ']');
    if let Some(unbuilt) = UNBUILT.iter().find(|unbuilt| unbuilt.section == asked) {
        return Ok(alloc::format!(
            "[{asked}] is not built yet: {}.\n",
            unbuilt.missing
        ));
    }
    let named: Vec<&Key> = reference().filter(|key| matches(key, asked)).collect();
    if named.is_empty() {
        let words = reference().flat_map(|key| [key.path, key.name()]);
        let nearest = nearest(asked, words).map(ToString::to_string);
        return Err(NoSuchKey {
            key: asked.to_string(),
            nearest,
        });
    }
    let mut text = String::new();
    for key in named {
        describe(key, &mut text);
    }
    Ok(text)
}

/// Whether `asked` is the key, a table around it, or its last part.
fn matches(key: &Key, asked: &str) -> bool {
    let below = key.path.strip_prefix(asked);
    below.is_some_and(|rest| rest.is_empty() || rest.starts_with('.')) || key.name() == asked
}

fn overview() -> String {
    let width = reference().map(|key| key.path.len()).max().unwrap_or(0);
    let mut text = String::new();
    let mut last = "";
    for key in reference().filter(|key| core::mem::replace(&mut last, key.path) != key.path) {
        let end = key
            .meaning
            .find([';', '.', ':'])
            .unwrap_or(key.meaning.len());
        // A `String` takes all that is written.
        _ = writeln!(text, "{:width$}  {}", key.path, &key.meaning[..end]);
    }
    text
}

fn describe(key: &Key, to: &mut String) {
    _ = write!(to, "{}", key.path);
    if !key.kinds.is_empty() {
        _ = write!(to, "  (with kind {})", Words(key.kinds));
    }
    _ = write!(to, "\n  {}", key.kind);
    if !key.unit.is_empty() {
        _ = write!(to, ", in {}", key.unit);
    }
    _ = writeln!(to, "\n  {}", default(key));
    wrap(key.meaning, to);
    to.push('\n');
}

/// What holds where the key is absent, as a phrase.
pub(super) fn default(key: &Key) -> String {
    match key.absent {
        Absent::Required => "needed".to_string(),
        Absent::Is(literal) => alloc::format!("default {literal}"),
        Absent::Filled => "default: its keys' defaults".to_string(),
        Absent::Open(words) => alloc::format!("if absent: {words}"),
    }
}

/// Lines of at most 92 characters, indented by two.
fn wrap(sentence: &str, to: &mut String) {
    let mut column = 0;
    for word in sentence.split_whitespace() {
        let length = word.chars().count();
        if column == 0 || column + 1 + length > 90 {
            to.push_str(if column == 0 { "  " } else { "\n  " });
            column = length;
        } else {
            to.push(' ');
            column += 1 + length;
        }
        to.push_str(word);
    }
    to.push('\n');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_explained_with_type_unit_default_and_meaning() {
        let text = explain(Some("training.epochs")).unwrap();
        assert_eq!(
            text,
            "training.epochs\n  an integer from 1 to 1000000, in epochs\n  default 1\n  \
             Passes over a client's rows in a round (E in McMahan et al. 2017).\n\n"
        );
    }

    #[test]
    fn a_section_is_explained_with_its_keys_and_a_misspelt_key_with_the_nearest() {
        assert!(
            explain(Some("[cohort]"))
                .unwrap()
                .contains("cohort.over_selection")
        );
        assert!(
            explain(Some("alpha"))
                .unwrap()
                .contains("simulation.partition.alpha")
        );
        let error = explain(Some("training.epoch")).unwrap_err();
        assert_eq!(error.nearest.as_deref(), Some("training.epochs"));
    }

    #[test]
    fn the_overview_has_a_line_for_each_key() {
        let text = explain(None).unwrap();
        for key in reference() {
            assert!(
                text.lines().any(|line| line.starts_with(key.path)),
                "{}",
                key.path
            );
        }
    }
}
