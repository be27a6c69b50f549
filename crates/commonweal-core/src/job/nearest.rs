//! The nearest word to a misspelt one.

use alloc::vec::Vec;

/// The word of `words` that `found` most likely stands for, if any is near: few edits away, or one
/// contains the other.
#[must_use]
pub fn nearest<'a>(found: &str, words: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let found: Vec<char> = found
        .chars()
        .take(64)
        .flat_map(char::to_lowercase)
        .collect();
    let allowed = (found.len() / 3).clamp(1, 3);
    words
        .map(|word| {
            let letters: Vec<char> = word.chars().collect();
            let part = found.len().min(letters.len()) >= 4
                && (contains(&found, &letters) || contains(&letters, &found));
            let edits = edits(&found, &letters);
            (if part { edits.min(allowed) } else { edits }, word)
        })
        .filter(|(edits, _)| *edits <= allowed)
        .min_by_key(|(edits, _)| *edits)
        .map(|(_, word)| word)
}

fn contains(long: &[char], short: &[char]) -> bool {
    !short.is_empty() && long.windows(short.len()).any(|window| window == short)
}

/// Insertions, deletions, substitutions and swaps of neighbours that make one word of the other
/// (optimal string alignment).
fn edits(from: &[char], to: &[char]) -> usize {
    let mut before: Vec<usize> = Vec::new();
    let mut last: Vec<usize> = (0..=to.len()).collect();
    for (i, a) in from.iter().enumerate() {
        let mut row = Vec::with_capacity(to.len() + 1);
        row.push(i + 1);
        for (j, b) in to.iter().enumerate() {
            let mut cost = (last[j] + usize::from(a != b))
                .min(last[j + 1] + 1)
                .min(row[j] + 1);
            if i > 0 && j > 0 && *a == to[j - 1] && from[i - 1] == *b {
                cost = cost.min(before[j - 1] + 1);
            }
            row.push(cost);
        }
        before = core::mem::replace(&mut last, row);
    }
    last.last().copied().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    const WORDS: [&str; 4] = ["epochs", "batch_size", "optimizer", "rounds"];

    #[test]
    fn misspelt_words_are_recognised_and_strange_ones_are_not() {
        for (found, meant) in [
            ("epoch", Some("epochs")),
            ("epcohs", Some("epochs")),
            ("Batch-size", Some("batch_size")),
            ("optimiser", Some("optimizer")),
            ("num_rounds", Some("rounds")),
            ("xyzzy", None),
            ("", None),
        ] {
            assert_eq!(nearest(found, WORDS.into_iter()), meant, "{found}");
        }
    }

    #[test]
    fn a_swap_of_neighbours_is_one_edit() {
        let letters = |word: &str| word.chars().collect::<Vec<_>>();
        assert_eq!(edits(&letters("ab"), &letters("ba")), 1);
        assert_eq!(edits(&letters("kitten"), &letters("sitting")), 3);
        assert_eq!(edits(&letters(""), &letters("abc")), 3);
    }
}
