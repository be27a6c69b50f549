//! Windows into one text of character tokens, so that overlapping rows share their characters.

use std::collections::BTreeSet;

use super::FeaturesError;

/// The characters that are told apart; a character's token is its position.
///
/// The token after the last stands for every character that is not listed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Vocabulary {
    characters: Vec<char>,
    tokens: Vec<(char, u16)>,
}

impl Vocabulary {
    /// `characters` in their order, each once.
    ///
    /// # Errors
    /// [`FeaturesError::VocabularyTooLarge`] beyond 65,535 characters.
    pub fn new(characters: impl IntoIterator<Item = char>) -> Result<Self, FeaturesError> {
        let mut seen = BTreeSet::new();
        let mut listed = Vec::new();
        for character in characters {
            if seen.insert(character) {
                listed.push(character);
            }
        }
        if listed.len() > usize::from(u16::MAX) {
            return Err(FeaturesError::VocabularyTooLarge {
                found: listed.len(),
            });
        }
        let mut tokens: Vec<(char, u16)> = listed.iter().copied().zip(0..).collect();
        tokens.sort_unstable();
        Ok(Self {
            characters: listed,
            tokens,
        })
    }

    /// The distinct characters of `text` in code point order.
    ///
    /// # Errors
    /// [`FeaturesError::VocabularyTooLarge`] beyond 65,535 characters.
    pub fn of(text: impl IntoIterator<Item = char>) -> Result<Self, FeaturesError> {
        Self::new(text.into_iter().collect::<BTreeSet<char>>())
    }

    /// Number of tokens, that of unlisted characters included.
    #[expect(
        clippy::len_without_is_empty,
        reason = "the token of unlisted characters always exists"
    )]
    pub fn len(&self) -> usize {
        self.characters.len() + 1
    }

    /// The listed characters in token order, from token 0.
    pub fn characters(&self) -> &[char] {
        &self.characters
    }

    /// The token of `character`; the last one if it is not listed.
    pub fn token(&self, character: char) -> u16 {
        let unlisted = self.characters.len() as u16;
        let found = self
            .tokens
            .binary_search_by_key(&character, |&(listed, _)| listed);
        found.map_or(unlisted, |position| self.tokens[position].1)
    }

    /// The character of `token`; none for the last one and beyond.
    pub fn character(&self, token: u32) -> Option<char> {
        self.characters.get(token as usize).copied()
    }
}

/// Rows that are windows of `length` tokens, each followed by at least one more token of the text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tokens {
    text: Vec<u16>,
    starts: Vec<u32>,
    length: usize,
    vocabulary: Vocabulary,
}

impl Tokens {
    /// Windows of `length` tokens of `text` at `starts`.
    ///
    /// # Errors
    /// [`FeaturesError`] if a window and its next token reach beyond the text, `length` is 0, or a
    /// token is not in the vocabulary.
    pub fn new(
        text: Vec<u16>,
        starts: Vec<u32>,
        length: usize,
        vocabulary: Vocabulary,
    ) -> Result<Self, FeaturesError> {
        if length == 0 {
            return Err(FeaturesError::Shape { shape: vec![0] });
        }
        let beyond = |&start: &u32| (start as usize).saturating_add(length) >= text.len();
        if let Some(row) = starts.iter().position(beyond) {
            return Err(FeaturesError::WindowBeyondText { row });
        }
        let unknown = |&token: &u16| usize::from(token) >= vocabulary.len();
        if let Some(position) = text.iter().position(unknown) {
            return Err(FeaturesError::TokenOutOfRange { position });
        }
        Ok(Self {
            text,
            starts,
            length,
            vocabulary,
        })
    }

    /// The same windows of the same characters under another vocabulary.
    #[must_use]
    pub fn with_vocabulary(mut self, vocabulary: Vocabulary) -> Self {
        let unlisted = vocabulary.characters.len() as u16;
        let listed = self.vocabulary.characters.iter();
        let renumbered: Vec<u16> = listed
            .map(|&character| vocabulary.token(character))
            .chain(std::iter::once(unlisted))
            .collect();
        for token in &mut self.text {
            *token = renumbered[usize::from(*token)];
        }
        self.vocabulary = vocabulary;
        self
    }

    /// Number of rows.
    pub fn rows(&self) -> usize {
        self.starts.len()
    }

    /// Tokens a row.
    pub fn length(&self) -> usize {
        self.length
    }

    /// The characters behind the tokens.
    pub fn vocabulary(&self) -> &Vocabulary {
        &self.vocabulary
    }

    /// The tokens of one row and the one after them: `length + 1` in all.
    pub fn window(&self, row: u32) -> &[u16] {
        let start = self.starts[row as usize] as usize;
        &self.text[start..=start + self.length]
    }

    /// These rows only, in this order, and no other text. Windows that overlap share their characters if they
    /// follow each other.
    pub(crate) fn select(&self, rows: &[u32]) -> Self {
        let (mut text, mut starts) = (Vec::new(), Vec::new());
        // The piece of this text that was copied last, and where it lies in the other.
        let (mut piece, mut place) = (0..0, 0);
        for &row in rows {
            let window = self.starts[row as usize] as usize;
            let window = window..window + self.length + 1;
            if !(piece.start..=piece.end).contains(&window.start) || text.is_empty() {
                (piece, place) = (window.start..window.start, text.len());
            }
            if window.end > piece.end {
                text.extend_from_slice(&self.text[piece.end..window.end]);
                piece.end = window.end;
            }
            starts.push((place + window.start - piece.start) as u32);
        }
        Self {
            text,
            starts,
            length: self.length,
            vocabulary: self.vocabulary.clone(),
        }
    }

    /// The rows of `self`, then those of `other`, under a vocabulary of both.
    pub(crate) fn then(self, other: Self) -> Option<Self> {
        if self.length != other.length {
            return None;
        }
        let characters = self
            .vocabulary
            .characters
            .iter()
            .chain(&other.vocabulary.characters);
        let both = Vocabulary::of(characters.copied()).ok()?;
        let (mut first, second) = (
            self.with_vocabulary(both.clone()),
            other.with_vocabulary(both),
        );
        let before = u32::try_from(first.text.len()).ok()?;
        let moved: Option<Vec<u32>> = second
            .starts
            .iter()
            .map(|start| start.checked_add(before))
            .collect();
        first.starts.extend(moved?);
        first.text.extend(second.text);
        Some(first)
    }

    /// Writes the windows of `rows`, moved on by `shift`, which is 0 or 1.
    pub(crate) fn fill(&self, rows: &[u32], shift: usize, out: &mut [u32]) {
        assert_eq!(
            out.len(),
            rows.len() * self.length,
            "one window of the batch a row number"
        );
        for (out, &row) in out.chunks_exact_mut(self.length).zip(rows) {
            for (out, &token) in out.iter_mut().zip(&self.window(row)[shift..]) {
                *out = u32::from(token);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tokens(text: &str, starts: Vec<u32>, length: usize) -> Result<Tokens, FeaturesError> {
        let vocabulary = Vocabulary::of(text.chars())?;
        let codes = text
            .chars()
            .map(|character| vocabulary.token(character))
            .collect();
        Tokens::new(codes, starts, length, vocabulary)
    }

    #[test]
    fn the_targets_are_the_window_moved_on_by_one() {
        let tokens = tokens("abcab", vec![0, 1], 3).expect("windows fit");
        let (mut inputs, mut targets) = ([0; 6], [0; 6]);
        tokens.fill(&[0, 1], 0, &mut inputs);
        tokens.fill(&[0, 1], 1, &mut targets);
        assert_eq!(inputs, [0, 1, 2, 1, 2, 0]);
        assert_eq!(targets, [1, 2, 0, 2, 0, 1]);
    }

    #[test]
    fn a_window_needs_a_next_token() {
        assert_eq!(
            tokens("abc", vec![0], 3),
            Err(FeaturesError::WindowBeyondText { row: 0 })
        );
    }

    #[test]
    fn a_character_that_the_new_vocabulary_lacks_becomes_the_last_token() {
        let tokens = tokens("abc", vec![0], 2).expect("windows fit");
        let renumbered = tokens.with_vocabulary(Vocabulary::new("cbz".chars()).expect("small"));
        assert_eq!(renumbered.window(0), [3, 1, 0]);
    }
}
